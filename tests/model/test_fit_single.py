"""``fit(model_config=...)``, without Ray: what is done by what is found, and what comes out of it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from child_processes import run_script, started
from small_models import WIDTH, SmallModel, dense_model
from trained_models import CONFIG, OTHER, X_VAL, X, bits, small_model

from raygrid import GridSearchModel, SearchListener
from raygrid.errors import (
    AllTrialsFailedError,
    ArgumentError,
    DataError,
    GridError,
    MissingArtifactError,
    NotFittedError,
    SearchInterrupted,
    StaleCacheError,
)
from raygrid.grid.plan import Point


class Trained(NamedTuple):
    folder: Path
    model: SmallModel


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("single")
    model, begun = small_model(folder)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert begun == [(3, 2)]
    return Trained(folder, model)


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the published set, for a test that changes it."""
    return shutil.copytree(trained.folder, tmp_path / "models")


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("config.json", "model.keras", "metrics.json", "scaler.json", "manifest.json")
    return {name: (folder / f"small_{name}").read_bytes() for name in names}


# What comes out of a training


def test_a_config_is_trained_completed_and_the_same_after_a_reload(trained: Trained) -> None:
    expected = {
        "activation": "relu",
        "batch_size": 32,
        "epochs": 2,
        "hidden": (3, 2),
        "learning_rate": 0.01,
        "patience": None,
    }
    loaded = GridSearchModel.load(trained.folder, "small", 0)
    assert trained.model.best_config == expected
    assert loaded.best_config == expected
    assert isinstance(loaded.best_config["hidden"], tuple)
    assert json.loads((trained.folder / "small_config.json").read_text())["hidden"] == [3, 2]
    assert loaded.best_metrics == trained.model.best_metrics
    assert loaded.history == trained.model.history
    assert bits(loaded.best_model) == bits(trained.model.best_model)


def test_the_metrics_are_those_of_the_best_epoch_with_and_without_val(trained: Trained) -> None:
    metrics, history = trained.model.best_metrics, trained.model.history
    assert metrics is not None
    assert metrics.keys() == {"loss", "mae", "val_loss", "val_mae", "best_epoch", "epochs_run", "seconds"}
    best = metrics["best_epoch"] - 1
    assert {name: column[best] for name, column in history.items()} == {name: metrics[name] for name in history}
    assert metrics["val_loss"] == min(history["val_loss"])
    assert metrics["epochs_run"] == 2
    assert json.loads((trained.folder / "small_metrics.json").read_text()) == metrics


def test_predict_takes_and_gives_original_units(trained: Trained) -> None:
    mean, std = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    by_hand = trained.model.best_model.predict((X_VAL - mean) / std, verbose=0) * std + mean
    np.testing.assert_allclose(trained.model.predict(X_VAL), by_hand, rtol=1e-4, atol=1e-4)


def test_evaluate_is_in_scaled_units_as_val_loss_is(trained: Trained) -> None:
    found = trained.model.evaluate(X_VAL)
    assert found["loss"] == pytest.approx(trained.model.best_metrics["val_loss"], rel=1e-6)
    assert found["mae"] == pytest.approx(trained.model.best_metrics["val_mae"], rel=1e-6)


def test_the_results_have_one_row_and_print(trained: Trained) -> None:
    (row,) = trained.model.results.to_pylist()
    assert (row["point"], row["status"], row["val_loss"]) == (0, "done", trained.model.best_metrics["val_loss"])
    assert "1 point: 1 done" in trained.model.summary_text()


