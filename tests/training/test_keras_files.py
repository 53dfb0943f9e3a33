"""Models to bytes and back, and the winner rebuilt: what is published is what was trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_training import train_point
from small_models import WIDTH, dense_model, small_rows

from raygrid import GridSearchModel
from raygrid.base.types import ModelDefinition
from raygrid.data.training_arrays import InputSpec, RowSpec, TrainingArrays, TrainSettings
from raygrid.errors import CorruptArtifactError, CustomObjectError, RebuildError
from raygrid.grid.plan import Point

X, X_VAL = small_rows(), small_rows(60, seed=1)
ARRAYS = TrainingArrays(X, None, X_VAL, None)
INPUTS = InputSpec(RowSpec((WIDTH,), np.dtype(np.float32)))
CONFIG = {"hidden": (4,), "learning_rate": 0.01, "activation": "relu", "batch_size": 32, "epochs": 2, "patience": None}
SOURCE = Path("models/small_model.keras")

# What the builders below depend on besides their arguments, as they should not.
hidden_width = 3
hidden_scale = 1.0


def of_hidden_width(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    return dense_model({**config, "hidden": (hidden_width,)}, input_shape)


def of_hidden_scale(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Rescaling(hidden_scale), keras.layers.Dense(WIDTH)]
    )
    model.compile("adam", "mse")
    return model


def with_own_layer(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """Has a layer that Keras cannot find by its name, since it is local to this function."""
    import keras

    class Doubling(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    model = keras.Sequential([keras.Input(input_shape), Doubling(), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def with_lambda(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    layers = [keras.Input(input_shape), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(WIDTH)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    return model


def always_noisy(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """Its layer adds noise in inference as well."""
    import keras

    class Noise(keras.layers.GaussianNoise):
        def call(self, inputs: Any, training: bool = False) -> Any:
            return super().call(inputs, training=True)

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(WIDTH), Noise(0.5)])
    model.compile("adam", "mse")
    return model


def trained(build: Callable[..., Any]) -> Any:
    """A point as a worker reports it."""
    point = train_point(build, Point(0, CONFIG, 0, "key"), "context", ARRAYS, TrainSettings(), device="CPU")
    assert point.record.status == "done", point.record.error
    return point


def rebuilt(build: Callable[..., Any], point: Any) -> tuple[Any, bytes]:
    from raygrid.training.rebuild import rebuild_winner

    winner = rebuild_winner(ModelDefinition(build), point.record, point.weights, ARRAYS, TrainSettings(), SOURCE)
    model, data, inputs = winner
    assert inputs == INPUTS
    return model, data


def same(one: list[np.ndarray[Any, Any]], other: list[np.ndarray[Any, Any]]) -> bool:
    return [array.tobytes() for array in one] == [array.tobytes() for array in other]


def test_the_rebuilt_winner_has_the_weights_of_the_trial_and_predicts_as_its_file(tmp_path: Path) -> None:
    import keras

    point = trained(dense_model)
    model, data = rebuilt(dense_model, point)
    assert same(model.get_weights(), point.weights)
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plain = keras.models.load_model(path)
    assert [str(warning.message) for warning in caught] == []
    assert same(plain.get_weights(), point.weights)
    assert plain.predict(X_VAL, verbose=0).tobytes() == model.predict(X_VAL, verbose=0).tobytes()


def test_a_model_comes_back_from_its_bytes_compiled_and_with_its_weights() -> None:
    from raygrid.training.keras_files import model_bytes, model_from_bytes

    model = dense_model(CONFIG, (WIDTH,))
    model.fit(X, X, verbose=0)
    back = model_from_bytes(model_bytes(model), SOURCE, None)
    assert same(back.get_weights(), model.get_weights())
    assert back.compiled
    assert back.evaluate(X, X, verbose=0) == model.evaluate(X, X, verbose=0)


def test_a_class_that_keras_cannot_find_is_rebuilt_with_the_builder_and_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from raygrid.training.keras_files import model_from_bytes
    from raygrid.training.rebuild import built_model

    point = trained(with_own_layer)
    model, data = rebuilt(with_own_layer, point)
    assert same(model.get_weights(), point.weights)
    caplog.clear()
    back = model_from_bytes(data, SOURCE, lambda: built_model(with_own_layer, CONFIG, INPUTS))
    assert same(back.get_weights(), point.weights)
    (warning,) = caplog.records
    assert warning.message == (
        f"Keras alone cannot load {SOURCE}: Doubling is not registered with Keras. It is rebuilt with build_model. "
        "For other tools, decorate Doubling with @keras.saving.register_keras_serializable()."
    )


def test_a_class_that_keras_cannot_find_without_a_builder_is_an_error_with_the_fix() -> None:
    from raygrid.training.keras_files import model_bytes, model_from_bytes

    data = model_bytes(with_own_layer(CONFIG, (WIDTH,)))
    with pytest.raises(
        CustomObjectError, match=r"that has Doubling, decorated with .*load\(\) on the class that trained"
    ) as caught:
        model_from_bytes(data, SOURCE, None)
    assert str(SOURCE) in str(caught.value)
    # The file is whole, so nobody is sent to train anew.
    assert not isinstance(caught.value, CorruptArtifactError) and "reset" not in str(caught.value)


def test_code_in_a_file_is_not_run_by_load_of_the_base_class(tmp_path: Path) -> None:
    own = GridSearchModel(tmp_path, "lambda", 0, build_model=with_lambda)
    own.fit(X, X_VAL, model_config={"epochs": 1})
    with pytest.raises(CustomObjectError, match=r"Lambda layer holds Python code.*build_model=") as caught:
        GridSearchModel.load(tmp_path, "lambda", 0)
    # It would not help.
    assert "decorate" not in str(caught.value)
    # Who has the builder has the code, too.
    loaded = GridSearchModel.load(tmp_path, "lambda", 0, build_model=with_lambda)
    assert loaded.predict(X).tobytes() == own.predict(X).tobytes()
    # The class that has the builder has the code, too.
    again = GridSearchModel(tmp_path, "lambda", 0, build_model=with_lambda)
    again.fit(X, X_VAL)
    assert again.predict(X).tobytes() == own.predict(X).tobytes()


def test_a_model_without_an_input_layer_is_rebuilt_too() -> None:
    import keras

    def built_by_its_data(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = keras.Sequential([keras.layers.Dense(3, "relu"), keras.layers.Dense(WIDTH)])
        model.compile("adam", "mse")
        return model

    point = trained(built_by_its_data)
    model, _ = rebuilt(built_by_its_data, point)
    assert same(model.get_weights(), point.weights)


def test_weights_that_no_longer_fit_the_builder_are_an_error_naming_the_file() -> None:
    from raygrid.training.keras_files import model_bytes, model_from_bytes
    from raygrid.training.rebuild import built_model

    data = model_bytes(built_model(with_own_layer, CONFIG, INPUTS))
    with pytest.raises(CorruptArtifactError, match="do not fit the model that build_model gives now"):
        model_from_bytes(data, SOURCE, lambda: built_model(dense_model, CONFIG, INPUTS))


def test_a_builder_that_gives_other_shapes_than_in_the_trial_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = trained(of_hidden_width)
    monkeypatch.setitem(globals(), "hidden_width", 5)
    with pytest.raises(RebuildError, match=r"do not fit .* depend on nothing but its arguments"):
        rebuilt(of_hidden_width, point)


def test_a_builder_that_gives_another_model_than_in_the_trial_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = trained(of_hidden_scale)
    monkeypatch.setitem(globals(), "hidden_scale", 2.0)
    with pytest.raises(RebuildError, match="Nothing is published") as caught:
        rebuilt(of_hidden_scale, point)
    assert f"training reported {point.record.val_loss:.9g}" in str(caught.value)


def test_a_model_that_is_random_by_nature_is_only_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    point = trained(always_noisy)
    model, _ = rebuilt(always_noisy, point)
    assert same(
        [w for w in model.get_weights() if w.dtype == np.float32], [w for w in point.weights if w.dtype == np.float32]
    )
    assert "random by nature" in caplog.text


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_file_that_is_cut_off_cannot_be_loaded(kept: int) -> None:
    from raygrid.training.keras_files import model_bytes, model_from_bytes

    data = model_bytes(dense_model(CONFIG, (WIDTH,)))
    with pytest.raises(CorruptArtifactError, match=r"is damaged: it is not a whole \.keras file"):
        model_from_bytes(data[:kept], SOURCE, None)
