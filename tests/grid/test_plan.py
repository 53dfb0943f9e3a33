"""Plans: what is done, what is trained, longest first, and how long it may take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raygrid.grid.plan import (
    ASSUMED_STEP_S,
    ASSUMED_TRIAL_S,
    STARTUP_S,
    Estimate,
    Plan,
    PlannedTrial,
    Point,
    Points,
    Workload,
    bundled,
    estimate,
    make_plan,
    training_steps,
    trainings,
)
from raygrid.grid.records import PointRecord, Status
from raygrid.grid.request import Request
from raygrid.identity.identity import point_key

DEFAULTS: dict[str, Any] = {"batch_size": 32, "epochs": 10, "patience": None}


def point(number: int, epochs: int = 10, batch_size: int = 32) -> Point:
    config = {"units": number, "epochs": epochs, "batch_size": batch_size}
    return Point(number, config, seed=0, key=f"key{number}")


def record(of: Point, status: Status = "done", **fields: Any) -> PointRecord:
    return PointRecord(key=of.key, context="c", config=of.config, seed=0, status=status, **fields)


def order(plan: Plan) -> list[int]:
    return [p.number for trial in plan.trials for p in trial.points]


@pytest.mark.parametrize(("rows", "steps"), [(1, 3), (31, 3), (32, 3), (33, 6), (320, 30)])
def test_the_last_batch_may_be_short(rows: int, steps: int) -> None:
    assert training_steps({"epochs": 3, "batch_size": 32}, rows) == steps


def test_the_longest_trials_come_first_and_ties_by_number() -> None:
    points = [point(0, epochs=1), point(1, epochs=5), point(2, epochs=1), point(3, epochs=5), point(4, epochs=9)]
    plan = make_plan(points, {}, items=lambda config: 100)
    assert order(plan) == [4, 1, 3, 0, 2]
    assert [trial.steps for trial in plan.trials] == [36, 20, 20, 4, 4]


def test_small_batches_make_a_trial_long() -> None:
    assert order(make_plan([point(0, batch_size=100), point(1, batch_size=10)], {}, items=lambda config: 100)) == [1, 0]


def test_points_keep_the_order_of_the_grid() -> None:
    points = [point(0, epochs=1), point(1, epochs=5)]
    assert make_plan(points, {}, items=lambda config: 100).points == points


def test_what_is_done_or_diverged_is_not_trained_and_what_failed_is() -> None:
    points = [point(n) for n in range(4)]
    recorded = {
        "key0": record(points[0], "done"),
        "key1": record(points[1], "diverged"),
        "key2": record(points[2], "failed"),
    }
    plan = make_plan(points, recorded, items=lambda config: 100)
    assert order(plan) == [2, 3]
    assert plan.done == {key: recorded[key] for key in ("key0", "key1")}
    assert plan.to_train == 2


def test_nothing_to_train_takes_no_time() -> None:
    points = [point(0)]
    plan = make_plan(points, {"key0": record(points[0])}, items=lambda config: 100)
    assert estimate(plan, [], lambda config: 100, workers=2) == Estimate(0.0, measured=True)


def test_without_measurements_the_estimate_is_assumed() -> None:
    plan = make_plan([point(n) for n in range(4)], {}, items=lambda config: 320)  # 100 steps each
    expected = 4 * (100 * ASSUMED_STEP_S + ASSUMED_TRIAL_S) / 2 + STARTUP_S
    guess = estimate(plan, [], lambda config: 320, workers=2)
    assert guess.seconds == pytest.approx(expected)
    assert not guess.measured


def test_the_estimate_takes_the_median_seconds_a_step_of_what_was_recorded() -> None:
    plan = make_plan([point(n) for n in range(4)], {}, items=lambda config: 320)  # 100 steps each
    measured = [
        record(point(7), seconds=1.0, epochs_run=1),  # 0.1 s a step
        record(point(8, batch_size=320), seconds=0.4, epochs_run=2),  # 0.2 s a step
        record(point(9), seconds=100.0, epochs_run=10),  # 1 s a step: loaded machine
        record(point(10), "failed", seconds=9.0, epochs_run=0),
    ]
    guess = estimate(plan, measured, lambda config: 320, workers=2)
    assert guess.seconds == pytest.approx(4 * 100 * 0.2 / 2 + STARTUP_S)
    assert guess.measured


def test_more_workers_than_trials_do_not_help_nor_do_many_for_one_long_trial() -> None:
    two = make_plan([point(0), point(1)], {}, items=lambda config: 320)
    assert estimate(two, [], lambda config: 320, workers=2) == estimate(two, [], lambda config: 320, workers=64)
    short = [point(n, epochs=1) for n in range(1, 9)]
    uneven = make_plan([point(0, epochs=1000), *short], {}, items=lambda config: 320)
    alone = make_plan([point(0, epochs=1000)], {}, items=lambda config: 320)
    assert estimate(uneven, [], lambda config: 320, workers=8) == estimate(alone, [], lambda config: 320, workers=1)


def test_no_worker_counts_as_one() -> None:
    plan = make_plan([point(0), point(1)], {}, items=lambda config: 320)
    assert estimate(plan, [], lambda config: 320, workers=0) == estimate(plan, [], lambda config: 320, workers=1)


# A grid's points, made one at a time


VALUE_LISTS = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)
GRIDS = st.dictionaries(st.sampled_from(["a", "epochs", "m", "patience", "z"]), VALUE_LISTS, min_size=1)


@settings(deadline=None)  # the machine may be busy
@given(grid=GRIDS, kept=st.sampled_from([0, 10_000]))
def test_points_are_the_same_whether_they_are_kept_or_made_anew(grid: dict[str, list[int]], kept: int) -> None:
    request = Request.for_grid({name: tuple(values) for name, values in grid.items()}, DEFAULTS)
    plain = [
        Point(number, config, 5, point_key("context", config, 5)) for number, config in enumerate(request.configs())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raygrid.grid.plan._KEPT_POINTS", kept)
        points = Points(request, "context", 5)
        assert list(points) == plain
        assert [points[i] for i in range(len(points))] == plain
        assert (points[-1], points[1:3]) == (plain[-1], tuple(plain[1:3]))
        assert list(points.trainings()) == trainings(plain)
        planned = make_plan(points, {}, items=lambda config: 100)
    assert list(planned.trials) == list(make_plan(plain, {}, items=lambda config: 100).trials)
    assert planned.workload == Workload.of(planned.trials)


def test_a_single_config_is_one_point_and_there_is_no_other() -> None:
    points = Points(Request(config={"epochs": 1, "batch_size": 2}), "context", 0)
    assert [p.number for p in points] == [0]
    assert list(points.trainings()) == [tuple(points)]
    with pytest.raises(IndexError):
        points[1]


def test_what_is_done_is_left_out_of_the_trials_of_a_grid() -> None:
    points = Points(Request.for_grid({"epochs": (5, 20), "units": (1, 2)}, DEFAULTS), "context", 0)
    plan = make_plan(points, {p.key: record(p) for p in (points[0], points[1], points[2])}, items=lambda config: 100)
    assert [p.number for trial in plan.trials for p in trial.points] == [3]
    assert (plan.to_train, plan.workload) == (1, Workload(1, 1, 80, 80))


# What runs in one trial, to share a trace


def grid_points(units: int, rates: int, epochs: tuple[int, ...] = (10,), name: str = "learning_rate") -> list[Point]:
    configs = [
        {"units": u, name: 0.1 * (r + 1), "epochs": e, "batch_size": 32}
        for u in range(units)
        for r in range(rates)
        for e in epochs
    ]
    return [Point(number, config, seed=0, key=f"key{number}") for number, config in enumerate(configs)]


def bundles(points: list[Point], workers: int) -> list[list[int]]:
    plan = make_plan(points, {}, items=lambda config: 100)
    return [[p.number for p in trial.points] for trial in bundled(plan.trials, workers)]


@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_points_that_differ_in_the_rate_run_in_one_trial(name: str) -> None:
    assert bundles(grid_points(8, 2, name=name), workers=2) == [[2 * u, 2 * u + 1] for u in range(8)]


def test_a_bundle_holds_whole_trainings_and_takes_their_steps_together() -> None:
    plan = make_plan(grid_points(8, 2, epochs=(5, 20)), {}, items=lambda config: 100)
    found = bundled(plan.trials, 2)
    assert [len(trial.points) for trial in found] == [4] * 8
    assert [trial.steps for trial in found] == [2 * 20 * 4] * 8
    assert [[p.number for p in group] for group in trainings(found[0].points)] == [[0, 1], [2, 3]]


def test_enough_trials_stay_to_keep_all_workers_busy() -> None:
    points = grid_points(4, 6)
    assert bundles(points, workers=4) == [[n] for n in range(24)]
    assert [len(bundle) for bundle in bundles(points, workers=3)] == [2] * 12
    assert [len(bundle) for bundle in bundles(points, workers=1)] == [6] * 4


def test_a_bundle_is_never_long() -> None:
    assert [len(bundle) for bundle in bundles(grid_points(1, 100), workers=1)] == [8] * 12 + [4]


def test_other_hyperparameters_and_names_are_not_bundled() -> None:
    assert bundles(grid_points(16, 1), workers=1) == [[n] for n in range(16)]
    assert bundles(grid_points(8, 2, name="rate"), workers=1) == [[n] for n in range(16)]


def test_the_seeds_of_a_config_run_in_one_trial() -> None:
    configs = [{"units": units, "epochs": 5, "batch_size": 32} for units in range(8)]
    points = [Point(n, configs[n // 3], seed=n % 3, key=f"key{n}") for n in range(24)]
    assert bundles(points, workers=2) == [[3 * u, 3 * u + 1, 3 * u + 2] for u in range(8)]


def test_bundles_come_longest_first() -> None:
    points = [*grid_points(7, 2), *(replace(p, number=14 + i) for i, p in enumerate(grid_points(1, 1)))]
    points[-1].config.update(units=9, epochs=15)
    found = [(trial.points[0].number, trial.steps) for trial in bundled(make_plan(points, {}, lambda c: 100).trials, 1)]
    assert found == [(n, 80) for n in range(0, 14, 2)] + [(14, 60)]
    assert PlannedTrial((points[-1],), 60) in bundled(make_plan(points, {}, lambda c: 100).trials, 1)
