"""The reference model: a teacher, a student, and what each knows of the other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import WIDTH, small_rows

from raygrid import AutoencoderResidualRegressor
from raygrid.errors import (
    AllTrialsFailedError,
    ArgumentError,
    CorruptArtifactError,
    DataError,
    MissingArtifactError,
    NotFittedError,
    PrefixError,
    StaleCacheError,
)
from raygrid.grid.values import iter_param_grid
from raygrid.store.publishing import read_manifest
from raygrid.zoo.residual_student import ResidualStudent
from raygrid.zoo.residual_teacher import TeacherAutoencoder

TEACHER = {"encoder_layers": [6], "latent_dim": 2, "learning_rate": 0.01, "batch_size": 32, "epochs": 3}
STUDENT = {"hidden_layers": [32], "dropout": 0.01, "learning_rate": 0.02, "batch_size": 32, "epochs": 25}
QUICK = {**STUDENT, "epochs": 1}
TRAIN, VAL, TEST = np.split(small_rows(270), [160, 220])

Model = AutoencoderResidualRegressor


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """A folder with a teacher and a student, and the object that trained them. Nobody changes either."""
    folder = tmp_path_factory.mktemp("trained")
    model = Model(folder, "plant", verbose=0)
    model.train_autoencoder(TRAIN, VAL, autoencoder_config=TEACHER)
    model.fit(TRAIN, VAL, model_config=STUDENT)
    return folder, model


@pytest.fixture
def folder(trained: tuple[Path, Model], tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(trained[0], tmp_path / "models"))


def scaled(x: np.ndarray[Any, Any], by: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``x`` in the units of a scaler that is fitted on ``by``."""
    mean = by.mean(axis=0, dtype=np.float64).astype(np.float32).astype(np.float64)
    scale = by.std(axis=0, dtype=np.float64).astype(np.float32).astype(np.float64)
    return ((x - mean) / scale).astype(np.float32)


# Residuals and predictions


def test_a_residual_is_the_mean_over_features_of_the_squared_error_in_the_teachers_units(
    trained: tuple[Path, Model],
) -> None:
    model = trained[1]
    x = scaled(TEST, TRAIN)
    expected = np.square(model.autoencoder.best_model.predict(x, verbose=0) - x).mean(axis=1)
    found = model.autoencoder_residuals(TEST)
    assert (found.dtype, found.shape) == (np.float32, (50,))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # The mean over the validation rows is what the teacher's search minimised.
    np.testing.assert_allclose(
        model.autoencoder_residuals(VAL).mean(), model.autoencoder.best_metrics["val_loss"], rtol=1e-5
    )


def test_a_prediction_is_in_the_units_of_the_residual(trained: tuple[Path, Model]) -> None:
    model = trained[1]
    residuals = model.autoencoder_residuals(TRAIN).astype(np.float64)
    output = model.best_model.predict(scaled(TEST, TRAIN), verbose=0)[:, 0]
    found = model.predict(TEST)
    assert (found.dtype, found.shape) == (np.float32, (50,))
    np.testing.assert_allclose(found, output * residuals.std() + residuals.mean(), rtol=1e-4)


def test_evaluate_compares_with_the_teacher_unless_other_residuals_are_given(trained: tuple[Path, Model]) -> None:
    model = trained[1]
    predicted, actual = model.predict(TEST).astype(np.float64), model.autoencoder_residuals(TEST).astype(np.float64)
    error = predicted - actual
    assert model.evaluate(TEST) == pytest.approx(
        {
            "mae": np.abs(error).mean(),
            "rmse": np.sqrt((error**2).mean()),
            "r2": 1 - (error**2).sum() / ((actual - actual.mean()) ** 2).sum(),
        }
    )
    assert model.evaluate(TEST, model.predict(TEST)) == {"mae": 0.0, "rmse": 0.0, "r2": 1.0}
    assert model.evaluate(TEST, (model.predict(TEST) + 1)[:, None])["mae"] == pytest.approx(1.0)


