"""What could not be published is found out before it is trained, once for each kind of model, and changes no result."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_training import train_point
from small_models import WIDTH, dense_model, small_rows

from raygrid import GridSearchModel
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.errors import AllTrialsFailedError
from raygrid.grid.plan import Point

X, X_VAL = small_rows(), small_rows(60, seed=1)
ARRAYS = TrainingArrays(X, None, X_VAL, None)
CONFIG = {"hidden": (4,), "learning_rate": 0.01, "activation": "relu", "batch_size": 32, "epochs": 2, "patience": None}


@pytest.fixture(autouse=True)
def nothing_checked_yet() -> Iterator[None]:
    from raygrid.training import publishable

    before = set(publishable._checked)
    publishable._checked.clear()
    yield
    publishable._checked |= before


def trained(build: Callable[..., Any], config: dict[str, Any] = CONFIG, seed: int = 0) -> tuple[Any, int]:
    """A point as a worker reports it, and how many epochs were run for it."""
    epochs: list[int] = []
    point = train_point(
        build,
        Point(0, config, seed, "key"),
        "context",
        ARRAYS,
        TrainSettings(),
        device="CPU",
        on_epoch=lambda epoch, logs: epochs.append(epoch),
    )
    return point, len(epochs)


def checked(build: Callable[..., Any], config: dict[str, Any] = CONFIG) -> None:
    """What comes before a training alone: the model is built, and looked at where its kind is new."""
    from raygrid.training.feeds import feed_of
    from raygrid.training.publishable import publishable_model
    from raygrid.training.train import begin_session, build_checked

    def new_model() -> Any:
        begin_session(0, "float32")
        return build_checked(build, config, (WIDTH,))

    feed = feed_of(ARRAYS, config, TrainSettings())
    assert publishable_model(new_model, lambda: feed).compiled


def refused(build: Callable[..., Any]) -> str:
    """What is said of a model before its first epoch."""
    point, epochs = trained(build)
    assert (point.record.status, epochs) == ("failed", 0)
    cause: str = point.record.cause
    begin = "raygrid.errors.BuilderError: "
    assert cause.startswith(begin), point.record.error
    return cause.removeprefix(begin)


# Models that cannot be published


class Pair:
    """No value that a config could hold."""


def without_get_config(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Block(keras.layers.Layer):
        def __init__(self, width: int, pair: Pair, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width, self.pair = width, pair
            self.dense = keras.layers.Dense(width)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = keras.Sequential([keras.Input(input_shape), Block(WIDTH, Pair())])
    model.compile("adam", "mse")
    return model


def subclass_without_get_config(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Net(keras.Model):
        def __init__(self, pair: Pair) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(WIDTH)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Net(Pair())
    model.compile("adam", "mse")
    return model


def vae_without_call(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras
    import tensorflow as tf

    class VAE(keras.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.encoder, self.decoder = keras.layers.Dense(2), keras.layers.Dense(WIDTH)

        def train_step(self, data: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self.decoder(self.encoder(data[0])) - data[0]) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return {"loss": loss}

        def test_step(self, data: Any) -> Any:
            return {"loss": tf.reduce_mean((self.decoder(self.encoder(data[0])) - data[0]) ** 2)}

    model = VAE()
    model.compile("adam")
    return model


def registered_with_an_argument_left_out(default: Any, given: Any) -> Callable[..., Any]:
    """A builder whose registered layer does not save its argument ``factors``."""

    def build(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        @keras.saving.register_keras_serializable("raygrid_tests")
        class Scaling(keras.layers.Layer):
            def __init__(self, factors: Any = default, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.factors = factors

            def call(self, inputs: Any) -> Any:
                return inputs * self.factors[0]

            def get_config(self) -> Any:
                return {**super().get_config()}

        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH), Scaling(given)])
        model.compile("adam", "mse")
        return model

    return build


def registered_loss_with_an_argument_left_out(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    @keras.saving.register_keras_serializable("raygrid_tests")
    class Scaled(keras.losses.Loss):
        def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return self.factor * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)

        def get_config(self) -> Any:
            return {**super().get_config()}

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH)])
    model.compile("adam", Scaled(3.0))
    return model


def layers_made_in_call(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Late(keras.Model):
        dense = None

        def call(self, inputs: Any) -> Any:
            if self.dense is None:
                self.dense = keras.layers.Dense(WIDTH)
            return self.dense(inputs)

    model = Late()
    model.compile("adam", "mse")
    return model


def registered_model_with_an_argument_left_out(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    @keras.saving.register_keras_serializable("raygrid_tests")
    class Scaled(keras.Model):
        def __init__(self, factors: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factors = factors
            self.dense = keras.layers.Dense(WIDTH)

        def build(self, shape: Any) -> None:
            self.dense.build(shape)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs) * self.factors[0]

        def get_config(self) -> Any:
            return {**super().get_config()}

    model = Scaled((2.0,))
    model.compile("adam", "mse")
    return model


def test_a_layer_without_get_config_is_named_before_the_first_epoch_with_what_to_add() -> None:
    said = refused(without_get_config)
    assert "Sequential could not be published once it is trained: Block has no get_config" in said
    assert 'return {**super().get_config(), "width": self.width, "pair": self.pair}' in said


def test_a_subclassed_model_without_get_config_is_named_too() -> None:
    assert "Net has no get_config that Keras could save it with" in refused(subclass_without_get_config)


def test_a_vae_without_call_is_told_to_define_it() -> None:
    said = refused(vae_without_call)
    assert said.startswith("VAE could not be published once it is trained: it has no call(), without which")
    assert "self.decoder(self.encoder(inputs))" in said


def test_a_registered_class_whose_get_config_lacks_an_argument_that_it_needs_is_named() -> None:
    said = refused(registered_model_with_an_argument_left_out)
    assert "'NoneType' object is not subscriptable" in said
    assert "get_config of Scaled leaves out the argument 'factors' of its constructor" in said


def test_layers_that_are_made_in_call_are_refused_with_what_keras_says_of_them() -> None:
    said = refused(layers_made_in_call)
    assert "All state must be created in the `__init__()` method or in the `build()` method." in said


def test_a_registered_class_that_comes_back_with_a_default_is_named_too() -> None:
    said = refused(registered_with_an_argument_left_out((1.0,), (2.0,)))
    assert "loaded from its file, it gives other results for the same rows (predict)" in said
    assert 'add to what it returns: "factors": self.factors.' in said


def test_a_loss_that_comes_back_with_a_default_is_named_too() -> None:
    said = refused(registered_loss_with_an_argument_left_out)
    assert "gives other results for the same rows (evaluate)" in said
    assert "get_config of Scaled leaves out the argument 'factor'" in said


def test_a_builder_that_gives_another_model_each_time_is_refused() -> None:
    widths = itertools.count(2)

    def build(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        own = with_own_layer(config, input_shape)
        model = keras.Sequential([*own.layers, keras.layers.Dense(next(widths)), keras.layers.Dense(WIDTH)])
        model.compile("adam", "mse")
        return model

    said = refused(build)
    assert "what is saved of it does not fit the model that build_model gives when it is called again" in said
    assert said.endswith("Make build_model depend on nothing but its arguments.")


def test_a_single_config_in_this_process_says_it_before_it_trains(tmp_path: Path) -> None:
    model = GridSearchModel(tmp_path, "net", 0, build_model=without_get_config)
    with pytest.raises(AllTrialsFailedError, match="Block has no get_config that Keras could save it with"):
        model.fit(X, X_VAL, model_config={"epochs": 2})


# Models that can


def with_own_layer(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Doubling(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    model = keras.Sequential([keras.Input(input_shape), Doubling(), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def with_own_function(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """Of Keras' own layers, with a function that Keras does not know."""
    import keras

    def halved(x: Any) -> Any:
        return x / 2

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH, halved)])
    model.compile("adam", "mse")
    return model


