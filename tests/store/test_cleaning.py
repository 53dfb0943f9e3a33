"""Cleaning up: what the published model does not need goes, everything else stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raygrid.errors import LockTimeoutError, MissingArtifactError
from raygrid.grid.records import PointRecord
from raygrid.grid.request import Request
from raygrid.store.cleaning import clean_prefix, drop_spent
from raygrid.store.lock import locked
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import publish
from raygrid.store.resets import begin_reset

GRID = Request.for_grid({"units": (1, 2)}, {"epochs": 3})


def add(paths: ModelArtifacts, key: str, context: str, units: int, seed: int = 0) -> None:
    """A point with weights."""
    weights = paths.model_dir / "weights"
    weights.write_bytes(b"w" * 1000)
    config = {"epochs": 3, "units": units}
    PointStore(paths.points_dir).add(PointRecord(key, context, config, seed, "done", {"val_loss": 1.0}), weights)


def published(folder: Path) -> tuple[ModelArtifacts, PointStore]:
    """A published set whose winner is ``best``, a loser of the same grid, and a record of other data."""
    paths = ModelArtifacts.for_prefix(folder, "net")
    add(paths, "best", "now", 1)
    add(paths, "loser", "now", 2)
    add(paths, "old", "before", 2)
    publish(paths, {path.name: b"{}" for path in paths.required}, manifest_of("now", "best"))
    return paths, PointStore(paths.points_dir)


def manifest_of(context: str, winner: str) -> Manifest:
    depends_on = {"settings": {"seed": 0}}
    return Manifest("", {}, depends_on, GRID.to_json(), context=context, winner={"key": winner, "point": 0})


def weights_in(paths: ModelArtifacts) -> list[str]:
    return sorted(path.stem for path in paths.points_dir.glob("*.npz"))


def leave_checkpoint(paths: ModelArtifacts) -> Path:
    paths.checkpoints_dir.mkdir()
    path = paths.checkpoints_dir / "c.npz"
    path.write_bytes(b"how far it is")
    return path


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_losers_weights_and_records_of_other_data_go_and_the_rest_stays(tmp_path: Path) -> None:
    paths, store = published(tmp_path)
    checkpoint = leave_checkpoint(paths)
    # As a search leaves them that was killed.
    for left in (paths.tune_dir, paths.data_dir):
        left.mkdir(parents=True)
        (left / "left").write_bytes(b"l" * 10)
    (paths.generations_dir / "older").mkdir()
    before = bytes_under(paths.runs_dir)
    report = clean_prefix(paths)
    assert (report.records, report.unfinished) == (1, False)
    # The lock's own file, a few bytes, is new.
    assert report.freed_bytes == pytest.approx(before - bytes_under(paths.runs_dir), abs=100)
    assert report.freed_bytes > 2000
    assert not paths.tune_dir.exists() and not paths.data_dir.exists()
    assert not (paths.generations_dir / "older").exists()
    assert sorted(p.name for p in paths.points_dir.iterdir()) == ["best.json", "best.npz", "loser.json"]
    assert store.get("loser") is not None
    assert not checkpoint.exists()


def test_a_grid_that_is_being_grown_keeps_its_weights_and_checkpoints(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    add(paths, "grown", "now", 3)
    # Of a confirmation: the points of a search have the seed of the published one.
    add(paths, "confirmed", "now", 3, seed=1)
    checkpoint = leave_checkpoint(paths)
    report = clean_prefix(paths)
    assert (report.records, report.reset_pending, report.unfinished) == (1, False, True)
    assert weights_in(paths) == ["best", "grown"]
    assert checkpoint.exists()


def test_what_a_reset_needs_is_kept_and_losers_of_the_published_grid_are_not(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    begin_reset(paths, "asked")
    add(paths, "reset", "after the reset", 2)
    checkpoint = leave_checkpoint(paths)
    assert drop_spent(paths, manifest_of("now", "best"))
    assert weights_in(paths) == ["best", "old", "reset"]
    assert checkpoint.exists()


def test_how_far_a_reset_is_stays_where_nothing_else_does(tmp_path: Path) -> None:
    paths, store = published(tmp_path)
    begin_reset(paths, "asked")
    store.drop_weights({"best"})
    checkpoint = leave_checkpoint(paths)
    assert drop_spent(paths, manifest_of("now", "best"))
    assert checkpoint.exists()


def test_once_nothing_is_pending_the_weights_of_other_experiments_are_spent(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    checkpoint = leave_checkpoint(paths)
    assert not drop_spent(paths, manifest_of("now", "best"), also={"nobody"})
    assert weights_in(paths) == ["best"]
    assert not checkpoint.exists()


def test_an_earlier_winner_that_is_dethroned_loses_its_weights(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    add(paths, "dethroned", "now", 9)
    assert not drop_spent(paths, manifest_of("now", "best"), also={"dethroned"})
    assert weights_in(paths) == ["best"]


def test_points_of_a_reset_that_is_not_published_yet_stay(tmp_path: Path) -> None:
    paths, _ = published(tmp_path)
    begin_reset(paths, "asked")
    before = sorted(paths.points_dir.iterdir())
    report = clean_prefix(paths)
    assert report.reset_pending and report.unfinished
    assert sorted(paths.points_dir.iterdir()) == [path for path in before if path.name != "loser.npz"]


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