def test_the_student_learns_what_can_be_learnt(trained: tuple[Path, Model]) -> None:
    assert trained[1].evaluate(TEST)["r2"] > 0.6


def test_the_results_are_the_students(trained: tuple[Path, Model]) -> None:
    model = trained[1]
    assert model.best_config == model.regressor.best_config != model.autoencoder.best_config
    assert model.best_config["hidden_layers"] == (32,) and model.best_config["patience"] == 20
    assert model.best_metrics == model.regressor.best_metrics
    assert model.best_model is model.regressor.best_model
    assert model.results.num_rows == 1 and "1 point: 1 done" in model.summary_text()
    assert len(model.history["val_mae"]) == model.best_metrics["epochs_run"] == 25


# Files and cache


def test_each_of_the_two_has_its_own_files_and_the_student_its_target_scaler(trained: tuple[Path, Model]) -> None:
    folder, model = trained
    kinds = ("config.json", "manifest.json", "metrics.json", "model.keras", "scaler.json", "trials.parquet")
    expected = [f"plant_{of}_{kind}" for of in ("autoencoder", "regressor") for kind in kinds]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(expected)
    scaler = json.loads((folder / "plant_regressor_scaler.json").read_text())
    residuals = model.autoencoder_residuals(TRAIN).astype(np.float64)
    assert scaler["targets"]["mean"] == pytest.approx([residuals.mean()])
    assert scaler["targets"]["scale"] == pytest.approx([residuals.std()])
    assert len(scaler["inputs"]["mean"]) == WIDTH
    assert "targets" not in json.loads((folder / "plant_autoencoder_scaler.json").read_text())


@pytest.mark.usefixtures("no_training")
def test_a_second_object_loads_both_and_predicts_the_same_to_the_last_bit(trained: tuple[Path, Model]) -> None:
    folder, model = trained
    again = Model(folder, "plant", verbose=0)
    again.train_autoencoder(TRAIN, VAL, autoencoder_config=TEACHER)
    again.fit(TRAIN, VAL, model_config=STUDENT)
    loaded = Model.load(folder, "plant", verbose=0, lock_timeout_s=1.5)
    assert (loaded.autoencoder.lock_timeout_s, loaded.regressor.lock_timeout_s) == (1.5, 1.5)
    for other in (again, loaded):
        np.testing.assert_array_equal(other.predict(TEST), model.predict(TEST))
        np.testing.assert_array_equal(other.autoencoder_residuals(TEST), model.autoencoder_residuals(TEST))
        assert other.evaluate(TEST) == model.evaluate(TEST)
        assert other.best_config == model.best_config


@pytest.mark.usefixtures("no_training")
def test_fit_loads_the_published_teacher_of_the_same_data(trained: tuple[Path, Model]) -> None:
    folder, model = trained
    alone = Model(folder, "plant", verbose=0)
    alone.fit(TRAIN, VAL)
    np.testing.assert_array_equal(alone.predict(TEST), model.predict(TEST))
    assert alone.autoencoder.best_config == model.autoencoder.best_config


@pytest.mark.usefixtures("no_training")
def test_fit_refuses_the_published_teacher_of_other_data(trained: tuple[Path, Model]) -> None:
    with pytest.raises(StaleCacheError, match="plant_autoencoder") as caught:
        Model(trained[0], "plant", verbose=0).fit(TEST, VAL, model_config=STUDENT)
    assert "data x_train: was (160, 4)" in str(caught.value)
    assert "train_autoencoder(..., reset_autoencoder=True)" in str(caught.value)
    assert "accept_code_change" not in str(caught.value)
    assert "reset_experiment" not in str(caught.value)


def test_a_teacher_of_this_object_may_be_of_other_data(folder: Path) -> None:
    model = Model.load(folder, "plant", verbose=0)
    model.fit(TEST, VAL, model_config=QUICK, reset_experiment=True)
    manifest = json.loads((folder / "plant_regressor_manifest.json").read_text())
    assert manifest["depends_on"]["data"]["x_train"]["shape"] == [50, WIDTH]


