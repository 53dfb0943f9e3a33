"""The results of a comparison: one cell for each competitor, grid and round; merging and ratios. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["done", "failed", "over the limit"]


@dataclass(frozen=True)
class Cell:
    """One whole process of one competitor on one grid.

    Attributes:
        grid, competitor: names.
        run: the start of the command that measured it, UTC; rounds of one command share it.
        round: from 0; within a round all competitors take turns.
        date: its own start, UTC.
        load: load average of the machine just before.
        status: how it ended.
        seconds: the whole process.
        peak_pss_mb: peak of the sum of the PSS of all its processes, in MB.
        points_run: of ``points``; fewer where a sample was run.
        points: of the grid.
        first_training_s: until the first training began; None where it did not get so far.
        whole_grid_s: ``seconds``, or the extrapolation where a sample was run.
        val_losses: of the points that were run, by their number in the whole grid; None where not finite.
        versions: of the environment.
    """

    grid: str
    competitor: str
    run: str
    round: int
    date: str
    load: float
    status: Status
    seconds: float
    peak_pss_mb: float
    points_run: int
    points: int
    first_training_s: float | None
    whole_grid_s: float | None
    val_losses: dict[int, float | None]
    versions: dict[str, str]

    @property
    def extrapolated(self) -> bool:
        return self.points_run < self.points

    @property
    def best_point(self) -> int | None:
        """The number of the point with the lowest ``val_loss``."""
        finite = {number: loss for number, loss in self.val_losses.items() if loss is not None}
        return min(finite, key=lambda number: (finite[number], number)) if finite else None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Cell:
        return cls(**{**value, "val_losses": {int(number): loss for number, loss in value["val_losses"].items()}})


def merged(old: Iterable[Cell], new: Sequence[Cell]) -> list[Cell]:
    """The new cells, and the old ones of those grids and competitors that were not measured again."""
    again = {(cell.grid, cell.competitor) for cell in new}
    return [cell for cell in old if (cell.grid, cell.competitor) not in again] + list(new)


@dataclass(frozen=True)
class Ratio:
    """How many times as long one competitor takes as another; ``same_run``: both were measured in turn."""

    value: float
    same_run: bool


def ratio(cells: Iterable[Cell], grid: str, slow: str, fast: str) -> Ratio | None:
    """The median of the ratios of rounds in which both ran, else that of the medians of different runs.

    None where one of them has no time.
    """
    times: dict[str, dict[tuple[str, int], float]] = {slow: {}, fast: {}}
    for cell in cells:
        if cell.grid == grid and cell.competitor in times and cell.whole_grid_s is not None:
            times[cell.competitor][cell.run, cell.round] = cell.whole_grid_s
    both = times[slow].keys() & times[fast].keys()
    if both:
        return Ratio(statistics.median(times[slow][turn] / times[fast][turn] for turn in both), same_run=True)
    if not times[slow] or not times[fast]:
        return None
    medians = [statistics.median(times[name].values()) for name in (slow, fast)]
    return Ratio(medians[0] / medians[1], same_run=False)


def median_s(cells: Iterable[Cell], grid: str, competitor: str) -> float | None:
    """The median of ``whole_grid_s`` over rounds."""
    times = [
        cell.whole_grid_s
        for cell in cells
        if (cell.grid, cell.competitor) == (grid, competitor) and cell.whole_grid_s is not None
    ]
    return statistics.median(times) if times else None


def best_of(cells: Sequence[Cell], grid: str, names: Iterable[str]) -> str | None:
    """Which of the competitors takes the least time."""
    times = {name: median_s(cells, grid, name) for name in names}
    done = {name: seconds for name, seconds in times.items() if seconds is not None}
    return min(done, key=lambda name: done[name]) if done else None


def median_difference(one: Cell, other: Cell) -> float | None:
    """The median of the relative differences of ``val_loss`` over the points that both ran; None where none is."""
    pairs = [(loss, other.val_losses.get(number)) for number, loss in one.val_losses.items()]
    differences = [abs(a - b) / b for a, b in pairs if a is not None and b is not None]
    return statistics.median(differences) if differences else None
