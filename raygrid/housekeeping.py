"""Removes what a published model does not need any more."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from raygrid.artifacts import ModelArtifacts
from raygrid.checkpoints import Checkpoints
from raygrid.errors import LockTimeoutError, MissingArtifactError
from raygrid.experiments import reset_pending
from raygrid.manifest import Manifest
from raygrid.point_store import PointStore
from raygrid.prefix_lock import prefix_locked
from raygrid.publishing import read_manifest, remove_superseded


@dataclass(frozen=True)
class CleanReport:
    """What ``clean_prefix`` removed; no points while a reset is pending, whose own are not published yet."""

    records: int
    freed_bytes: int
    reset_pending: bool


def clean_prefix(paths: ModelArtifacts) -> CleanReport:
    """Removes what a published model does not need: losers' weights, records that no call can reach, checkpoints,
    superseded generations, leftovers of searches.

    Records of the published model's own data, code, settings and experiment stay: they are what growing the grid
    saves. Waits for nobody.

    Raises:
        MissingArtifactError: nothing is published, so nothing can be told from what is needed.
        LockTimeoutError: a search runs under this prefix.
    """
    _published_manifest(paths)
    with _locked_now(paths):
        # Read under the lock: whoever held it until now may have committed another generation.
        manifest = _published_manifest(paths)
        store = PointStore(paths.points_dir)
        before = _bytes_under(paths)
        dropped = 0
        pending = reset_pending(paths)
        if not pending:
            dropped = store.drop_records(keep_context=manifest.context)
            store.drop_weights(keep={str(manifest.winner.get("key"))})
            Checkpoints(paths.checkpoints_dir).drop_all()
        remove_superseded(paths, manifest)
        for folder in (paths.tune_dir, paths.data_dir):
            shutil.rmtree(folder, ignore_errors=True)
        return CleanReport(dropped, before - _bytes_under(paths), pending)


@contextlib.contextmanager
def _locked_now(paths: ModelArtifacts) -> Iterator[None]:
    holders: list[str] = []
    try:
        with prefix_locked(paths, 0.0, holders.append):
            yield
    except LockTimeoutError as error:
        raise LockTimeoutError(
            f"nothing is removed: {', '.join(holders)} trains under the prefix {paths.prefix!r} in {paths.model_dir}. "
            "Clean again when it has ended."
        ) from error


def _published_manifest(paths: ModelArtifacts) -> Manifest:
    manifest = read_manifest(paths)
    if manifest is None:
        raise MissingArtifactError(
            f"nothing is published as {paths.prefix!r} in {paths.model_dir}, so every record may still be needed."
        )
    return manifest


def _bytes_under(paths: ModelArtifacts) -> int:
    return sum(path.stat().st_size for path in paths.runs_dir.rglob("*") if path.is_file() and not path.is_symlink())
