"""The data of a call of ``fit`` as it was passed: its parts told apart, checked one by one, and its columns in order.

Everything that can be wrong with a part is found here; ``training_data`` holds the parts against each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import as_features, as_input, as_sample_weights, as_targets
from raygrid.data.column_names import Names, column_order, in_order, kept_names, names_of
from raygrid.data.missing_values import MissingValues
from raygrid.data.row_labels import check_row_labels
from raygrid.data.structures import Tree, array_name, filled, given_structure, is_structure, leaf_name, leaves
from raygrid.data.texts import is_text
from raygrid.data.windows import run_numbers
from raygrid.errors import ArgumentError, DataError


def unpacked(name: str, x: object, y: object, weight: object) -> tuple[object, object, object]:
    """Inputs, targets and weights, which may be given together as a tuple, as Keras' datasets give them.

    With targets apart, a tuple is one of several inputs.

    Raises:
        ArgumentError: a tuple of more than three.
    """
    if not isinstance(x, tuple) or y is not None or not is_structure(x):
        return x, y, weight
    if not 2 <= len(x) <= 3 or (len(x) == 3 and weight is not None):
        raise ArgumentError(
            f"{name} is a tuple of {len(x)}. A tuple is inputs and targets, (X, y), or inputs, targets and weights.",
            remedy="Pass several inputs of a model as a list or a dict.",
        )
    return (x[0], x[1], x[2] if len(x) == 3 else weight)


def data_apart(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``fit`` with inputs, targets and weights each by its own name, however they were passed.

    Raises:
        ArgumentError: the same is given twice, or is no pair of inputs and targets.
    """
    apart = {name: value for name, value in data.items() if name != "validation_data"}
    for x, y, w in (("X_train", "y_train", "sample_weight"), ("X_val", "y_val", "val_sample_weight")):
        given = (apart.get(x), apart.get(y), apart.get(w))
        if x == "X_val" and data.get("validation_data") is not None:
            parts = _validation_parts(data["validation_data"], *given)
        else:
            parts = unpacked(x, *given)
        apart |= dict(zip((x, y, w), parts, strict=True))
    return apart


def _validation_parts(value: object, *others: object) -> tuple[object, object, object]:
    if any(other is not None for other in others):
        raise ArgumentError(
            "validation_data is given, and X_val, y_val or val_sample_weight as well.", remedy="Leave one of them out."
        )
    if not isinstance(value, tuple | list) or not 2 <= len(value) <= 3:
        raise ArgumentError(
            f"validation_data is a {type(value).__name__}, and must be (X_val, y_val) or (X_val, y_val, "
            "val_sample_weight).",
            remedy="Pass inputs without targets as X_val.",
        )
    return (value[0], value[1], value[2] if len(value) == 3 else None)


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
        raise DataError(
            f"{name} has shape {ids.shape}.", remedy=f"It must hold one id per row ({counted(rows, 'row')})."
        )
    return run_numbers(ids)


Change = Callable[[str, tuple[object, Array]], Array]


