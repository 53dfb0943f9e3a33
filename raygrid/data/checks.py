"""Checked arrays: what a user passes becomes features, targets and sample weights, with the values it has.

An array is copied only where it must be, and never changed in place. Each check reads the data in blocks of rows, so
that an array in a memory-mapped file is never in memory as a whole.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.row_blocks import row_blocks
from raygrid.base.types import Array, Float32Array
from raygrid.base.wording import counted
from raygrid.data.column_names import NamedArray, as_arrow_table, is_frame
from raygrid.data.index_columns import without_index
from raygrid.data.missing_values import MissingValues, first_of, gathered
from raygrid.data.precision import unscaled_dtype
from raygrid.data.texts import as_texts
from raygrid.data.unsupported_data import refuse_unsupported
from raygrid.errors import DataError, DataTypeError

_SHAPES_IN_MESSAGE = 3
_VALUES_IN_MESSAGE = 3
# Among so many rows, the values that a message shows are looked for.
_ROWS_LOOKED_AT = 10_000
_NUMERIC_KINDS = "biuf"
_ENCODE_LABELS = "Encode labels as integers, for example with classes, y = np.unique(y, return_inverse=True)."
_LEAVE_OUT_OR_ENCODE = (
    "Leave these columns out, for example with X.drop(columns=[...]). Or encode them as numbers, such as one column of "
    "0 and 1 per value (pandas.get_dummies). A model of your own takes columns as they are: pass dict(X), or set "
    "TAKES_COLUMNS = True in its class."
)
_FIX_BY_KIND = {
    "c": "Pass the real and the imaginary part as two features.",
    "M": "Pass the time since a start as a number, for example (t - t[0]) / np.timedelta64(1, 's').",
    "m": "Pass the duration as a number, for example t / np.timedelta64(1, 's').",
}


@dataclass(frozen=True)
class _Columns:
    """A table seen as columns, so that a mixed one is never copied as a whole into a wider type.

    Attributes:
        examples: gives some values of a column as they are.
        whole: gives the table as the one array that it is; None where its columns are of several types, or not
            numpy's.
    """

    labels: tuple[str, ...]
    dtypes: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: int
    read: Callable[[int], Array]
    examples: Callable[[int], Iterable[Any]]
    whole: Callable[[], Array] | None = None


def as_features(name: str, value: object, missing: MissingValues | None = None, *, axes: int = 2) -> Array:
    """Return ``value`` as checked features of shape (rows, ..., features), with the values it has.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: a numpy array, nested lists of numbers, a DataFrame of pandas or polars, a ``pyarrow.Table``, or
            anything with ``__array__``. Floats, integers, booleans and Arrow decimals count as numeric.
        missing: takes what is missing, for whoever raises it for several arrays at once; None: it is raised here.
        axes: the fewest that it may have.

    Returns:
        float32, float64, bool, or integers of any size, in native byte order: ``value`` itself, or a view, wherever it
        can be, and never written into. A half becomes float32, a long double float64, both at the price of a copy,
        which for a memory-mapped array is an unnamed file in the folder for temporary files. The columns of a table
        become one array of the smallest type that holds all their values.

    Raises:
        DataTypeError: a dtype that is not numeric; or a list of arrays or tables.
        DataError: fewer than two axes, no rows, no features, masked or missing values, NaN or infinity; or integers
            beyond 2**53 in a table that has floats, too.
    """
    with gathered(missing) as found:
        columns = _columns_of(value)
        if columns is None:
            source = _numeric_array(name, value, "Convert the values to numbers, or leave them out.", found)
            dtype, labels = str(source.dtype), value.names if isinstance(value, NamedArray) else None
        else:
            _check_column_kinds(name, columns, _LEAVE_OUT_OR_ENCODE)
            dtype, labels = _dtypes_of(columns), columns.labels
            _check_feature_shape(name, (columns.rows, len(columns.labels)), dtype, axes)
            source = _joined(name, columns)
        _check_feature_shape(name, source.shape, dtype, axes)
        array = _with_its_values(source)
        found.look_at(name, array, dtype, labels)
    return array


def as_input(name: str, value: object, missing: MissingValues, *, alone: bool) -> Array:
    """Return ``value`` as a checked input of a model: features as in `as_features`, or texts.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: as in `as_features`, or an array of texts.
        missing: takes what is missing.
        alone: whether it is all of the inputs; numbers then need two axes or more. Parts of a structure need one.

    Returns:
        As `as_features`; texts as an array of Python's own, see `as_texts`.

    Raises:
        DataTypeError, DataError: as `as_features`.
    """
    columns = _columns_of(value)
    # Of a table of texts and numbers, the columns of texts are what is wrong.
    mixed = columns is not None and not set(_NUMERIC_KINDS).isdisjoint(columns.kinds)
    texts = None if mixed else as_texts(name, value)
    if texts is None:
        return as_features(name, value, missing, axes=2 if alone else 1)
    if texts.size == 0:
        raise DataError(f"{name} has shape {texts.shape} and holds no texts.", remedy="Look at how it was selected.")
    missing.look_at_texts(name, texts)
    return texts


def as_targets(name: str, value: object, rows: int, missing: MissingValues | None = None) -> Array:
    """Return ``value`` as checked targets: shape (rows,) or (rows, ...).

    Floats are kept as in `as_features`. Booleans and integers become int32, or int64 where a value is beyond int32.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: as in `as_features`; one axis is allowed and kept.
        rows: the number of rows of the features.
        missing: as in `as_features`.

    Raises:
        DataTypeError: a dtype that is not numeric, such as labels that are strings; or a list of arrays or tables.
        DataError: another number of rows, no values, masked or missing values, NaN, infinity, or values out
            of range.
    """
    with gathered(missing) as found:
        columns = _columns_of(value)
        if columns is None:
            source = _numeric_array(name, value, _ENCODE_LABELS, found)
        else:
            _check_column_kinds(name, columns, _ENCODE_LABELS)
            source = _joined(name, columns) if columns.labels else np.empty((columns.rows, 0))
        _check_rows(name, source, rows)
        if source.size == 0:
            raise DataError(
                f"{name} has shape {source.shape} and holds no targets.", remedy="Pass at least one value per row."
            )
        if source.dtype.kind != "f":
            return _cast(source, unscaled_dtype(name, source))
        array = _with_its_values(source)
        found.look_at(
            name,
            array,
            str(source.dtype) if columns is None else _dtypes_of(columns),
            None if columns is None else columns.labels,
        )
    return array


def as_sample_weights(name: str, value: object, rows: int, missing: MissingValues | None = None) -> Float32Array:
    """Return ``value`` as checked sample weights: float32, shape (rows,), not negative, not all zero.

    Nothing but the float32 values is used of them.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: as in `as_features`, of one axis.
        rows: the number of rows of the features.
        missing: as in `as_features`.

    Raises:
        DataTypeError: a dtype that is not numeric; or a list of arrays.
        DataError: another shape than (rows,), a negative weight, NaN, infinity, no weight above zero, or a weight that
            is too large for float32, or so small that it would become zero.
    """
    with gathered(missing) as found:
        source = _numeric_array(name, value, "Convert the weights to numbers.", found)
        if source.ndim != 1:
            raise DataError(
                f"{name} has shape {source.shape}, but one weight per row is needed: shape ({rows},).",
                remedy="Flatten it with .reshape(-1), or pass one weight per row.",
            )
        _check_rows(name, source, rows)
        with np.errstate(over="ignore", under="ignore"):
            weights: Float32Array = _cast(source, np.dtype(np.float32))
        if not found.look_at(name, source, str(source.dtype)):
            return weights
    smallest = source.min()
    if smallest < 0:
        raise DataError(
            f"{name} holds {counted(int(np.count_nonzero(source < 0)), 'negative weight')}, the smallest is "
            f"{smallest:g}.",
            remedy="Weights must be zero or more: remove a row by weight 0.",
        )
    require_some_weight(name, source)
    _require_kept(name, source, weights)
    return weights


def as_floats(name: str, array: Array) -> Array:
    """Checked features as floats: those that are whole numbers as float64.

    Raises:
        DataError: a whole number beyond 2**53 would change.
    """
    if array.dtype.kind == "f":
        return array
    if array.dtype.itemsize == 8 and not _is_exact(array, np.dtype(np.float64)):
        raise DataError(
            f"{name} (dtype {array.dtype}) holds whole numbers beyond 2**53, which float64 rounds, and the data that "
            "it goes with holds floats.",
            remedy="Pass whole numbers in both, or subtract an offset in both.",
        )
    return array.astype(np.float64)


def _require_kept(name: str, source: Array, weights: Float32Array) -> None:
    """Refuses weights that the cast to float32 makes zero or infinite."""
    vanished, beyond = (weights == 0) & (source > 0), np.isinf(weights) & np.isfinite(source)
    for what, lost in (("too small for float32, where they are 0", vanished), ("too large for float32", beyond)):
        if lost.any():
            raise DataError(
                f"{name} holds weights that are {what}: {np.count_nonzero(lost)}, such as {source[lost][0]:g}.",
                remedy="Multiply all weights by a constant that brings them near 1.",
            )


def require_some_weight(name: str, weights: Array) -> None:
    """Raise `DataError` where every weight is zero, named ``name`` in the message."""
    if not weights.any():
        raise DataError(
            f"{name} holds only zeros as weights, {len(weights)} of them, so there is nothing to learn or measure.",
            remedy="Give at least one row a weight above zero.",
        )


def such_as(values: Iterable[Any]) -> str:
    """``, such as 'on', 'off'``: the first few different ones of ``values``; nothing where there are none."""
    shown: dict[str, None] = {}
    for value in values:
        if value is not None:
            shown[repr(value if isinstance(value, str | bytes) else str(value))] = None
        if len(shown) == _VALUES_IN_MESSAGE:
            break
    return f", such as {', '.join(shown)}" if shown else ""


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
            read=lambda i: pandas_column(frame.iloc[:, i]),
            examples=lambda i: frame.iloc[:_ROWS_LOOKED_AT, i].dropna(),
            whole=frame.to_numpy if _is_one_array(frame.dtypes) else None,
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
            read=lambda i: arrow_column(frame.column(i)),
            examples=lambda i: frame.column(i).slice(0, _ROWS_LOOKED_AT).to_pylist(),
        )
    return None


def _is_one_array(dtypes: Any) -> bool:
    return len(set(dtypes)) == 1 and isinstance(dtypes.iloc[0], np.dtype)


def _is_numeric_series(value: Any) -> bool:
    return hasattr(value, "iloc") and hasattr(value, "dtype") and value.dtype.kind in _NUMERIC_KINDS


def pandas_column(series: Any) -> Array:
    """A numeric Series of pandas as an array of its own type, with NaN where a value is missing."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(series.to_numpy())
    if dtype.kind in "biu" and not series.isna().any():
        whole = {"b": np.bool_, "i": np.int64, "u": np.uint64}[dtype.kind]
        return np.asarray(series.to_numpy(dtype=whole))
    return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))


