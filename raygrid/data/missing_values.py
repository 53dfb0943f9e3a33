"""What is missing in the arrays of one call, gathered, so that one error names all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from raygrid.base.row_blocks import by_column, row_blocks
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.errors import DataError

_COLUMNS_IN_MESSAGE = 5

# Which rows of a call an array belongs to.
TRAINING, VALIDATION = 0, 1
_PARTS = {TRAINING: "to train on", VALIDATION: "to validate with"}


def part_of(name: str) -> int:
    """Whether an array belongs to the rows that are trained on, or to those that validate.

    Args:
        name: such as ``val_run_ids``, or ``X_val of plant.npz``.
    """
    return VALIDATION if "val" in name.partition(" ")[0].partition("[")[0].split("_") else TRAINING


class MissingValues:
    """Looks at arrays one after the other; ``require_none`` raises what they lack, all in one error.

    Args:
        drop: the words of a remedy that name what drops the rows, such as ``$drop_missing``; None: nothing does.
        in_series: whether the rows follow each other, so that none is dropped from within a run.
    """

    def __init__(self, drop: str | None = None, in_series: bool = False) -> None:
        self._found: list[str] = []
        self._drop = drop
        self._in_series = in_series
        self._missing_rows: dict[int, Array] = {}

    def look_at(self, name: str, array: Array, dtype: str, labels: Sequence[str] | None = None) -> bool:
        """Counts NaN and infinity by column, and says whether there are none.

        Args:
            name: what the caller calls the array; it appears in the message.
            array: of numbers, rows first, columns on the last axis.
            dtype: of what the caller passed.
            labels: names of the columns; None: they are counted.
        """
        if array.dtype.kind != "f":
            return True
        table = by_column(array)
        counts = np.zeros(table.shape[-1], dtype=np.int64)
        start, rows = 0, np.zeros(len(table), bool)
        for block in row_blocks(table):
            finite = np.isfinite(block)
            if not finite.all():
                counts += np.count_nonzero(~finite.reshape(-1, len(counts)), axis=0)
                rows[start : start + len(block)] = ~finite.reshape(len(block), -1).all(axis=1)
            start += len(block)
        self._add_rows(name, rows)
        self._add(name, array.shape, dtype, counts, labels, "missing, NaN or infinite")
        return not counts.any()

    def look_at_mask(self, name: str, array: np.ma.MaskedArray[Any, Any]) -> None:
        """Counts masked values by column."""
        if array.ndim and array.size:
            mask = by_column(np.ma.getmaskarray(array))
            counts = np.count_nonzero(mask.reshape(-1, mask.shape[-1]), axis=0)
            self._add_rows(name, np.asarray(mask.reshape(len(mask), -1).any(axis=1)))
            self._add(name, array.shape, str(array.dtype), counts, None, "masked")

    def look_at_texts(self, name: str, array: Array) -> None:
        """Counts missing texts by column."""
        table = by_column(array)
        absent = np.array([text is None for text in table.flat], bool).reshape(-1, table.shape[-1])
        self._add_rows(name, np.asarray(absent.reshape(len(table), -1).any(axis=1)))
        self._add(name, array.shape, "text", np.count_nonzero(absent, axis=0), None, "missing")

    def _add_rows(self, name: str, rows: Array) -> None:
        # All rows of a part count, also those of arrays in which nothing is missing.
        before = self._missing_rows.get(part_of(name))
        if before is None or len(before) == len(rows):
            self._missing_rows[part_of(name)] = rows if before is None else before | rows

    def _add(
        self, name: str, shape: tuple[int, ...], dtype: str, counts: Array, labels: Sequence[str] | None, what: str
    ) -> None:
        total = int(counts.sum())
        if total:
            columns = [f"{column_name(i, labels)} ({counts[i]})" for i in np.flatnonzero(counts).tolist()]
            values = f"{counted(total, 'value')} that {'is' if total == 1 else 'are'} {what}"
            self._found.append(f"{name} (shape {shape}, dtype {dtype}) holds {values}: {first_of(columns)}")

    def require_none(self) -> None:
        """Raises what was found.

        Raises:
            DataError: names each array with its counts by column.
        """
        if self._found:
            raise DataError(
                f"{'; '.join(self._found)}.",
                remedy=f"Drop the rows, or fill the values, before training.{self._what_drops_them()}",
            )

    def _what_drops_them(self) -> str:
        if self._drop is None:
            return ""
        left = []
        for part, missing in sorted(self._missing_rows.items()):
            if missing.all():
                return f" {self._drop} would leave no row {_PARTS[part]}."
            if missing.any():
                left.append(f"{np.count_nonzero(~missing):,} of {counted(len(missing), 'row')} {_PARTS[part]}")
        unless = ", unless they lie within a run," if self._in_series else ""
        return f" {self._drop} drops them{unless} and leaves {' and '.join(left)}."


@contextmanager
def gathered(missing: MissingValues | None) -> Iterator[MissingValues]:
    """``missing``, whose owner raises; without one, a new one that raises at the end."""
    own = MissingValues() if missing is None else missing
    yield own
    if missing is None:
        own.require_none()


def first_of(columns: list[str]) -> str:
    """The first few of a list of columns, and how many more there are."""
    more = len(columns) - _COLUMNS_IN_MESSAGE
    shown = ", ".join(columns[:_COLUMNS_IN_MESSAGE])
    return f"{shown} and {counted(more, 'more column')}" if more > 0 else shown


def column_name(i: int, labels: Sequence[str] | None) -> str:
    """The ``i``-th column as messages name it: by its label, if columns have labels."""
    return f"column {i if labels is None else repr(labels[i])}"
