"""Weights of classes, as ``model.fit`` takes them, made weights of rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from raygrid.base.types import Array, Float32Array
from raygrid.data.checks import require_some_weight
from raygrid.data.structures import Tree
from raygrid.errors import ArgumentError

# A number of a class to its weight; or "balanced".
ClassWeights = Mapping[int, float] | str
BALANCED = "balanced"


def checked_class_weight(value: Any, name: str = "class_weight") -> ClassWeights | None:
    """``value`` if it can be the weights of classes, with plain numbers; None: all count alike.

    Raises:
        ArgumentError: it is neither a mapping of whole numbers to weights nor "balanced".
    """
    if value is None or (isinstance(value, str) and value == BALANCED):
        return value
    if not isinstance(value, Mapping) or not value:
        raise ArgumentError(
            f"{name} is {value!r}.",
            remedy='Pass a mapping of the numbers of classes to weights, such as {0: 1.0, 1: 5.0}, or "balanced".',
        )
    plain = {}
    for label, weight in value.items():
        whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not whole or not number or not 0.0 <= float(weight) < math.inf:
            raise ArgumentError(
                f"{name}[{label!r}] is {weight!r}.",
                remedy="Give a finite weight of zero or more for the number of a class, a whole number.",
            )
        plain[int(label)] = float(weight)
    return plain


def class_weighted(class_weight: ClassWeights, y: Tree | None, weights: Tree | None) -> Float32Array:
    """The weights of rows times the weight of the class of each, as Keras counts classes.

    The class of a row is its target, rounded, or the place of the largest number of one-hot rows
    (``class_weight_to_sample_weights`` in ``keras/src/trainers/data_adapters/data_adapter_utils.py``). One that is left
    out has weight 1. ``"balanced"`` gives each class the same weight in sum, as in scikit-learn: rows / (classes * rows
    of the class).

    Args:
        class_weight: what ``checked_class_weight`` gave.
        y: targets, one array; None: there are none.
        weights: of the rows, shape (rows,); None: all count alike.

    Raises:
        ArgumentError: there are no targets, or several; or weights by output.
        DataError: all rows would have weight 0.
    """
    if not isinstance(y, np.ndarray) or isinstance(weights, dict | tuple):
        what = "no targets" if y is None else "several outputs"
        raise ArgumentError(
            f"class_weight is given, and the model has {what}.",
            remedy="Pass the weight of each row as sample_weight, by output where there are several.",
        )
    codes = _codes(y)
    if isinstance(class_weight, str):
        found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
        by_class = (len(codes) / (len(found) * counts)).astype(np.float32)
        of_rows: Float32Array = by_class[places.reshape(-1)]
    else:
        of_rows = np.ones(len(codes), np.float32)
        for label, weight in class_weight.items():
            of_rows[codes == label] = weight
    if weights is not None:
        of_rows = of_rows * weights
    require_some_weight("class_weight, times sample_weight where it is given,", of_rows)
    return of_rows


def _codes(y: Array) -> Array:
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    if y.ndim > 1:
        raise ArgumentError(
            f"class_weight is given, and each row has several targets (shape {y.shape}).",
            remedy="Pass the weight of each row as sample_weight.",
        )
    return np.round(y).astype(np.int32)
