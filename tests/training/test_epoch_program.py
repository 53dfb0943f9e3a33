"""Epochs in graph, held against ``model.fit``: the same metrics and the same weights in every epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from one_training import train_point

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point

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


def weighted_tokens(count: int, seed: int) -> tuple[Any, ...]:
    x = np.random.default_rng(seed).integers(0, 11, (count, STEPS)).astype(np.float32)
    return x, normal(count, TARGETS, seed=seed), np.abs(normal(count, seed=seed + 7))


def labels(count: int, seed: int) -> tuple[Any, ...]:
    x, y = rows(count, seed)
    return x, (y > 0).astype(np.float32)


def named_pairs(count: int, seed: int) -> tuple[Any, ...]:
    (x, y), (other_x, other_y) = rows(count, seed), rows(count, seed + 3)
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

    exact = keras.metrics.MeanSquaredError(name="exact", dtype="float64")
    return dense(loss="bce", metrics=["mae", keras.metrics.AUC(num_thresholds=20), "binary_accuracy", exact])


def keras_layer(name: str, *settings: Any) -> Any:
    import keras

    return getattr(keras.layers, name)(*settings)


def stateful_lstm() -> Any:
    import keras

    model = keras.Sequential([keras.Input(batch_shape=(20, STEPS, WIDTH)), keras.layers.LSTM(4, stateful=True)])
    model.add(keras.layers.Dense(TARGETS))
    model.compile("adam", "mse")
    return model


def two_inputs_two_outputs() -> Any:
    import keras

    left, right = keras.Input((WIDTH,), name="left"), keras.Input((WIDTH,), name="right")
    both = keras.layers.Concatenate()([keras.layers.Dense(4)(left), keras.layers.Dense(4, "tanh")(right)])
    first, second = keras.layers.Dense(TARGETS, name="first")(both), keras.layers.Dense(TARGETS, name="second")(both)
    model = keras.Model({"left": left, "right": right}, {"first": first, "second": second})
    model.compile("adam", {"first": "mse", "second": "mae"}, {"first": 2.0, "second": 0.5}, {"first": ["mae"]})
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
                "steps": self.optimizer.iterations + 2**24 + 1,
                "constant": 0.1,
                "from Python": tf.numpy_function(lambda x: x[0, 0], [data[0]], tf.float32),
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


def own_layers() -> Any:
    """No compiled loss: the losses come from layers, one of which has a state that test steps move too."""
    import keras

    class Pulling(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.seen.assign_add(1.0)
            self.add_loss(keras.ops.mean(keras.ops.square(inputs - 0.01 * self.seen)))
            return inputs

    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(4, activity_regularizer="l1"), Pulling()])
    model.compile("adam")
    return model


def normalised() -> Any:
    import keras.layers as k

    return chain(k.Dense(8, "relu", kernel_regularizer="l2"), k.BatchNormalization(), k.Dropout(0.3))


def convolution() -> Any:
    import keras.layers as k

    pipe = k.Embedding(11, 4), k.Conv1D(4, 3, activation="relu"), k.GroupNormalization(2), k.LayerNormalization()
    return chain(*pipe, k.Flatten(), shape=(STEPS,), weighted_metrics=["mae"])


def unbuilt() -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(5, "tanh"), keras.layers.Dropout(0.2), keras.layers.Dense(TARGETS)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def weighted() -> Any:
    import keras

    falling = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=3, decay_rate=0.7)
    return dense(optimizer=keras.optimizers.Adam(falling), metrics=["mae"], weighted_metrics=["mae"])


def averaged(**settings: Any) -> Any:
    import keras

    return dense(optimizer=keras.optimizers.Adam(use_ema=True, **settings))


@dataclass(frozen=True)
class Case:
    build: Callable[[], Any]
    data: Callable[[int, int], tuple[Any, ...]] = rows
    train_rows: int = 100
    val_rows: int = 40
    batch_size: int = 32
    tolerance: float = 0.0
    policy: str = "float32"


CASES = {
    "dense with metrics": Case(dense_with_metrics, labels),
    "stateful lstm": Case(stateful_lstm, sequences, batch_size=20),
    "lstm": Case(lambda: chain(keras_layer("LSTM", 4), shape=(STEPS, WIDTH)), sequences),
    # Keras averages the losses of the outputs in another way where all batches have the same size.
    "two inputs and two outputs": Case(two_inputs_two_outputs, named_pairs, val_rows=60, batch_size=30),
    "own train step": Case(own_train_step),
    "logs that are no metrics": Case(own_logs),
    "two optimizers": Case(two_optimizers),
    "random steps": Case(random_steps),
    "own layers": Case(own_layers),
    "unbuilt": Case(unbuilt),
    "sample weights and schedule": Case(weighted, weighted_rows),
    "average in the steps": Case(lambda: averaged(ema_overwrite_frequency=3, gradient_accumulation_steps=2)),
    "average at the end, less than a batch": Case(averaged, train_rows=20, val_rows=32),
    "mixed_bfloat16, one batch": Case(dense, train_rows=32, val_rows=7, policy="mixed_bfloat16"),
    "mixed_float16": Case(dense, policy="mixed_float16"),
    "compiled by XLA": Case(lambda: dense(jit_compile=True)),
    "batch normalisation, dropout, L2": Case(normalised, tolerance=1e-6),
    "embedding, convolution, normalisations": Case(convolution, weighted_tokens, tolerance=1e-6),
}


@pytest.fixture
def session() -> Iterator[Callable[..., None]]:
    """Begins a session with a dtype policy; what a test changed in TensorFlow and Keras is undone after it."""
    import keras
    import tensorflow as tf

    from raygrid.training.train import begin_session

    yield lambda policy="float32": begin_session(0, policy)
    tf.config.run_functions_eagerly(False)
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)
    keras.config.set_dtype_policy("float32")


def as_items(columns: tuple[Any, ...]) -> Any:
    import keras
    import tensorflow as tf

    from raygrid.training.batches import Items

    tensors = keras.tree.map_structure(tf.constant, columns)
    count = len(keras.tree.flatten(columns)[0])
    return Items(count, lambda order: keras.tree.map_structure(lambda tensor: tf.gather(tensor, order), tensors))


Trained = tuple[list[dict[str, float]], list[list[Array]]]


def state(model: Any) -> list[Array]:
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def by_program(case: Case) -> Trained:
    """Metrics and variables after each epoch."""
    from raygrid.training.epoch_program import EpochProgram, why_not

    model = case.build()
    assert why_not(model) is None
    train, val = as_items(case.data(case.train_rows, 1)), as_items(case.data(case.val_rows, 2))
    program = EpochProgram(model, train, val, case.batch_size, shuffle=False)
    logs, states = [], []
    for epoch in range(EPOCHS):
        logs.append(program.run(0, epoch))
        states.append(state(model))
    return logs, states


def by_fit(model: Any, train: tuple[Any, ...], val: tuple[Any, ...], batch_size: int, epochs: int = EPOCHS) -> Trained:
    """The same, as Keras' users get it."""
    import keras

    logs: list[dict[str, float]] = []
    states: list[list[Array]] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, metrics: (logs.append(dict(metrics)), states.append(state(model)))
    )
    x, y, *weights = train
    model.fit(
        x,
        y,
        sample_weight=weights[0] if weights else None,
        validation_data=val,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        callbacks=[keep],
        verbose=0,
    )
    return logs, states


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_epoch_in_graph_is_that_of_keras_fit(case: Case, session: Callable[..., None]) -> None:
    session(case.policy)
    logs, states = by_program(case)
    session(case.policy)
    train, val = case.data(case.train_rows, 1), case.data(case.val_rows, 2)
    fit_logs, fit_states = by_fit(case.build(), train, val, case.batch_size)
    assert any((first != last).any() for first, last in zip(states[0], states[-1], strict=True))
    for ours, theirs in zip(logs, fit_logs, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=case.tolerance, abs=case.tolerance)
    for ours, theirs in zip(states, fit_states, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=case.tolerance)