def with_lambda(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    layers = [keras.Input(input_shape), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(WIDTH)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    return model


def without_input(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(3, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def noisy(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    class Noise(keras.layers.GaussianNoise):
        def call(self, inputs: Any, training: bool = False) -> Any:
            return super().call(inputs, training=True)

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH), Noise(0.5)])
    model.compile("adam", "mse")
    return model


def random_each_time(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """With random numbers of no seed that a file could hold."""
    import keras

    class Jitter(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + keras.random.normal(keras.ops.shape(inputs))

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH), Jitter()])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("build", [dense_model, with_own_layer, with_lambda, random_each_time])
def test_a_model_that_can_be_published_is_not_refused(
    build: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    from raygrid.training import publishable

    with caplog.at_level(logging.WARNING):
        checked(build)
    assert len(publishable._checked) == 1
    # That Keras alone cannot load it is said where it is published.
    assert caplog.records == []


# What the check draws of random numbers, and what it builds, must not be missed by the training.
@pytest.mark.parametrize("build", [without_input, noisy])
def test_a_model_is_trained_to_the_same_bits_checked_or_not(build: Callable[..., Any]) -> None:
    from raygrid.training import publishable

    first, epochs = trained(build, seed=3)
    assert (first.record.status, epochs) == ("done", 2), first.record.error
    assert len(publishable._checked) == 1
    again, _ = trained(build, seed=3)
    assert again.record.history == first.record.history
    assert [w.tobytes() for w in again.weights] == [w.tobytes() for w in first.weights]


def compiled_twice(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """As a builder does that changes what its base class compiles; Keras keeps the first metrics until it is saved."""
    model = dense_model(config, input_shape)
    model.compile("adam", "mse", metrics=["mae"])
    model.compile("adam", "mse", loss_weights=[2.0])
    return model


def test_a_model_that_is_compiled_twice_is_not_refused() -> None:
    checked(compiled_twice)


def test_models_of_the_same_kinds_of_objects_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from raygrid.training import publishable

    checks: list[str] = []
    check = publishable._check
    monkeypatch.setattr(publishable, "_check", lambda model, *rest: (checks.append(model.name), check(model, *rest)))
    for hidden, activation in (((4,), "relu"), ((5, 3), "relu"), ((6,), "tanh")):
        checked(dense_model, {**CONFIG, "hidden": hidden, "activation": activation})
    assert len(checks) == 1
    checked(with_own_layer)
    assert len(checks) == 2
    for _ in range(2):
        checked(with_own_function)
    assert len(checks) == 3
    # What failed is looked at again: another config may be right.
    for _ in range(2):
        refused(without_get_config)
    assert len(checks) == 5


def test_what_the_data_does_wrong_is_left_for_the_training_to_say() -> None:
    def of_two_outputs(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH + 1)])
        model.compile("adam", "mse")
        return model

    checked(of_two_outputs)


@pytest.mark.parametrize("error", [OSError("no space left on device"), MemoryError()])
@pytest.mark.parametrize("step", ["complete", "model_bytes"])
def test_what_the_machine_lacks_is_not_blamed_on_the_model(
    step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raygrid.training import publishable

    def fails(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(publishable, step, fails)
    with pytest.raises(type(error)) as caught:
        checked(dense_model)
    assert caught.value is error
