"""Models with parts that are trained before: weights from a file, and layers that do not learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from small_models import WIDTH, SmallModel, dense_model

from raygrid import GridSearchModel

UNITS = 3


def write_weights(path: Path, value: float) -> Path:
    """A file with the weights of an encoder, all of which are ``value``."""
    encoder = _encoder()
    encoder.set_weights([np.full(array.shape, value, np.float32) for array in encoder.get_weights()])
    encoder.save_weights(path)
    return path


def _encoder() -> Any:
    import keras

    return keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(UNITS, "relu")], name="encoder")


class Pretrained(SmallModel):
    """An encoder whose weights come from the file that it depends on and stay as they are, and layers that learn."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        encoder = _encoder()
        encoder.load_weights(self.depends_on[0])
        encoder.trainable = False
        learning = dense_model(config, (UNITS,)).layers[:-1]
        model = keras.Sequential([keras.Input(input_shape), encoder, *learning, keras.layers.Dense(input_shape[0])])
        model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse")
        return model


class PretrainedByClass(Pretrained):
    """Names its file itself, in the working folder."""

    depends_on = ("encoder.weights.h5",)


class FrozenLayers(SmallModel):
    """A layer that keeps its initial weights, before one that learns."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        frozen = keras.layers.Dense(8, "tanh", trainable=False)
        model = keras.Sequential([keras.Input(input_shape), frozen, keras.layers.Dense(input_shape[0])])
        model.compile(keras.optimizers.Adam(0.01), loss="mse")
        return model


class NormalisedAsInInference(SmallModel):
    """Batch normalisation by its moving averages, in training too: called with ``training=False``."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        class Normalised(keras.Model):
            def __init__(self, **settings: Any) -> None:
                super().__init__(**settings)
                self.hidden = keras.layers.Dense(8, "relu")
                self.normalised = keras.layers.BatchNormalization()
                self.out = keras.layers.Dense(WIDTH)

            def call(self, inputs: Any) -> Any:
                return self.out(self.normalised(self.hidden(inputs), training=False))

        model = Normalised()
        model.compile(keras.optimizers.Adam(0.01), loss="mse")
        return model


def normalised_as_in_inference(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """The same where the layers are called one by one."""
    import keras

    inputs = keras.Input(input_shape)
    hidden = keras.layers.Dense(8, "relu")(inputs)
    normalised = keras.layers.BatchNormalization(name="normalised")(hidden, training=False)
    model = keras.Model(inputs, keras.layers.Dense(input_shape[0])(normalised))
    model.compile(keras.optimizers.Adam(0.01), loss="mse")
    return model


class FromApplications(GridSearchModel):
    """A model of ``keras.applications`` that does not learn, and a layer on top of it that does."""

    DEFAULT_CONFIG = {"epochs": 1, "batch_size": 8}  # noqa: RUF012

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        base = keras.applications.MobileNetV2(input_shape, alpha=0.35, include_top=False, weights=None, pooling="avg")
        base.trainable = False
        inputs = keras.Input(input_shape)
        model = keras.Model(inputs, keras.layers.Dense(1)(base(inputs, training=False)))
        model.compile(keras.optimizers.Adam(0.01), loss="mse")
        return model