def test_the_summary_is_printed(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.model.summary(rows=1) is None  # type: ignore[func-returns-value]
    assert capsys.readouterr().out == trained.model.summary_text(1) + "\n"
    with pytest.raises(ArgumentError, match=r"rows is 0\. It must be a whole number of at least 1"):
        trained.model.summary(0)


def test_without_validation_data_the_last_rows_are_held_out(tmp_path: Path) -> None:
    split, _ = small_model(tmp_path / "split")
    split.fit(X, validation_split=0.25, model_config=CONFIG)
    given, _ = small_model(tmp_path / "given")
    given.fit(X[:150], X[150:], model_config=CONFIG)
    assert split.best_metrics is not None
    assert given.best_metrics is not None
    assert split.best_metrics["val_loss"] == given.best_metrics["val_loss"]


def one_output(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.001), "mse")
    return model


def test_a_plain_function_with_targets_and_weights_gives_what_keras_gives(tmp_path: Path) -> None:
    import keras

    y, y_val = X.sum(axis=1, keepdims=True), X_VAL.sum(axis=1, keepdims=True)
    weights, val_weights = np.linspace(0, 1, len(X)), np.linspace(1, 0, len(X_VAL))
    model = GridSearchModel(tmp_path, "sums", 0, build_model=one_output, shuffle=False)
    model.fit(
        X,
        X_VAL,
        model_config={"epochs": 3},
        y_train=y,
        y_val=y_val,
        sample_weight=weights,
        val_sample_weight=val_weights,
    )
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    plain = one_output({}, (WIDTH,))
    history = plain.fit(
        X,
        y,
        sample_weight=weights.astype(np.float32),
        validation_data=(X_VAL, y_val, val_weights.astype(np.float32)),
        epochs=3,
        shuffle=False,
        verbose=0,
    ).history
    assert model.history == history
    # The last epoch is the best, so its weights are those that Keras ends with.
    assert model.best_metrics["best_epoch"] == 3
    assert bits(model.best_model) == bits(plain)
    assert model.predict(X_VAL).shape == (60, 1)
    assert model.evaluate(X_VAL, y_val)["loss"] > 0
    with pytest.raises(ArgumentError, match="evaluate needs y"):
        model.evaluate(X_VAL)


