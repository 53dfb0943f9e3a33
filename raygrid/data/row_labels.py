"""Rows of several frames that belong together: raygrid takes them by position, pandas' users may think of the index."""

from __future__ import annotations

import logging
from typing import Any

from raygrid.errors import DataError

log = logging.getLogger("raygrid")


def check_row_labels(x_name: str, x: object, **others: object) -> None:
    """Compares the index of a frame with those of the targets, weights or run ids of the same rows.

    Rows are taken by position and are never realigned. The same labels in another order are a mistake; other labels
    may be one, and are reported in a warning.

    Args:
        x_name: what the caller calls the features.
        x: the features; only what has an index, such as a DataFrame, is looked at.
        others: names to what belongs to the same rows; None is left out.

    Raises:
        DataError: the same labels stand in another order.
    """
    index: Any = _index_of(x)
    if index is None:
        return
    for name, value in others.items():
        other: Any = _index_of(value)
        # Another number of rows is reported by the checks of the arrays, which say more.
        if other is None or len(other) != len(index) or other.equals(index):
            continue
        pairs = enumerate(zip(index, other, strict=True))
        where = next(
            (f"row {i} is labelled {a!r} in {x_name} and {b!r} in {name}" for i, (a, b) in pairs if a != b), None
        )
        if where is None:
            continue
        if len(index.symmetric_difference(other)) == 0:
            raise DataError(
                f"the rows of {name} have the labels of {x_name} in another order: {where}. Rows are taken by "
                "position.",
                remedy=f"Pass {name}.loc[{x_name}.index], or, if they belong together as they stand, "
                f"{name}.to_numpy().",
            )
        log.warning(
            "The rows of %s have other labels than those of %s: %s. Rows are taken by position; if that is right, pass "
            "%s.to_numpy().",
            name,
            x_name,
            where,
            name,
        )


def _index_of(value: object) -> object:
    # A list has a method of that name.
    return getattr(value, "index", None) if hasattr(value, "iloc") else None
