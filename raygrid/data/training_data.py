"""The training data of one call to ``fit``: all arrays checked, and split where no validation data is given.

Everything that can be wrong with data is found here, on the driver, before a trial starts. Keras would train
on empty or NaN data without an error.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raygrid.base.arguments import flag
from raygrid.base.fingerprint import digest_array, digest_values
from raygrid.base.types import Array, Float32Array
from raygrid.base.wording import counted
from raygrid.data.checks import (
    as_features,
    as_floats,
    as_sample_weights,
    as_targets,
    require_some_weight,
)
from raygrid.data.column_names import Names, column_order, in_order, kept_names, names_of
from raygrid.data.missing_values import MissingValues
from raygrid.data.precision import FLOAT32, Unscaled, unscaled_dtype
from raygrid.data.row_labels import check_row_labels
from raygrid.data.splitting import check_validation_split, split_shuffled, split_tail
from raygrid.data.target_classes import target_classes, unseen_classes
from raygrid.data.windows import run_numbers
from raygrid.errors import ArgumentError, DataError, DataTypeError

__all__ = ["TrainingData", "as_features", "as_runs", "as_sample_weights", "as_targets", "prepare_data"]

log = logging.getLogger("raygrid")

_ARRAYS = ("x_train", "y_train", "x_val", "y_val", "w_train", "w_val", "runs_train", "runs_val")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The checked arrays of one search, in original units and with the values that were given. They are never changed.

    Attributes:
        x_train: float32, float64, bool, or integers of any size; shape (rows, ..., features).
        y_train: float32, float64, int32 or int64, shape (rows,) or (rows, ...). None: the inputs are the targets.
        x_val: of the trailing shape of ``x_train``; floats where it holds floats, integers where it holds integers.
        y_val: of the dtype and trailing shape of ``y_train``, or None.
        w_train: sample weights, float32, shape (rows,), or None.
        w_val: sample weights of the validation data, or None.
        runs_train: number of the run that each row belongs to, int32, shape (rows,), or None.
        runs_val: the same for the validation data.
        feature_names: the names of the columns of ``x_train`` and ``x_val``, or None.
        target_names: those of ``y_train`` and ``y_val`` where there are several columns with names, or None.
    """

    x_train: Array
    y_train: Array | None
    x_val: Array
    y_val: Array | None
    w_train: Float32Array | None = None
    w_val: Float32Array | None = None
    runs_train: Array | None = None
    runs_val: Array | None = None
    feature_names: Names | None = None
    target_names: Names | None = None

    @property
    def supervised(self) -> bool:
        """Whether there are targets apart from the inputs."""
        return self.y_train is not None

    def arrays(self) -> dict[str, Array]:
        """The arrays that are there, by attribute name."""
        return {name: array for name in _ARRAYS if (array := getattr(self, name)) is not None}

    def fed_dtypes(self, *, inputs_scaled: bool, targets_scaled: bool) -> dict[str, np.dtype[Any]]:
        """The dtype of each array as a model is fed it: what is scaled is float32, see ``unscaled_dtype`` for the rest.

        Training and validation data have one dtype.

        Raises:
            DataError: integers beyond int64 that are not scaled.
        """
        dtypes = {name: array.dtype for name, array in self.arrays().items()}
        inputs = FLOAT32 if inputs_scaled else self._unscaled_inputs
        dtypes |= {"x_train": inputs, "x_val": inputs}
        for name in ("y_train", "y_val"):
            if name in dtypes and (targets_scaled or dtypes[name].kind == "f"):
                dtypes[name] = FLOAT32
        return dtypes

    @cached_property
    def _unscaled_inputs(self) -> np.dtype[Any]:
        return np.promote_types(unscaled_dtype("X_train", self.x_train), unscaled_dtype("X_val", self.x_val))

    def unscaled(self, *, inputs_scaled: bool, targets_scaled: bool) -> list[Unscaled]:
        """The inputs and targets that are not scaled, by the names that users know."""
        settings = {} if inputs_scaled else {"x": "scaler"}
        settings |= {} if targets_scaled else {"y": "target_scaler"}
        dtypes = self.fed_dtypes(inputs_scaled=inputs_scaled, targets_scaled=targets_scaled)
        labels = {"x": self.feature_names, "y": self.target_names}
        return [
            Unscaled(name.replace("x_", "X_"), array, dtypes[name], settings[name[0]], labels[name[0]])
            for name, array in self.arrays().items()
            if name[0] in settings
        ]

    def digests(self, *, inputs_scaled: bool = False) -> dict[str, dict[str, Any]]:
        """Return ``{"digest", "shape", "dtype"}`` for each array that is there, by attribute name.

        ``x_train`` and ``y_train`` have ``"names"`` as well where their columns have names. Inputs count by their
        values, and targets by these and by whether they are whole numbers. The dtype is that of
        the array as an unscaled model is fed it; ``inputs_scaled``: of the inputs, as a scaled one is.

        The arrays are read once, at the first call.

        Raises:
            DataError: integers beyond int64 that are not scaled.
        """
        dtypes = self.fed_dtypes(inputs_scaled=inputs_scaled, targets_scaled=False)
        entries: dict[str, dict[str, Any]] = {
            name: {"digest": self._digests[name], "shape": list(array.shape), "dtype": str(dtypes[name])}
            for name, array in self.arrays().items()
        }
        for name, names in (("x_train", self.feature_names), ("y_train", self.target_names)):
            if names is not None:
                entries[name]["names"] = list(names)
        return entries

    @cached_property
    def _digests(self) -> dict[str, str]:
        # What a classifier and a regressor learn from equal numbers differs; of whole inputs, the dtype says it.
        return {
            name: digest_values(array) if name.startswith("x_") or array.dtype.kind == "f" else digest_array(array)
            for name, array in self.arrays().items()
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
    shuffle_split: bool = False,
    seed: int = 0,
    targets_are_labels: bool | None = None,
    kept: Mapping[str, Sequence[str]] | None = None,
    in_series: bool = False,
) -> TrainingData:
    """Check all data of a call to ``fit``, and split it where no validation data is given.

    Columns with names go by their names, see `column_order`; rows go by position, see `check_row_labels`.

    Args:
        X_train: features, see `as_features`.
        X_val: features for validation. None: a ``validation_split`` of all arrays.
        y_train: targets, see `as_targets`. None: the inputs are the targets.
        y_val: targets for validation; needed when both ``X_val`` and ``y_train`` are given.
        sample_weight: weights of the training rows, see `as_sample_weights`.
        val_sample_weight: weights of the rows of ``X_val``.
        run_ids: for time series, the run that each row belongs to, of any type; shape (rows,).
        val_run_ids: the same for ``X_val``.
        validation_split: checked, but not used, when ``X_val`` is given.
        shuffle_split: draw the rows that validate, see `split_shuffled`, instead of taking the last ones. Targets that
            are labels are drawn class by class.
        seed: what that draw depends on.
        targets_are_labels: what is known of the targets, see `target_classes`.
        kept: ``"x_train"`` and ``"y_train"`` to the names of the columns of a published model. The same names in
            another order are put in that order, and an array without names takes them over.
        in_series: whether rows follow each other also where there are no run ids.

    Raises:
        ArgumentError: arguments that contradict each other.
        DataError: see the functions named above; or training and validation data do not fit together.
    """
    validation_split = check_validation_split(validation_split)
    _check_pairs(X_val, y_train, y_val, sample_weight, val_sample_weight)
    _check_shuffle_split(flag("shuffle_split", shuffle_split), X_val, run_ids)
    check_row_labels("X_train", X_train, y_train=y_train, sample_weight=sample_weight, run_ids=run_ids)
    kept, missing = kept or {}, MissingValues("$drop_missing", in_series or run_ids is not None)
    x, names = _named("X_train", X_train, as_features("X_train", X_train, missing), kept.get("x_train"))
    y, target_names = None, None
    if y_train is not None:
        y = as_targets("y_train", y_train, len(x), missing)
        y, target_names = _named("y_train", y_train, y, kept.get("y_train"))
        if y.ndim == 1 or y.shape[1] == 1:
            # A single column has no order, and whoever passes it has chosen it.
            target_names = None
    w = None if sample_weight is None else as_sample_weights("sample_weight", sample_weight, len(x), missing)
    runs = None if run_ids is None else as_runs("run_ids", run_ids, len(x))
    if X_val is None:
        missing.require_none()
        if val_run_ids is not None:
            raise ArgumentError("val_run_ids is given without X_val. Pass X_val too, or leave val_run_ids out.")
        draw = _Draw(validation_split, seed if shuffle_split else None, targets_are_labels)
        return replace(_split(draw, x, y, w, runs), feature_names=names, target_names=target_names)
    check_row_labels("X_val", X_val, y_val=y_val, val_sample_weight=val_sample_weight, val_run_ids=val_run_ids)
    order = column_order("X_val", names_of("X_val", X_val), names, "X_train", x.shape[-1])
    x_val = in_order(as_features("X_val", X_val, missing), order)
    t_val = None if y_val is None else as_targets("y_val", y_val, len(x_val), missing)
    w_val = None
    if val_sample_weight is not None:
        w_val = as_sample_weights("val_sample_weight", val_sample_weight, len(x_val), missing)
    missing.require_none()
    if x.shape[1:] != x_val.shape[1:]:
        raise DataError(
            f"X_train has rows of shape {x.shape[1:]} and X_val of {x_val.shape[1:]}. "
            "Pass the same features, in the same order, in both."
        )
    x, x_val = _alike_inputs(x, x_val)
    if y is not None and t_val is not None:
        if y.ndim > 1 and y.shape[1] > 1:
            order = column_order("y_val", names_of("y_val", y_val), target_names, "y_train", y.shape[-1])
            t_val = in_order(t_val, order)
        y, t_val = _alike_targets(y, t_val)
        # Who knows that they are labels refuses them, by their own names.
        unseen = "" if targets_are_labels else unseen_classes(y, t_val, targets_are_labels)
        if unseen:
            log.warning(
                "y_val has classes that y_train does not have: %s. No model can learn them. Put rows of these classes "
                "into the training data, or leave them out of the validation data; where the targets are numbers to "
                "predict and not classes, all is well.",
                unseen,
            )
    if (run_ids is None) != (val_run_ids is None):
        raise ArgumentError("run_ids and val_run_ids go together when X_val is given. Pass both, or neither.")
    runs_val = None if val_run_ids is None else as_runs("val_run_ids", val_run_ids, len(x_val))
    return TrainingData(x, y, x_val, t_val, w, w_val, runs, runs_val, names, target_names)


