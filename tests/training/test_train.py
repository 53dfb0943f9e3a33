"""The rules of a point, held against Keras' own ``fit``, ``EarlyStopping`` and seeds."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from one_training import train_point
from small_models import WIDTH, dense_model, small_rows

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point

X, X_VAL = small_rows(), small_rows(60, seed=1)
UNSUPERVISED = TrainingArrays(X, None, X_VAL, None)
CONFIG = {
    "hidden": (4,),
    "learning_rate": 0.01,
    "activation": "relu",
    "batch_size": 32,
    "epochs": 2,
    "patience": None,
}


def train(
    build: Callable[..., Any] = dense_model,
    arrays: TrainingArrays = UNSUPERVISED,
    *,
    shuffle: bool = False,
    seed: int = 0,
    **changes: Any,
) -> Any:
    config = {**CONFIG, **changes}
    return train_point(build, Point(0, config, seed, "key"), "context", arrays, TrainSettings(shuffle), device="CPU")


def plain_fit(
    arrays: TrainingArrays = UNSUPERVISED,
    callbacks: Any = (),
    build: Callable[..., Any] = dense_model,
    **changes: Any,
) -> tuple[Any, Any]:
    """A model trained as Keras' users do, without shuffling, and its ``History``."""
    import keras

    config = {**CONFIG, **changes}
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = build(config, (WIDTH,))
    x, y, *weights = arrays.train_columns()
    history = model.fit(
        x,
        y,
        sample_weight=weights[0] if weights else None,
        validation_data=arrays.val_columns(),
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        callbacks=list(callbacks),
        shuffle=False,
        verbose=0,
    )
    return model, history


def bits(weights: list[np.ndarray[Any, Any]]) -> list[bytes]:
    return [array.tobytes() for array in weights]


def weighted() -> TrainingArrays:
    generator = np.random.default_rng(5)
    train_weights, val_weights = (generator.uniform(0, 2, n).astype(np.float32) for n in (len(X), len(X_VAL)))
    targets, val_targets = X[:, ::-1].copy(), X_VAL[:, ::-1].copy()
    return TrainingArrays(X, targets, X_VAL, val_targets, train_weights, val_weights)


@pytest.mark.parametrize("arrays", [UNSUPERVISED, weighted()], ids=["plain", "targets and sample weights"])
def test_without_shuffling_a_training_is_that_of_keras_fit_to_the_last_bit(arrays: TrainingArrays) -> None:
    trained = train(arrays=arrays, epochs=4)
    model, history = plain_fit(arrays, epochs=4)
    assert trained.record.status == "done"
    assert trained.record.history == {name: tuple(column) for name, column in history.history.items()}
    # The last epoch is the best here, so its weights are those that Keras ends with.
    assert trained.record.best_epoch == 4
    assert bits(trained.weights) == bits(model.get_weights())