def arrow_column(column: Any) -> Array:
    """A numeric ``pyarrow.ChunkedArray`` as an array of its own type, with NaN where a value is missing."""
    import pyarrow as pa

    if column.null_count or pa.types.is_decimal(column.type):
        # Unsafe: whole numbers beyond 2**53 are rounded. One beside them is missing, which is an error anyway.
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _dtypes_of(columns: _Columns) -> str:
    return ", ".join(dict.fromkeys(columns.dtypes))


def _joined(name: str, columns: _Columns) -> Array:
    """The columns as one array, of the smallest type that holds all their values."""
    if columns.whole is not None:
        return columns.whole()
    width = len(columns.labels)
    joint = _joint_dtype(name, columns)
    array = np.empty((columns.rows, width), dtype=joint)
    for i in range(width):
        array[:, i] = columns.read(i)
    return array


def _joint_dtype(name: str, columns: _Columns) -> np.dtype[Any]:
    dtypes = [columns.read(i).dtype for i in range(len(columns.labels))]
    joint = np.result_type(*dtypes)
    if joint.kind != "f":
        return joint
    if all(dtype.kind != "f" for dtype in dtypes):
        # uint64 beside signed integers: numpy would take floats for them.
        if all(dtype.kind != "u" or columns.read(i).max() < 2**63 for i, dtype in enumerate(dtypes)):
            return np.dtype(np.int64)
        joint = np.dtype(np.float64)
    inexact = [
        f"{columns.labels[i]!r} ({columns.dtypes[i]})"
        for i, dtype in enumerate(dtypes)
        if dtype.kind in "iu" and dtype.itemsize == 8 and not _is_exact(columns.read(i), joint)
    ]
    if inexact:
        raise DataError(
            f"{name} has columns of whole numbers beyond 2**53 beside columns of another type: {first_of(inexact)}. "
            "Together they become float64, which rounds these numbers.",
            remedy="Subtract an offset from these columns (of a time, its first value), or pass ids as small whole "
            "numbers: np.unique(ids, return_inverse=True).",
        )
    return joint


