"""The dense layers that the supervised models share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MLP_CONFIG: Mapping[str, Any] = {
    "hidden_layers": (128, 64),
    "activation": "relu",
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 128,
    "epochs": 40,
    "patience": 5,
}
MLP_PARAM_GRID: Mapping[str, Sequence[Any]] = {
    "hidden_layers": [(128, 64), (256, 128)],
    "activation": ["relu", "selu"],
    "dropout": [0.0, 0.2],
    "learning_rate": [1e-3, 5e-4],
}


def hidden_stack(config: Mapping[str, Any], input_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The input of a model and the output of its last hidden layer, as Keras tensors.

    Args:
        config: ``hidden_layers`` (units of each dense layer), ``activation``, and ``dropout`` (a fraction, after each
            layer; 0: none).
        input_shape: of a row; an input of several axes is flattened.
    """
    import keras

    inputs = x = keras.Input(input_shape)
    if len(input_shape) > 1:
        x = keras.layers.Flatten()(x)
    for units in config["hidden_layers"]:
        x = keras.layers.Dense(units, config["activation"])(x)
        if config["dropout"]:
            x = keras.layers.Dropout(config["dropout"])(x)
    return inputs, x