def test_a_metric_that_is_not_finite_is_written_as_null_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def with_nan_metric(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = dense_model({**SmallModel.DEFAULT_CONFIG}, input_shape)
        model.compile("sgd", "mse", metrics=[not_a_number])
        return model

    model = GridSearchModel(tmp_path, "null", 0, build_model=with_nan_metric)
    model.fit(X, X_VAL, model_config={"epochs": 1})
    metrics = json.loads((tmp_path / "null_metrics.json").read_text())
    assert metrics["not_a_number"] is None
    assert metrics["val_not_a_number"] is None
    assert metrics["val_loss"] > 0
    assert "not_a_number, val_not_a_number" in caplog.text


def not_a_number(y_true: Any, y_pred: Any) -> Any:
    import keras

    return keras.ops.mean(y_pred) * float("nan")


def test_a_config_that_fails_is_an_error_with_the_cause_and_publishes_nothing(tmp_path: Path) -> None:
    model, _ = small_model(tmp_path)
    with pytest.raises(AllTrialsFailedError, match="units=-1"):
        model.fit(X, X_VAL, model_config={"hidden": [-1]})
    with pytest.raises(AllTrialsFailedError, match="diverged: val_loss was not finite in any epoch"):
        model.fit(X, X_VAL, model_config={"learning_rate": 1e30, "epochs": 1})
    assert not model._cache_exists(model._get_artifacts())
    assert not list(tmp_path.glob("small_*.json"))
    with pytest.raises(NotFittedError):
        model.predict(X)


# What fit does, by what it finds


def test_with_nothing_saved_and_no_default_grid_fit_asks_what_to_train(tmp_path: Path) -> None:
    model, _ = small_model(tmp_path)
    with pytest.raises(ArgumentError, match="has no DEFAULT_PARAM_GRID"):
        model.fit(X, X_VAL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("asked", [None, CONFIG, {**CONFIG, "learning_rate": 0.01}])
def test_the_saved_model_is_loaded_for_the_same_config_or_none(folder: Path, asked: Mapping[str, Any] | None) -> None:
    before = files_of(folder)
    model, begun = small_model(folder)
    best = model.fit(X, X_VAL, model_config=asked)
    assert begun == []
    assert best is model.best_model
    assert model.best_config["hidden"] == (3, 2)
    assert files_of(folder) == before


def test_another_config_is_trained_and_published_and_the_first_comes_back_equal(trained: Trained, folder: Path) -> None:
    model, begun = small_model(folder)
    model.fit(X, X_VAL, model_config=OTHER)
    assert begun == [(5,)]
    assert model.best_config["hidden"] == (5,)
    assert GridSearchModel.load(folder, "small", 0).best_config == model.best_config
    assert {tuple(row["config.hidden"]): row["point"] for row in model.results.to_pylist()} == {(5,): 0, (3, 2): None}

    # Its record is there, its weights are not: it is trained again, to the same result.
    model.fit(X, X_VAL, model_config=CONFIG)
    assert begun == [(5,), (3, 2)]
    assert bits(model.best_model) == bits(trained.model.best_model)
    assert model.best_metrics["val_loss"] == trained.model.best_metrics["val_loss"]


def changed_number() -> np.ndarray[Any, Any]:
    changed = X.copy()
    changed[17, 2] += 0.5
    return changed


class OtherLayers(SmallModel):
    """Another model for the same config."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        return dense_model({**config, "activation": "tanh"}, input_shape)


@pytest.mark.parametrize(
    ("data", "cls", "settings", "message"),
    [
        (changed_number(), SmallModel, {}, r"data x_train: was \(200, 4\) \w+, now \(200, 4\) \w+"),
        (X[:-1], SmallModel, {}, r"data x_train: was \(200, 4\) \w+, now \(199, 4\) \w+"),
        (X, OtherLayers, {}, r"code: was \S*SmallModel \(\w+\), now \S*OtherLayers \(\w+\)"),
        (X, SmallModel, {"seed": 5}, "setting seed: was 0, now 5"),
        (X, SmallModel, {"scaler": None}, "setting scaler: was 'standard', now None"),
        (X, SmallModel, {"shuffle": False}, "setting shuffle: was True, now False"),
    ],
)
def test_a_model_of_other_data_code_or_settings_is_never_served(
    folder: Path, data: Any, cls: type[SmallModel], settings: dict[str, Any], message: str
) -> None:
    for asked in (None, CONFIG, OTHER):
        model, begun = small_model(folder, cls, **settings)
        with pytest.raises(StaleCacheError, match=message) as caught:
            model.fit(data, X_VAL, model_config=asked)
        assert begun == []
        assert "reset_experiment=True" in str(caught.value)
        assert "cache_prefix" in str(caught.value)
    assert GridSearchModel.load(folder, "small", 0).best_config["hidden"] == (3, 2)


def test_a_reset_replaces_a_damaged_set(folder: Path) -> None:
    (folder / "small_model.keras").write_bytes(b"damaged")
    (folder / "small_manifest.json").write_bytes(b"{")
    model, begun = small_model(folder)
    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == [(5,)]
    assert GridSearchModel.load(folder, "small", 0).best_config["hidden"] == (5,)


def test_a_reset_trains_the_same_config_again_with_other_data_too(trained: Trained, folder: Path) -> None:
    model, begun = small_model(folder)
    model.fit(X, X_VAL, model_config=CONFIG, reset_experiment=True)
    assert begun == [(3, 2)]
    assert bits(model.best_model) == bits(trained.model.best_model)
    assert len(model.results) == 1
    model.fit(changed_number(), X_VAL, model_config=CONFIG, reset_experiment=True)
    assert begun == [(3, 2), (3, 2)]
    assert bits(model.best_model) != bits(trained.model.best_model)
    assert not (folder / "small_runs/reset.json").exists()


def test_grid_and_config_together_are_an_error_cache_or_not(folder: Path, tmp_path: Path) -> None:
    for place in (folder, tmp_path / "empty"):
        model, _ = small_model(place)
        for reset in (False, True):
            with pytest.raises(ArgumentError, match="both param_grid and model_config"):
                model.fit(X, X_VAL, {"hidden": [(4,)]}, CONFIG, reset)
    assert not (tmp_path / "empty").exists()


def test_unknown_hyperparameters_are_named_beside_the_known_ones_cache_or_not(folder: Path, tmp_path: Path) -> None:
    for place in (folder, tmp_path / "empty"):
        model, begun = small_model(place)
        with pytest.raises(GridError) as caught:
            model.fit(X, X_VAL, model_config={"hiden": [3], "momentum": 0.9})
        message = str(caught.value)
        assert "'hiden' is not a hyperparameter of this model. Did you mean 'hidden'?" in message
        assert "'momentum' is not" in message
        assert "activation, batch_size, epochs, hidden, learning_rate, patience" in message
        assert begun == []


# Sets of other implementations


def legacy_folder(folder: Path) -> Any:
    """The files as another implementation of the pattern leaves them."""
    folder.mkdir()
    model = dense_model({"hidden": (3,), "activation": "relu", "learning_rate": 0.01}, (WIDTH,))
    model.optimizer.build(model.trainable_variables)
    model.save(folder / "small_model.keras")
    (folder / "small_config.json").write_text(json.dumps({"hidden": [3], "activation": "relu"}))
    (folder / "small_metrics.json").write_text(json.dumps({"val_loss": 0.25}))
    return model


def test_a_folder_without_manifest_loads_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = legacy_folder(tmp_path / "legacy")
    before = {path.name: path.read_bytes() for path in (tmp_path / "legacy").iterdir()}
    loaded = GridSearchModel.load(tmp_path / "legacy", "small", 0)
    (warning,) = caplog.records
    assert "has no manifest" in warning.message
    caplog.clear()
    fitted, begun = small_model(tmp_path / "legacy")
    fitted.fit(X, X_VAL)
    assert len(caplog.records) == 1
    assert begun == []
    for model in (loaded, fitted):
        assert model.best_config == {"hidden": (3,), "activation": "relu"}
        assert model.best_metrics == {"val_loss": 0.25}
        assert model.predict(X).tobytes() == plain.predict(X, batch_size=1024, verbose=0).tobytes()
    assert {path.name: path.read_bytes() for path in (tmp_path / "legacy").iterdir()} == before


def test_the_first_writer_adopts_a_folder_without_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    legacy_folder(tmp_path / "legacy")
    saved = (tmp_path / "legacy/small_model.keras").read_bytes()
    monkeypatch.setattr("raygrid.store.publishing.remove_superseded", lambda paths, manifest: None)
    model, begun = small_model(tmp_path / "legacy")
    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == [(5,)]
    (adopted,) = (tmp_path / "legacy/small_runs/generations").glob("adopted-*")
    assert (adopted / "small_model.keras").read_bytes() == saved
    assert GridSearchModel.load(tmp_path / "legacy", "small", 0).best_config["hidden"] == (5,)


# A model that is not there, and input that does not fit


def test_nothing_can_be_asked_of_a_model_before_fit_or_load(tmp_path: Path) -> None:
    model, _ = small_model(tmp_path)
    for ask in (
        lambda: model.predict(X),
        lambda: model.evaluate(X),
        lambda: model.results,
        lambda: model.history,
        model.summary,
    ):
        with pytest.raises(NotFittedError):
            ask()
    with pytest.raises(MissingArtifactError, match="nothing is published as 'small'"):
        SmallModel.load(tmp_path, "small", 0)
    assert not list(tmp_path.iterdir())


def test_rows_of_another_width_are_refused_by_predict_and_evaluate(trained: Trained) -> None:
    for call in (trained.model.predict, trained.model.evaluate):
        for rows in (X[:, :3], X[:, :, None]):
            with pytest.raises(DataError, match=r"X has rows of shape .*, and the model was trained on .* \(4,\)"):
                call(rows)


# Other processes


_TRAIN_AND_LOAD = """
    import sys
    import numpy as np
    from small_models import SmallModel, small_rows

    X, X_val = small_rows() * 5 + 2, small_rows(60, seed=1) * 5 + 2
    model = SmallModel("models", "small", 0, scaler="standard")
    model.fit(X, X_val, model_config={"hidden": [3, 2], "epochs": 2})
    np.save("predicted.npy", model.predict(X_val))
    print("ray after training:", "ray" in sys.modules)
    cached = SmallModel("models", "small", 1, scaler="standard")
    cached.fit(X, X_val)
    print("ray after loading:", "ray" in sys.modules)
"""


def test_single_training_and_a_cache_hit_never_import_ray_and_other_processes_predict_the_same(
    trained: Trained, tmp_path: Path
) -> None:
    output = run_script(_TRAIN_AND_LOAD, tmp_path)
    assert "ray after training: False" in output
    assert "ray after loading: False" in output
    assert "Loaded from cache" in output
    predicted = np.load(tmp_path / "predicted.npy")
    assert GridSearchModel.load(tmp_path / "models", "small", 0).predict(X_VAL).tobytes() == predicted.tobytes()
    # The same training in this process, after many others.
    assert trained.model.predict(X_VAL).tobytes() == predicted.tobytes()


_RESET_THAT_DIES = """
    import os, signal, sys
    import raygrid.model.grid_search_model
    from raygrid import SearchListener
    from small_models import SmallModel, small_rows

    class DiesInTraining(SearchListener):
        def point_epochs(self, point, first_epoch, rows):
            os.kill(os.getpid(), signal.SIGKILL)

    def dies(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    X, X_val = small_rows() * 5 + 2, small_rows(60, seed=1) * 5 + 2
    listener = None
    if os.environ["DIE"] == "training":
        listener = DiesInTraining()
    else:
        raygrid.model.grid_search_model.publish = dies
    SmallModel({folder!r}, "small", 0, scaler="standard", progress=listener).fit(
        X, X_val, model_config={{"hidden": [5], "epochs": 2}}, reset_experiment=True)
"""


@pytest.mark.parametrize(("killed_in", "still_to_train"), [("training", [(5,)]), ("publishing", [])])
def test_a_reset_that_was_killed_keeps_the_old_set_and_resumes_itself(
    folder: Path, tmp_path: Path, killed_in: str, still_to_train: list[Any]
) -> None:
    before = files_of(folder)
    with started(_RESET_THAT_DIES.format(folder=str(folder)), tmp_path, DIE=killed_in) as child:
        assert child.process.wait(120) == -signal.SIGKILL, child.text()
    assert files_of(folder) == before
    pending = json.loads((folder / "small_runs/reset.json").read_text())["experiment"]
    model, begun = small_model(folder)
    model.fit(X, X_VAL)
    assert model.best_config["hidden"] == (3, 2)

    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == still_to_train
    assert model.best_config["hidden"] == (5,)
    assert json.loads((folder / "small_manifest.json").read_text())["experiment"] == pending
    assert not (folder / "small_runs/reset.json").exists()


# Ctrl-C


class _PressesCtrlC(SearchListener):
    def point_epochs(self, point: Point, first_epoch: int, rows: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_loop_over_fits_that_goes_on_after_every_exception(tmp_path: Path) -> None:
    begun = []

    def loop() -> None:
        for width in (3, 4):
            begun.append(width)
            try:
                model, _ = small_model(tmp_path / "models", progress=_PressesCtrlC())
                model.fit(X, X_VAL, model_config={"hidden": [width], "epochs": 2})
            except Exception:
                continue

    with pytest.raises(SearchInterrupted, match="stopped with 1 of 1 point unfinished"):
        loop()
    assert begun == [3]