def recording(seen: list[list[float]]) -> Any:
    """Notes the first column of each batch in Python, whether of a train or a test step."""
    import keras
    import tensorflow as tf

    class Recording(keras.Sequential):
        def note(self, data: Any) -> dict[str, Any]:
            tf.py_function(lambda column: seen.append(column.numpy().tolist()), [data[0][:, 0]], [])
            return {"loss": 0.0}

        train_step = test_step = note

    model = Recording([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def batches_of(*epochs: int, shuffle: bool = True, seed: int = 3) -> list[list[float]]:
    """The batches of a new program that runs these epochs."""
    from raygrid.training.epoch_program import EpochProgram

    seen: list[list[float]] = []
    train, val = np.arange(50, dtype=np.float32)[:, None], np.arange(100, 120, dtype=np.float32)[:, None]
    program = EpochProgram(recording(seen), as_items((train, train)), as_items((val, val)), 16, shuffle)
    for epoch in epochs:
        program.run(seed, epoch)
    return seen


def test_an_epoch_sees_each_row_once_and_then_the_validation_in_order(session: Callable[..., None]) -> None:
    val = [list(range(100, 116)), list(range(116, 120))]
    *train, first_val, second_val = batches_of(0)
    assert [len(batch) for batch in train] == [16, 16, 16, 2]
    seen = [row for batch in train for row in batch]
    assert sorted(seen) == list(range(50)) != seen
    assert [first_val, second_val] == val
    assert batches_of(0, shuffle=False) == [*(list(range(i, min(i + 16, 50))) for i in (0, 16, 32, 48)), *val]


def test_the_batches_of_an_epoch_depend_on_seed_and_number_alone(session: Callable[..., None]) -> None:
    in_sequence = batches_of(0, 1, 2)
    assert batches_of(2) == in_sequence[12:]
    assert batches_of(1, 0) == in_sequence[6:12] + in_sequence[:6]
    assert batches_of(2, seed=4) != in_sequence[12:]
    assert in_sequence[:4] != in_sequence[6:10]


# Which way a training takes

SETTINGS = {"batch_size": 16, "epochs": 3, "patience": None, "window": STEPS, "stride": 2}
TRAIN, VAL = rows(60, 1), rows(30, 2)
ARRAYS = TrainingArrays(*TRAIN, *VAL)


def train(
    build: Callable[[], Any], settings: TrainSettings, arrays: TrainingArrays = ARRAYS, seed: int = 0, **changes: Any
) -> Any:
    point = Point(0, SETTINGS | changes, seed, "key")
    trained = train_point(lambda config, shape: build(), point, "context", arrays, settings, device="CPU")
    assert trained.record.status == "done", trained.record.error
    return trained


def of_class(made: Callable[[], type], **compiled: Any) -> Any:
    """A Sequential model of a class of its own; the class is made late, since it needs Keras."""
    import keras

    model = made()([keras.Input((WIDTH,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(TARGETS)])
    model.compile(**{"optimizer": "adam", "loss": "mse"} | compiled)
    return model


def with_own(name: str) -> Callable[[], Any]:
    """A model whose method of this name does what that of Keras does."""

    def make() -> type:
        import keras

        def own(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(super(Own, self), name)(*args, **kwargs)

        class Own(keras.Sequential):
            pass

        setattr(Own, name, own)
        return Own

    return lambda: of_class(make)


def set_on_the_instance() -> Any:
    model = dense()
    fit = model.fit
    model.fit = lambda *args, **kwargs: fit(*args, **kwargs)
    return model


def annealed() -> Any:
    """Counts its passes in Python, to weigh a loss."""

    def make() -> type:
        import keras

        class Annealed(keras.Sequential):
            passes = 0

            def reset_metrics(self) -> None:
                super().reset_metrics()
                self.passes += 1
                self.layers[0].bias.assign(keras.ops.full((5,), 0.1 * self.passes))

        return Annealed

    return of_class(make)


def listing_metric() -> Any:
    """A metric that keeps what it saw in a Python list, as those do that call other libraries."""
    import keras
    import tensorflow as tf

    class Listing(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="listing")
            self.values: list[float] = []

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            tf.py_function(lambda y: self.values.append(float(y[0, 0])), [y_true], [])

        def result(self) -> Any:
            return tf.ensure_shape(tf.py_function(lambda: float(sum(self.values)), [], tf.float32), ())

        def reset_state(self) -> None:
            self.values.clear()

    return dense(metrics=[Listing()])


def frozen_after_training() -> Any:
    """Keras goes on with the steps that it traced before the layer was frozen."""
    model = dense()
    model.fit(*TRAIN, verbose=0)
    model.layers[0].trainable = False
    return model


def evaluated_before() -> Any:
    model = dense()
    model.evaluate(*VAL, verbose=0)
    return model


def under_a_strategy() -> Any:
    import tensorflow as tf

    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        return dense()


def with_functions_run_eagerly() -> Any:
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    return dense()


def with_limited_epochs() -> Any:
    import keras

    keras.config.set_max_epochs(2)
    return dense()


def with_limited_steps() -> Any:
    import keras

    keras.config.set_max_steps_per_epoch(2)
    return dense()


LEFT_TO_FIT = {
    "run_eagerly": (lambda: dense(run_eagerly=True), "the model is compiled with run_eagerly"),
    "steps_per_execution": (lambda: dense(steps_per_execution=2), "the model is compiled with steps_per_execution"),
    "fit": (with_own("fit"), "Own has its own fit"),
    "reset_metrics": (annealed, "Annealed has its own reset_metrics"),
    "metric in Python": (listing_metric, "the metric Listing has its own reset_state"),
    "frozen": (frozen_after_training, "build_model has trained or evaluated the model already"),
    "strategy": (under_a_strategy, "the model runs under a tf.distribute strategy"),
    "limited epochs": (with_limited_epochs, "Keras limits epochs or steps"),
}
ALSO_LEFT = {
    "make_train_function": (with_own("make_train_function"), "Own has its own make_train_function"),
    "evaluate": (with_own("evaluate"), "Own has its own evaluate"),
    "make_test_function": (with_own("make_test_function"), "Own has its own make_test_function"),
    "get_metrics_result": (with_own("get_metrics_result"), "Own has its own get_metrics_result"),
    "on the instance": (set_on_the_instance, "Sequential has its own fit"),
    "evaluated": (evaluated_before, "build_model has trained or evaluated the model already"),
    "functions run eagerly": (with_functions_run_eagerly, "tf.config.run_functions_eagerly is on"),
    "limited steps": (with_limited_steps, "Keras limits epochs or steps"),
}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "raygrid"]


# Keras warns of its limit.
@pytest.mark.filterwarnings("ignore:Limiting epochs")
@pytest.mark.parametrize(("build", "reason"), LEFT_TO_FIT.values(), ids=LEFT_TO_FIT)
def test_what_a_graph_would_change_is_left_to_keras_fit(
    build: Callable[[], Any],
    reason: str,
    session: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raygrid.base.once._said", set())
    caplog.set_level(logging.INFO, "raygrid")
    trained = train(build, TrainSettings(shuffle=False))
    assert [reason in message for message in told(caplog)] == [True]
    session()
    logs, _ = by_fit(build(), TRAIN, VAL, batch_size=16)
    assert trained.record.history == {name: tuple(epoch[name] for epoch in logs) for name in logs[0]}


@pytest.mark.parametrize(("build", "reason"), ALSO_LEFT.values(), ids=ALSO_LEFT)
def test_whatever_takes_part_in_fit_is_left_to_it(
    build: Callable[[], Any], reason: str, session: Callable[..., None]
) -> None:
    from raygrid.training.epoch_program import why_not

    assert reason in str(why_not(build()))


def test_why_an_epoch_is_not_in_graph_is_told_once_for_each_reason(
    session: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raygrid.base.once._said", set())
    caplog.set_level(logging.INFO, "raygrid")
    for reason in ("this", "this", "that", "this", "that", None):
        monkeypatch.setattr("raygrid.training.train.why_not", lambda model, reason=reason: reason)
        train(dense, TrainSettings(), epochs=1)
    assert [message.split()[-1] for message in told(caplog)] == ["this.", "that."]


def with_metric_of_its_own() -> Any:
    """Only its result is its own, so that nothing runs in Python between epochs."""
    import keras

    class Largest(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="largest")
            self.most = self.add_variable((), "zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.most.assign(keras.ops.maximum(self.most, keras.ops.max(y_true)))

        def result(self) -> Any:
            return {"largest": self.most, "half": self.most / 2}

    return dense(metrics=[Largest()])


def dense_windows() -> Any:
    import keras

    return chain(keras.layers.Dense(6, "relu"), shape=(STEPS, WIDTH), metrics=["mae"])


# The second run is shorter than a window.
RUNS, VAL_RUNS = np.repeat(np.arange(3), [30, 2, 28]), np.repeat(np.arange(2), 15)
WINDOWS = TrainingArrays(*TRAIN, *VAL, runs_train=RUNS, runs_val=VAL_RUNS)


def windows(columns: tuple[Any, ...], runs: Array) -> tuple[Any, ...]:
    starts = [i for i in range(len(runs)) if runs[i : i + STEPS].tolist() == [runs[i]] * STEPS]
    kept = [i for i in starts if (i - np.flatnonzero(runs == runs[i])[0]) % SETTINGS["stride"] == 0]
    return tuple(np.stack([column[i : i + STEPS] for i in kept]) for column in columns)


def test_epochs_over_windows_are_those_of_keras_fit_on_the_windows(session: Callable[..., None]) -> None:
    trained = train(dense_windows, TrainSettings(shuffle=False, windowed=True), WINDOWS)
    session()
    logs, _ = by_fit(dense_windows(), windows(TRAIN, RUNS), windows(VAL, VAL_RUNS), batch_size=16)
    assert trained.record.history == {name: tuple(epoch[name] for epoch in logs) for name in logs[0]}


@pytest.mark.parametrize(
    ("build", "arrays"), [(with_metric_of_its_own, ARRAYS), (dense_windows, WINDOWS)], ids=["rows", "windows"]
)
def test_shuffled_both_ways_give_the_same_to_the_last_bit(
    build: Callable[[], Any], arrays: TrainingArrays, session: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from raygrid.training import train as trains

    settings = TrainSettings(shuffle=True, windowed=arrays is WINDOWS)
    ways: list[str] = []
    for way in ("_train_in_graph", "_train_with_fit"):
        taken = getattr(trains, way)
        monkeypatch.setattr(trains, way, lambda *args, way=way, taken=taken: (ways.append(way), taken(*args)))
    in_graph = train(build, settings, arrays, seed=5)
    monkeypatch.setattr("raygrid.training.train.why_not", lambda model: "a test")
    with_fit = train(build, settings, arrays, seed=5)
    assert ways == ["_train_in_graph", "_train_with_fit"]
    assert in_graph.record.history == with_fit.record.history
    assert [w.tobytes() for w in in_graph.weights] == [w.tobytes() for w in with_fit.weights]
