"""The same grid gives the same weights to the last bit, however its work is shared out and in whatever order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_models import SmallModel, small_rows

from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.tuning.resources import Resources

pytestmark = pytest.mark.ray

X, X_VAL = small_rows(), small_rows(60, seed=1)
# Eight trainings. On one worker, those that differ only in their rate are one trial; on two, each is its own.
GRID = {
    "hidden": [(8,), (6, 3)],
    "learning_rate": [0.3, 0.02],
    "epochs": [6, 3],
    "patience": [None, 1],
    "activation": ["relu", "tanh"],
}
# Eighteen trainings: on two workers, too, there are several in a trial.
LARGE_GRID = {**GRID, "hidden": [(8,), (6, 3), (3,)], "learning_rate": [0.3, 0.02, 0.005]}
Answers = dict[str, tuple[str, float | None, int | None, tuple[Any, ...]]]


def answers(folder: Path) -> Answers:
    """By config: digest of the best weights, ``val_loss``, best epoch and history of every recorded point."""
    found = {}
    for record in PointStore(ModelArtifacts.for_prefix(folder, "same").points_dir).all():
        assert record.weights is not None
        # The file of the weights has no date in it, so that equal weights are equal bytes.
        history = tuple(sorted(record.history.items()))
        found[repr(sorted(record.config.items()))] = (
            record.weights.sha256,
            record.val_loss,
            record.best_epoch,
            history,
        )
    return found


def search(folder: Path, workers: int, *grids: dict[str, Any]) -> tuple[Answers, list[bytes]]:
    """All grids, one after the other, each as a model of its own; the answers and the last winner's weights."""
    for grid in grids:
        model = SmallModel(folder, "same", 0, resources=Resources(max_concurrent=workers))
        model.fit(X, X_VAL, param_grid=grid)
    return answers(folder), [weight.tobytes() for weight in model.best_model.get_weights()]


@pytest.fixture(scope="module")
def at_once(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, list[bytes]]:
    """On one worker, where the trials share traces."""
    return search(tmp_path_factory.mktemp("at_once"), 1, GRID)


def test_the_points_differ(at_once: tuple[Answers, list[bytes]]) -> None:
    found, _ = at_once
    assert len(found) == 32
    # Points that stop elsewhere may have the same best epoch.
    assert len({digest for digest, *_ in found.values()}) > 8


def test_two_workers_give_what_one_gives(at_once: tuple[Answers, list[bytes]], tmp_path: Path) -> None:
    assert search(tmp_path, 2, GRID) == at_once


@pytest.mark.long
def test_a_grid_that_grew_gives_what_it_gives_at_once(ray_session: None, tmp_path: Path) -> None:
    small = {**LARGE_GRID, "learning_rate": [0.02], "epochs": [3], "patience": [1]}
    other = {**LARGE_GRID, "hidden": [(3,)], "learning_rate": [0.005, 0.3]}
    grown = search(tmp_path / "grown", 2, small, other, LARGE_GRID)
    assert len(grown[0]) == 72
    assert grown == search(tmp_path / "at once", 1, LARGE_GRID)
