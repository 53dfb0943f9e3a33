"""Models of several inputs and outputs, of images, texts and tokens, with data for them."""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS = 120
CITIES = ("Bern", "Köln", "Lyon", "Oslo")

Config = dict[str, Any]


def several(rows: int = ROWS, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs: a float array, images of uint8 and texts; targets: a number and a label."""
    rng = np.random.default_rng(seed)
    x = {
        "sensor": rng.normal(100, 20, (rows, 3)),
        "image": rng.integers(0, 256, (rows, 6, 6, 1), dtype=np.uint8),
        "city": np.array(CITIES)[rng.integers(0, len(CITIES), rows)],
    }
    y = {"price": x["sensor"][:, 0] * 10 + rng.normal(size=rows), "kind": (x["sensor"][:, 1] > 100).astype(np.int64)}
    return x, y


def several_model(config: Config, input_shape: dict[str, tuple[int, ...]]) -> Any:
    """Sees all of ``several``; weighted losses by the names of the outputs."""
    import keras

    layers = keras.layers
    inputs = {
        "sensor": keras.Input(input_shape["sensor"], name="sensor"),
        "image": keras.Input(input_shape["image"], name="image"),
        "city": keras.Input(input_shape["city"], dtype="string", name="city"),
    }
    seen = [
        inputs["sensor"],
        layers.Flatten()(layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(inputs["image"]))),
        layers.StringLookup(vocabulary=list(CITIES), output_mode="one_hot")(inputs["city"]),
    ]
    hidden = layers.Dense(config["units"], "relu")(layers.Concatenate()(seen))
    outputs = {
        "price": layers.Dense(1, name="price")(hidden),
        "kind": layers.Dense(1, "sigmoid", name="kind")(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(config["rate"]),
        loss={"price": "mse", "kind": "binary_crossentropy"},
        loss_weights={"price": 1.0, "kind": 0.5},
        metrics={"kind": ["accuracy"]},
    )
    return model


def in_a_list_model(config: Config, input_shape: Any) -> Any:
    """Two inputs and two outputs without names."""
    import keras

    left, right = (keras.Input(shape) for shape in input_shape)
    hidden = keras.layers.Dense(config["units"], "relu")(keras.layers.Concatenate()([left, right]))
    model = keras.Model([left, right], [keras.layers.Dense(1)(hidden), keras.layers.Dense(2)(hidden)])
    model.compile(keras.optimizers.Adam(config["rate"]), loss=["mse", "mae"], loss_weights=[1.0, 2.0])
    return model


def images(rows: int = ROWS) -> tuple[Any, Any]:
    """uint8 images, and which half of them is brighter."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (rows, 8, 8, 1), dtype=np.uint8)
    return x, (x[:, :4].mean(axis=(1, 2, 3)) > x[:, 4:].mean(axis=(1, 2, 3))).astype(np.int64)


def image_model(config: Config, input_shape: tuple[int, ...]) -> Any:
    """A convolution over images that are scaled in the model."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(config["units"], 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(config["rate"]), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tokens(rows: int = ROWS) -> tuple[Any, Any]:
    """Sequences of ids of which some differ beyond 2**24 only, padded with 0, and a label that these decide."""
    rng = np.random.default_rng(0)
    x = 2**24 + rng.integers(1, 6, (rows, 7))
    y = (x[:, 0] % 2).astype(np.int64)
    x[np.arange(7)[None, :] >= rng.integers(2, 8, rows)[:, None]] = 0
    return x, y


def token_model(config: Config, input_shape: tuple[int, ...]) -> Any:
    """An LSTM over embedded tokens, of which 0 is masked."""
    import keras

    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="int32")
    looked_up = layers.IntegerLookup(vocabulary=[2**24 + i for i in range(1, 6)], mask_token=0)(inputs)
    x = layers.LSTM(config["units"])(layers.Embedding(7, 4, mask_zero=True)(looked_up))
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(x))
    model.compile(keras.optimizers.Adam(config["rate"]), "binary_crossentropy")
    return model


def texts(rows: int = ROWS) -> tuple[Any, Any]:
    """Short texts, and whether they hold a word."""
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "größer", "plot"])
    x = [" ".join(words[rng.integers(0, len(words), 4)]) for _ in range(rows)]
    return np.array(x), np.array(["good" in text.split() for text in x]).astype(np.int64)


def text_model(config: Config, input_shape: tuple[int, ...]) -> Any:
    """A bag of words, of texts as they are."""
    import keras

    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="string")
    vocabulary = ["good", "bad", "film", "größer", "plot"]
    x = layers.TextVectorization(vocabulary=vocabulary, output_mode="multi_hot")(inputs)
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(layers.Dense(config["units"], "relu")(x)))
    model.compile(keras.optimizers.Adam(config["rate"]), "binary_crossentropy")
    return model


def with_added_loss(config: Config, input_shape: tuple[int, ...]) -> Any:
    """A variational autoencoder with a train_step of its own; its divergence is an added loss."""
    import keras
    import tensorflow as tf

    layers = keras.layers

    @keras.saving.register_keras_serializable("raygrid-tests")
    class Sampling(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seeds = keras.random.SeedGenerator(7)

        def call(self, mean_and_log: Any) -> Any:
            mean, log = mean_and_log
            self.add_loss(-0.5 * keras.ops.mean(1 + log - keras.ops.square(mean) - keras.ops.exp(log)))
            return mean + keras.ops.exp(0.5 * log) * keras.random.normal(keras.ops.shape(mean), seed=self.seeds)

    @keras.saving.register_keras_serializable("raygrid-tests")
    class Vae(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data[:2]
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            self._loss_tracker.update_state(loss)
            return {"loss": self._loss_tracker.result()}

    inputs = keras.Input(input_shape)
    hidden = layers.Dense(config["units"], "relu")(inputs)
    code = Sampling()([layers.Dense(2)(hidden), layers.Dense(2)(hidden)])
    model = Vae(inputs, layers.Dense(input_shape[0])(code))
    model.compile(keras.optimizers.Adam(config["rate"]), "mse")
    return model
