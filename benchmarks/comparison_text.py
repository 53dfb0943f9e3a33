"""The comparison as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cells import Cell, best_of, median_difference, median_s, ratio
from competitors import COMPETITORS, PEERS, PLAIN, RAYGRID
from grids import GRIDS, points_of
from reporting import table

_EXTRAPOLATED = "*"
_OTHER_RUN = "†"


@dataclass(frozen=True)
class Target:
    """``against``: a competitor, or None for the fastest peer; ``times``: at least so many times as fast."""

    grid: str
    against: str | None
    times: float


TARGETS = (
    Target("A", PLAIN, 2.5),
    Target("A", None, 1.7),
    Target("A", "ray_tune", 5),
    Target("B", PLAIN, 11),
    Target("B", None, 5),
    Target("C", PLAIN, 15),
)


def as_markdown(cells: Sequence[Cell]) -> list[str]:
    """Lines of the whole text, without what is known only on the machine."""
    lines = [
        "# Grid searches compared",
        "",
        "Whole processes, start-up included, in turn on one machine; medians where there were several rounds. Peak "
        "memory is that of all processes of a competitor together (PSS, read once a second). `val_loss` is the lowest "
        "that it found, with the number of the point; the last column is the median over points of how far its "
        "`val_loss` is from the plain loop's: all set the same seed, and shuffle in their own ways.",
        "",
    ]
    for grid in (name for name in GRIDS if any(cell.grid == name for cell in cells)):
        lines += _of_grid(cells, grid)
    return [*lines, *_targets(cells), *_notes(cells), *_versions(cells)]


def _of_grid(cells: Sequence[Cell], grid: str) -> list[str]:
    last = {name: cell for cell in cells if cell.grid == grid for name in [cell.competitor]}
    rows = [_row(cells, grid, last[name], last.get(PLAIN)) for name in COMPETITORS if name in last]
    header = ("", "s", f"times {RAYGRID}'s", "first training, s", "peak MB", "`val_loss`", "point", "from plain's")
    return [f"## Grid {grid}: {len(points_of(GRIDS[grid]))} points", "", *table(header, rows), ""]


def _row(cells: Sequence[Cell], grid: str, cell: Cell, plain: Cell | None) -> list[str]:
    seconds, against = median_s(cells, grid, cell.competitor), ratio(cells, grid, cell.competitor, RAYGRID)
    best, difference = cell.best_point, median_difference(cell, plain) if plain else None
    return [
        cell.competitor,
        cell.status if seconds is None else f"{seconds:,.0f}{_EXTRAPOLATED if cell.extrapolated else ''}",
        "" if against is None else f"{against.value:.1f}x{'' if against.same_run else _OTHER_RUN}",
        "" if cell.first_training_s is None else f"{cell.first_training_s:.1f}",
        f"{cell.peak_pss_mb:,.0f}",
        "" if best is None else f"{cell.val_losses[best]:.5f}",
        "" if best is None else str(best),
        "" if difference is None or cell.competitor == PLAIN else f"{difference:.1%}",
    ]


def _targets(cells: Sequence[Cell]) -> list[str]:
    rows = []
    for target in TARGETS:
        against = target.against or best_of(cells, target.grid, PEERS)
        found = ratio(cells, target.grid, against, RAYGRID) if against else None
        if found is not None:
            name = f"{against}, the fastest peer" if target.against is None else against
            mark = "" if found.same_run else _OTHER_RUN
            met = "yes" if found.value >= target.times else "no"
            rows.append([target.grid, name, f"{found.value:.1f}x{mark}", f"{target.times:g}x", met])
    return ["## Targets", "", *table(("grid", "against", "ratio", "target", "met"), rows), ""] if rows else []


def _notes(cells: Sequence[Cell]) -> list[str]:
    notes = []
    sampled = next((cell for cell in cells if cell.extrapolated), None)
    if sampled is not None:
        notes.append(
            f"{_EXTRAPOLATED} extrapolated: measured on a fixed sample of {sampled.points_run} of {sampled.points} "
            "points, as what is paid once and the mean of these points for each point. Its `val_loss` is the lowest of "
            "the sample."
        )
    ratios = [ratio(cells, grid, name, RAYGRID) for grid in GRIDS for name in COMPETITORS]
    if any(found is not None and not found.same_run for found in ratios):
        notes.append(f"{_OTHER_RUN} the two sides were measured in different runs.")
    return [line for note in notes for line in (note, "")]


def _versions(cells: Sequence[Cell]) -> list[str]:
    lines: dict[str, None] = {}
    for cell in cells:
        versions = ", ".join(f"{name} {version}" for name, version in cell.versions.items())
        lines[f"- {cell.competitor}: {versions}"] = None
    dates = sorted(cell.date for cell in cells)
    loads = [cell.load for cell in cells]
    machine = f"- measured {dates[0]} to {dates[-1]} (UTC); load before each process: {min(loads)} to {max(loads)}"
    return [machine, *lines]
