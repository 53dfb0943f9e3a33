"""Removes what a published model does not need any more."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from raygrid.errors import LockTimeoutError, MissingArtifactError
from raygrid.grid.request import Request
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.lock import prefix_locked
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest, remove_superseded
from raygrid.store.resets import reset_pending


@dataclass(frozen=True)
class CleanReport:
    """What ``clean_prefix`` removed, and why something stayed.

    Attributes:
        records: how many records.
        freed_bytes: how many bytes in all.
        reset_pending: whether a reset is not finished, so that no record was removed.
        unfinished: whether weights and checkpoints stay that a search needs which is not finished.
    """

    records: int
    freed_bytes: int
    reset_pending: bool
    unfinished: bool


def drop_spent(paths: ModelArtifacts, manifest: Manifest, also: Collection[str] = ()) -> bool:
    """Removes the weights of points that have lost, and checkpoints that nobody will go on from.

    What a search needs that is not finished stays: the weights of points that the published set was not asked for (a
    grid that is being grown), all of other experiments while a reset is pending, and in both cases the checkpoints.
    Only the lock's holder may.

    Args:
        paths: the names of the prefix.
        manifest: the published set's; its winner keeps its weights.
        also: keys of further points whose weights are not needed.

    Returns:
        Whether weights or checkpoints of an unfinished search stayed.
    """
    store, checkpoints = PointStore(paths.points_dir), Checkpoints(paths.checkpoints_dir)
    request, seed = Request.from_json(manifest.request), manifest.depends_on.get("settings", {}).get("seed", 0)
    pending = reset_pending(paths)

    def needed(key: str) -> bool:
        if key == manifest.winner.get("key"):
            return True
        record = None if key in also else store.get(key)
        if record is None:
            return False
        if record.context != manifest.context:
            return pending
        # Of another seed are the points of a confirmation, which needs their records alone.
        return record.seed == seed and not request.asks_for(record.config)

    kept = {key for key in store.keys_with_weights() if needed(key)}
    store.drop_weights(kept)
    unfinished = pending or len(kept - {manifest.winner.get("key")}) > 0
    if not unfinished:
        checkpoints.drop_all()
    return unfinished


def clean_prefix(paths: ModelArtifacts) -> CleanReport:
    """Removes what a published model does not need: losers' weights, records that no call can reach, checkpoints,
    superseded generations, leftovers of searches.

    Records of the published model's own data, code, settings and experiment stay: they are what growing the grid
    saves. So does what ``drop_spent`` leaves. Waits for nobody.

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
        unfinished = drop_spent(paths, manifest)
        remove_superseded(paths, manifest)
        for folder in (paths.tune_dir, paths.data_dir):
            shutil.rmtree(folder, ignore_errors=True)
        return CleanReport(dropped, before - _bytes_under(paths), pending, unfinished)


@contextlib.contextmanager
def _locked_now(paths: ModelArtifacts) -> Iterator[None]:
    holders: list[str] = []
    try:
        with prefix_locked(paths, 0.0, holders.append):
            yield
    except LockTimeoutError as error:
        raise LockTimeoutError(
            f"nothing is removed: {', '.join(holders)} trains under the prefix {paths.prefix!r} in {paths.model_dir}.",
            remedy="Clean again when it has ended.",
        ) from error


def _published_manifest(paths: ModelArtifacts) -> Manifest:
    manifest = read_manifest(paths)
    if manifest is None:
        raise MissingArtifactError(
            f"nothing is published as {paths.prefix!r} in {paths.model_dir}, so every record may still be needed.",
            remedy="Check the prefix and the folder, or finish the search first.",
        )
    return manifest


def _bytes_under(paths: ModelArtifacts) -> int:
    return sum(path.stat().st_size for path in paths.runs_dir.rglob("*") if path.is_file() and not path.is_symlink())