def test_a_retrained_teacher_makes_the_student_stale_and_the_message_says_so(folder: Path) -> None:
    model = Model.load(folder, "plant", verbose=0)
    old = model.predict(TEST)
    model.train_autoencoder(TRAIN, VAL, autoencoder_config={**TEACHER, "epochs": 1}, reset_autoencoder=True)
    with pytest.raises(NotFittedError):
        model.predict(TEST)
    with pytest.raises(StaleCacheError) as caught:
        model.fit(TRAIN, VAL, model_config=STUDENT)
    first, *others = str(caught.value).splitlines()
    assert "'plant_autoencoder' is another one" in first and "was retrained" in first
    # What differs is the teacher and nothing else.
    assert [line.partition(":")[0] for line in others if line.startswith("  ")] == ["  data teacher"]
    with pytest.raises(StaleCacheError, match="was retrained"):
        Model.load(folder, "plant", verbose=0)
    model.fit(TRAIN, VAL, model_config=QUICK, reset_experiment=True)
    assert not np.array_equal(model.predict(TEST), old)
    np.testing.assert_array_equal(Model.load(folder, "plant", verbose=0).predict(TEST), model.predict(TEST))


def test_a_teacher_that_is_trained_anew_to_the_same_weights_is_the_same_teacher(folder: Path) -> None:
    published = (folder / "plant_autoencoder_model.keras").read_bytes()
    model = Model.load(folder, "plant", verbose=0)
    model.train_autoencoder(TRAIN, VAL, autoencoder_config=TEACHER, reset_autoencoder=True)
    assert (folder / "plant_autoencoder_model.keras").read_bytes() != published
    student = model.best_model
    assert student is not None
    model.fit(TRAIN, VAL, model_config=STUDENT)
    np.testing.assert_array_equal(Model.load(folder, "plant", verbose=0).predict(TEST), model.predict(TEST))


