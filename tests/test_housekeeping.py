"""Cleaning up: what the published model does not need goes, everything else stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raygrid.artifacts import ModelArtifacts
from raygrid.errors import LockTimeoutError, MissingArtifactError
from raygrid.experiments import begin_reset
from raygrid.housekeeping import clean_prefix
from raygrid.manifest import Manifest
from raygrid.point_store import PointStore
from raygrid.prefix_lock import locked
from raygrid.publishing import publish
from raygrid.records import PointRecord


def published(folder: Path) -> tuple[ModelArtifacts, PointStore]:
    """A published set whose winner is ``best``, a loser of the same context, and a record of other data."""
    paths = ModelArtifacts.for_prefix(folder, "net")
    store = PointStore(paths.points_dir)
    weights = folder / "weights"
    weights.write_bytes(b"w" * 1000)
    for key, context in (("best", "now"), ("loser", "now"), ("old", "before")):
        store.add(PointRecord(key, context, {}, 0, "done", {"val_loss": 1.0}), weights)
    files = {path.name: b"{}" for path in paths.required}
    publish(paths, files, Manifest("", {}, context="now", winner={"key": "best", "point": 0}))
    return paths, store


def test_losers_weights_and_records_of_other_data_go_and_the_rest_stays(tmp_path: Path) -> None:
    paths, store = published(tmp_path)
    report = clean_prefix(paths)
    assert report.records == 1
    assert report.freed_bytes > 2000
    assert sorted(p.name for p in paths.points_dir.iterdir()) == ["best.json", "best.npz", "loser.json"]
    assert store.get("loser") is not None


def test_points_of_a_reset_that_is_not_published_yet_stay(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    begin_reset(paths, "asked")
    before = sorted(paths.points_dir.iterdir())
    report = clean_prefix(paths)
    assert report.reset_pending
    assert sorted(paths.points_dir.iterdir()) == before


def test_without_a_published_model_nothing_is_known_to_be_superfluous(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match="nothing is published"):
        clean_prefix(ModelArtifacts.for_prefix(tmp_path, "net"))


def test_a_running_search_is_not_disturbed(tmp_path: Path) -> None:
    paths, store = published(tmp_path)
    with locked(paths.lock_path, None, lambda holder: None), pytest.raises(LockTimeoutError) as caught:
        clean_prefix(paths)
    said = str(caught.value)
    assert re.fullmatch(
        r"nothing is removed: process \d+ on .* trains under the prefix 'net' in .*\. Clean again when it has ended\.",
        said,
    )
    assert store.get("old") is not None
