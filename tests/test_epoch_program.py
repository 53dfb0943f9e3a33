"""Epochs in graph, held against ``model.fit``: the same metrics and the same weights in every epoch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from raygrid.plan import Point
from raygrid.training_inputs import TrainingArrays, TrainSettings

WIDTH, STEPS, TARGETS = 6, 5, 3
EPOCHS = 3
Array = np.ndarray[Any, Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rows(count: int, seed: int) -> tuple[Any, ...]:
    x = normal(count, WIDTH, seed=seed)
    return x, np.tanh(x[:, :TARGETS] + x[:, TARGETS:])


def weighted_rows(count: int, seed: int) -> tuple[Any, ...]:
    """Rows with one of two weights, as class weights give."""
    x, y = rows(count, seed)
    return x, y, np.where(y[:, 0] > 0, 0.5, 2.0).astype(np.float32)


def sequences(count: int, seed: int) -> tuple[Any, ...]:
    x = normal(count, STEPS, WIDTH, seed=seed)
    return x, x.mean(axis=1)[:, :TARGETS]


def weighted_sequences(count: int, seed: int) -> tuple[Any, ...]:
    x, y = sequences(count, seed)
    return x, y, np.abs(normal(count, seed=seed + 7))


def tokens(count: int, seed: int) -> tuple[Any, ...]:
    x = np.random.default_rng(seed).integers(0, 11, (count, STEPS)).astype(np.float32)
    return x, normal(count, TARGETS, seed=seed)


def labels(count: int, seed: int) -> tuple[Any, ...]:
    x, y = rows(count, seed)
    return x, (y > 0).astype(np.float32)


def pairs(count: int, seed: int) -> tuple[Any, ...]:
    (x, y), (other_x, other_y) = rows(count, seed), rows(count, seed + 3)
    return (x, other_x), (y, other_y)


def named_pairs(count: int, seed: int) -> tuple[Any, ...]:
    (x, other_x), (y, other_y) = pairs(count, seed)
    return {"left": x, "right": other_x}, {"first": y, "second": other_y}


# Models


def chain(*layers: Any, optimizer: Any = "adam", loss: Any = "mse", shape: Any = (WIDTH,), **compiled: Any) -> Any:
    import keras

    model = keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(TARGETS)])
    model.compile(optimizer, loss, **compiled)
    return model


def dense(units: int = 8, **compiled: Any) -> Any:
    import keras

    return chain(keras.layers.Dense(units, "relu"), **compiled)


def dense_with_metrics() -> Any:
    import keras

    # A sum in float64 and a count: neither fits into a float32.
    exact_sum = keras.metrics.Sum(name="exact", dtype="float64")
    return dense(loss="bce", metrics=["mae", keras.metrics.AUC(num_thresholds=20), "binary_accuracy", exact_sum])


def lstm(stateful: bool = False) -> Any:
    import keras

    if not stateful:
        return chain(keras.layers.LSTM(4), shape=(STEPS, WIDTH))
    model = keras.Sequential([keras.Input(batch_shape=(20, STEPS, WIDTH)), keras.layers.LSTM(4, stateful=True)])
    model.add(keras.layers.Dense(TARGETS))
    model.compile("adam", "mse")
    return model


def two_inputs_two_outputs(names: bool = False) -> Any:
    import keras

    left, right = keras.Input((WIDTH,), name="left"), keras.Input((WIDTH,), name="right")
    both = keras.layers.Concatenate()([keras.layers.Dense(4)(left), keras.layers.Dense(4, "tanh")(right)])
    first, second = keras.layers.Dense(TARGETS, name="first")(both), keras.layers.Dense(TARGETS, name="second")(both)
    if names:
        model = keras.Model({"left": left, "right": right}, {"first": first, "second": second})
        model.compile("adam", {"first": "mse", "second": "mae"}, {"first": 2.0, "second": 0.5}, {"first": ["mae"]})
    else:
        model = keras.Model((left, right), (first, second))
        model.compile("adam", ("mse", "mae"), metrics=(["mae"], ["mse"]))
    return model


def own_train_step() -> Any:
    """With a metric of its own and an overridden list of metrics, as Keras' guide shows it."""
    import keras
    import tensorflow as tf

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = keras.layers.Dense(5, "tanh"), keras.layers.Dense(TARGETS)
            self.squares, self.peak = keras.metrics.Mean("loss"), keras.metrics.Mean("peak")

        def call(self, inputs: Any) -> Any:
            return self.outer(self.inner(inputs))

        @property
        def metrics(self) -> list[Any]:
            return [self.squares, self.peak]

        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
            self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
            return self.measure(loss, y)

        def test_step(self, data: Any) -> Any:
            x, y = data
            return self.measure(tf.reduce_mean(tf.square(self(x, training=False) - y)), y)

        def measure(self, loss: Any, y: Any) -> Any:
            self.squares.update_state(loss)
            self.peak.update_state(tf.reduce_max(y))
            return {metric.name: metric.result() for metric in self.metrics}

    model = Own()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


