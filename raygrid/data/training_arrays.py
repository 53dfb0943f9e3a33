"""What a training gets beside the config: arrays and settings. Plain data that travels to the workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.types import Array
from raygrid.data.structures import Tree, leaves, map_leaves
from raygrid.data.texts import TEXT

# Part of every point's key. Raise it whenever a change in training.py or stopping.py may change a result.
TRAINING_RULES = 3


@dataclass(frozen=True)
class TrainSettings:
    """What all points of a search share.

    Attributes:
        shuffle: whether each epoch sees the rows in another order, drawn from the point's seed and the epoch.
        dtype_policy: Keras' dtype policy, such as ``float32`` or ``mixed_bfloat16``.
        keras: Keras' other global settings.
        windowed: whether the model sees windows of ``config["window"]`` rows, ``config["stride"]`` rows apart, and not
            single rows.
    """

    shuffle: bool = True
    dtype_policy: str = "float32"
    windowed: bool = False
    keras: KerasSettings = field(default_factory=KerasSettings)


@dataclass(frozen=True, eq=False)
class TrainingArrays:
    """The arrays of a search, in the units that the model sees. Two of them are never equal, and each is hashable.

    Attributes:
        x_train, x_val: inputs, rows first: an array, or a structure of arrays, see ``raygrid.data.structures``. Floats
            are float32, texts Python's own.
        y_train, y_val: targets, an array or a structure; None: the targets are the inputs.
        w_train, w_val: weights of the rows, float32, one array or one for each output; None: all rows count alike.
        runs_train, runs_val: run id of each row, which windows do not cross; None: one run.
        folder: the folder of the files that the arrays are mapped from, to be read batch by batch; None: they are in
            memory.
    """

    x_train: Tree
    y_train: Tree | None
    x_val: Tree
    y_val: Tree | None
    w_train: Tree | None = None
    w_val: Tree | None = None
    runs_train: Array | None = None
    runs_val: Array | None = None
    folder: Path | None = None

    def inputs(self, config: Mapping[str, Any], settings: TrainSettings) -> InputSpec:
        """What a model sees of one row, or of a window of rows."""
        return input_spec(self.x_val, config, settings.windowed)

    def train_columns(self) -> tuple[Tree, ...]:
        """Inputs, targets and, where there are any, weights of the training rows."""
        return _columns(self.x_train, self.y_train, self.w_train)

    def val_columns(self) -> tuple[Tree, ...]:
        """Inputs, targets and, where there are any, weights of the validation rows."""
        return _columns(self.x_val, self.y_val, self.w_val)


@dataclass(frozen=True)
class RowSpec:
    """What a model sees of an array at a time: of a row, or of a window of rows; texts are of dtype ``object``.

    Of a dataset, an axis of any length is None.
    """

    shape: tuple[Any, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class InputSpec:
    """What a model sees at a time.

    Attributes:
        rows: a ``RowSpec``, or a structure of them where the inputs are one of arrays.
    """

    rows: Tree

    @property
    def shape(self) -> Any:
        """A shape, or the structure of shapes that ``build_model`` is given."""
        return map_leaves(lambda row: row.shape, self.rows)

    def shape_json(self) -> Any:
        """``shape`` as JSON values; ``from_json`` gives it back."""
        return map_leaves(lambda row: list(row.shape), self.rows)

    def dtypes_json(self) -> dict[str, str]:
        """The dtype of each leaf by its path."""
        return {
            path: TEXT if row.dtype == object else np.dtype(row.dtype).name for path, row in leaves(self.rows).items()
        }

    @classmethod
    def from_json(cls, shape: Any, dtype_of: Callable[[str], np.dtype[Any]]) -> InputSpec:
        """What ``shape_json`` gave, with the dtype of the leaf at each path."""

        def rows(value: Any, keys: tuple[str, ...]) -> Tree:
            if isinstance(value, Mapping):
                return {key: rows(part, (*keys, key)) for key, part in value.items()}
            if all(size is None or type(size) is int for size in value):
                return RowSpec(tuple(value), dtype_of("/".join(keys)))
            return tuple(rows(part, (*keys, f"[{i}]")) for i, part in enumerate(value))

        return cls(rows(shape, ()))

    def zeros(self) -> Tree:
        """A batch of one row of zeros, or of empty texts, which makes the variables of a model."""
        return map_leaves(lambda row: _one_row(row), self.rows)


def _one_row(row: RowSpec) -> Array:
    # An axis of any length, such as that of a time series, has one step.
    return np.full((1, *(size or 1 for size in row.shape)), "" if row.dtype == object else 0, row.dtype)


def input_spec(x: Tree, config: Mapping[str, Any], windowed: bool) -> InputSpec:
    """What a model sees of ``x``, rows first: of a row, or of a window of ``config["window"]`` rows."""
    begin = (config["window"],) if windowed else ()
    return InputSpec(map_leaves(lambda array: RowSpec((*begin, *array.shape[1:]), array.dtype), x))


def _columns(x: Tree, y: Tree | None, w: Tree | None) -> tuple[Tree, ...]:
    pair = (x, x if y is None else y)
    return pair if w is None else (*pair, w)
