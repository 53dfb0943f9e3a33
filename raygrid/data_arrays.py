"""Checked arrays: what a user passes becomes float32 features, targets and sample weights.

An array is cast at most once, and never changed in place. Each check reads the data in blocks of rows, so that one in
a memory-mapped file is never in memory as a whole.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raygrid.column_names import as_arrow_table, is_frame
from raygrid.errors import DataError, DataTypeError
from raygrid.index_columns import without_index
from raygrid.unsupported_data import refuse_unsupported
from raygrid.wording import counted

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

# Small enough for the cache of one core, large enough that the loop in Python costs nothing.
_BLOCK_BYTES = 4 * 2**20
_COLUMNS_IN_MESSAGE = 5
_NUMERIC_KINDS = "biuf"
_ENCODE_LABELS = "encode labels as integers, for example with classes, y = np.unique(y, return_inverse=True)"
_FIX_BY_KIND = {
    "c": "pass the real and the imaginary part as two features",
    "M": "pass the time since a start as a number, for example (t - t[0]) / np.timedelta64(1, 's')",
    "m": "pass the duration as a number, for example t / np.timedelta64(1, 's')",
}


@dataclass(frozen=True)
class _Columns:
    """A table seen as columns, so that a mixed one is never copied as a whole into a wider type."""

    labels: tuple[str, ...]
    dtypes: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: int
    read: Callable[[int], Array]


def as_features(name: str, value: object) -> FloatArray:
    """Return ``value`` as a checked float32 array, C-contiguous, of shape (rows, ..., features).

    Args:
        name: what the caller calls the array; it appears in every message.
        value: a numpy array, nested lists, a DataFrame of pandas or polars, a ``pyarrow.Table``, or
            anything with ``__array__``. Floats, integers, booleans and Arrow decimals count as numeric.

    Returns:
        ``value`` itself, or a view, where it is right already; otherwise one copy, which for a memory-mapped array is
        an unnamed file in the folder for temporary files.

    Raises:
        DataTypeError: a dtype that is not numeric.
        DataError: fewer than two axes, no rows, no features, masked or missing values, NaN, infinity, or
            values that are too large for float32.
    """
    columns = _columns_of(value)
    if columns is None:
        source = _numeric_array(name, value, "features must be numbers")
        _check_feature_shape(name, source.shape, str(source.dtype))
        array = _to_float32(source)
        _require_finite(name, array, str(source.dtype), None, lambda i: source[..., i])
        return array
    _check_column_kinds(name, columns, "leave these columns out, or turn them into numbers")
    dtype = ", ".join(dict.fromkeys(columns.dtypes))
    _check_feature_shape(name, (columns.rows, len(columns.labels)), dtype)
    array = np.empty((columns.rows, len(columns.labels)), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(len(columns.labels)):
            array[:, i] = columns.read(i)
    _require_finite(name, array, dtype, columns.labels, columns.read)
    return array


def as_targets(name: str, value: object, rows: int) -> Array:
    """Return ``value`` as checked targets: shape (rows,) or (rows, ...), C-contiguous.

    Floats become float32. Booleans and integers become int32, or int64 where a value is beyond int32.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: as in `as_features`; one axis is allowed and kept.
        rows: the number of rows of the features.

    Raises:
        DataTypeError: a dtype that is not numeric, such as labels that are strings.
        DataError: another number of rows, no values, masked or missing values, NaN, infinity, or values out
            of range.
    """
    columns = _columns_of(value)
    if columns is not None:
        _check_column_kinds(name, columns, _ENCODE_LABELS)
        value = np.column_stack([columns.read(i) for i in range(len(columns.labels))] or [np.empty((0, 0))])
    source = _numeric_array(name, value, _ENCODE_LABELS)
    _check_rows(name, source, rows)
    if source.size == 0:
        raise DataError(f"{name} has shape {source.shape} and holds no targets. Pass at least one value a row.")
    if source.dtype.kind == "f":
        array = _to_float32(source)
        labels = columns.labels if columns is not None else None
        _require_finite(name, array, str(source.dtype), labels, lambda i: _last_axis(source)[..., i])
        return array
    return _to_integers(name, source)


def as_sample_weights(name: str, value: object, rows: int) -> FloatArray:
    """Return ``value`` as checked sample weights: float32, shape (rows,), not negative, not all zero.

    Raises:
        DataTypeError: a dtype that is not numeric.
        DataError: another shape than (rows,), a negative weight, NaN, infinity, or no weight above zero.
    """
    source = _numeric_array(name, value, "weights must be numbers")
    if source.ndim != 1:
        raise DataError(
            f"{name} has shape {source.shape}, but one weight a row is needed: shape ({rows},). "
            "Flatten it with .reshape(-1), or pass one weight a row."
        )
    _check_rows(name, source, rows)
    weights = _to_float32(source)
    _require_finite(name, weights, str(source.dtype), None, lambda i: _last_axis(source)[..., i])
    smallest = weights.min()
    if smallest < 0:
        raise DataError(
            f"{name} holds {np.count_nonzero(weights < 0)} negative weights, the smallest is {smallest:g}. "
            "Weights must be zero or more: remove a row by weight 0."
        )
    require_some_weight(name, weights)
    return weights


def require_some_weight(name: str, weights: FloatArray) -> None:
    """Raise `DataError` where every weight is zero, named ``name`` in the message."""
    if not weights.any():
        raise DataError(
            f"{name} holds only zeros as weights, {len(weights)} of them, so there is nothing to learn or "
            "measure. Give at least one row a weight above zero."
        )


def row_blocks(array: Array) -> Iterator[Array]:
    """Yield views of consecutive rows, each of a few MiB, so that temporaries stay small."""
    row_bytes = max(1, array.itemsize * math.prod(array.shape[1:]))
    step = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def is_numeric_arrow_type(arrow_type: Any) -> bool:
    """Whether a column of this ``pyarrow.DataType`` can be a feature.

    An all-null column can: its values are numbers that are missing.
    """
    from pyarrow import types  # slow to import; most callers hold arrays

    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(check(arrow_type) for check in checks)


def _columns_of(value: object) -> _Columns | None:
    """See a DataFrame of pandas or polars, or an Arrow table, as columns; None for anything else."""
    frame: Any = as_arrow_table(value)
    if is_frame(frame):
        return _Columns(
            labels=tuple(str(label) for label in frame.columns),
            dtypes=tuple(str(dtype) for dtype in frame.dtypes),
            kinds=tuple(dtype.kind for dtype in frame.dtypes),
            rows=len(frame),
            read=lambda i: _pandas_column(frame.iloc[:, i]),
        )
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(frame, pyarrow.Table | pyarrow.RecordBatch):
        frame = without_index(frame)
        types = [field.type for field in frame.schema]
        return _Columns(
            labels=tuple(frame.schema.names),
            dtypes=tuple(str(type_) for type_ in types),
            kinds=tuple("f" if is_numeric_arrow_type(type_) else "O" for type_ in types),
            rows=frame.num_rows,
            read=lambda i: _arrow_column(frame.column(i)),
        )
    return None


def _is_numeric_series(value: Any) -> bool:
    return hasattr(value, "iloc") and hasattr(value, "dtype") and value.dtype.kind in _NUMERIC_KINDS


def _pandas_column(series: Any) -> Array:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(series.to_numpy())
    if dtype.kind in "biu" and not series.isna().any():
        whole = {"b": np.bool_, "i": np.int64, "u": np.uint64}[dtype.kind]
        return np.asarray(series.to_numpy(dtype=whole))
    return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))


def _arrow_column(column: Any) -> Array:
    import pyarrow as pa

    if column.null_count or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _check_column_kinds(name: str, columns: _Columns, fix: str) -> None:
    wrong = [
        f"{label!r} ({dtype})"
        for label, dtype, kind in zip(columns.labels, columns.dtypes, columns.kinds, strict=True)
        if kind not in _NUMERIC_KINDS
    ]
    if wrong:
        raise DataTypeError(
            f"{name} has shape ({columns.rows}, {len(columns.labels)}) and columns that are not numeric: "
            f"{_first_of(wrong)}. To fix it: {fix}."
        )


def _numeric_array(name: str, value: object, fix: str) -> Array:
    refuse_unsupported(name, value)
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.count_nonzero(np.ma.getmaskarray(value)))
        if masked:
            raise DataError(
                f"{name} (shape {value.shape}, dtype {value.dtype}) has {masked} masked values. "
                "Fill them with .filled(number), or drop their rows."
            )
    try:
        array: Array = _pandas_column(value) if _is_numeric_series(value) else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} is a {type(value).__name__} that numpy cannot turn into an array: {error}. "
            "Pass an array whose rows all have the same shape."
        ) from error
    if array.dtype.kind not in _NUMERIC_KINDS:
        hint = _FIX_BY_KIND.get(array.dtype.kind, fix)
        what = "" if isinstance(value, np.ndarray) else f", from a {type(value).__name__}"
        raise DataTypeError(
            f"{name} has dtype {array.dtype} (shape {array.shape}{what}), which is not numeric. To fix it: {hint}."
        )
    return array


def _check_feature_shape(name: str, shape: tuple[int, ...], dtype: str) -> None:
    if len(shape) < 2:
        fix = (
            "Use .reshape(-1, 1) for one feature, or .reshape(1, -1) for one row."
            if len(shape) == 1
            else "Pass an array of shape (rows, features)."
        )
        raise DataError(f"{name} has shape {shape} (dtype {dtype}), but needs rows and features. {fix}")
    if 0 in shape:
        missing = "rows" if shape[0] == 0 else "features"
        raise DataError(
            f"{name} has shape {shape} (dtype {dtype}): it holds no {missing}. Look at how it was selected."
        )


def _check_rows(name: str, array: Array, rows: int) -> None:
    if array.ndim == 0 or len(array) != rows:
        found = "no rows" if array.ndim == 0 else counted(len(array), "row")
        raise DataError(
            f"{name} has {found} (shape {array.shape}, dtype {array.dtype}), but its features have "
            f"{counted(rows, 'row')}. Pass one entry per row."
        )


def _to_float32(source: Array) -> FloatArray:
    # Overflow becomes infinity here and is reported, with its column, by _require_finite.
    with np.errstate(over="ignore", invalid="ignore"):
        return _cast(source, np.float32)


def _cast(source: Array, dtype: type[np.generic]) -> Array:
    if not is_mapped(source) or (source.dtype == dtype and source.flags.c_contiguous):
        return np.ascontiguousarray(source, dtype=dtype)
    with tempfile.TemporaryFile(prefix="raygrid-") as file:
        for block in row_blocks(source):
            file.write(np.ascontiguousarray(block, dtype=dtype).data)
        file.flush()
        return np.asarray(np.memmap(file, dtype, "r", shape=source.shape))


def is_mapped(array: Any) -> bool:
    """Whether an array lies in a file that is mapped into memory."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def _to_integers(name: str, source: Array) -> Array:
    if source.dtype.kind == "b":
        return _cast(source, np.int32)
    low, high = int(source.min()), int(source.max())
    for dtype in (np.int32, np.int64):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return _cast(source, dtype)
    raise DataError(
        f"{name} (dtype {source.dtype}) holds {high}, which is beyond int64. "
        "Use smaller integers, or floats with .astype('float32')."
    )