def own_logs() -> Any:
    """Its steps return what are no metrics: the last step's are reported."""
    import keras
    import tensorflow as tf

    class Logging(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            super().train_step(data)
            return {
                "steps": self.optimizer.iterations + 2**24,
                "constant": 0.1,
                "last": {"mean": tf.reduce_mean(data[0]), "size": tf.shape(data[0])[0]},
            }

        def test_step(self, data: Any) -> Any:
            logs = super().test_step(data)
            return {**logs, "sum": tf.reduce_sum(data[1])}

    model = Logging([keras.Input((WIDTH,)), keras.layers.Dense(TARGETS)])
    model.compile("adam", "mse")
    return model


def two_optimizers() -> Any:
    """Adversarial: two parts, each with an optimizer of its own."""
    import keras
    import tensorflow as tf

    class Adversarial(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.maker, self.judge = keras.layers.Dense(WIDTH), keras.layers.Dense(1)
            self.second = keras.optimizers.RMSprop(0.01)

        def call(self, inputs: Any) -> Any:
            return self.judge(self.maker(inputs))

        def train_step(self, data: Any) -> Any:
            x, _ = data
            with tf.GradientTape() as tape:
                judged = tf.reduce_mean(tf.nn.softplus(self(x))) + tf.reduce_mean(tf.nn.softplus(-self.judge(x)))
            self.optimizer.apply(tape.gradient(judged, self.judge.trainable_weights), self.judge.trainable_weights)
            with tf.GradientTape() as tape:
                made = tf.reduce_mean(tf.nn.softplus(-self(x)))
            self.second.apply(tape.gradient(made, self.maker.trainable_weights), self.maker.trainable_weights)
            return {"judged": judged, "made": made}

        def test_step(self, data: Any) -> Any:
            return {"loss": tf.reduce_mean(self(data[0]))}

    model = Adversarial()
    model.compile("adam")
    return model


def random_steps() -> Any:
    """Draws in its steps from TensorFlow's and from Keras' generators without a seed, as an autoencoder's noise is."""
    import keras
    import tensorflow as tf

    class Noisy(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            noise = tf.random.normal(tf.shape(x)) + keras.random.uniform(tf.shape(x))
            return {**super().train_step((x + noise, y)), "drawn": tf.reduce_mean(noise)}

    model = Noisy([keras.Input((WIDTH,)), keras.layers.Dropout(0.3), keras.layers.Dense(TARGETS)])
    model.compile("adam", "mse")
    return model


def added_losses() -> Any:
    """No compiled loss at all: the losses come from a layer."""
    import keras

    class Pulling(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(keras.ops.mean(keras.ops.square(inputs - 1)))
            return inputs

    return chain(keras.layers.Dense(4, activity_regularizer="l1"), Pulling(), loss=None)


def moving_in_both() -> Any:
    """A layer whose state moves in test steps too, and is not reset."""
    import keras

    class Counting(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.seen.assign_add(1.0)
            return inputs * (1 + 0.01 * self.seen)

    return chain(Counting())


def layers() -> Any:
    import keras

    return keras.layers


def normalised() -> Any:
    k = layers()
    return chain(k.Dense(8, "relu", kernel_regularizer="l2"), k.BatchNormalization(), k.Dropout(0.3))


def unbuilt() -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(5, "tanh"), keras.layers.Dropout(0.2), keras.layers.Dense(TARGETS)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def adam(**settings: Any) -> Any:
    import keras

    return keras.optimizers.Adam(**settings)


def schedule() -> Any:
    import keras

    return keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=3, decay_rate=0.7)


@dataclass(frozen=True)
class Case:
    build: Callable[[], Any]
    data: Callable[[int, int], tuple[Any, ...]] = rows
    train_rows: int = 100
    val_rows: int = 40
    batch_size: int = 32
    tolerance: float = 0.0
    policy: str = "float32"


NEARLY = 1e-6

CASES = {
    "dense with metrics": Case(dense_with_metrics, labels),
    "lstm": Case(lstm, sequences),
    "stateful lstm": Case(lambda: lstm(stateful=True), sequences, batch_size=20),
    "two inputs and two outputs": Case(two_inputs_two_outputs, pairs),
    "the same by name": Case(lambda: two_inputs_two_outputs(names=True), named_pairs),
    "own train step": Case(own_train_step),
    "logs that are no metrics": Case(own_logs),
    "two optimizers": Case(two_optimizers),
    "random steps": Case(random_steps),
    "losses of layers": Case(added_losses),
    "state that test steps move": Case(moving_in_both),
    "unbuilt": Case(unbuilt),
    "sample weights": Case(lambda: dense(metrics=["mae"], weighted_metrics=["mae"]), weighted_rows),
    "schedule": Case(lambda: dense(optimizer=adam(learning_rate=schedule()))),
    "average over steps": Case(lambda: dense(optimizer=adam(use_ema=True, ema_overwrite_frequency=3))),
    "average at the end": Case(lambda: dense(optimizer=adam(use_ema=True))),
    "accumulated gradients": Case(lambda: dense(optimizer=adam(gradient_accumulation_steps=3))),
    "mixed_bfloat16": Case(dense, policy="mixed_bfloat16"),
    "mixed_float16": Case(dense, policy="mixed_float16"),
    "compiled by XLA": Case(lambda: dense(jit_compile=True)),
    "one batch": Case(dense, train_rows=32, val_rows=32),
    "whole batches": Case(dense, train_rows=96, val_rows=64),
    "batch larger than the data": Case(dense, train_rows=20, val_rows=10),
    "validation smaller than a batch": Case(dense, val_rows=7),
    "batch normalisation, dropout, L2": Case(normalised, tolerance=NEARLY),
    "convolution with sample weights": Case(
        lambda: chain(layers().Conv1D(4, 3, activation="relu"), layers().Flatten(), shape=(STEPS, WIDTH)),
        weighted_sequences,
        tolerance=NEARLY,
    ),
    "layer and group normalisation": Case(
        lambda: chain(layers().LayerNormalization(), layers().GroupNormalization(2)), tolerance=NEARLY
    ),
    "embedding": Case(
        lambda: chain(layers().Embedding(11, 4), layers().GlobalAveragePooling1D(), shape=(STEPS,)),
        tokens,
        tolerance=NEARLY,
    ),
}


@pytest.fixture
def session() -> Iterator[Callable[[str], None]]:
    from raygrid.training import begin_session

    yield lambda policy: begin_session(0, policy)
    begin_session(0, "float32")


def as_items(columns: tuple[Any, ...]) -> Any:
    import keras
    import tensorflow as tf

    from raygrid.batches import Items

    tensors = keras.tree.map_structure(tf.constant, columns)
    count = len(keras.tree.flatten(columns)[0])
    return Items(count, lambda order: keras.tree.map_structure(lambda tensor: tf.gather(tensor, order), tensors))


Trained = tuple[list[dict[str, float]], list[list[Array]]]


def state(model: Any) -> list[Array]:
    return [np.array(variable) for variable in [*model.variables, *model.optimizer.variables]]


def by_program(case: Case) -> Trained:
    """Metrics and variables after each epoch."""
    from raygrid.epoch_program import EpochProgram, why_not

    model = case.build()
    assert why_not(model) is None
    train, val = as_items(case.data(case.train_rows, 1)), as_items(case.data(case.val_rows, 2))
    program = EpochProgram(model, train, val, case.batch_size, shuffle=False)
    logs, states = [], []
    for epoch in range(EPOCHS):
        logs.append(program.run(0, epoch))
        states.append(state(model))
    return logs, states


def by_fit(case: Case) -> Trained:
    import keras

    model = case.build()
    logs: list[dict[str, float]] = []
    states: list[list[Array]] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, metrics: (logs.append(dict(metrics)), states.append(state(model)))
    )
    x, y, *weights = case.data(case.train_rows, 1)
    model.fit(
        x,
        y,
        sample_weight=weights[0] if weights else None,
        validation_data=case.data(case.val_rows, 2),
        batch_size=case.batch_size,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=[keep],
        verbose=0,
    )
    return logs, states


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_epoch_in_graph_is_that_of_keras_fit(case: Case, session: Callable[[str], None]) -> None:
    session(case.policy)
    logs, states = by_program(case)
    session(case.policy)
    fit_logs, fit_states = by_fit(case)
    assert len(states[0]) == len(fit_states[0])
    assert any((first != last).any() for first, last in zip(states[0], states[-1], strict=True))
    for ours, theirs in zip(logs, fit_logs, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=case.tolerance, abs=case.tolerance)
    for ours, theirs in zip(states, fit_states, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=case.tolerance)
