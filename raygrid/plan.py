"""What a search will do: which points are done, which trials are run, in which order, what it will cost. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raygrid.fingerprint import canonical_json
from raygrid.records import PointRecord

# Per training step and per search, where nothing was measured yet: a small Keras model on one slow CPU core, and
# the start of Ray and of TensorFlow in the workers and the driver.
ASSUMED_STEP_S = 0.010
ASSUMED_TRIAL_S = 3.0
STARTUP_S = 30.0


# What decides only when a training ends: points that differ in nothing else follow the same trajectory.
STOP_KEYS = frozenset({"epochs", "patience"})

# Usual names of what is a variable of a model and no constant of its trace. Points that differ in nothing else can run
# one after the other without tracing again; a worker finds out by itself whether they can.
_RATE_KEYS = frozenset({"learning_rate", "lr"})
_TRIALS_PER_WORKER = 4
_TRAININGS_PER_TRIAL = 8


@dataclass(frozen=True)
class Point:
    """One config of a grid: its position in the grid (from 0), its whole config, its seed and its key."""

    number: int
    config: dict[str, Any]
    seed: int
    key: str


@dataclass(frozen=True)
class PlannedTrial:
    """One Ray Tune trial: the points that it answers, and the most training steps that it may take."""

    points: tuple[Point, ...]
    steps: int


@dataclass(frozen=True)
class Estimate:
    """How long the trials may take, and whether that was measured on earlier points or is only assumed."""

    seconds: float
    measured: bool


@dataclass(frozen=True)
class Plan:
    """All points of the grid, the records of those that are done, and the trials for the others."""

    points: tuple[Point, ...]
    done: dict[str, PointRecord]
    trials: tuple[PlannedTrial, ...]

    @property
    def to_train(self) -> int:
        """How many points the trials will answer."""
        return sum(len(trial.points) for trial in self.trials)


def training_steps(config: Mapping[str, Any], items: int) -> int:
    """The most training steps that a config takes on ``items`` rows or windows."""
    return int(config["epochs"]) * math.ceil(items / int(config["batch_size"]))


def make_plan(
    points: Iterable[Point], recorded: Mapping[str, PointRecord], items: Callable[[Mapping[str, Any]], int]
) -> Plan:
    """The plan for ``points``: those with a final record are done, the others are trained, longest first.

    Points that differ only in when to stop are one trial.
    ``items`` says how many rows or windows a config trains on.

    Longest first, because a long trial that starts last leaves the other workers idle.
    """
    points = tuple(points)
    done = {p.key: recorded[p.key] for p in points if p.key in recorded and recorded[p.key].final}
    trials = [
        PlannedTrial(group, max(training_steps(p.config, items(p.config)) for p in group))
        for group in trainings(point for point in points if point.key not in done)
    ]
    return Plan(points, done, _longest_first(trials))


def trainings(points: Iterable[Point]) -> list[tuple[Point, ...]]:
    """The points in groups that differ only in when to stop: a group is one training."""
    together: dict[tuple[str, int], list[Point]] = {}
    for point in points:
        together.setdefault((_config_without(STOP_KEYS, point), point.seed), []).append(point)
    return [tuple(group) for group in together.values()]


def bundled(trials: Sequence[PlannedTrial], workers: int) -> tuple[PlannedTrial, ...]:
    """The trials with those in one that can share a trace, as long as there are enough left to keep workers busy."""
    most = min(_TRAININGS_PER_TRIAL, len(trials) // (_TRIALS_PER_WORKER * workers))
    if most < 2:
        return tuple(trials)
    alike: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        alike.setdefault(_config_without(STOP_KEYS | _RATE_KEYS, trial.points[0]), []).append(trial)
    return _longest_first(
        PlannedTrial(
            tuple(point for trial in group[i : i + most] for point in trial.points),
            sum(trial.steps for trial in group[i : i + most]),
        )
        for group in alike.values()
        for i in range(0, len(group), most)
    )


def _config_without(names: frozenset[str], point: Point) -> str:
    return canonical_json({name: value for name, value in point.config.items() if name not in names})


def _longest_first(trials: Iterable[PlannedTrial]) -> tuple[PlannedTrial, ...]:
    return tuple(sorted(trials, key=lambda trial: (-trial.steps, trial.points[0].number)))


def estimate(
    plan: Plan, recorded: Iterable[PointRecord], items: Callable[[Mapping[str, Any]], int], workers: int
) -> Estimate:
    """How long the plan's trials will take at most on ``workers`` workers.

    From the median seconds a step of the recorded points, which holds their share of building and tracing; from an
    assumed speed where nothing is recorded. Early stopping makes it shorter.
    """
    if not plan.trials:
        return Estimate(0.0, measured=True)
    speeds = [
        record.seconds / (record.epochs_run * math.ceil(items(record.config) / int(record.config["batch_size"])))
        for record in recorded
        if record.epochs_run > 0
    ]
    step_s, trial_s = (statistics.median(speeds), 0.0) if speeds else (ASSUMED_STEP_S, ASSUMED_TRIAL_S)
    seconds = [trial.steps * step_s + trial_s for trial in plan.trials]
    # However many workers there are, the longest trial runs on one of them.
    return Estimate(max(sum(seconds) / max(1, workers), max(seconds)) + STARTUP_S, measured=bool(speeds))