def _named(name: str, value: object, array: Array, kept: Sequence[str] | None) -> tuple[Array, Names | None]:
    """``array``, made of ``value``, and the names of its columns, in the order of ``kept`` where they are the same."""
    given = names_of(name, value)
    if kept is not None and given is not None and set(given) == set(kept):
        return in_order(array, column_order(name, given, kept, "the published model")), tuple(kept)
    names = kept_names(given)
    if names is None and kept is not None and len(kept) == array.shape[-1]:
        return array, tuple(kept)
    return array, names


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


@dataclass(frozen=True)
class _Draw:
    """How validation rows are chosen: the last ones, or with ``seed``, drawn."""

    fraction: float
    seed: int | None
    targets_are_labels: bool | None


def _split(draw: _Draw, x: Array, y: Array | None, w: Float32Array | None, runs: Array | None) -> TrainingData:
    present = [array for array in (x, y, w, runs) if array is not None]
    if draw.seed is None:
        parts = iter(split_tail(draw.fraction, *present))
    else:
        classes = None if y is None else target_classes(y, draw.targets_are_labels)
        codes = None if classes is None else classes.codes
        parts = iter(split_shuffled(draw.fraction, draw.seed, codes, *present))
    x_train, x_val = next(parts)
    y_train, y_val = (None, None) if y is None else next(parts)
    w_train, w_val = (None, None) if w is None else next(parts)
    runs_train, runs_val = (None, None) if runs is None else next(parts)
    if w_train is not None and w_val is not None:
        require_some_weight("the training part of sample_weight", w_train)
        require_some_weight("the validation part of sample_weight", w_val)
    if y_train is not None and y_val is not None and draw.seed is None and not draw.targets_are_labels:
        unseen = unseen_classes(y_train, y_val, draw.targets_are_labels)
        if unseen:
            log.warning(
                "The validation rows, the last ones of the data, have classes that the training rows do not have: %s. "
                "No model can learn them. Are the rows sorted? Pass shuffle_split=True, or choose the validation rows "
                "yourself: X_val and y_val. Where the targets are numbers to predict and not classes, all is well.",
                unseen,
            )
    return TrainingData(x_train, y_train, x_val, y_val, w_train, w_val, runs_train, runs_val)


def _check_shuffle_split(shuffle_split: bool, x_val: object, run_ids: object) -> None:
    if shuffle_split and x_val is not None:
        raise ArgumentError("shuffle_split chooses the validation rows, and X_val is given. Leave one of them out.")
    if shuffle_split and run_ids is not None:
        raise ArgumentError(
            "shuffle_split draws single rows, and run_ids says that the rows are series, whose order counts. Leave "
            "shuffle_split out, or pass whole runs for validation as X_val and val_run_ids."
        )


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


def _alike_inputs(x_train: Array, x_val: Array) -> tuple[Array, Array]:
    """Both as floats where one of them is."""
    if (x_train.dtype.kind == "f") == (x_val.dtype.kind == "f"):
        return x_train, x_val
    return as_floats("X_train", x_train), as_floats("X_val", x_val)


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