def cut_in_two(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    inputs = keras.Input(input_shape)
    left, right = keras.layers.Dense(5, "relu")(inputs[:, :1]), keras.layers.Dense(3, "tanh")(inputs[:, 1:])
    model = keras.Model(inputs, keras.layers.Dense(WIDTH)(keras.layers.Concatenate()([left, right])))
    model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse", metrics=["mae"])
    return model


def with_a_callback_of_its_own(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Slowing(keras.Sequential):
        def fit(self, *args: Any, callbacks: Any = (), **others: Any) -> Any:
            slower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.7 * rate)
            return super().fit(*args, callbacks=[*callbacks, slower], **others)

    model = Slowing([keras.Input(input_shape), keras.layers.Dense(6, "relu"), keras.layers.Dense(WIDTH)])
    model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse", metrics=["mae"])
    return model


def layers_of_the_built_in_regressor(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    from raygrid import MLPRegressor

    model = MLPRegressor("models", "regressor")
    model.fitted_outputs = WIDTH
    return model.build_model({**MLPRegressor.DEFAULT_CONFIG, **config}, input_shape)


@pytest.mark.parametrize(
    ("build", "batch_size"),
    [
        (cut_in_two, 60),
        (with_a_callback_of_its_own, 25),
        (layers_of_the_built_in_regressor, 32),
        *[
            pytest.param(build, batch_size, marks=pytest.mark.long)
            for build, others in (
                (cut_in_two, (25, 32)),
                (with_a_callback_of_its_own, (32, 60)),
                (layers_of_the_built_in_regressor, (25, 60)),
            )
            for batch_size in others
        ],
    ],
)
def test_dense_models_are_those_of_keras_fit_to_the_last_bit(build: Callable[..., Any], batch_size: int) -> None:
    # The last batch of 200 rows, and of 60 for validation, is a whole one in some, and in others a smaller one.
    trained = train(build, batch_size=batch_size, epochs=2)
    model, history = plain_fit(build=build, batch_size=batch_size, epochs=2)
    assert trained.record.status == "done", trained.record.error
    columns = {name: tuple(column) for name, column in history.history.items() if name != "learning_rate"}
    assert {name: trained.record.history[name] for name in columns} == columns
    assert trained.record.best_epoch == 2
    assert bits(trained.weights) == bits(model.get_weights())


def test_the_record_holds_every_metric_by_epoch_and_at_the_best_epoch() -> None:
    record = train(epochs=3).record
    assert record.history.keys() == {"loss", "mae", "val_loss", "val_mae"}
    assert {len(column) for column in record.history.values()} == {3}
    best = record.best_epoch - 1
    assert record.metrics == {name: column[best] for name, column in record.history.items()}
    assert record.val_loss == min(record.history["val_loss"])
    assert record.epochs_run == 3
    assert record.seconds > 0
    assert record.error is None


@pytest.mark.parametrize("patience", [1, 2])
def test_patience_stops_where_keras_early_stopping_stops_with_the_same_weights(patience: int) -> None:
    import keras

    # Steps so large that val_loss goes up and down.
    changes = {"learning_rate": 0.3, "epochs": 30}
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
    model, history = plain_fit(callbacks=[stopping], **changes)
    epochs = len(history.epoch)
    assert patience + 1 < epochs < 30
    trained = train(patience=patience, **changes)
    assert trained.record.epochs_run == epochs
    assert trained.record.best_epoch == stopping.best_epoch + 1
    assert bits(trained.weights) == bits(model.get_weights())


@pytest.mark.parametrize("patience", [None, 0])
def test_without_patience_all_epochs_are_run_and_the_best_one_is_kept(patience: int | None) -> None:
    record = train(learning_rate=0.3, epochs=12, patience=patience).record
    assert record.epochs_run == 12
    assert record.best_epoch < 12
    assert record.val_loss == min(record.history["val_loss"])


def test_a_training_whose_val_loss_is_never_finite_has_diverged() -> None:
    trained = train(learning_rate=1e30)
    assert trained.record.status == "diverged"
    assert trained.record.error == "val_loss was not finite in any epoch"
    assert trained.record.history["val_loss"] == (None, None)
    assert trained.record.best_epoch is None
    assert trained.record.metrics == {}
    assert trained.weights is None


def raising(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    raise KeyError("no such unit")


def forgetful(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    dense_model(config, input_shape)


def uncompiled(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH)])


def of_other_width(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    return dense_model(config, (WIDTH + 1,))


@pytest.mark.parametrize(
    ("build", "cause"),
    [
        (raising, "KeyError: 'no such unit'"),
        (forgetful, "build_model returned NoneType, not a keras.Model. End it with 'return model'."),
        (uncompiled, "is not compiled. Call model.compile("),
        (of_other_width, "incompatible with the layer"),
    ],
)
def test_a_builder_that_cannot_be_trained_fails_with_the_cause(build: Callable[..., Any], cause: str) -> None:
    trained = train(build)
    assert trained.record.status == "failed"
    assert cause in trained.record.error
    assert trained.weights is None
    assert trained.record.metrics == {}


def test_a_failure_shows_the_line_of_the_builder() -> None:
    error = train(raising).record.error
    assert "in raising" in error
    assert 'raise KeyError("no such unit")' in error


def test_a_metric_that_is_not_finite_at_the_best_epoch_is_null() -> None:
    def with_nan_metric(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        def broken(y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(y_pred) * float("nan")

        model = dense_model(config, input_shape)
        model.compile("sgd", "mse", metrics=[broken])
        return model

    record = train(with_nan_metric).record
    assert record.status == "done"
    assert record.metrics["broken"] is None
    assert record.metrics["val_broken"] is None


def test_the_same_seed_gives_the_same_weights_whatever_was_trained_in_between() -> None:
    def with_dropout(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        model = keras.Sequential(
            [keras.Input(input_shape), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(WIDTH)]
        )
        model.compile("adam", "mse")
        return model

    first = train(with_dropout, shuffle=True, seed=7)
    train(hidden=(5, 5), shuffle=True, seed=1)
    other = train(with_dropout, shuffle=True, seed=8)
    again = train(with_dropout, shuffle=True, seed=7)
    assert bits(again.weights) == bits(first.weights)
    assert again.record.history == first.record.history
    assert not set(bits(other.weights)) & set(bits(first.weights))


def test_shuffling_changes_the_result_and_only_the_order_of_the_rows() -> None:
    ordered, shuffled = train(), train(shuffle=True)
    assert ordered.record.history != shuffled.record.history


def orders(seed: int | None, epochs: int) -> list[list[int]]:
    """The numbers of the rows as each epoch of a training with ``seed`` sees them."""
    from raygrid.training.batches import train_items

    rows = np.arange(50, dtype=np.int64)
    items = train_items(TrainingArrays(rows, None, rows, None), {}, TrainSettings())
    batches = [columns[0].numpy() for columns in items.epochs(epochs, 16, seed)]
    assert [len(batch) for batch in batches] == [16, 16, 16, 2] * epochs
    seen = np.concatenate(batches)
    return [seen[epoch * 50 : (epoch + 1) * 50].tolist() for epoch in range(epochs)]


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    first = orders(seed=3, epochs=3)
    assert all(sorted(epoch) == list(range(50)) for epoch in first)
    assert len({tuple(epoch) for epoch in [*first, list(range(50))]}) == 4
    assert orders(seed=3, epochs=5)[:3] == first
    assert all(a != b for a, b in zip(first, orders(seed=4, epochs=3), strict=True))


def test_without_shuffling_every_epoch_sees_the_rows_in_their_order() -> None:
    assert orders(seed=None, epochs=2) == [list(range(50))] * 2


def test_rows_targets_and_weights_stay_together_when_shuffled() -> None:
    from raygrid.training.batches import train_items

    rows = np.arange(50, dtype=np.float32)
    arrays = TrainingArrays(rows, rows + 100, rows, rows, rows / 100)
    for x, y, w in train_items(arrays, {}, TrainSettings()).epochs(2, 16, seed=3):
        np.testing.assert_array_equal(y, x + 100)
        np.testing.assert_allclose(w, x / 100)


def test_every_epoch_is_reported_once_in_order() -> None:
    reported: list[tuple[int, dict[str, float | None]]] = []
    record = train_point(
        dense_model,
        Point(0, {**CONFIG, "epochs": 3}, 0, "key"),
        "context",
        UNSUPERVISED,
        TrainSettings(),
        device="CPU",
        on_epoch=lambda epoch, logs: reported.append((epoch, logs)),
    ).record
    assert [epoch for epoch, _ in reported] == [1, 2, 3]
    assert tuple(logs["val_loss"] for _, logs in reported) == record.history["val_loss"]


def draws() -> list[Any]:
    import keras
    import tensorflow as tf

    return [
        random.random(),
        np.random.random(),
        keras.random.uniform(()).numpy(),
        keras.random.normal((2,)).numpy().tolist(),
        keras.initializers.GlorotUniform()((2, 2)).numpy().tolist(),
        tf.random.uniform([2]).numpy().tolist(),
        tf.random.normal([]).numpy(),
        list(tf.data.Dataset.range(50).shuffle(50).as_numpy_iterator()),
    ]


@pytest.mark.parametrize("earlier", [0, 2], ids=["right after the seed", "after some draws"])
def test_what_is_drawn_after_a_training_is_what_would_have_been_drawn_without(earlier: int) -> None:
    import keras

    from raygrid.training.user_state import user_state_kept

    def seeded() -> None:
        keras.utils.set_random_seed(11)
        for _ in range(earlier):
            draws()

    seeded()
    expected = draws()
    seeded()
    with user_state_kept():
        train_point(dense_model, Point(0, CONFIG, 0, ""), "", UNSUPERVISED, TrainSettings(), device="CPU")
    assert draws() == expected


def test_without_a_seed_what_is_drawn_after_a_training_is_not_that_of_its_seed() -> None:
    import keras
    import tensorflow as tf

    from raygrid.training.user_state import user_state_kept

    found = []
    for _ in range(2):
        tf.random.set_seed(None)
        keras.utils.clear_session()
        with user_state_kept():
            train_point(dense_model, Point(0, CONFIG, 0, ""), "", UNSUPERVISED, TrainSettings(), device="CPU")
        found.append(tf.random.uniform([2]).numpy().tolist())
    assert found[0] != found[1]


def test_the_users_dtype_policy_and_names_of_layers_come_back_after_a_training() -> None:
    import keras

    from raygrid.training.user_state import user_state_kept

    keras.utils.clear_session()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert keras.layers.Dense(1).name == "dense"
        with user_state_kept():
            train_point(dense_model, Point(0, CONFIG, 0, ""), "", UNSUPERVISED, TrainSettings(), device="CPU")
            assert keras.config.dtype_policy().name == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert keras.layers.Dense(1).name == "dense_1"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_point_is_built_and_trained_in_the_dtype_policy_that_was_asked_for() -> None:
    policies: list[str] = []

    def noting(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = dense_model(config, input_shape)
        policies.append(model.layers[0].dtype_policy.name)
        return model

    settings = TrainSettings(dtype_policy="mixed_bfloat16")
    trained = train_point(noting, Point(0, CONFIG, 0, ""), "", UNSUPERVISED, settings, device="CPU")
    assert trained.record.status == "done"
    assert policies == ["mixed_bfloat16"]


def test_the_record_says_where_the_point_was_trained() -> None:
    record = train().record
    assert record.worker == f"{socket.gethostname()}:{os.getpid()}"
    assert (record.key, record.context, record.device, record.seed) == ("key", "context", "CPU", 0)
