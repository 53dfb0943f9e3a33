"""What a search will do: which points are done, which trials are run, in which order, what it will cost. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from raygrid.base.fingerprint import canonical_json
from raygrid.grid.records import PointRecord
from raygrid.grid.request import Request
from raygrid.identity.identity import point_key

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

# Points of larger grids are made anew whenever they are looked at: a million of them would take a gigabyte.
_KEPT_POINTS = 10_000


@dataclass(frozen=True)
class Point:
    """One config of a grid: its position in the grid (from 0), its whole config, its seed and its key."""

    number: int
    config: dict[str, Any]
    seed: int
    key: str


class Points(Sequence[Point]):
    """The points of a request, in the order of their numbers. Those of a large grid are made one at a time.

    Args:
        request: what is asked for.
        context: see ``Identity.context``.
        seed: that of every point.
    """

    def __init__(self, request: Request, context: str, seed: int) -> None:
        self._request = request
        self._context = context
        self._seed = seed

    def __len__(self) -> int:
        return self._request.count

    def __iter__(self) -> Iterator[Point]:
        return iter(self._kept) if len(self) <= _KEPT_POINTS else self._made()

    @overload
    def __getitem__(self, number: int) -> Point: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Point, ...]: ...
    def __getitem__(self, number: int | slice) -> Point | tuple[Point, ...]:
        chosen = range(len(self))[number]
        if isinstance(chosen, range):
            return tuple(self[i] for i in chosen)
        if len(self) <= _KEPT_POINTS:
            return self._kept[chosen]
        return self._point(chosen, self._request.config_at(chosen))

    def trainings(self) -> Iterator[tuple[Point, ...]]:
        """What ``trainings`` gives, one group at a time."""
        for group in self._request.groups(STOP_KEYS):
            yield tuple(self._point(number, config) for number, config in group)

    @cached_property
    def _kept(self) -> tuple[Point, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[Point]:
        for number, config in enumerate(self._request.configs()):
            yield self._point(number, config)

    def _point(self, number: int, config: dict[str, Any]) -> Point:
        return Point(number, config, self._seed, point_key(self._context, config, self._seed))


@dataclass(frozen=True)
class PlannedTrial:
    """One Ray Tune trial: the points that it answers, and the most training steps that it may take."""

    points: tuple[Point, ...]
    steps: int


@dataclass(frozen=True)
class Workload:
    """How much trials have to do together: their number, their points, and steps in all and in the longest of them."""

    trials: int
    points: int
    steps: int
    longest_steps: int

    @classmethod
    def of(cls, planned: Iterable[PlannedTrial]) -> Workload:
        """Of trials that are looked at one at a time."""
        trials = points = steps = longest = 0
        for trial in planned:
            trials += 1
            points += len(trial.points)
            steps += trial.steps
            longest = max(longest, trial.steps)
        return cls(trials, points, steps, longest)


class PlannedTrials(Sequence[PlannedTrial]):
    """Trials, longest first, because a long trial that starts last leaves the other workers idle.

    They are held from when one of them is looked at; ``workload`` alone holds none.

    Args:
        make: gives them, in any order, whenever it is called.
    """

    def __init__(self, make: Callable[[], Iterable[PlannedTrial]]) -> None:
        self._make = make

    @cached_property
    def _sorted(self) -> tuple[PlannedTrial, ...]:
        return _longest_first(self._make())

    @cached_property
    def workload(self) -> Workload:
        """How much they have to do."""
        return Workload.of(vars(self).get("_sorted") or self._make())

    def __len__(self) -> int:
        return len(self._sorted)

    @overload
    def __getitem__(self, index: int) -> PlannedTrial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PlannedTrial, ...]: ...
    def __getitem__(self, index: int | slice) -> PlannedTrial | tuple[PlannedTrial, ...]:
        return self._sorted[index]


@dataclass(frozen=True)
class Estimate:
    """How long the trials may take, and whether that was measured on earlier points or is only assumed."""

    seconds: float
    measured: bool


@dataclass(frozen=True)
class Plan:
    """All points of the grid, the records of those that are done, and the trials for the others.

    ``failed_before``: how many of the others are recorded as failed.
    """

    points: Sequence[Point]
    done: dict[str, PointRecord]
    trials: Sequence[PlannedTrial]
    failed_before: int = 0

    @property
    def workload(self) -> Workload:
        """How much the trials have to do."""
        return self.trials.workload if isinstance(self.trials, PlannedTrials) else Workload.of(self.trials)

    @property
    def to_train(self) -> int:
        """How many points the trials will answer."""
        return self.workload.points


def training_steps(config: Mapping[str, Any], items: int) -> int:
    """The most training steps that a config takes on ``items`` rows or windows."""
    return int(config["epochs"]) * math.ceil(items / int(config["batch_size"]))


def make_plan(
    points: Sequence[Point],
    recorded: Mapping[str, PointRecord],
    items: Callable[[Mapping[str, Any]], int],
    *,
    retry_failed: bool = True,
) -> Plan:
    """The plan for ``points``: those with a final record are done, the others are trained, longest first.

    Points that differ only in when to stop are one trial.

    Args:
        points: all of them.
        recorded: the records of those that have one, by key.
        items: how many rows or windows a config trains on.
        retry_failed: whether points that failed are trained again; otherwise they count as done.
    """
    done = {key: record for key, record in recorded.items() if record.final or not retry_failed}

    def planned() -> Iterator[PlannedTrial]:
        for group in points.trainings() if isinstance(points, Points) else trainings(points):
            missing = tuple(point for point in group if point.key not in done)
            if missing:
                yield PlannedTrial(missing, max(training_steps(p.config, items(p.config)) for p in missing))

    return Plan(points, done, PlannedTrials(planned), len(recorded) - len(done))


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


def single_trainings(trials: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """``trials``, each in as many as it has trainings."""
    return [PlannedTrial(points, trial.steps) for trial in trials for points in trainings(trial.points)]


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
    work = plan.workload
    if not work.trials:
        return Estimate(0.0, measured=True)
    speeds = [
        record.seconds / (record.epochs_run * math.ceil(items(record.config) / int(record.config["batch_size"])))
        for record in recorded
        if record.epochs_run > 0
    ]
    step_s, trial_s = (statistics.median(speeds), 0.0) if speeds else (ASSUMED_STEP_S, ASSUMED_TRIAL_S)
    in_all = work.steps * step_s + work.trials * trial_s
    # However many workers there are, the longest trial runs on one of them.
    longest = work.longest_steps * step_s + trial_s
    return Estimate(max(in_all / max(1, workers), longest) + STARTUP_S, measured=bool(speeds))