@pytest.mark.usefixtures("no_training")
def test_the_last_bits_of_the_residuals_do_not_make_a_student_stale(
    trained: tuple[Path, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = trained
    exact = Model.autoencoder_residuals
    monkeypatch.setattr(Model, "autoencoder_residuals", lambda self, X: exact(self, X) * np.float32(1 + 1e-6))
    again = Model(folder, "plant", verbose=0)
    again.fit(TRAIN, VAL)
    np.testing.assert_array_equal(again.predict(TEST), model.predict(TEST))


def test_other_inputs_make_the_student_stale(trained: tuple[Path, Model]) -> None:
    with pytest.raises(StaleCacheError, match="data x_val: was") as caught:
        Model.load(trained[0], "plant", verbose=0).fit(TRAIN, TEST, model_config=STUDENT)
    assert "retrained" not in str(caught.value)


def test_a_damaged_teacher_is_refused_with_advice_that_names_the_right_call(folder: Path) -> None:
    (folder / "plant_autoencoder_config.json").write_text("{}")
    with pytest.raises(CorruptArtifactError, match=r"train_autoencoder\(\.\.\., reset_autoencoder=True\)"):
        Model(folder, "plant", verbose=0).fit(TRAIN, VAL, model_config=STUDENT)


def test_without_validation_data_both_hold_out_the_same_rows(tmp_path: Path) -> None:
    model = Model(tmp_path, "tail", verbose=0)
    model.train_autoencoder(TRAIN, autoencoder_config={**TEACHER, "epochs": 1})
    model.fit(TRAIN, model_config=QUICK)
    data = [
        json.loads((tmp_path / f"tail_{of}_manifest.json").read_text())["depends_on"]["data"]
        for of in ("autoencoder", "regressor")
    ]
    for name, rows in (("x_train", 128), ("x_val", 32)):
        assert data[0][name] == data[1][name]
        assert data[0][name]["shape"] == [rows, WIDTH]
    np.testing.assert_allclose(
        model.autoencoder_residuals(TRAIN[128:]).mean(), model.autoencoder.best_metrics["val_loss"], rtol=1e-5
    )


def test_confirm_asks_for_the_student_on_the_teachers_residuals(
    trained: tuple[Path, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(ResidualStudent, "confirm", lambda self, **given: asked.update(given))
    model = Model(trained[0], "plant", verbose=0)
    model.confirm(TRAIN, VAL, seeds=2)
    assert (asked["seeds"], asked["within"]) == (2, 0.05)
    np.testing.assert_array_equal(asked["y_train"], trained[1].autoencoder_residuals(TRAIN))
    np.testing.assert_array_equal(asked["y_val"], trained[1].autoencoder_residuals(VAL))
    np.testing.assert_array_equal(asked["X_val"], VAL)


# A set that another implementation of the pattern made


def test_the_plain_scaler_of_another_implementation_scales_the_students_targets(folder: Path) -> None:
    shutil.rmtree(folder / "plant_regressor_runs")
    (folder / "plant_regressor_manifest.json").unlink()
    (folder / "plant_regressor_scaler.json").write_text('{"mean": [3.0], "scale": [2.0]}')
    model = Model.load(folder, "plant", verbose=0)
    expected = model.best_model.predict(TEST, verbose=0)[:, 0] * 2 + 3
    np.testing.assert_allclose(model.predict(TEST), expected, rtol=1e-6)


# Wrong input


@pytest.mark.usefixtures("no_training")
def test_a_student_without_a_teacher_is_one_clear_message(tmp_path: Path) -> None:
    model = Model(tmp_path / "models", "plant", verbose=0)
    with pytest.raises(RuntimeError, match=r"train_autoencoder\(X_train, X_val\) first") as caught:
        model.fit(TRAIN, VAL, model_config=STUDENT)
    assert isinstance(caught.value, NotFittedError)
    assert "plant_autoencoder" in str(caught.value)
    with pytest.raises(NotFittedError, match="train_autoencoder"):
        model.autoencoder_residuals(TEST)
    assert not (tmp_path / "models").exists()


def test_what_needs_a_student_says_so(folder: Path) -> None:
    for path in folder.glob("plant_regressor*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(MissingArtifactError, match="plant_regressor"):
        Model.load(folder, "plant", verbose=0)
    model = Model(folder, "plant", verbose=0)
    assert (model.best_config, model.best_model, model.best_metrics) == (None, None, None)
    for use in (lambda: model.predict(TEST), lambda: model.evaluate(TEST), lambda: model.results):
        with pytest.raises(NotFittedError, match=r"ResidualStudent has no model yet\. Call fit or load"):
            use()


def test_data_of_another_shape_is_refused_by_name(trained: tuple[Path, Model]) -> None:
    model = trained[1]
    for use in (model.predict, model.autoencoder_residuals, model.evaluate):
        with pytest.raises(DataError, match=r"X has 3 features, and 'plant_\w+' was trained on 4"):
            use(TEST[:, :3])
    with pytest.raises(DataError, match=r"X has shape \(50, 2, 2\)"):
        model.predict(TEST.reshape(50, 2, 2))
    with pytest.raises(DataError, match=r"residuals has shape \(50, 2\)"):
        model.evaluate(TEST, TEST[:, :2])
    with pytest.raises(DataError, match="residuals has 49 rows"):
        model.evaluate(TEST, np.zeros(49))
    with pytest.raises(DataError, match="X_val has 3 features"):
        Model.load(trained[0], "plant", verbose=0).fit(TRAIN, VAL[:, :3])
    with pytest.raises(DataError, match=r"X_train has shape \(160, 2, 2\)"):
        Model(trained[0], "other", verbose=0).train_autoencoder(TRAIN.reshape(160, 2, 2))


def test_rows_far_outside_what_the_teacher_knows_are_named(trained: tuple[Path, Model]) -> None:
    far = VAL.copy()
    far[3] = 1e30
    model = Model.load(trained[0], "plant", verbose=0)
    with pytest.raises(DataError, match="The reconstruction error of 1 row of X_val is beyond float32"):
        model.fit(TRAIN, far, model_config=STUDENT)
    assert np.flatnonzero(np.isinf(model.autoencoder_residuals(far))).tolist() == [3]


@pytest.mark.usefixtures("no_training")
def test_arguments_that_cannot_be_right_are_refused_before_any_training(trained: tuple[Path, Model]) -> None:
    folder, model = trained
    with pytest.raises(ArgumentError, match="both param_grid and model_config"):
        model.fit(TRAIN, VAL, param_grid={"dropout": [0.1]}, model_config=STUDENT)
    with pytest.raises(ArgumentError, match="latent_dim"):
        model.fit(TRAIN, VAL, param_grid={"latent_dim": [2]})
    with pytest.raises(ArgumentError, match="hidden_layers"):
        model.train_autoencoder(TRAIN, VAL, autoencoder_param_grid={"hidden_layers": [[2]]})
    with pytest.raises(ArgumentError, match="build_model"):
        Model(folder, build_model=lambda config, shape: None)
    with pytest.raises(PrefixError, match="'a/b'"):
        Model(folder, "a/b")


def test_a_config_that_cannot_be_built_ends_with_its_cause(tmp_path: Path, trained: tuple[Path, Model]) -> None:
    with pytest.raises(AllTrialsFailedError, match="nonsense"):
        Model.load(trained[0], "plant", verbose=0).train_autoencoder(
            TRAIN, VAL, autoencoder_config={**TEACHER, "activation": "nonsense"}
        )


# Defaults


def test_the_default_grids_are_those_of_the_reference() -> None:
    assert len(list(iter_param_grid(TeacherAutoencoder.DEFAULT_PARAM_GRID))) == 288
    assert len(list(iter_param_grid(ResidualStudent.DEFAULT_PARAM_GRID))) == 216
    for model in (TeacherAutoencoder, ResidualStudent):
        for name, value in model.DEFAULT_CONFIG.items():
            assert value in model.DEFAULT_PARAM_GRID[name], name


def test_the_settings_reach_both_and_the_target_scaler_the_student_alone(tmp_path: Path) -> None:
    model = Model(tmp_path, seed=7, scaler=None, target_scaler=None, max_points=5)
    for one in (model.autoencoder, model.regressor):
        assert (one.seed, one.scaler_kind, one.max_points, one.target_scaler_kind) == (7, None, 5, None)
    assert Model(tmp_path).regressor.target_scaler_kind == "standard"
    assert Model(tmp_path, target_scaler="standard").autoencoder.target_scaler_kind is None
    assert Model(tmp_path).autoencoder.scaler_kind == Model(tmp_path).regressor.scaler_kind == "standard"
    assert Model(tmp_path).autoencoder.cache_prefix == "residual_autoencoder"
    assert not list(tmp_path.iterdir())


class OtherStudent(ResidualStudent):
    """The same student from other code."""

    def build_model(self, config: Any, input_shape: tuple[int, ...]) -> Any:
        return super().build_model(dict(config), input_shape)


def test_teacher_and_student_of_other_code_are_taken_over(
    trained: tuple[Path, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(trained[0], tmp_path / "models")
    monkeypatch.setattr("raygrid.zoo.residual_regressor.ResidualStudent", OtherStudent)
    fresh = Model(folder, "plant", 0)
    with pytest.raises(StaleCacheError, match=r"to take over all that is trained: fit\(\.\.\., accept_code_change"):
        fresh.fit(TRAIN, VAL, model_config=STUDENT)
    fresh.fit(TRAIN, VAL, model_config=STUDENT, accept_code_change=True)
    np.testing.assert_array_equal(fresh.predict(TEST), trained[1].predict(TEST))
    assert read_manifest(fresh.regressor._get_artifacts()).accepted_code[0]["points"] == 1
    fresh.train_autoencoder(TRAIN, VAL, autoencoder_config=TEACHER, accept_code_change=True)
    assert fresh.regressor.best_model is not None
