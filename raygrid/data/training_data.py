"""The training data of one call to ``fit``: all arrays checked, and split where no validation data is given.

Everything that can be wrong with data is found here, on the driver, before a trial starts. Keras would train
on empty or NaN data without an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from raygrid.base.arguments import flag
from raygrid.base.fingerprint import digest_array, digest_values
from raygrid.base.types import Array
from raygrid.data.checks import (
    as_floats,
    require_some_weight,
)
from raygrid.data.class_weights import checked_class_weight, class_weighted
from raygrid.data.column_names import Names
from raygrid.data.given_data import GivenData, by_kept, data_apart, in_training_order
from raygrid.data.missing_values import MissingValues
from raygrid.data.precision import FLOAT32, Unscaled, unscaled_dtype
from raygrid.data.scaling import ScalerSetting, scaled_leaves
from raygrid.data.splitting import check_validation_split, split_shuffled, split_tail
from raygrid.data.structures import (
    Tree,
    array_name,
    filled,
    leaf_name,
    leaves,
    row_count,
    same_structure,
)
from raygrid.data.target_classes import target_classes, unseen_classes
from raygrid.data.texts import TEXT, digest_texts, is_text
from raygrid.errors import ArgumentError, DataError, DataTypeError

log = logging.getLogger("raygrid")

_PARTS = ("train", "val")
_ARRAYS = ("x_train", "y_train", "x_val", "y_val", "w_train", "w_val", "runs_train", "runs_val")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The checked arrays of one search, in original units and with the values that were given. They are never changed.

    Inputs, targets and weights are an array each, or a structure of arrays, see ``raygrid.data.structures``.

    Attributes:
        x_train: float32, float64, bool, integers of any size, or texts; shape (rows, ..., features), as a part of a
            structure also (rows,).
        y_train: float32, float64, int32 or int64, shape (rows,) or (rows, ...). None: the inputs are the targets.
        x_val: of the trailing shape of ``x_train``; floats where it holds floats, integers where it holds integers.
        y_val: of the dtype and trailing shape of ``y_train``, or None.
        w_train: sample weights, float32, shape (rows,), or None.
        w_val: sample weights of the validation data, or None.
        runs_train: number of the run that each row belongs to, int32, shape (rows,), or None.
        runs_val: the same for the validation data.
        names: the names of columns, by the array of the training data that has them, such as ``x_train``; of targets
            where there are several columns.
    """

    x_train: Tree
    y_train: Tree | None
    x_val: Tree
    y_val: Tree | None
    w_train: Tree | None = None
    w_val: Tree | None = None
    runs_train: Array | None = None
    runs_val: Array | None = None
    names: Mapping[str, Names] = field(default_factory=dict)

    @property
    def supervised(self) -> bool:
        """Whether there are targets apart from the inputs."""
        return self.y_train is not None

    @property
    def rows(self) -> int:
        """How many rows are trained on."""
        return row_count(self.x_train)

    @property
    def val_rows(self) -> int:
        """How many rows validate."""
        return row_count(self.x_val)

    def trees(self) -> dict[str, Tree]:
        """What is there, by attribute name."""
        return {name: tree for name in _ARRAYS if (tree := getattr(self, name)) is not None}

    def arrays(self) -> dict[str, Array]:
        """The arrays that are there, by attribute name; those of a structure with their path after a slash."""
        return {array_name(name, path): a for name, tree in self.trees().items() for path, a in leaves(tree).items()}

    def scaled(self, scaler: ScalerSetting, target_scaler: ScalerSetting) -> frozenset[str]:
        """The names of the arrays that are scaled, see ``scaled_leaves``.

        Raises:
            ArgumentError: a setting names a part that is not there.
        """
        found = {"x": scaled_leaves(scaler, self.x_train)}
        if self.y_train is not None:
            found["y"] = scaled_leaves(target_scaler, self.y_train, "target_scaler", "y_train")
        return frozenset(
            array_name(f"{role}_{part}", path) for role, paths in found.items() for path in paths for part in _PARTS
        )

    def fed_dtypes(self, scaler: ScalerSetting, target_scaler: ScalerSetting) -> dict[str, np.dtype[Any]]:
        """The dtype of each array as a model is fed it: what is scaled is float32, see ``unscaled_dtype`` for the rest.

        Training and validation data have one dtype. Texts stay what they are.

        Raises:
            DataError: integers beyond int64 that are not scaled.
        """
        scaled, dtypes = self.scaled(scaler, target_scaler), {name: a.dtype for name, a in self.arrays().items()}
        for name, dtype in dtypes.items():
            if name in scaled or (name.startswith("y_") and dtype.kind == "f"):
                dtypes[name] = FLOAT32
            elif name.startswith("x_"):
                dtypes[name] = self._unscaled_inputs[name.partition("/")[2]]
        return dtypes

    @cached_property
    def _unscaled_inputs(self) -> dict[str, np.dtype[Any]]:
        """By path."""
        found: dict[str, np.dtype[Any]] = {}
        for name, shown, tree in (("x_train", "X_train", self.x_train), ("x_val", "X_val", self.x_val)):
            for path, array in leaves(tree).items():
                dtype = array.dtype if is_text(array) else unscaled_dtype(leaf_name(shown, path), array, small=True)
                found[path] = dtype if name == "x_train" else np.promote_types(found[path], dtype)
        return found

    def unscaled(self, scaler: ScalerSetting, target_scaler: ScalerSetting) -> list[Unscaled]:
        """The numbers of inputs and targets that are not scaled, by the names that users know."""
        scaled, dtypes = self.scaled(scaler, target_scaler), self.fed_dtypes(scaler, target_scaler)
        return [
            Unscaled(
                leaf_name(name.partition("/")[0].replace("x_", "X_"), name.partition("/")[2]),
                array,
                dtypes[name],
                "scaler" if name.startswith("x_") else "target_scaler",
                self.names.get(name.replace("_val", "_train", 1)),
            )
            for name, array in self.arrays().items()
            if name.startswith(("x_", "y_")) and name not in scaled and not is_text(array)
        ]

    def digests(self, scaler: ScalerSetting = None) -> dict[str, dict[str, Any]]:
        """Return ``{"digest", "shape", "dtype"}`` for each array that is there, by the names of ``arrays``.

        Those of ``names`` have ``"names"`` as well. Inputs count by their values, and targets by these and by whether
        they are whole numbers. The dtype is that of the array as an unscaled model is fed it.

        Args:
            scaler: how inputs are scaled.

        The arrays are read once, at the first call.

        Raises:
            DataError: integers beyond int64 that are not scaled.
        """
        dtypes = self.fed_dtypes(scaler, None)
        entries: dict[str, dict[str, Any]] = {
            name: {
                "digest": self._digests[name],
                "shape": list(array.shape),
                "dtype": TEXT if is_text(array) else str(dtypes[name]),
            }
            for name, array in self.arrays().items()
        }
        for name, names in self.names.items():
            entries[name]["names"] = list(names)
        return entries

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {name: _digest(name, array) for name, array in self.arrays().items()}


