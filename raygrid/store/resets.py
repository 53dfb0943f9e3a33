"""Experiments: a reset begins a new one, and a point's record belongs to the experiment that it was trained in.

The experiment's id is part of every key, so records of before a reset are never found again. A reset that was killed
goes on when the same is asked for again.
"""

from __future__ import annotations

import secrets

from raygrid.base.files import decode_json, make_folder, read_bytes, remove_file, write_json
from raygrid.errors import CorruptArtifactError
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import read_manifest, read_manifest_or_damaged

FIRST_EXPERIMENT = ""


def current_experiment(paths: ModelArtifacts) -> str:
    """The experiment that a call without a reset belongs to: the published one, or a first reset's that was killed."""
    manifest = read_manifest(paths)
    if manifest is not None:
        return manifest.experiment
    pending = _pending(paths)
    return FIRST_EXPERIMENT if pending is None else pending["experiment"]


def begin_reset(paths: ModelArtifacts, asked: str) -> str:
    """The experiment for a reset, see ``reset_experiment_id``; noted, so that the reset goes on should it be killed.

    Args:
        paths: the names of the prefix.
        asked: digest of what is asked for.
    """
    experiment = reset_experiment_id(paths, asked)
    pending = _pending(paths)
    if pending is None or pending["experiment"] != experiment:
        make_folder(paths.runs_dir)
        write_json(paths.reset_path, {"experiment": experiment, "asked": asked})
    return experiment


def reset_experiment_id(paths: ModelArtifacts, asked: str) -> str:
    """The experiment for a reset: that of the same reset if it began and was not published, otherwise a new one.

    Args:
        paths: the names of the prefix.
        asked: digest of what is asked for.
    """
    pending = _pending(paths)
    manifest = read_manifest_or_damaged(paths)
    published = manifest.experiment if isinstance(manifest, Manifest) else None
    if pending is not None and pending["asked"] == asked and pending["experiment"] != published:
        return pending["experiment"]
    return secrets.token_hex(8)


def reset_pending(paths: ModelArtifacts) -> bool:
    """Whether a reset has begun whose results are not published yet."""
    pending, manifest = _pending(paths), read_manifest(paths)
    return pending is not None and (manifest is None or pending["experiment"] != manifest.experiment)


def end_reset(paths: ModelArtifacts, published: str) -> None:
    """Forgets the reset that ``published`` belonged to."""
    pending = _pending(paths)
    if pending is not None and pending["experiment"] == published:
        remove_file(paths.reset_path)


def _pending(paths: ModelArtifacts) -> dict[str, str] | None:
    try:
        value = decode_json(read_bytes(paths.reset_path), paths.reset_path)
        return {"experiment": str(value["experiment"]), "asked": str(value.get("asked", ""))}
    except (FileNotFoundError, CorruptArtifactError, KeyError, TypeError, AttributeError):
        return None
