"""The detector: its threshold, what it publishes, and which features carry an alarm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from child_processes import run_script
from small_models import WIDTH, small_rows

from raygrid import AutoencoderDetector
from raygrid.errors import ArgumentError, MissingArtifactError, NotFittedError, StaleCacheError

X, X_VAL = small_rows(), small_rows(101, seed=1)
CONFIG = {"encoder_layers": (6,), "latent_dim": 2, "epochs": 5, "batch_size": 32}


class Fitted(NamedTuple):
    folder: Path
    model: AutoencoderDetector


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("detector") / "models"
    model = AutoencoderDetector(folder, "small", 0, quantile=0.9)
    model.fit(X, X_VAL, model_config=CONFIG)
    return Fitted(folder, model)


@pytest.fixture
def folder(fitted: Fitted, tmp_path: Path) -> Path:
    """A copy of what is published, for a test that changes it."""
    return Path(shutil.copytree(fitted.folder, tmp_path / "models"))


def published(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "small_detector.json").read_text())
    return value


def test_the_score_is_the_mean_squared_error_in_scaled_units(fitted: Fitted) -> None:
    model = fitted.model
    mean, scale = X.mean(axis=0, dtype=float), X.std(axis=0, dtype=float)
    errors = ((model.predict(X_VAL) - mean) / scale - (X_VAL - mean) / scale) ** 2
    np.testing.assert_allclose(model.reconstruction_errors(X_VAL), errors, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.anomaly_scores(X_VAL), errors.mean(axis=1), rtol=1e-3, atol=1e-5)
    assert model.best_metrics is not None
    assert model.anomaly_scores(X_VAL).mean() == pytest.approx(model.best_metrics["val_loss"], rel=1e-5)


def test_the_threshold_lets_the_quantile_of_the_validation_rows_pass(fitted: Fitted) -> None:
    model = fitted.model
    assert sorted(model.anomaly_scores(X_VAL))[90] == model.threshold
    assert model.detect(X_VAL).sum() == 10
    assert model.detect(X_VAL + 100).all()
    assert published(fitted.folder) == {
        "format": 1,
        "threshold": model.threshold,
        "quantile": 0.9,
        "validation_rows": 101,
    }


def test_another_process_finds_the_same_threshold_scores_and_alarms_to_the_last_bit(
    fitted: Fitted, tmp_path: Path
) -> None:
    script = f"""
        from small_models import small_rows
        from raygrid import AutoencoderDetector

        model = AutoencoderDetector.load({str(fitted.folder)!r}, "small", 0)
        rows = small_rows(101, seed=1)
        scores = model.anomaly_scores(rows).tobytes().hex()
        print("found", model.quantile, model.threshold.hex(), scores, model.detect(rows).sum())
    """
    scores = fitted.model.anomaly_scores(X_VAL).tobytes().hex()
    expected = f"found 0.9 {fitted.model.threshold.hex()} {scores} 10"
    assert expected in run_script(script, tmp_path)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("asked", [{"model_config": CONFIG}, {}], ids=["the same config", "nothing in particular"])
def test_another_quantile_publishes_anew_without_training(folder: Path, asked: dict[str, Any]) -> None:
    before = {path.name: path.read_bytes() for path in folder.glob("small_*.*")}
    model = AutoencoderDetector(folder, "small", 0, quantile=0.5)
    model.fit(X, X_VAL, **asked)
    assert published(folder)["quantile"] == model.quantile == 0.5
    assert published(folder)["threshold"] == model.threshold == sorted(model.anomaly_scores(X_VAL))[50]
    assert AutoencoderDetector.load(folder, "small", 0).threshold == model.threshold
    manifest = json.loads((folder / "small_manifest.json").read_text())
    assert manifest["generation"] != json.loads(before["small_manifest.json"])["generation"]
    assert (folder / "small_config.json").read_bytes() == before["small_config.json"]


@pytest.mark.usefixtures("no_training")
def test_the_same_quantile_is_loaded_as_it_is(folder: Path) -> None:
    before = (folder / "small_manifest.json").read_bytes()
    for asked in ({"model_config": CONFIG}, {}):
        model = AutoencoderDetector(folder, "small", 0, quantile=0.9)
        model.fit(X, X_VAL, **asked)
        assert model.threshold == published(folder)["threshold"]
    assert (folder / "small_manifest.json").read_bytes() == before


def test_other_validation_data_is_not_served_an_old_threshold(folder: Path) -> None:
    with pytest.raises(StaleCacheError, match="x_val"):
        AutoencoderDetector(folder, "small", 0, quantile=0.5).fit(X, X_VAL + 1, model_config=CONFIG)
    assert published(folder)["quantile"] == 0.9


def test_shares_of_a_row_add_up_to_1_and_follow_its_errors(fitted: Fitted) -> None:
    shares = fitted.model.contributions(X_VAL)
    errors = fitted.model.reconstruction_errors(X_VAL)
    assert shares.shape == X_VAL.shape
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares[:, 0] / shares[:, 1], errors[:, 0] / errors[:, 1], rtol=1e-4)


def test_an_alarm_names_the_features_that_carry_it(fitted: Fitted) -> None:
    rows = X_VAL[~fitted.model.detect(X_VAL)][:5].copy()
    rows[3, 2] += 50 * X[:, 2].std()
    (alarm,) = fitted.model.alarm_features(rows, ["a", "b", "c", "d"], top=2)
    assert alarm.row == 3
    assert alarm.score == fitted.model.anomaly_scores(rows)[3]
    assert len(alarm.features) == 2
    assert alarm.features[0][0] == "c"
    assert alarm.features[0][1] == fitted.model.contributions(rows)[3].max()
    assert alarm.features[1][1] == np.sort(fitted.model.contributions(rows)[3])[-2]


def test_features_are_called_as_the_columns_of_a_table(fitted: Fitted) -> None:
    rows, names = X_VAL[:1] + 100, ["p", "q", "r", "s"]
    for table in (pd.DataFrame(rows, columns=names), pa.table(dict(zip(names, rows.T, strict=True)))):
        (alarm,) = fitted.model.alarm_features(table, top=9)
        assert sorted(name for name, _ in alarm.features) == names
    (alarm,) = fitted.model.alarm_features(rows, top=9)
    assert sorted(name for name, _ in alarm.features) == [f"feature {i}" for i in range(WIDTH)]


def test_without_alarms_there_is_no_feature_to_name(fitted: Fitted) -> None:
    assert fitted.model.alarm_features(X_VAL[~fitted.model.detect(X_VAL)]) == []


def test_names_and_numbers_that_do_not_fit_are_refused(fitted: Fitted) -> None:
    with pytest.raises(ArgumentError, match="holds 2 names, and X has 4 features"):
        fitted.model.alarm_features(X_VAL, ["a", "b"])
    for top in (0, True, 1.5):
        with pytest.raises(ArgumentError, match="top is"):
            fitted.model.alarm_features(X_VAL, top=top)  # type: ignore[arg-type]


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1, 99, "0.99"])
def test_a_quantile_outside_0_and_1_is_refused_before_anything_starts(tmp_path: Path, quantile: Any) -> None:
    with pytest.raises(ArgumentError, match=r"quantile is .* between 0 and 1"):
        AutoencoderDetector(tmp_path, quantile=quantile)


def test_a_detector_that_is_not_fitted_says_so(tmp_path: Path) -> None:
    model = AutoencoderDetector(tmp_path, quantile=0.9)
    for ask in (lambda: model.threshold, lambda: model.detect(X), lambda: model.alarm_features(X)):
        with pytest.raises(NotFittedError):
            ask()


def test_a_set_without_a_threshold_says_what_to_do(folder: Path) -> None:
    shutil.rmtree(folder / "small_runs")
    for name in ("small_manifest.json", "small_detector.json"):
        (folder / name).unlink()
    loaded = AutoencoderDetector.load(folder, "small", 0)
    assert loaded.anomaly_scores(X).shape == (len(X),)
    with pytest.raises(MissingArtifactError, match=r"small_detector\.json.*reset_experiment=True"):
        loaded.detect(X)