def _digest(name: str, array: Array) -> str:
    if is_text(array):
        return digest_texts(array)
    # What a classifier and a regressor learn from equal numbers differs; of whole inputs, the dtype says it.
    return digest_values(array) if name.startswith("x_") or array.dtype.kind == "f" else digest_array(array)


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
    single_array: bool = False,
    validation_data: object = None,
    class_weight: object = None,
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
        single_array: whether inputs and targets are an array of numbers each, and structures and texts are refused.
        validation_data: ``(X_val, y_val)`` or ``(X_val, y_val, val_sample_weight)`` instead of these, as in
            ``model.fit``.
        in_series: whether rows follow each other also where there are no run ids.

        class_weight: weights of classes, which multiply those of the training rows; see `class_weighted`.

    Raises:
        ArgumentError: arguments that contradict each other.
        DataError: see the functions named above; or training and validation data do not fit together.
    """
    validation_split = check_validation_split(validation_split)
    given_together = {"X_train": X_train, "y_train": y_train, "sample_weight": sample_weight}
    validation = {"X_val": X_val, "y_val": y_val, "val_sample_weight": val_sample_weight}
    apart = data_apart({**given_together, **validation, "validation_data": validation_data})
    X_train, y_train, sample_weight = (apart[name] for name in given_together)
    X_val, y_val, val_sample_weight = (apart[name] for name in validation)
    _check_pairs(X_val, y_train, y_val, sample_weight, val_sample_weight)
    _check_shuffle_split(flag("shuffle_split", shuffle_split), X_val, run_ids)
    given = GivenData(
        "X_train",
        X_train,
        {"y_train": y_train, "sample_weight": sample_weight, "run_ids": run_ids},
        MissingValues("$drop_missing", in_series or run_ids is not None),
        single_array,
    )
    names: dict[str, Names] = {}
    x = given.inputs(lambda path, array: by_kept(kept or {}, names, "x_train", given.name, path, array))
    y = given.targets("y_train", lambda path, array: by_kept(kept or {}, names, "y_train", "y_train", path, array))
    w, runs = given.weights("sample_weight"), given.runs("run_ids")
    _require_targets_for_texts(given.name, x, y)
    if X_val is None:
        given.missing.require_none()
        if val_run_ids is not None:
            raise ArgumentError(
                "val_run_ids is given without X_val.", remedy="Pass X_val too, or leave val_run_ids out."
            )
        draw = _Draw(validation_split, seed if shuffle_split else None, targets_are_labels)
        return _weighted(replace(_split(draw, x, y, w, runs), names=names), class_weight)
    others = {"y_val": y_val, "val_sample_weight": val_sample_weight, "val_run_ids": val_run_ids}
    held = GivenData("X_val", X_val, others, given.missing, single_array)
    same_structure("X_val", held.x, "X_train", x)
    # Other columns are refused first, whatever is in them.
    held.check_columns(names, x)
    x_val = held.inputs(lambda path, array: in_training_order(names, "x_train", "X_train", x, path, array))
    t_val = held.targets("y_val", lambda path, array: in_training_order(names, "y_train", "y_train", y, path, array))
    w_val = held.weights("val_sample_weight")
    given.missing.require_none()
    x, x_val = _alike("X_train", x, "X_val", x_val, _alike_inputs)
    if y is not None and t_val is not None:
        same_structure("y_val", t_val, "y_train", y)
        y, t_val = _alike("y_train", y, "y_val", t_val, _alike_targets)
        if not targets_are_labels:
            # Who knows that they are labels refuses them, by their own names.
            _warn_of_unseen(y, t_val, targets_are_labels)
    if w is not None and w_val is not None:
        same_structure("val_sample_weight", w_val, "sample_weight", w)
    if (run_ids is None) != (val_run_ids is None):
        raise ArgumentError("run_ids and val_run_ids go together when X_val is given.", remedy="Pass both, or neither.")
    return _weighted(TrainingData(x, y, x_val, t_val, w, w_val, runs, held.runs("val_run_ids"), names), class_weight)


def _require_targets_for_texts(name: str, x: Tree, y: Tree | None) -> None:
    """Refuses texts where the inputs are the targets: no loss compares texts."""
    texts = [leaf_name(name, path) for path, array in leaves(x).items() if is_text(array)]
    if texts and y is None:
        raise DataTypeError(
            f"{', '.join(texts)} holds texts, and no targets are given: the inputs would be the targets, and no loss "
            "compares texts.",
            remedy="Pass targets as y_train, or turn the texts into numbers.",
        )


def _weighted(data: TrainingData, class_weight: object) -> TrainingData:
    checked = checked_class_weight(class_weight)
    return data if checked is None else replace(data, w_train=class_weighted(checked, data.y_train, data.w_train))


def _alike(
    name: str, train: Tree, val_name: str, val: Tree, check: Callable[[str, Array, str, Array], tuple[Array, Array]]
) -> tuple[Tree, Tree]:
    """Both with each pair of leaves as ``check`` gives it."""
    others = leaves(val)
    pairs = {p: check(leaf_name(name, p), a, leaf_name(val_name, p), others[p]) for p, a in leaves(train).items()}
    return (
        filled(train, {path: pair[0] for path, pair in pairs.items()}),
        filled(train, {path: pair[1] for path, pair in pairs.items()}),
    )


def _warn_of_unseen(y: Tree, y_val: Tree, targets_are_labels: bool | None) -> None:
    others = leaves(y_val)
    for path, array in leaves(y).items():
        unseen = unseen_classes(array, others[path], targets_are_labels)
        if unseen:
            log.warning(
                "%s has classes that %s does not have: %s. No model can learn them. Put rows of these classes "
                "into the training data, or leave them out of the validation data; where the targets are numbers to "
                "predict and not classes, all is well.",
                leaf_name("y_val", path),
                leaf_name("y_train", path),
                unseen,
            )


@dataclass(frozen=True)
class _Draw:
    """How validation rows are chosen: the last ones, or with ``seed``, drawn."""

    fraction: float
    seed: int | None
    targets_are_labels: bool | None


def _split(draw: _Draw, x: Tree, y: Tree | None, w: Tree | None, runs: Array | None) -> TrainingData:
    trees = {name: tree for name, tree in (("x", x), ("y", y), ("w", w), ("runs", runs)) if tree is not None}
    present = [array for tree in trees.values() for array in leaves(tree).values()]
    if draw.seed is None:
        parts = iter(split_tail(draw.fraction, *present))
    else:
        # Of several targets none says which rows are alike.
        classes = target_classes(y, draw.targets_are_labels) if isinstance(y, np.ndarray) else None
        codes = None if classes is None else classes.codes
        parts = iter(split_shuffled(draw.fraction, draw.seed, codes, *present))
    train, val = {}, {}
    for name, tree in trees.items():
        pairs = {path: next(parts) for path in leaves(tree)}
        train[name], val[name] = (filled(tree, {path: pair[i] for path, pair in pairs.items()}) for i in (0, 1))
    for which, part in (("training", train), ("validation", val)):
        for path, weights in leaves(part.get("w", ())).items():
            require_some_weight(f"the {which} part of {leaf_name('sample_weight', path)}", weights)
    if y is not None and draw.seed is None and not draw.targets_are_labels:
        held_out = leaves(val["y"])
        for path, array in leaves(train["y"]).items():
            unseen = unseen_classes(array, held_out[path], draw.targets_are_labels)
            if unseen:
                log.warning(
                    "The validation rows, the last ones of the data, have classes that the training rows do not have: "
                    "%s. No model can learn them. Are the rows sorted? Pass shuffle_split=True, or choose the "
                    "validation rows yourself: X_val and y_val. Where the targets are numbers to predict and not "
                    "classes, all is well.",
                    unseen,
                )
    return TrainingData(
        train["x"],
        train.get("y"),
        val["x"],
        val.get("y"),
        train.get("w"),
        val.get("w"),
        train.get("runs"),
        val.get("runs"),
    )


def _check_shuffle_split(shuffle_split: bool, x_val: object, run_ids: object) -> None:
    if shuffle_split and x_val is not None:
        raise ArgumentError(
            "shuffle_split chooses the validation rows, and X_val is given.",
            remedy="Leave $shuffle_split or X_val out.",
        )
    if shuffle_split and run_ids is not None:
        raise ArgumentError(
            "shuffle_split draws single rows, and run_ids says that the rows are series, whose order counts.",
            remedy="Leave $shuffle_split out, or $validate_whole_runs.",
        )


def _check_pairs(x_val: object, y_train: object, y_val: object, weight: object, val_weight: object) -> None:
    if x_val is None:
        for name, value in (("y_val", y_val), ("val_sample_weight", val_weight)):
            if value is not None:
                raise ArgumentError(
                    f"{name} is given without X_val.",
                    remedy=f"Pass X_val too, or leave {name} out: the validation data is then the last part of the "
                    "training data.",
                )
        return
    if y_train is not None and y_val is None:
        raise ArgumentError("X_val and y_train are given, but not y_val.", remedy="Pass the targets of X_val as y_val.")
    if y_train is None and y_val is not None:
        raise ArgumentError(
            "y_val is given without y_train.", remedy="Pass both, or neither to use the inputs as targets."
        )
    if weight is None and val_weight is not None:
        raise ArgumentError(
            "val_sample_weight is given without sample_weight: training and validation loss would measure different "
            "things.",
            remedy="Pass both, or neither.",
        )


def _alike_inputs(name: str, x_train: Array, val_name: str, x_val: Array) -> tuple[Array, Array]:
    """Both as floats where one of them is."""
    if x_train.shape[1:] != x_val.shape[1:]:
        raise DataError(
            f"{name} has rows of shape {x_train.shape[1:]} and {val_name} of {x_val.shape[1:]}.",
            remedy="Pass the same features, in the same order, in both.",
        )
    if is_text(x_train) != is_text(x_val):
        texts, numbers = (name, val_name) if is_text(x_train) else (val_name, name)
        raise DataTypeError(f"{texts} holds texts, and {numbers} numbers.", remedy="Pass the same kind in both.")
    if (x_train.dtype.kind == "f") == (x_val.dtype.kind == "f"):
        return x_train, x_val
    return as_floats(name, x_train), as_floats(val_name, x_val)


def _alike_targets(name: str, y_train: Array, val_name: str, y_val: Array) -> tuple[Array, Array]:
    if y_train.shape[1:] != y_val.shape[1:] or y_train.ndim != y_val.ndim:
        raise DataError(
            f"{name} has shape {y_train.shape} and {val_name} {y_val.shape}.",
            remedy="Pass targets whose shapes differ in nothing but the number of rows.",
        )
    if y_train.dtype.kind != y_val.dtype.kind:
        raise DataTypeError(
            f"{name} is of {y_train.dtype} and {val_name} of {y_val.dtype}.",
            remedy="Use integers in both or floats in both, for example with .astype('float32').",
        )
    joint = np.result_type(y_train, y_val)
    return y_train.astype(joint, copy=False), y_val.astype(joint, copy=False)
