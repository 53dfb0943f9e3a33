"""What a model is fed where nothing is scaled: floats as float32, integers as integers; and what that cast loses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.row_blocks import by_column, row_blocks
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.missing_values import column_name, first_of
from raygrid.errors import DataError

log = logging.getLogger("raygrid")

DType = np.dtype[Any]

FLOAT32: DType = np.dtype(np.float32)
# The step between neighbouring float32 numbers, as a part of the spread of a column, from which on it is too coarse.
_COARSE = 1e-3
# What a column spreads over is estimated from so many of its rows.
_SAMPLE_ROWS = 10_000


@dataclass(frozen=True)
class Unscaled:
    """An array that a model is fed without scaling.

    Attributes:
        name: what the caller calls it.
        array: in original units, rows first, without missing values.
        dtype: what it is cast to.
        setting: the setting of the model that would scale it.
        labels: names of its columns; None: they are counted.
    """

    name: str
    array: Array
    dtype: DType
    setting: str
    labels: Sequence[str] | None = None


def unscaled_dtype(name: str, array: Array, *, small: bool = False) -> DType:
    """float32 for floats; int32 for integers and booleans, or int64 where a value is beyond int32.

    Args:
        name: what the caller calls the array.
        array: of numbers.
        small: whether booleans and integers of one or two bytes stay what they are, such as the uint8 of images.

    Raises:
        DataError: a value is beyond int64; names ``name``.
    """
    if array.dtype.kind == "f":
        return FLOAT32
    if array.dtype.kind == "b" or array.dtype.itemsize < 4:
        return array.dtype.newbyteorder("=") if small else np.dtype(np.int32)
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int32, np.int64):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return np.dtype(dtype)
    raise DataError(
        f"{name} (dtype {array.dtype}) holds {high}, which is beyond int64.",
        remedy="Use smaller integers, or floats with .astype('float64').",
    )


def cast(array: Array, dtype: DType) -> Array:
    """``array`` in C order as ``dtype``; itself where it is that already. A value beyond float32 becomes infinity."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=dtype)


def are_whole(array: Array) -> bool:
    """Whether all floats are whole numbers that int64 holds."""
    return all(bool(((np.rint(block) == block) & (np.abs(block) < 2.0**63)).all()) for block in row_blocks(array))


def require_float32(name: str, array: Array, labels: Sequence[str] | None = None) -> None:
    """Refuses finite values that are infinite as float32.

    Raises:
        DataError: names ``name``, with their number by column.
    """
    table = by_column(array)
    if array.dtype != np.float64 or not table.size:
        return
    counts = np.zeros(table.shape[-1], np.int64)
    for block in row_blocks(table):
        counts += np.count_nonzero(np.isinf(cast(block, FLOAT32)).reshape(-1, len(counts)), axis=0)
    total = int(counts.sum())
    if total:
        where = first_of([f"{column_name(i, labels)} ({counts[i]})" for i in np.flatnonzero(counts).tolist()])
        values = f"{counted(total, 'value')} that {'is' if total == 1 else 'are'}"
        raise DataError(
            f"{name} (shape {array.shape}, dtype {array.dtype}) holds {values} finite, but too large for float32, "
            f"which ends at 3.4e38: {where}.",
            remedy="Divide these columns by a constant.",
        )


def check_unscaled(arrays: Sequence[Unscaled]) -> None:
    """Refuses what float32 cannot hold, and warns of columns whose values float32 merges.

    There is one warning per setting that would avoid it: validation data is mostly like the training data before it.

    Raises:
        DataError: see ``require_float32``.
    """
    for fed in arrays:
        require_float32(fed.name, fed.array, fed.labels)
    told: set[str] = set()
    for fed in arrays:
        if fed.setting in told:
            continue
        lost = first_of([f"{column_name(i, fed.labels)} ({how})" for i, how in lost_columns(fed.array).items()])
        if not lost:
            continue
        told.add(fed.setting)
        if fed.array.dtype.kind == "f":
            log.warning(
                "%s (dtype %s) is not scaled, and float32, in which models compute, does not hold its values: %s. "
                'Pass %s="standard", which scales before the cast to float32, or subtract an offset from these '
                "columns.",
                fed.name,
                fed.array.dtype,
                lost,
                fed.setting,
            )
        else:
            log.warning(
                "%s (dtype %s) is not scaled and stays whole numbers (%s), some of which float32 does not hold: %s. "
                "What computes in float32 rounds them: a loss, most layers, and a keras.Input without "
                'dtype="int32". An Embedding after keras.Input(..., dtype="int32") tells them apart; for other layers '
                'pass %s="standard", or subtract an offset from these columns.',
                fed.name,
                fed.array.dtype,
                fed.dtype,
                lost,
                fed.setting,
            )


def lost_columns(array: Array) -> dict[int, str]:
    """The columns that float32 does not hold, with what becomes of their values.

    These are the whole numbers of which one changes, since they may be ids or times, and any others that spread over
    less than a thousand steps of float32.

    Args:
        array: rows first, columns on the last axis, finite as float32.
    """
    if array.dtype.kind == "b" or array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2):
        return {}
    table = by_column(array)
    width = table.shape[-1]
    changed, whole = np.zeros(width, bool), np.ones(width, bool)
    for block in row_blocks(table):
        values = block.reshape(-1, width)
        changed |= _differs(values, values.astype(FLOAT32)).any(axis=0)
        if values.dtype.kind == "f" and whole.any():
            whole[whole] = (np.rint(values[:, whole]) == values[:, whole]).all(axis=0)
    sample = table[:: max(1, len(table) // _SAMPLE_ROWS)].reshape(-1, width)
    lost = {}
    for i in np.flatnonzero(changed).tolist():
        if whole[i] or _is_coarse(sample[:, i]):
            column = table[..., i]
            before, after = len(np.unique(column)), len(np.unique(column.astype(FLOAT32)))
            lost[i] = f"{before:,} distinct values become {after:,}" if after < before else "its values are rounded"
    return lost


def _is_coarse(values: Array) -> bool:
    """Whether the middle half of the distinct values spreads over too few steps of float32."""
    low, middle, high = np.percentile(np.unique(values), (25, 50, 75))
    return bool(high > low and np.spacing(np.float32(abs(middle))) > _COARSE * (high - low))


def _differs(values: Array, narrow: Array) -> Array:
    if values.dtype.kind == "f":
        return np.asarray(narrow != values)
    # Compared as floats, whole numbers beyond 2**53 would be rounded alike.
    with np.errstate(invalid="ignore"):
        return np.asarray((narrow.astype(values.dtype) != values) | (narrow >= 2.0**63))
