"""Windows over time series: where they begin. Pure; the series itself is never copied."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from raygrid.errors import DataError

Array = np.ndarray[Any, Any]


def run_bounds(runs: Array | None, rows: int) -> list[tuple[int, int]]:
    """First row and end of each run: a stretch of rows with the same run id. Without ids all rows are one run."""
    if runs is None:
        return [(0, rows)]
    borders = np.flatnonzero(runs[1:] != runs[:-1]) + 1
    edges = [0, *borders.tolist(), rows]
    return list(itertools.pairwise(edges))


def window_starts(runs: Array | None, rows: int, window: int, stride: int) -> Array:
    """The first row of every window, ``stride`` rows apart, none of which crosses from one run into the next.

    Returns:
        int64, shape (windows,).
    """
    parts = [np.arange(first, end - window + 1, stride, dtype=np.int64) for first, end in run_bounds(runs, rows)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def run_numbers(ids: Array) -> Array:
    """Run ids of any kind as 0, 1, 2, ...: a new number wherever the id differs from that of the row before.

    Args:
        ids: shape (rows,).

    Returns:
        int32, shape (rows,).
    """
    if not len(ids):
        return np.empty(0, np.int32)
    return np.concatenate([[0], np.cumsum(ids[1:] != ids[:-1])]).astype(np.int32)


def check_window(name: str, runs: Array | None, rows: int, window: int) -> None:
    """Refuses a window that does not fit into every run.

    Raises:
        DataError: names the array, the run's rows and its length.
    """
    for first, end in run_bounds(runs, rows):
        if end - first < window:
            raise DataError(
                f"a window of {window} rows is longer than a run of {name}: rows {first} to {end - 1}, "
                f"{end - first} rows; use a shorter window, or leave that run out."
            )
