"""How long a whole grid would take a competitor that ran a sample of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Interval = tuple[float, float]


def at_once(intervals: Sequence[Interval]) -> int:
    """The most trainings that ran at the same time."""
    # Where one ends as another begins, the end counts first.
    changes = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    most = running = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def whole_grid_s(seconds: float, intervals: Sequence[Interval], points: int) -> float:
    """Seconds for ``points`` points: what is paid once, and the mean of the sample's points for each.

    What is paid once is measured in the same run: the time until the first training begins and that after the last
    ends. Between them, workers that have no points left at the sample's end wait for the last one; in a whole grid that
    is next to nothing, so the sample counts as over at the mean of the workers' ends.

    Args:
        seconds: the sample's whole process.
        intervals: begin and end of each training of the sample.
        points: of the whole grid.
    """
    begin = min(begin for begin, _ in intervals)
    ends = sorted(end for _, end in intervals)
    workers = at_once(intervals)
    once = seconds - (ends[-1] - begin)
    busy = sum(ends[-workers:]) / workers - begin
    return once + busy / len(intervals) * points
