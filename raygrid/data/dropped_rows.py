"""Rows with missing values, left out of everything that belongs to them, as a user would before the call.

They are taken out of what was given, not out of the arrays that are made of it: whole numbers beside a missing one
would be floats by then, and other data than the same numbers without it.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.row_blocks import by_column, row_blocks
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.column_names import NamedArray, as_arrow_table, is_frame
from raygrid.data.index_columns import without_index
from raygrid.data.missing_values import TRAINING, VALIDATION, column_name, first_of, part_of
from raygrid.data.splitting import take_rows
from raygrid.data.structures import Tree, given_structure, leaf_name, leaves, map_leaves
from raygrid.errors import ArgumentError, DataError

log = logging.getLogger("raygrid")

#: What can be done about rows with missing values.
ERROR, DROP = "error", "drop"

_RUNS = {TRAINING: "run_ids", VALIDATION: "val_run_ids"}
_BELONG = (
    *("X_train", "y_train", "sample_weight", "run_ids"),
    *("X_val", "y_val", "val_sample_weight", "val_run_ids"),
)


def check_missing(value: object) -> str:
    """``value`` if it says what to do about rows with missing values.

    Raises:
        ArgumentError: it is neither "error" nor "drop".
    """
    if isinstance(value, str) and value in (ERROR, DROP):
        return value
    raise ArgumentError(
        f"missing is {value!r}, and says what to do about rows with missing values.",
        remedy="Pass 'error' to refuse them, or 'drop' to leave them out.",
    )


def drop_missing(data: Mapping[str, object], in_series: bool = False) -> dict[str, object]:
    """The arguments of ``fit`` without the rows in which one of them has a missing, masked or infinite value.

    One line of the log says how many rows of how many are left out, and for which columns.

    Args:
        data: by the names of the arguments; what is no array of rows is given back as it is. So is what cannot be
            looked at, or differs in its rows: the checks of the arrays say what is wrong with it.
        in_series: whether rows follow each other also where there are no run ids.

    Raises:
        DataError: no row would be left, or one from within a run would be left out.
    """
    kept, said, columns = dict(data), [], []
    for part, what in ((TRAINING, "training"), (VALIDATION, "validation")):
        names = [name for name in _BELONG if part_of(name) == part and data.get(name) is not None]
        trees = {name: given_structure(name, data[name]) for name in names}
        arrays = {leaf_name(name, path): a for name, tree in trees.items() for path, a in leaves(tree).items()}
        runs = arrays.get(_RUNS[part])
        found = rows_to_keep(arrays, runs, in_series, f"the {what} data")
        if found is not None:
            kept |= {name: _without_rows(data[name], tree, found.rows) for name, tree in trees.items()}
            said.append(f"{found.text} for {what}")
            columns += found.columns
    _say(said, columns)
    return kept


@dataclass(frozen=True)
class KeptRows:
    """Which rows stay.

    Attributes:
        rows: bool, shape (rows,).
        columns: those that have missing values, with their counts, for people.
    """

    rows: Array
    columns: list[str]

    @property
    def text(self) -> str:
        """``2 of 10 rows``: those that are left out."""
        return f"{np.count_nonzero(~self.rows):,} of {counted(len(self.rows), 'row')}"

    def say(self, source: str) -> None:
        """One line of the log."""
        _say([f"{self.text} of {source}"], self.columns)


def rows_to_keep(arrays: Mapping[str, object], runs: object, in_series: bool, what: str) -> KeptRows | None:
    """The rows without a missing value in any of ``arrays``; None where none is missing, or that cannot be told.

    Args:
        arrays: what belongs to the same rows, by name.
        runs: the run ids of these rows; None: there are none.
        in_series: whether rows follow each other also where there are no run ids.
        what: what the rows are called in messages.

    Raises:
        DataError: see ``drop_missing``.
    """
    found = {name: _missing_in(value) for name, value in arrays.items()}
    looked = [missing for missing in found.values() if missing is not None]
    if len(looked) != len(found) or len({len(missing.rows) for missing in looked}) != 1:
        return None
    rows = ~np.logical_or.reduce([missing.rows for missing in looked])
    if rows.all():
        return None
    columns = [
        f"{column} of {name} ({count})"
        for name, missing in found.items()
        if missing
        for column, count in missing.counts
    ]
    if not rows.any():
        raise DataError(
            f"{what} has a missing value in each of its {counted(len(rows), 'row')}, so that none would be left: "
            f"{first_of(columns)}.",
            remedy="Leave columns out that are mostly empty, or fill the values.",
        )
    if in_series or runs is not None:
        _require_no_hole(rows, None if runs is None else np.asarray(runs), what)
    return KeptRows(rows, columns)


def without_rows(value: Any, kept: Array) -> Any:
    """``value`` without some rows, otherwise as it was given.

    Args:
        value: what ``rows_to_keep`` has looked at.
        kept: bool, shape (rows,).
    """
    value = as_arrow_table(value)
    if isinstance(value, NamedArray):
        return NamedArray(take_rows(value.array, np.flatnonzero(kept)), value.names)
    if hasattr(value, "iloc"):
        return value.iloc[np.flatnonzero(kept)]
    arrow = _as_arrow(value)
    if arrow is not None:
        import pyarrow as pa

        return arrow.filter(pa.array(kept))
    if isinstance(value, list | tuple):
        return [row for row, stays in zip(value, kept, strict=True) if stays]
    if isinstance(value, np.ma.MaskedArray):
        return value[kept]
    return take_rows(np.asarray(value), np.flatnonzero(kept))


def _without_rows(value: object, tree: Tree, kept: Array) -> object:
    left = map_leaves(lambda leaf: without_rows(leaf, kept), tree)
    # Several inputs stay a list: a tuple would be inputs and targets.
    return list(left) if isinstance(left, tuple) and isinstance(value, list) else left


def _say(said: Sequence[str], columns: list[str]) -> None:
    if said:
        log.warning("Rows with missing values are left out: %s. Missing: %s.", " and ".join(said), first_of(columns))


def _require_no_hole(kept: Array, ids: Array | None, what: str) -> None:
    """Refuses to join rows that do not follow each other.

    Also where a whole run lies between two of the same id, which would become one.
    """
    places = np.flatnonzero(kept)
    for i in np.flatnonzero(np.diff(places) > 1).tolist():
        before, after = places[i], places[i + 1]
        if ids is None or ids[before] == ids[after]:
            raise DataError(
                f"{what} has missing values in row {before + 1}, within a run: without it, rows {before} and {after} "
                "would follow each other, and windows would span the gap.",
                remedy="Fill the values, or give the rows after the gap a run id of their own. Rows at the beginning "
                "and end of a run can be dropped.",
            )


@dataclass(frozen=True)
class _Missing:
    """Where values are missing in one array: which rows, and how many in which columns."""

    rows: Array
    counts: list[tuple[str, int]]


def _missing_in(value: Any) -> _Missing | None:
    """What is missing in anything that can be rows; None where that cannot be told."""
    value = as_arrow_table(value)
    if is_frame(value):
        return _of_columns([_missing_in_series(value.iloc[:, i]) for i in range(value.shape[1])], value.columns)
    arrow = _as_arrow(value)
    if arrow is not None and hasattr(arrow, "schema"):
        table = without_index(arrow)
        return _of_columns([_missing_in_arrow(table.column(i)) for i in range(table.num_columns)], table.schema.names)
    if arrow is not None:
        return _of_columns([_missing_in_arrow(arrow)])
    if hasattr(value, "iloc") and hasattr(value, "isna"):
        return _of_columns([_missing_in_series(value)])
    labels = value.names if isinstance(value, NamedArray) else None
    array = value.array if isinstance(value, NamedArray) else value
    if not isinstance(array, np.ma.MaskedArray):
        try:
            array = np.asarray(array)
        except (TypeError, ValueError, RuntimeError):
            # Rows of several widths, tensors on a GPU, and what else is no array: the checks say what to do.
            return None
    return _missing_in_array(array, labels)


def _as_arrow(value: Any) -> Any:
    """``value`` if it is a table or column of Arrow, or that of a polars Series; None for anything else."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None:
        return None
    if isinstance(value, pyarrow.Table | pyarrow.RecordBatch | pyarrow.Array | pyarrow.ChunkedArray):
        return value
    if type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "to_arrow"):
        return value.to_arrow()
    return None