def _is_exact(column: Array, dtype: np.dtype[Any]) -> bool:
    """Whether floats of ``dtype`` hold every whole number of a column."""
    floats = column.astype(dtype)
    with np.errstate(invalid="ignore"):
        return bool((floats < 2.0 ** (64 if column.dtype.kind == "u" else 63)).all()) and np.array_equal(
            floats.astype(column.dtype), column
        )


def _check_column_kinds(name: str, columns: _Columns, fix: str) -> None:
    wrong = [
        f"{label!r} ({dtype}{such_as(columns.examples(i))})"
        for i, (label, dtype, kind) in enumerate(zip(columns.labels, columns.dtypes, columns.kinds, strict=True))
        if kind not in _NUMERIC_KINDS
    ]
    if wrong:
        raise DataTypeError(
            f"{name} has shape ({columns.rows}, {len(columns.labels)}) and columns that are not numeric: "
            f"{first_of(wrong)}.",
            remedy=fix,
        )


def _numeric_array(name: str, value: object, fix: str, missing: MissingValues) -> Array:
    refuse_unsupported(name, value)
    _refuse_several(name, value)
    if isinstance(value, np.ma.MaskedArray):
        missing.look_at_mask(name, value)
    try:
        array: Array = pandas_column(value) if _is_numeric_series(value) else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} is a {type(value).__name__} that numpy cannot turn into an array: {error}.",
            remedy="Pass an array whose rows all have the same shape.",
        ) from error
    if array.dtype.kind not in _NUMERIC_KINDS:
        what = "" if isinstance(value, np.ndarray) else f", from a {type(value).__name__}"
        raise DataTypeError(
            f"{name} has dtype {array.dtype} (shape {array.shape}{what}), which is not numeric.",
            remedy=_FIX_BY_KIND.get(array.dtype.kind, fix),
        )
    return array