class GivenData:
    """The training or the validation data as it was passed, each part of it checked when it is asked for.

    Args:
        name: what users call the inputs.
        x: the inputs.
        others: what else has a value for each row; None is left out.
        missing: takes what is missing.
        single: whether each part is an array of numbers.
    """

    def __init__(
        self, name: str, x: object, others: Mapping[str, object], missing: MissingValues, single: bool
    ) -> None:
        self.name = name
        self._single = single
        if single:
            for part, value in {name: x, **others}.items():
                if is_structure(value):
                    # Says what it is, and what to do.
                    as_features(part, value)
        self.x = given_structure(name, x)
        self.missing = missing
        self._others = {other: given_structure(other, value) for other, value in others.items() if value is not None}
        beside = {leaf_name(o, path): leaf for o, tree in self._others.items() for path, leaf in leaves(tree).items()}
        for path, leaf in leaves(self.x).items():
            check_row_labels(leaf_name(name, path), leaf, **beside)
        self._rows = 0

    def check_columns(self, names: Mapping[str, Names], train: Tree) -> None:
        """Requires the inputs to have the columns of the training data, in any order."""
        like = leaves(train)
        for path, leaf in leaves(self.x).items():
            if like[path].ndim > 1 and not is_text(like[path]):
                own, width = leaf_name(self.name, path), like[path].shape[-1]
                column_order(own, names_of(own, leaf), names.get(array_name("x_train", path)), "X_train", width)

    def inputs(self, change: Change) -> Tree:
        """The inputs, checked; ``change`` takes a path, the data that was passed, and the array that was made of it."""
        alone = not isinstance(self.x, dict | tuple)
        checked: dict[str, Array] = {}
        for path, leaf in leaves(self.x).items():
            name = leaf_name(self.name, path)
            check = as_features if self._single else functools.partial(as_input, alone=alone)
            array = check(name, leaf, self.missing)
            if checked and len(array) != self._rows:
                first = leaf_name(self.name, next(iter(checked)))
                raise DataError(
                    f"{name} has {counted(len(array), 'row')}, and {first} has {self._rows}.",
                    remedy="Pass the same rows, in the same order, in all parts.",
                )
            self._rows = len(array)
            checked[path] = change(path, (leaf, array))
        return filled(self.x, checked)

    def targets(self, name: str, change: Change) -> Tree | None:
        """The targets, checked; ``change`` as for ``inputs``."""
        return self._each(name, lambda shown, leaf: as_targets(shown, leaf, self._rows, self.missing), change)

    def weights(self, name: str) -> Tree | None:
        """The weights of rows, checked."""
        return self._each(name, lambda shown, leaf: as_sample_weights(shown, leaf, self._rows, self.missing))

    def runs(self, name: str) -> Array | None:
        """The number of each row's run."""
        return as_runs(name, self._others[name], self._rows) if name in self._others else None

    def _each(
        self, name: str, check: Callable[[str, object], Array], change: Change = lambda path, made: made[1]
    ) -> Tree | None:
        tree = self._others.get(name)
        if tree is None:
            return None
        made = {p: change(p, (leaf, check(leaf_name(name, p), leaf))) for p, leaf in leaves(tree).items()}
        return filled(tree, made)


def by_kept(
    kept: Mapping[str, Sequence[str]],
    names: dict[str, Names],
    name: str,
    shown: str,
    path: str,
    made: tuple[object, Array],
) -> Array:
    """The array with its columns in the order of a published model; notes the names that it has then."""
    key = array_name(name, path)
    array, found = _named(leaf_name(shown, path), *made, kept.get(key))
    if found is not None and (name == "x_train" or _several_columns(array)):
        # A single column of targets has no order, and whoever passes it has chosen it.
        names[key] = found
    return array


def in_training_order(
    names: Mapping[str, Names], name: str, shown: str, train: Tree | None, path: str, made: tuple[object, Array]
) -> Array:
    """The array of validation data with its columns in the order of the training data."""
    value, array = made
    like = None if train is None else leaves(train).get(path)
    if like is None or is_text(like) or (name == "y_train" and not _several_columns(array)) or like.ndim < 2:
        return array
    own = leaf_name("X_val" if name == "x_train" else "y_val", path)
    order = column_order(own, names_of(own, value), names.get(array_name(name, path)), shown, like.shape[-1])
    return in_order(array, order)


def _several_columns(array: Array) -> bool:
    return array.ndim > 1 and array.shape[1] > 1


def _named(name: str, value: object, array: Array, kept: Sequence[str] | None) -> tuple[Array, Names | None]:
    """``array``, made of ``value``, and the names of its columns, in the order of ``kept`` where they are the same."""
    given = names_of(name, value)
    if kept is not None and given is not None and set(given) == set(kept):
        return in_order(array, column_order(name, given, kept, "the published model")), tuple(kept)
    names = kept_names(given)
    if names is None and kept is not None and array.ndim > 1 and len(kept) == array.shape[-1]:
        return array, tuple(kept)
    return array, names
