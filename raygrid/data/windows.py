"""Windows over time series: where they begin, and which can be. Pure; the series itself is never copied."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.errors import DataError, GridError


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
    numbers = np.zeros(len(ids), np.int32)
    np.cumsum(ids[1:] != ids[:-1], dtype=np.int32, out=numbers[1:])
    return numbers


def check_window(
    name: str,
    runs: Array | None,
    rows: int,
    window: int,
    remedy: str = "Use a shorter window, or leave that run out.",
) -> None:
    """Refuses a window that does not fit into every run.

    Raises:
        DataError: names the array, the run's rows and its length.
    """
    for first, end in run_bounds(runs, rows):
        if end - first < window:
            raise DataError(
                f"a window of {counted(window, 'row')} is longer than a run of {name}: rows {first} to {end - 1}, "
                f"{counted(end - first, 'row')}.",
                remedy=remedy,
            )


def check_window_configs(
    model: str, configs: Iterable[Mapping[str, Any]], series: Mapping[str, tuple[Array | None, int]]
) -> None:
    """Refuses, before any training, configs whose windows cannot be made.

    Args:
        model: the model's name, for messages.
        configs: whole configs.
        series: for each array of rows by name, the run numbers, if there are any, and the number of rows.

    Raises:
        GridError: ``window`` or ``stride`` is missing, or no whole number of at least 1.
        DataError: a window is longer than a run; names the array and the run.
    """
    windows = set()
    for config in configs:
        for name in ("window", "stride"):
            if name not in config:
                raise GridError(
                    f"{model} learns windows, but its configs have no {name!r}.", remedy="Add it to DEFAULT_CONFIG."
                )
            value = config[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise GridError(f"{name} is {value!r}.", remedy="It must be a whole number of rows, of at least 1.")
        windows.add(config["window"])
    remedy = (
        "Use a shorter window, or leave that run out. Where the split into training and validation rows cut it, pass "
        "$other_validation."
    )
    for window in sorted(windows):
        for name, (runs, rows) in series.items():
            check_window(name, runs, rows, window, remedy)