def _check_feature_shape(name: str, shape: tuple[int, ...], dtype: str, axes: int) -> None:
    if len(shape) < axes:
        fix = (
            "Use .reshape(-1, 1) for one feature, or .reshape(1, -1) for one row."
            if len(shape) == 1
            else "Pass an array of shape (rows, features)."
        )
        raise DataError(f"{name} has shape {shape} (dtype {dtype}), but needs rows and features.", remedy=fix)
    if 0 in shape:
        missing = "rows" if shape[0] == 0 else "features"
        raise DataError(
            f"{name} has shape {shape} (dtype {dtype}): it holds no {missing}.",
            remedy="Look at how it was selected.",
        )


def _check_rows(name: str, array: Array, rows: int) -> None:
    if array.ndim == 0 or len(array) != rows:
        found = "no rows" if array.ndim == 0 else counted(len(array), "row")
        raise DataError(
            f"{name} has {found} (shape {array.shape}, dtype {array.dtype}), but its features have "
            f"{counted(rows, 'row')}.",
            remedy="Pass one entry per row.",
        )


def _with_its_values(source: Array) -> Array:
    """``source`` in native byte order, as float32, float64 or integers of any size; itself wherever it can be."""
    dtype = source.dtype.newbyteorder("=")
    if dtype.kind == "f":
        dtype = np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return source if source.dtype == dtype else _cast(source, dtype)


def _cast(source: Array, dtype: np.dtype[Any]) -> Array:
    if not is_mapped(source) or (source.dtype == dtype and source.flags.c_contiguous):
        return np.ascontiguousarray(source, dtype=dtype)
    with tempfile.TemporaryFile(prefix="raygrid-") as file:
        for block in row_blocks(source):
            file.write(np.ascontiguousarray(block, dtype=dtype).data)
        file.flush()
        return np.asarray(np.memmap(file, dtype, "r", shape=source.shape))


def _refuse_several(name: str, value: object) -> None:
    """Refuses several arrays where one belongs: numpy would stack them into something that nobody asked for."""
    level: Sequence[Any] = value if isinstance(value, list | tuple) else ()
    while level:
        nested = []
        for kind in set(map(type, level)):
            if issubclass(kind, list | tuple):
                nested += [item for item in level if type(item) is kind]
            elif hasattr(kind, "__array__") or hasattr(kind, "__dataframe__") or issubclass(kind, Mapping):
                several = [item for item in level if type(item) is kind and getattr(item, "shape", None) != ()]
                if several:
                    raise _several(name, value, several)
        level = list(itertools.chain.from_iterable(nested))


def _several(name: str, value: object, several: list[Any]) -> DataTypeError:
    shapes = [f"{type(item).__name__} of shape {getattr(item, 'shape', '?')}" for item in several[:_SHAPES_IN_MESSAGE]]
    more = f" and {len(several) - len(shapes)} more" if len(several) > len(shapes) else ""
    return DataTypeError(
        f"{name} is a {type(value).__name__} that holds {', '.join(shapes)}{more}. As one array they would be stacked "
        "along a new first axis, and each would count as one row, where this model takes one array.",
        remedy="If that is meant, pass np.stack(...); to put their rows one after another, np.concatenate(...); to put "
        "their columns side by side, np.column_stack(...).",
    )


def is_mapped(array: Any) -> bool:
    """Whether an array lies in a file that is mapped into memory."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
