"""A table as a dict of its columns, for a model that has an input for each of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raygrid.data.checks import arrow_column, is_numeric_arrow_type, pandas_column
from raygrid.data.column_names import NamedArray, as_arrow_table, is_frame, names_of
from raygrid.data.index_columns import without_index
from raygrid.data.row_labels import check_row_labels
from raygrid.data.texts import is_text_type, texts_of_arrow
from raygrid.errors import DataTypeError

_SAME_ROWS = {
    "X_train": ("y_train", "sample_weight", "run_ids"),
    "X_val": ("y_val", "val_sample_weight", "val_run_ids"),
}


def columns_apart(name: str, value: object) -> object:
    """The columns of a frame, a table or a `NamedArray` by name; anything else as it is.

    Args:
        name: what the caller calls the data; it appears in every message.
        value: what a user passed.

    Returns:
        Arrays of shape (rows,), each of the type of its column: whole numbers stay whole, and texts are of dtype
        ``object``. A column that is neither is left as it is, for the checks of arrays to say what is wrong with it.

    Raises:
        DataError: two columns have the same name.
    """
    table: Any = as_arrow_table(value)
    names = names_of(name, table)
    if names is None:
        return value
    if isinstance(table, NamedArray):
        return {label: table.array[..., i] for i, label in enumerate(names)}
    if is_frame(table):
        return {label: _of_series(table.iloc[:, i]) for i, label in enumerate(names)}
    table = without_index(table)
    return {label: _of_arrow(table.column(i)) for i, label in enumerate(names)}


def data_by_column(model: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``fit`` with tables of inputs as dicts of their columns; so are targets of several columns.

    Args:
        model: what the model is called.
        data: by the names of the arguments, inputs and targets apart.

    Raises:
        DataTypeError: the columns of inputs have no names.
        DataError: two have the same; or rows of targets have another order than those of the inputs.
    """
    found = dict(data)
    for name, others in _SAME_ROWS.items():
        value = data.get(name)
        if value is None:
            continue
        # Once for the table: its columns keep no labels of rows.
        check_row_labels(name, value, **{other: data.get(other) for other in others})
        found[name] = columns_apart(name, value)
        if not isinstance(found[name], Mapping):
            raise DataTypeError(
                f"{name} is a {type(value).__name__} without names of columns, and {model} takes its columns by name.",
                remedy="$named_columns.",
            )
        found[others[0]] = targets_apart(others[0], data.get(others[0]))
    return found


def targets_apart(name: str, value: object) -> object:
    """``value`` with each column apart, where it is a table of several."""
    columns = columns_apart(name, value)
    return columns if isinstance(columns, Mapping) and len(columns) > 1 else value


def _of_series(series: Any) -> Any:
    if series.dtype.kind in "biuf":
        return pandas_column(series)
    return np.asarray(series.astype(object).to_numpy()) if series.dtype.kind == "O" else series


def _of_arrow(column: Any) -> Any:
    import pyarrow as pa

    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if is_text_type(column.type):
        return texts_of_arrow(column)
    return arrow_column(column) if is_numeric_arrow_type(column.type) else column
