"""Points whose neighbour kills their worker are trained all the same; a fault of every worker ends the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worker_faults import DEADLY, OnlyHere, train_or_die

from raygrid.data.training_arrays import TrainSettings
from raygrid.errors import AllTrialsFailedError
from raygrid.grid.plan import Plan, PlannedTrial, Point
from raygrid.grid.records import PointRecord, pick_best
from raygrid.progress.listeners import SearchListener
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.points import PointStore
from raygrid.tuning.driver import run_trials
from raygrid.tuning.environment import environment, variables_for_workers
from raygrid.tuning.resources import TrialResources
from raygrid.tuning.trial import TrainingJob, TrialJob

pytestmark = pytest.mark.ray

RATES = (DEADLY, 5e-4)


def run(folder: Path, plan: Plan, build: Any = None) -> dict[str, PointRecord]:
    training = TrainingJob(
        build, "c", TrainSettings(), PointStore(folder / "points"), Checkpoints(folder / "checkpoints")
    )
    job, granted = TrialJob("faults", training, 1, 0), TrialResources(1, 0.0, 2)
    # As in a search: Tune's own loggers leave files open.
    with environment(variables_for_workers(verbose=False)):
        return run_trials(plan, job, folder, granted, folder / "tune", SearchListener(), run_trial=train_or_die)


@pytest.mark.long
def test_f49_points_that_share_a_worker_with_one_that_kills_it_are_trained_all_the_same(
    ray_session: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid = [(units, rate) for units in (4, 5, 6) for rate in RATES]
    points = tuple(
        Point(n, {"units": units, "learning_rate": rate, "epochs": 1}, 0, f"{n:032x}")
        for n, (units, rate) in enumerate(grid)
    )
    # What is deadly comes first, in the middle, and last.
    trials = (PlannedTrial((points[0], points[1], points[3]), 3), PlannedTrial((points[5], points[2], points[4]), 3))
    records = run(tmp_path, Plan(points, {}, trials))

    by_rate = {rate: {r.status for r in records.values() if r.config["learning_rate"] == rate} for rate in RATES}
    assert by_rate == {DEADLY: {"failed"}, 5e-4: {"done"}}
    best = pick_best((point.number, records[point.key]) for point in points)
    assert best is not None and best[0] == 5
    assert all(r.cause.startswith("its worker died each time") for r in records.values() if r.status == "failed")
    tries = [int(line) for line in (tmp_path / "tries.txt").read_text().splitlines()]
    # Three times by itself, and before that with others, unless another one of them came first.
    assert {n: tries.count(n) for n in range(6)} == {0: 4, 1: 1, 2: 4, 3: 1, 4: 3, 5: 1}
    (told,) = (record.getMessage() for record in caplog.records if record.name == "raygrid")
    assert told == (
        "A worker died that had more than one training to do. To be trained again at the end, each on a worker of its "
        "own: point 0, point 1, point 3, point 2, point 4."
    )


def test_f50_a_fault_of_every_worker_ends_the_search_after_two_trials(ray_session: None, tmp_path: Path) -> None:
    points = tuple(Point(n, {"units": n, "epochs": 1}, 0, f"{n:032x}") for n in range(40))
    plan = Plan(points, {}, tuple(PlannedTrial((point,), 1) for point in points))
    with pytest.raises(AllTrialsFailedError) as caught:
        run(tmp_path, plan, OnlyHere())
    first, cause, last = str(caught.value).splitlines()
    assert first.startswith("no worker can start, so the search was stopped; ")
    assert first.endswith("tries for the first of 40 points ended alike, before any code of the model ran:")
    assert int(first.split("; ")[1].split()[0]) <= 4
    assert "there is no licence on this machine" in cause
    assert last.startswith("Remove this cause and run the same again")
    assert len(list((tmp_path / "points").glob("*.json"))) <= 1
    assert not (tmp_path / "tries.txt").exists()
