"""Mistakes that are met most, made for real: what the record of the point says happened, and what helps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from one_training import train_point
from small_models import small_rows

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.error_lines import same_as
from raygrid.grid.plan import Point
from raygrid.progress.common_mistakes import mistake_remedy
from raygrid.progress.remedies import with_remedy

X = small_rows(70)
SERIES = X[:, :, None]
LABELS = np.arange(70, dtype=np.float32) % 4
CONFIG = {"units": 4, "epochs": 1, "batch_size": 32, "patience": None}


def cause(build: Any, x: Any = X, y: Any = None, **config: Any) -> str:
    """What the record of a point says that was trained with this builder and failed."""
    targets = (None, None) if y is None else (y[:50], y[50:])
    arrays = TrainingArrays(x[:50], targets[0], x[50:], targets[1])
    point = Point(0, CONFIG | config, 0, "key")
    record = with_remedy(train_point(build, point, "context", arrays, TrainSettings(), device="CPU").record)
    assert record.status == "failed"
    return record.cause


def dense(units: int = 4, activation: Any = None, loss: str = "mse", optimizer: Any = "adam", **compiled: Any) -> Any:
    """A builder of one layer, with a softmax where classes are told apart."""

    def build(config: Any, shape: Any) -> Any:
        import keras

        model = keras.Sequential([keras.Input(shape), keras.layers.Dense(units, activation)])
        model.compile(optimizer, loss, **compiled)
        return model

    return build


def layered(make: Any) -> Any:
    """A builder of one layer that ``make`` gives."""

    def build(config: Any, shape: Any) -> Any:
        import keras

        model = keras.Sequential([keras.Input(shape), make(keras.layers, config)])
        model.compile("adam", "mse")
        return model

    return build


@pytest.mark.parametrize("eagerly", [False, True])
def test_labels_out_of_range(eagerly: bool) -> None:
    build = dense(3, "softmax", "sparse_categorical_crossentropy", run_eagerly=eagerly)
    assert cause(build, y=LABELS) == (
        "Received a label value of 3 which is outside the valid range of [0, 3). What helps: labels from 0 to 2 "
        "(np.unique(y, return_inverse=True) numbers them from 0), or a last layer with one unit per class; it has 3 "
        "here."
    )


@pytest.mark.parametrize(
    ("loss", "y", "says"),
    [
        ("mse", X, "ValueError: Dimensions must be equal, but are 4 and 3 with input shapes: [?,4], [?,3]."),
        ("binary_crossentropy", X, "ValueError: Arguments `target` and `output` must have the same shape."),
        ("categorical_crossentropy", LABELS, "ValueError: Arguments `target` and `output` must have the same rank"),
    ],
)
def test_targets_of_another_shape_than_the_output(loss: str, y: Any, says: str) -> None:
    found = cause(dense(3, "sigmoid", loss), y=y)
    assert found.startswith(says)
    assert "What helps: an output of the shape of the targets: " in found
    assert found.endswith("one unit per class and the loss 'sparse_categorical_crossentropy'.")


def test_a_batch_that_is_shorter_than_the_model_was_built_for() -> None:
    def build(config: Any, shape: Any) -> Any:
        import keras

        inputs = keras.Input(batch_shape=(32, *shape))
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(3, stateful=True)(inputs)))
        model.compile("adam", "mse")
        return model

    found = cause(build, SERIES, X[:, :1])
    # In which operation first, is TensorFlow's affair.
    assert re.match(
        r"Incompatible shapes: \[18,(\d+)\] vs. \[32,\1\]. What helps: a model for batches of any size", found
    )


def test_shapes_that_differ_in_the_number_of_rows_alone_are_of_a_shorter_batch() -> None:
    rows, columns = "Incompatible shapes: [18,1] vs. [32,1].", "Incompatible shapes: [32,1] vs. [32,4]."
    for in_the_loss in (f"{rows} [[{{node compile_loss/sub}}]]", rows):
        assert str(mistake_remedy(rows, in_the_loss, {})).startswith("a model for batches of any size")
    in_the_loss = f"{columns} [[{{node compile_loss/sub}}]]"
    assert str(mistake_remedy(columns, in_the_loss, {})).startswith("an output of the shape of the targets")
    assert mistake_remedy(columns, columns, {}) is None


def test_a_stateful_layer_without_a_size_of_batches() -> None:
    found = cause(layered(lambda layers, config: layers.LSTM(1, stateful=True)), SERIES, X[:, :1])
    assert "stateful=True" in found and "What helps: to leave stateful=True out" in found


def test_a_test_step_that_logs_no_loss() -> None:
    def build(config: Any, shape: Any) -> Any:
        import keras

        class Own(keras.Sequential):
            def test_step(self, data: Any) -> Any:
                return {"mse": super().test_step(data)["loss"]}

        model = Own([keras.Input(shape), keras.layers.Dense(4)])
        model.compile("adam", "mse")
        return model

    assert cause(build).startswith(
        "raygrid.errors.BuilderError: the model's test_step logs no 'loss' (an epoch gave loss, val_mse), so there is "
        "no val_loss to choose by. It must return {'loss': ..., ...}"
    )


@pytest.mark.parametrize(
    ("build", "says", "helps"),
    [
        (dense(loss="msee"), "loss identifier: msee.", "such as 'mse', "),
        (dense(metrics=["acuracy"]), "metric identifier: acuracy.", "such as 'mae', "),
        (dense(activation="relou"), "activation function identifier: relou.", "such as 'relu', "),
        (dense(optimizer="adamm"), "optimizer identifier: adamm.", "such as 'adam', "),
    ],
)
def test_a_name_that_keras_does_not_know(build: Any, says: str, helps: str) -> None:
    found = cause(build)
    assert says in found
    assert f"What helps: the name of one that Keras has, {helps}" in found


@pytest.mark.parametrize(
    ("make", "config", "helps"),
    [
        # That another one has the same value does not matter.
        (
            lambda layers, c: layers.Dense(c["units"]),
            {"units": -1, "top": -1},
            "another value of 'units' in the grid",
        ),
        (lambda layers, c: layers.Dense(c["width"][1]), {"width": (8, -1)}, "another value of 'width' in the grid"),
        (lambda layers, c: layers.Dropout(c["drop"]), {"drop": 1.5}, "another value of 'drop' in the grid or config."),
        (lambda layers, c: layers.Dense(-3), {}, "another value of units in build_model."),
    ],
)
def test_a_value_that_a_layer_refuses(make: Any, config: Any, helps: str) -> None:
    found = cause(layered(make), **config)
    assert "nvalid value" in found and f" What helps: {helps}" in found


def test_inputs_with_too_few_axes() -> None:
    lstm = cause(layered(lambda layers, config: layers.LSTM(3)))
    assert "expected ndim=3, found ndim=2" in lstm
    assert "What helps: inputs with 3 axes, the rows among them, where there are 2: " in lstm
    convolution = cause(layered(lambda layers, config: layers.Conv1D(3, 2)))
    assert "What helps: inputs with at least 3 axes, " in convolution


def test_an_input_layer_of_another_width() -> None:
    def build(config: Any, shape: Any) -> Any:
        import keras

        inputs = keras.Input((9,))
        model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
        model.compile("adam", "mse")
        return model

    found, again = cause(build), cause(build)
    assert "expected shape=(None, 9), found shape=(None, 4)" in found
    assert found.endswith("What helps: a keras.Input of the input_shape that build_model is given.")
    # Whatever number Keras gives its names.
    assert same_as(found) == same_as(again)


def test_dtypes_that_are_mixed() -> None:
    def make(layers: Any, config: Any) -> Any:
        import tensorflow as tf

        class Own(layers.Layer):  # type: ignore[misc, name-defined]
            def call(self, x: Any) -> Any:
                return x + tf.cast(x, tf.float64)

        return Own()

    assert cause(layered(make)).startswith(
        "TypeError: Input 'y' of 'AddV2' Op has type float64 that does not match type float32 of argument 'x'. "
        "What helps: to cast one of them"
    )


def test_an_input_that_an_embedding_does_not_hold() -> None:
    def build(config: Any, shape: Any) -> Any:
        import keras

        layers = keras.layers
        model = keras.Sequential([keras.Input(shape), layers.Embedding(3, 2), layers.Flatten(), layers.Dense(4)])
        model.compile("adam", "mse")
        return model

    found = cause(build, np.full_like(X, 7))
    assert "= 7 is not in [0, 3). What helps: an input_dim of the Embedding above the largest input; it is 3" in found


def test_a_series_that_is_shorter_than_the_kernel() -> None:
    found = cause(layered(lambda layers, config: layers.Conv1D(3, 9)), SERIES)
    assert "What helps: a smaller kernel, pool or stride, padding='same', or longer inputs." in found


def test_an_error_in_python_code_of_a_graph_is_that_error() -> None:
    def make(layers: Any, config: Any) -> Any:
        import tensorflow as tf

        def fails(x: Any) -> Any:
            raise ValueError("the sensor is off")

        class Own(layers.Layer):  # type: ignore[misc, name-defined]
            def call(self, x: Any) -> Any:
                return tf.ensure_shape(tf.numpy_function(fails, [x], tf.float32), x.shape)

        return Own()

    def build(config: Any, shape: Any) -> Any:
        import keras

        model = keras.Sequential([keras.Input(shape), make(keras.layers, config), keras.layers.Dense(4)])
        model.compile("adam", "mse")
        return model

    assert cause(build) == "ValueError: the sensor is off"
