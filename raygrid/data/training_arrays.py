"""What a training gets beside the config: arrays and settings. Plain data that travels to the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.types import Array

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
        x_train, x_val: inputs, float32, rows first.
        y_train, y_val: targets; None: the targets are the inputs.
        w_train, w_val: weights of the rows, float32; None: all rows count alike.
        runs_train, runs_val: run id of each row, which windows do not cross; None: one run.
        folder: the folder of the files that the arrays are mapped from, to be read batch by batch; None: they are in
            memory.
    """

    x_train: Array
    y_train: Array | None
    x_val: Array
    y_val: Array | None
    w_train: Array | None = None
    w_val: Array | None = None
    runs_train: Array | None = None
    runs_val: Array | None = None
    folder: Path | None = None

    def input_shape(self, config: Mapping[str, Any], settings: TrainSettings) -> tuple[int, ...]:
        """Shape of one input: of a row, or of a window of rows."""
        return item_shape(self.x_train.shape[1:], config, settings.windowed)

    def train_columns(self) -> tuple[Array, ...]:
        """Inputs, targets and, where there are any, weights of the training rows."""
        return _columns(self.x_train, self.y_train, self.w_train)

    def val_columns(self) -> tuple[Array, ...]:
        """Inputs, targets and, where there are any, weights of the validation rows."""
        return _columns(self.x_val, self.y_val, self.w_val)


def item_shape(row_shape: Sequence[int], config: Mapping[str, Any], windowed: bool) -> tuple[int, ...]:
    """Shape of one input of a model: of a row, or of a window of rows."""
    return (config["window"], *row_shape) if windowed else tuple(row_shape)


def _columns(x: Array, y: Array | None, w: Array | None) -> tuple[Array, ...]:
    pair = (x, x if y is None else y)
    return pair if w is None else (*pair, w)