def _last_axis(array: Array) -> Array:
    return array[:, np.newaxis] if array.ndim == 1 else array


def _require_finite(
    name: str,
    array: FloatArray,
    dtype: str,
    labels: Sequence[str] | None,
    source_column: Callable[[int], Array],
) -> None:
    table = _last_axis(array)
    width = table.shape[-1]
    counts = np.zeros(width, dtype=np.int64)
    for block in row_blocks(table):
        finite = np.isfinite(block)
        if not finite.all():
            counts += np.count_nonzero(~finite.reshape(-1, width), axis=0)
    if not counts.any():
        return
    columns = [int(i) for i in np.flatnonzero(counts)]
    too_large = sum(int(np.count_nonzero(np.isfinite(source_column(i)) & ~np.isfinite(table[..., i]))) for i in columns)
    where = _first_of([f"column {i if labels is None else repr(labels[i])} ({counts[i]})" for i in columns])
    message = (
        f"{name} (shape {array.shape}, dtype {dtype}) holds {counted(counts.sum(), 'value')} that "
        f"{'is' if counts.sum() == 1 else 'are'} missing, NaN or infinite as float32: {where}."
    )
    if too_large:
        message += (
            f" {too_large} of them {'is' if too_large == 1 else 'are'} finite, but too large for float32, which ends "
            "at 3.4e38: "
            "divide these columns by a constant."
        )
    if too_large < counts.sum():
        message += " Drop the rows, or fill the values, before training."
    raise DataError(message)


def _first_of(items: list[str]) -> str:
    shown = ", ".join(items[:_COLUMNS_IN_MESSAGE])
    more = len(items) - _COLUMNS_IN_MESSAGE
    return f"{shown} and {counted(more, 'more column')}" if more > 0 else shown
