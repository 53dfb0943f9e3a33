"""Class labels: strings or whole numbers as a user has them, and the codes that a classifier trains on. numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.errors import ArgumentError, DataError, DataTypeError

Label = str | int | bool
ClassWeight = str | Mapping[Any, float] | None

_SHOWN = 5
_ENCODE = "Pass one string or whole number per row, for example with y.astype(str) or y.astype(int)."


def as_labels(name: str, value: object) -> Array:
    """``value`` as an array of labels: shape (rows,), of strings, whole numbers or booleans.

    Args:
        name: what the caller calls the array; it appears in every message.
        value: a list, an array, a pandas Series or an Arrow column; shape (rows,) or (rows, 1).

    Raises:
        DataTypeError: labels of another type, or of several types.
        DataError: another shape, or no or missing labels.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise _missing(name, int(np.ma.getmaskarray(value).sum()))
    try:
        labels = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name} cannot be turned into an array: {error}.", remedy=_ENCODE) from error
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{name} has shape {labels.shape}, and one label per row is needed: shape (rows,).",
            remedy="For one-hot rows pass y.argmax(axis=1).",
        )
    if len(labels) == 0:
        raise DataError(f"{name} holds no labels.", remedy="Look at how it was selected.")
    if labels.dtype.kind in "biuU":
        return labels
    values = [item.item() if isinstance(item, np.generic) else item for item in labels.tolist()]
    missing = sum(map(_is_missing, values))
    if missing:
        raise _missing(name, missing)
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and kinds <= {str, int, bool}:
        return np.array(values)
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataTypeError(
        f"{name} holds labels of type {found}; they must all be strings or all whole numbers.", remedy=_ENCODE
    )


def class_labels(labels: Array) -> tuple[Label, ...]:
    """The distinct labels, sorted, in native types."""
    return tuple(np.unique(labels).tolist())


def encode(name: str, labels: Array, classes: Sequence[Label]) -> npt.NDArray[np.int32]:
    """The position of each label in the sorted ``classes``.

    Raises:
        DataError: a label that is not among ``classes``, which are those of the training data.
    """
    known = np.array(classes)
    # Together, numpy would take the number 1 and the text "1" for the same.
    same_kind = (labels.dtype.kind == "U") == (known.dtype.kind == "U")
    unknown = np.setdiff1d(labels, known) if same_kind else np.unique(labels)
    if len(unknown):
        raise DataError(
            f"{name} has labels that the training data has not: {_listed(unknown.tolist())}. The training data has "
            f"{_listed(classes)}.",
            remedy="Leave these rows out, or put rows of these classes into the training data.",
        )
    return np.searchsorted(known, labels).astype(np.int32)


def check_class_weight(class_weight: object) -> ClassWeight:
    """``class_weight`` if it can be one; a mapping as a plain one.

    Raises:
        ArgumentError: it is neither None, "balanced" nor a mapping of labels to weights of zero or more.
    """
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return class_weight
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise ArgumentError(
            f"class_weight is {class_weight!r}.",
            remedy='Pass None, "balanced", or a mapping of labels to weights, such as {"normal": 1, "fault": 5}.',
        )
    plain = {}
    for label, weight in class_weight.items():
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not number or not 0.0 <= float(weight) < math.inf:
            raise ArgumentError(
                f"class_weight[{label!r}] is {weight!r}; a weight must be a finite number of zero or more.",
                remedy="Give 1 for a class that counts as it is, more for one that counts more, 0 for one to ignore.",
            )
        plain[label.item() if isinstance(label, np.generic) else label] = float(weight)
    # The very mapping where it is plain: scikit-learn clones what a constructor keeps.
    types = {type(item) for pair in class_weight.items() for item in pair}
    return class_weight if type(class_weight) is dict and types <= {str, int, float} else plain


def row_weights(class_weight: ClassWeight, codes: Array, classes: Sequence[Label]) -> npt.NDArray[np.float32] | None:
    """The weight of each row by its class, as Keras makes sample weights of class weights; None for no weights.

    ``"balanced"`` gives each class the same weight in sum: rows / (classes * rows of the class); G. King and L. Zeng,
    "Logistic Regression in Rare Events Data", Political Analysis 9(2), 2001, as in scikit-learn. A class that a mapping
    leaves out has weight 1.

    Args:
        class_weight: what ``check_class_weight`` gave.
        codes: the class of each row as a position in ``classes``; each class has a row.
        classes: the labels.

    Raises:
        ArgumentError: a label that is not among ``classes``.
    """
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        counts = np.bincount(codes, minlength=len(classes))
        return (len(codes) / (len(classes) * counts)).astype(np.float32)[codes]
    unknown = [label for label in class_weight if label not in classes]
    if unknown:
        raise ArgumentError(
            f"class_weight has labels that y_train has not: {_listed(unknown)}. It has {_listed(classes)}.",
            remedy="Use these, in the same type.",
        )
    return np.array([class_weight.get(label, 1.0) for label in classes], dtype=np.float32)[codes]


def _is_missing(value: object) -> bool:
    # pandas' own missing values are known by name, since it need not be installed.
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in ("NAType", "NaTType")
    )


def _missing(name: str, count: int) -> DataError:
    # What is measured is not dropped.
    drops = "" if name == "y" else " $drop_missing drops them."
    return DataError(
        f"{name} has {counted(count, 'missing label')}.",
        remedy=f"Drop these rows, or give them a label of their own.{drops}",
    )


def _listed(labels: Sequence[object]) -> str:
    shown = ", ".join(map(repr, labels[:_SHOWN]))
    return f"{shown} and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else shown
