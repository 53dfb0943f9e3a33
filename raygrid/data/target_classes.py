"""Targets that are class labels: whole numbers that each stand for a class, truth values, or one-hot rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raygrid.base.types import Array
from raygrid.base.wording import counted

# Whole numbers count as labels where each comes in so many rows on average: numbers that are measured or counted seldom
# repeat as often.
_ROWS_PER_CLASS = 4
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class TargetClasses:
    """The class of each row.

    Attributes:
        values: the distinct labels, ascending; of one-hot rows, the numbers of their columns.
        codes: for each row, the position of its label in ``values``, shape (rows,).
    """

    values: Array
    codes: npt.NDArray[np.intp]


def target_classes(y: Array, are_labels: bool | None = None) -> TargetClasses | None:
    """The classes that targets stand for; None where they are numbers to predict.

    Args:
        y: checked targets, shape (rows, ...).
        are_labels: what the caller knows. None: one-hot rows are labels, and so are truth values and whole numbers,
            also as floats, if each comes in four rows or more on average.
    """
    if are_labels is False or (y.ndim > 1 and y.shape[1:] != (1,)):
        return None if are_labels is False else _one_hot_classes(y)
    flat = y.reshape(-1)
    if flat.dtype.kind == "f" and not np.array_equal(flat, np.trunc(flat)):
        return None
    values, codes = np.unique(flat, return_inverse=True)
    if not are_labels and len(values) * _ROWS_PER_CLASS > len(flat):
        return None
    return TargetClasses(values, codes.reshape(-1))


def unseen_classes(y_train: Array, y_val: Array, are_labels: bool | None = None) -> str:
    """The classes of the validation rows that no training row has, as text; empty where there are none.

    Args:
        y_train: checked targets.
        y_val: of the same trailing shape.
        are_labels: see `target_classes`.
    """
    classes = target_classes(np.concatenate([y_train, y_val]), are_labels)
    if classes is None:
        return ""
    train, val = classes.codes[: len(y_train)], classes.codes[len(y_train) :]
    unseen = np.setdiff1d(val, train)
    if len(unseen) == 0:
        return ""
    labels = [int(label) if isinstance(label, float) else label for label in classes.values[unseen].tolist()]
    shown = ", ".join(map(str, labels[:_SHOWN])) + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
    rows = int(np.isin(val, unseen).sum())
    return f"{shown} ({rows:,} of {counted(len(val), 'validation row')})"


def _one_hot_classes(y: Array) -> TargetClasses | None:
    if y.ndim != 2 or not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
        return None
    return TargetClasses(np.arange(y.shape[1]), y.argmax(axis=1))
