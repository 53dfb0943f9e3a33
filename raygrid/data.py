"""The training data of one call to ``fit``: all arrays checked, and split where no validation data is given.

Everything that can be wrong with data is found here, on the driver, before a trial starts. Keras would train
on empty or NaN data without an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from raygrid.arguments import fraction
from raygrid.data_arrays import (
    Array,
    FloatArray,
    as_features,
    as_sample_weights,
    as_targets,
    require_some_weight,
)
from raygrid.errors import ArgumentError, DataError, DataTypeError
from raygrid.fingerprint import digest_array
from raygrid.windows import run_numbers
from raygrid.wording import counted

__all__ = ["TrainingData", "as_features", "as_runs", "as_sample_weights", "as_targets", "prepare_data", "split_tail"]


def check_validation_split(value: object) -> float:
    """``value`` if rows can be split by it.

    Raises:
        ArgumentError: it is not a number between 0 and 1, both excluded.
    """
    return fraction("validation_split", value, "such as 0.2; to choose the validation data yourself, pass X_val")


def split_tail(fraction: float, *arrays: Array) -> list[tuple[Array, Array]]:
    """Split arrays of equal length into a head and a tail, by Keras' rule for ``validation_split``.

    The tail is the last ``fraction`` of the rows, in order, without shuffling. The place is
    ``floor(rows * (1 - fraction))``, as in ``keras.src.trainers.data_adapters.array_slicing``.

    Returns:
        One (head, tail) for each array, as views; the same views for the same array.

    Raises:
        ArgumentError: ``fraction`` is not a number between 0 and 1, both excluded.
        DataError: the arrays differ in length, or one of the two sides would be empty.
    """
    fraction = check_validation_split(fraction)
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1:
        raise DataError(f"Arrays of {lengths} rows cannot be split together. Pass arrays of one length.")
    rows = lengths[0]
    split_at = math.floor(rows * (1.0 - fraction))
    if split_at in (0, rows):
        raise DataError(
            f"validation_split={fraction!r} of {counted(rows, 'row')} leaves {split_at} for training and "
            f"{rows - split_at} for validation. Pass more rows, another validation_split, or X_val."
        )
    # Where the targets are the very array of the inputs, they stay one array, also in object stores and on devices.
    parts = {id(array): (array[:split_at], array[split_at:]) for array in arrays}
    return [parts[id(array)] for array in arrays]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The arrays of one search, checked, in original units. Nobody may write into them.

    Attributes:
        x_train: float32, shape (rows, ..., features).
        y_train: float32, int32 or int64, shape (rows,) or (rows, ...). None: the inputs are the targets.
        x_val: float32, of the trailing shape of ``x_train``.
        y_val: of the dtype and trailing shape of ``y_train``, or None.
        w_train: sample weights, float32, shape (rows,), or None.
        w_val: sample weights of the validation data, or None.
        runs_train: number of the run that each row belongs to, int32, shape (rows,), or None.
        runs_val: the same for the validation data.
    """

    x_train: FloatArray
    y_train: Array | None
    x_val: FloatArray
    y_val: Array | None
    w_train: FloatArray | None = None
    w_val: FloatArray | None = None
    runs_train: Array | None = None
    runs_val: Array | None = None

    @property
    def supervised(self) -> bool:
        """Whether there are targets apart from the inputs."""
        return self.y_train is not None

    @property
    def nbytes(self) -> int:
        """What the arrays take in memory together; scaled, they take no more."""
        return self._bytes_of(field.name for field in fields(self))

    @property
    def val_nbytes(self) -> int:
        """What the arrays for validation take of it."""
        return self._bytes_of(("x_val", "y_val", "w_val", "runs_val"))

    def _bytes_of(self, names: Iterable[str]) -> int:
        arrays = {id(array): array for name in names if (array := getattr(self, name)) is not None}
        return sum(array.nbytes for array in arrays.values())

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return ``{"digest", "shape", "dtype"}`` for each array that is there, by attribute name.

        The arrays are read once, at the first call.
        """
        return {name: dict(entry) for name, entry in self._digests.items()}

    @cached_property
    def _digests(self) -> dict[str, dict[str, Any]]:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: {"digest": digest_array(array), "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in arrays.items()
            if array is not None
        }


def prepare_data(
    X_train: object,
    X_val: object = None,
    *,
    y_train: object = None,
    y_val: object = None,
    sample_weight: object = None,
    val_sample_weight: object = None,
    run_ids: object = None,
    val_run_ids: object = None,
    validation_split: float = 0.2,
) -> TrainingData:
    """Check all data of a call to ``fit``, and split it where no validation data is given.

    Args:
        X_train: features, see `as_features`.
        X_val: features for validation. None: the last ``validation_split`` of all arrays, see `split_tail`.
        y_train: targets, see `as_targets`. None: the inputs are the targets.
        y_val: targets for validation; needed when both ``X_val`` and ``y_train`` are given.
        sample_weight: weights of the training rows, see `as_sample_weights`.
        val_sample_weight: weights of the rows of ``X_val``.
        run_ids: for time series, the run that each row belongs to, of any type; shape (rows,).
        val_run_ids: the same for ``X_val``.
        validation_split: checked, but not used, when ``X_val`` is given.

    Raises:
        ArgumentError: arguments that contradict each other.
        DataError: see the functions named above; or training and validation data do not fit together.
    """
    validation_split = check_validation_split(validation_split)
    _check_pairs(X_val, y_train, y_val, sample_weight, val_sample_weight)
    x = as_features("X_train", X_train)
    y = None if y_train is None else as_targets("y_train", y_train, len(x))
    w = None if sample_weight is None else as_sample_weights("sample_weight", sample_weight, len(x))
    runs = None if run_ids is None else as_runs("run_ids", run_ids, len(x))
    if X_val is None:
        if val_run_ids is not None:
            raise ArgumentError("val_run_ids is given without X_val. Pass X_val too, or leave val_run_ids out.")
        return _split(validation_split, x, y, w, runs)
    x_val = as_features("X_val", X_val)
    if x.shape[1:] != x_val.shape[1:]:
        raise DataError(
            f"X_train has rows of shape {x.shape[1:]} and X_val of {x_val.shape[1:]}. "
            "Pass the same features, in the same order, in both."
        )
    t_val = None if y_val is None else as_targets("y_val", y_val, len(x_val))
    if y is not None and t_val is not None:
        y, t_val = _alike_targets(y, t_val)
    w_val = None if val_sample_weight is None else as_sample_weights("val_sample_weight", val_sample_weight, len(x_val))
    if (run_ids is None) != (val_run_ids is None):
        raise ArgumentError("run_ids and val_run_ids go together when X_val is given. Pass both, or neither.")
    runs_val = None if val_run_ids is None else as_runs("val_run_ids", val_run_ids, len(x_val))
    return TrainingData(x, y, x_val, t_val, w, w_val, runs, runs_val)


def as_runs(name: str, value: object, rows: int) -> Array:
    """Return the number of the run that each row belongs to, see `run_numbers`.

    Args:
        name: what the caller calls the ids.
        value: ids of any type, shape (rows,).
        rows: the number of rows of the features.

    Raises:
        DataError: another shape.
    """
    ids = np.asarray(value)
    if ids.shape != (rows,):
        raise DataError(f"{name} has shape {ids.shape}; it must hold one id per row ({counted(rows, 'row')}).")
    return run_numbers(ids)


def _split(fraction: float, x: FloatArray, y: Array | None, w: FloatArray | None, runs: Array | None) -> TrainingData:
    present = [array for array in (x, y, w, runs) if array is not None]
    parts = iter(split_tail(fraction, *present))
    x_train, x_val = next(parts)
    y_train, y_val = (None, None) if y is None else next(parts)
    w_train, w_val = (None, None) if w is None else next(parts)
    runs_train, runs_val = (None, None) if runs is None else next(parts)
    if w_train is not None and w_val is not None:
        require_some_weight("the training part of sample_weight", w_train)
        require_some_weight("the validation part of sample_weight", w_val)
    return TrainingData(x_train, y_train, x_val, y_val, w_train, w_val, runs_train, runs_val)


def _check_pairs(x_val: object, y_train: object, y_val: object, weight: object, val_weight: object) -> None:
    if x_val is None:
        for name, value in (("y_val", y_val), ("val_sample_weight", val_weight)):
            if value is not None:
                raise ArgumentError(
                    f"{name} is given without X_val. Pass X_val too, or leave {name} out: "
                    "the validation data is then the last part of the training data."
                )
        return
    if y_train is not None and y_val is None:
        raise ArgumentError("X_val and y_train are given, but not y_val. Pass the targets of X_val as y_val.")
    if y_train is None and y_val is not None:
        raise ArgumentError("y_val is given without y_train. Pass both, or neither to use the inputs as targets.")
    if weight is None and val_weight is not None:
        raise ArgumentError(
            "val_sample_weight is given without sample_weight. Pass both: training and validation loss would "
            "measure different things."
        )


def _alike_targets(y_train: Array, y_val: Array) -> tuple[Array, Array]:
    if y_train.shape[1:] != y_val.shape[1:] or y_train.ndim != y_val.ndim:
        raise DataError(
            f"y_train has shape {y_train.shape} and y_val {y_val.shape}. Apart from the rows they must be equal."
        )
    if y_train.dtype.kind != y_val.dtype.kind:
        raise DataTypeError(
            f"y_train is of {y_train.dtype} and y_val of {y_val.dtype}. Use integers in both or floats "
            "in both, for example with .astype('float32')."
        )
    joint = np.result_type(y_train, y_val)
    return y_train.astype(joint, copy=False), y_val.astype(joint, copy=False)