def _of_columns(masks: Sequence[Array], labels: Sequence[object] | None = None) -> _Missing | None:
    if not masks:
        return None
    names = None if labels is None else [str(label) for label in labels]
    counts = [(column_name(i, names), int(np.count_nonzero(mask))) for i, mask in enumerate(masks)]
    return _Missing(np.logical_or.reduce(masks), [pair for pair in counts if pair[1]])


def _missing_in_series(series: Any) -> Array:
    missing: Array = np.asarray(series.isna(), dtype=bool)
    if series.dtype.kind != "f":
        return missing
    infinite: Array = np.isinf(np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan)))
    return missing | infinite


def _missing_in_arrow(column: Any) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.asarray(pc.is_null(column))
    if pa.types.is_floating(column.type):
        missing = missing | ~np.asarray(pc.fill_null(pc.is_finite(column), False))
    return missing


def _missing_in_array(array: Array, labels: Sequence[str] | None) -> _Missing | None:
    if array.ndim == 0 or array.size == 0:
        return None
    table = by_column(array)
    width, rows = table.shape[-1], []
    counts = np.zeros(width, np.int64)
    for block in row_blocks(table):
        missing = _is_missing(block).reshape(len(block), -1)
        rows.append(missing.any(axis=1))
        counts += np.count_nonzero(missing.reshape(-1, width), axis=0)
    found = [(column_name(i, labels), int(counts[i])) for i in np.flatnonzero(counts).tolist()]
    return _Missing(np.concatenate(rows), found)


def _is_missing(block: Array) -> Array:
    kind = block.dtype.kind
    if kind == "f":
        missing = ~np.isfinite(np.ma.getdata(block))
    elif kind in "mM":
        missing = np.isnat(np.ma.getdata(block))
    elif kind == "O":
        missing = np.array([_is_none(value) for value in np.ma.getdata(block).flat], bool).reshape(block.shape)
    else:
        missing = np.zeros(block.shape, bool)
    return missing | np.ma.getmaskarray(block)


def _is_none(value: object) -> bool:
    # pandas' own missing values are known by name, since it need not be installed.
    return (
        value is None
        or (isinstance(value, float | np.floating) and not math.isfinite(value))
        or type(value).__name__ in ("NAType", "NaTType")
    )
