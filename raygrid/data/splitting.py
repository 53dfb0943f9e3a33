"""Which rows validate where no validation data is given: the last ones, or some of every part, drawn by a seed."""

from __future__ import annotations

import math
import tempfile

import numpy as np

from raygrid.base.arguments import fraction
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import is_mapped
from raygrid.errors import DataError

_BLOCK_BYTES = 4 * 2**20


def check_validation_split(value: object) -> float:
    """``value`` if rows can be split by it.

    Raises:
        ArgumentError: it is not a number between 0 and 1, both excluded.
    """
    return fraction("validation_split", value, "such as 0.2. To choose the validation data yourself, pass X_val")


def split_tail(held_out: float, *arrays: Array) -> list[tuple[Array, Array]]:
    """Split arrays of equal length into a head and a tail, by Keras' rule for ``validation_split``.

    The tail is the last ``held_out`` of the rows, in order, without shuffling. The place is
    ``floor(rows * (1 - held_out))``, as in ``keras.src.trainers.data_adapters.array_slicing``.

    Returns:
        One (head, tail) for each array, as views; the same views for the same array.

    Raises:
        ArgumentError: ``held_out`` is not a number between 0 and 1, both excluded.
        DataError: the arrays differ in length, or one of the two sides would be empty.
    """
    split_at = _training_rows(held_out, arrays)
    # Where the targets are the very array of the inputs, they stay one array, also in object stores and on devices.
    parts = {id(array): (array[:split_at], array[split_at:]) for array in arrays}
    return [parts[id(array)] for array in arrays]


def split_shuffled(held_out: float, seed: int, classes: Array | None, *arrays: Array) -> list[tuple[Array, Array]]:
    """Split arrays of equal length into rows to train on and rows to validate with, drawn by a seed.

    There are as many rows in both parts as with `split_tail`, or fewer to validate with where most classes have a
    single row. Rows keep their order. The same seed draws the same rows on every machine, with every version of numpy.

    Args:
        held_out: the fraction of the rows that validate.
        seed: what the draw depends on, 0 to 2**32 - 1.
        classes: the number of each row's class; each class then gives its share of both parts, rounded, and always
            a row to train on. None: all rows alike.
        arrays: of equal length.

    Returns:
        One (rows to train on, rows to validate with) for each array, as copies; the same copies for the same array.

    Raises:
        ArgumentError, DataError: as for `split_tail`.
    """
    training_rows = _training_rows(held_out, arrays)
    rows = len(arrays[0])
    validates = np.zeros(rows, bool)
    validates[_drawn(rows - training_rows, rows, seed, classes)] = True
    if not validates.any():
        raise DataError(
            "shuffle_split leaves no row for validation: every class has a single row, which is trained on.",
            remedy="Pass $validation_arrays, or more rows of each class.",
        )
    train, val = np.flatnonzero(~validates), np.flatnonzero(validates)
    parts: dict[int, tuple[Array, Array]] = {}
    for array in arrays:
        if id(array) not in parts:
            parts[id(array)] = (take_rows(array, train), take_rows(array, val))
    return [parts[id(array)] for array in arrays]


def _training_rows(held_out: float, arrays: tuple[Array, ...]) -> int:
    held_out = check_validation_split(held_out)
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1:
        raise DataError(f"Arrays of {lengths} rows cannot be split together.", remedy="Pass arrays of one length.")
    rows = lengths[0]
    split_at = math.floor(rows * (1.0 - held_out))
    if split_at in (0, rows):
        raise DataError(
            f"validation_split={held_out!r} of {counted(rows, 'row')} leaves {split_at} for training and "
            f"{rows - split_at} for validation.",
            remedy="Pass more rows, or $other_validation.",
        )
    return split_at


def _drawn(count: int, rows: int, seed: int, classes: Array | None) -> Array:
    # The stream of RandomState is frozen, that of numpy's newer generators may change with a release.
    order = np.random.RandomState(seed).permutation(rows)
    if classes is None:
        return order[:count]
    of_class = classes[order]
    sizes = np.bincount(classes)
    quotas = sizes * (count / rows)
    wanted = np.minimum(np.floor(quotas).astype(np.int64), np.maximum(sizes - 1, 0))
    # What rounding left over goes to the classes that lost most by it, while they keep a row to train on.
    while (left := count - int(wanted.sum())) > 0:
        open_classes = np.flatnonzero(wanted < sizes - 1)
        if len(open_classes) == 0:
            break
        lost_most = open_classes[np.argsort(-(quotas - wanted)[open_classes], kind="stable")]
        wanted[lost_most[:left]] += 1
    grouped = np.argsort(of_class, kind="stable")
    firsts = np.cumsum(sizes) - sizes
    rank = np.arange(rows) - np.repeat(firsts, sizes)
    return order[grouped[rank < np.repeat(wanted, sizes)]]


def take_rows(array: Array, rows: Array) -> Array:
    """The rows of ``array`` with the numbers ``rows``: a copy, which is an unnamed file where ``array`` is mapped."""
    if not is_mapped(array):
        return array[rows]
    # What is mapped from a file stays in one, since it may be larger than the memory.
    step = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    with tempfile.TemporaryFile(prefix="raygrid-") as file:
        for start in range(0, len(rows), step):
            file.write(np.ascontiguousarray(array[rows[start : start + step]]).data)
        file.flush()
        return np.asarray(np.memmap(file, array.dtype, "r", shape=(len(rows), *array.shape[1:])))
