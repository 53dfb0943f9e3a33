"""Keras' global settings are those of a training, wherever it runs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reporting_model import Reporting
from small_models import SmallModel, small_rows
from trained_models import CONFIG, X_VAL, X

from raygrid import GridSearchModel
from raygrid.base.keras_settings import KerasSettings, global_dtype_policy, keras_settings
from raygrid.errors import ArgumentError, StaleCacheError

DEFAULTS: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


def loaded_keras(policy: str, **values: Any) -> SimpleNamespace:
    """What is read of Keras."""
    config = {name: lambda value=value: value for name, value in {**DEFAULTS, **values}.items()}
    return SimpleNamespace(config=SimpleNamespace(**config, dtype_policy=lambda: SimpleNamespace(name=policy)))


def test_without_keras_its_file_says_what_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert (keras_settings(), global_dtype_policy()) == (KerasSettings(), "float32")
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float64", "epsilon": 1e-5}))
    assert keras_settings() == KerasSettings("float64", 1e-5)
    assert global_dtype_policy() == "float64"
    for damaged in ("{", "[]"):
        (tmp_path / "keras.json").write_text(damaged)
        assert keras_settings() == KerasSettings()


def test_a_keras_that_is_loaded_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", loaded_keras("mixed_bfloat16", image_data_format="channels_first"))
    assert keras_settings() == KerasSettings(image_data_format="channels_first")
    assert global_dtype_policy() == "mixed_bfloat16"
    monkeypatch.setitem(sys.modules, "keras", loaded_keras("int8_from_float32"))
    with pytest.raises(ArgumentError, match="which models cannot be trained with"):
        global_dtype_policy()


def test_only_what_is_not_keras_default_is_recorded() -> None:
    assert KerasSettings().to_json() == {}
    assert KerasSettings(epsilon=1e-3).to_json() == {"epsilon": 1e-3}
    assert KerasSettings.from_json({"seed": 0, "epsilon": 1e-3}) == KerasSettings(epsilon=1e-3)


def test_trainings_that_keras_would_cut_short_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", loaded_keras("float32", max_epochs=1))
    with pytest.raises(ArgumentError, match=r"max_epochs is 1.*Unset KERAS_MAX_EPOCHS"):
        keras_settings()
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "5")
    with pytest.raises(ArgumentError, match=r"max_steps_per_epoch is 5.*Unset KERAS_MAX_STEPS_PER_EPOCH"):
        keras_settings()


# With Keras


@pytest.fixture
def keras() -> Iterator[Any]:
    """Keras, as it was before in the end."""
    import keras

    from raygrid.training.user_state import user_state_kept

    with user_state_kept():
        yield keras


def settings_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "small_manifest.json").read_text())["depends_on"]["settings"]
    return found


def test_the_global_policy_is_taken_over_recorded_and_part_of_what_makes_a_model_stale(
    tmp_path: Path, keras: Any
) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = SmallModel(tmp_path, "small", 0)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert model.best_model.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert settings_of(tmp_path)["dtype_policy"] == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"

    keras.config.set_dtype_policy("float32")
    with pytest.raises(StaleCacheError, match="setting dtype_policy: was 'mixed_bfloat16', now 'float32'"):
        SmallModel(tmp_path, "small", 0).fit(X, X_VAL, model_config=CONFIG)
    as_policy = SmallModel(tmp_path, "small", 0, dtype_policy=keras.DTypePolicy("mixed_bfloat16"))
    assert as_policy.plan(X, X_VAL, model_config=CONFIG).loads


def test_settings_that_are_not_asked_for_are_recorded_as_before(tmp_path: Path) -> None:
    model = SmallModel(tmp_path, "small", 0)
    assert model.plan(X, model_config=CONFIG).run.identity.settings == {
        "seed": 0,
        "scaler": None,
        "target_scaler": None,
        "windowed": False,
        "shuffle": True,
        "dtype_policy": "float32",
    }


def test_a_training_in_double_precision_is_one(tmp_path: Path, keras: Any) -> None:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    model = SmallModel(tmp_path, "small", 0)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert {weights.dtype.name for weights in model.best_model.get_weights()} == {"float64"}
    assert settings_of(tmp_path) | {"floatx": "float64", "dtype_policy": "float64"} == settings_of(tmp_path)


class Unregistered(GridSearchModel):
    """Holds a layer that Keras alone cannot load, so that a load builds it."""

    DEFAULT_CONFIG = SmallModel.DEFAULT_CONFIG

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        class Own(keras.layers.Dense):
            pass

        model = keras.Sequential([keras.Input(input_shape), Own(input_shape[0])])
        model.compile("sgd", loss="mse")
        return model


def test_a_model_that_is_rebuilt_to_be_loaded_has_the_policy_that_it_was_trained_in(tmp_path: Path, keras: Any) -> None:
    Unregistered(tmp_path, "small", 0, dtype_policy="mixed_bfloat16").fit(X, X_VAL, model_config={"epochs": 1})
    loaded = Unregistered.load(tmp_path, "small", 0)
    assert loaded.best_model.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.long
@pytest.mark.ray
def test_workers_have_the_settings_of_this_process_and_what_they_do_not_have_is_said(
    tmp_path: Path, keras: Any, ray_session: None, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_epsilon(1e-4)
    keras.config.set_image_data_format("channels_first")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    found = tmp_path / "found.json"
    try:
        model = Reporting(tmp_path / "models", "small", 0, found=str(found))
        with caplog.at_level(logging.WARNING, "raygrid"):
            model._run_grid_search(small_rows(), small_rows(60, seed=1), {"hidden": [(3,)], "epochs": [1]})
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)
    assert json.loads(found.read_text()) == ["mixed_bfloat16", 1e-4, "channels_first"]
    assert (
        "Trials run in processes of their own, without what this one has set: "
        "tf.config.experimental.enable_tensor_float_32_execution(False)." in caplog.text
    )
    assert keras.config.epsilon() == 1e-4
