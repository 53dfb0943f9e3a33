"""The names of columns: read from frames and tables, kept from training, and what later data is aligned by. Pure."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.types import Array
from raygrid.data.index_columns import without_index
from raygrid.errors import DataError, literal

Names = tuple[str, ...]

_SHOWN = 20


@dataclass(frozen=True, eq=False)
class NamedArray:
    """An array whose last axis has names, such as the columns of a data file; accepted wherever a frame is.

    Attributes:
        array: shape (rows, columns).
        names: one for each column, each different; None: it has none.
    """

    array: Array
    names: Names | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array."""
        return self.array.shape


def is_frame(value: object) -> bool:
    """Whether ``value`` is a pandas DataFrame, or acts like one."""
    return hasattr(value, "iloc") and hasattr(value, "columns") and hasattr(value, "dtypes")


def as_arrow_table(value: object) -> object:
    """A frame that only the Arrow C stream interface opens, such as one of polars, as a ``pyarrow.Table``.

    Anything else is given back as it is. Nothing is copied where the frame holds its columns as Arrow does.
    """
    if hasattr(value, "__arrow_c_stream__") and hasattr(value, "columns") and not is_frame(value):
        import pyarrow as pa  # slow to import; most callers hold arrays

        if not isinstance(value, pa.Table | pa.RecordBatch):
            return pa.table(value)
    return value


def names_of(name: str, value: object) -> Names | None:
    """The column names of a frame, a table or a `NamedArray`, as text; None for what has no columns.

    Args:
        name: what the caller calls the data; it appears in the message.
        value: anything that can be features or targets.

    Raises:
        DataError: two columns have the same name.
    """
    data: Any = value
    if isinstance(value, NamedArray):
        names = value.names
    elif is_frame(value):
        names = tuple(str(label) for label in data.columns)
    elif (pyarrow := sys.modules.get("pyarrow")) and isinstance(value, pyarrow.Table | pyarrow.RecordBatch):
        names = tuple(without_index(data).schema.names)
    elif hasattr(value, "__arrow_c_stream__") and hasattr(value, "columns"):
        names = tuple(data.columns)
    else:
        return None
    twice = [label for label, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise DataError(
            f"{name} has more than one column named {_listed(twice)}, so that columns cannot be told apart by name.",
            remedy="Rename them, so that each is unique.",
        )
    return names


def kept_names(names: Names | None) -> Names | None:
    """``names`` where they say more than the position does: a frame that is made without names numbers its columns."""
    return None if names is None or names == _positions(len(names)) else names


def column_order(
    name: str, given: Names | None, kept: Sequence[str] | None, whose: str, width: int | None = None
) -> list[int] | None:
    """Where each column of the earlier data stands in the data given now; None: as they stand.

    Without names on either side, columns go by position. A frame that was made without names has the labels 0, 1, 2
    and so on; they mean the positions, also once its columns were put in another order.

    Args:
        name: what the caller calls the data given now.
        given: its names.
        kept: the names of the earlier data.
        whose: what the earlier data is called, such as ``"X_train"``.
        width: how many columns the earlier data has, where its names are not known.

    Raises:
        DataError: columns are missing, additional or renamed; the message lists all of them.
    """
    if given is None or (kept is None and width is None):
        return None
    expected = tuple(kept) if kept is not None else _positions(width or 0)
    if given == expected:
        return None
    if set(given) == set(expected):
        places = {label: i for i, label in enumerate(given)}
        return [places[label] for label in expected]
    if kept is None or given == _positions(len(given)):
        return None
    missing = [label for label in expected if label not in set(given)]
    additional = [label for label in given if label not in set(expected)]
    raise DataError(
        f"{name} does not have the columns of {whose}:{_difference(missing, additional)}.",
        remedy=f"Pass the columns {literal(_listed(expected))}, in any order, or an array without names to go by "
        "position.",
    )


def in_order(array: Array, order: Sequence[int] | None) -> Array:
    """``array`` with its last axis in ``order``: a copy, or itself where there is nothing to do."""
    return array if order is None else np.ascontiguousarray(array[..., list(order)])


def put_back(array: Array, order: Sequence[int] | None) -> Array:
    """The reverse of `in_order`."""
    return array if order is None else np.ascontiguousarray(array[..., np.argsort(order)])


def names_differ(old: Sequence[str] | None, new: Sequence[str] | None) -> str:
    """What differs between the names of the same data then and now, as text; empty: nothing, or they are not known."""
    if old is None or new is None or list(old) == list(new):
        return ""
    missing = [label for label in old if label not in set(new)]
    additional = [label for label in new if label not in set(old)]
    if not missing and not additional:
        return f" its columns were {_listed(old)}, now {_listed(new)}"
    return _difference(missing, additional)


def _difference(missing: Sequence[str], additional: Sequence[str]) -> str:
    parts = []
    if missing:
        parts.append(f" {_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if additional:
        parts.append(f" {_listed(additional)} {'is' if len(additional) == 1 else 'are'} new")
    return ",".join(parts)


def _positions(count: int) -> Names:
    return tuple(map(str, range(count)))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
