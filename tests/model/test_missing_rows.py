"""``missing="drop"`` in ``fit``, ``plan`` and ``confirm``: the data is what it would be without the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_models import SmallModel, small_rows

from raygrid import Autoencoder, AutoencoderResidualRegressor, ConvAutoencoder, GridSearchModel, MLPClassifier
from raygrid.errors import ArgumentError, DataError, StaleCacheError

ROWS = small_rows(160)
X, X_VAL = ROWS[:120], ROWS[120:]
CONFIG: dict[str, Any] = {"hidden": [2], "epochs": 1}


def holed(array: np.ndarray[Any, Any], *places: int) -> np.ndarray[Any, Any]:
    """``array`` with a row of missing values before each of the rows ``places``."""
    return np.insert(array, places, np.nan, axis=0)


def test_what_was_trained_without_the_rows_is_what_is_asked_for_with_them(
    tmp_path: Path, recorded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = SmallModel(tmp_path, "small", 0)
    model.fit(X, X_VAL, model_config=CONFIG)
    given = {"X_train": holed(X, 0, 7, 120), "X_val": holed(X_VAL, 3), "model_config": CONFIG}
    assert model.plan(**given, missing="drop").loads
    model.fit(**given, missing="drop")
    assert len(recorded) == 1
    said = "Rows with missing values are left out: 3 of 123 rows for training and 1 of 41 rows for validation."
    assert [said in message for message in caplog.messages] == [True, True]
    with pytest.raises(
        DataError, match=r'fit\(\.\.\., missing="drop"\) drops them and leaves 120 of 123 rows to train on'
    ):
        model.fit(**given)
    # What is measured and predicted is never dropped.
    for call in (model.predict, model.evaluate):
        with pytest.raises(DataError, match=r"Drop the rows, or fill the values, before training\.$"):
            call(holed(X_VAL, 3))


def test_rows_are_dropped_before_any_are_split_off(tmp_path: Path) -> None:
    model = SmallModel(tmp_path, "small", 0)
    clean = model.plan(ROWS, model_config=CONFIG).run.data
    dropped = model.plan(holed(ROWS, 5, 150, 159), model_config=CONFIG, missing="drop").run.data
    assert dropped.digests() == clean.digests() and len(dropped.x_train) == 128


@pytest.mark.parametrize("labels", [np.array(["on", "off"] * 80, object), np.array([0, 1] * 80, object)])
def test_rows_whose_label_is_missing_go_with_the_others(tmp_path: Path, labels: Any) -> None:
    model = MLPClassifier(tmp_path, "kinds", 0)
    y = list(labels)
    clean = model.plan(ROWS, y_train=y, model_config={}).run.identity
    y[3] = None
    x = np.array(ROWS)
    x[5, 1] = np.inf
    given = {"X_train": x, "y_train": y, "model_config": {}}
    dropped = model.plan(**given, missing="drop").run
    assert dropped.identity.settings == clean.settings and len(dropped.data.x_train) == 126
    assert dropped.data.y_train is not None and dropped.data.y_train.dtype == np.int32
    with pytest.raises(DataError, match=r'1 missing label\. .* fit\(\.\.\., missing="drop"\) drops them\.'):
        model.plan(**given)


def test_a_row_within_a_series_is_not_dropped(tmp_path: Path) -> None:
    model = ConvAutoencoder(tmp_path, "windows", 0)
    given = {"model_config": {"window": 8, "stride": 4}, "missing": "drop"}
    with pytest.raises(DataError, match=r"^the training data has missing values in row 40, within a run"):
        model.plan(holed(X, 40), X_VAL, **given)
    assert len(model.plan(holed(X, 0), X_VAL, **given).run.data.x_train) == 120
    # Where a run ends, a row may go.
    runs = {"run_ids": [1] * 41 + [2] * 80, "val_run_ids": [1] * 40}
    data = model.plan(holed(X, 40), X_VAL, **runs, **given).run.data
    assert data.runs_train is not None and np.bincount(data.runs_train).tolist() == [40, 80]
    with pytest.raises(DataError, match="unless they lie within a run, and leaves 120 of 121"):
        model.plan(holed(X, 40), X_VAL, model_config={"window": 8, "stride": 4})


def test_confirm_takes_it_and_compares_what_is_left(tmp_path: Path) -> None:
    model = SmallModel(tmp_path, "small", 0)
    model.fit(X, X_VAL, model_config=CONFIG)
    with pytest.raises(StaleCacheError, match=r"data x_train: was \(120, 4\) .*, now \(119, 4\)"):
        model.confirm(holed(X, 3)[:-1], X_VAL, missing="drop")


def test_teacher_and_student_learn_of_the_same_rows(tmp_path: Path) -> None:
    model = AutoencoderResidualRegressor(tmp_path, "pair", 0)
    small: dict[str, Any] = {"encoder_layers": [3], "latent_dim": 2, "epochs": 1}
    frame = pd.DataFrame(holed(X, 4), columns=list("abcd"))
    model.train_autoencoder(frame, X_VAL, autoencoder_config=small, missing="drop")
    assert model.autoencoder.plan(frame.dropna(), X_VAL, model_config=small).loads
    assert model.plan(frame, X_VAL, model_config={}, missing="drop").run.data.x_train.shape == (120, 4)
    with pytest.raises(DataError, match=r'fit\(\.\.\., missing="drop"\) drops them and leaves 120 of 121 rows'):
        model.fit(frame, X_VAL)


@pytest.mark.parametrize("model", [SmallModel, Autoencoder, AutoencoderResidualRegressor])
def test_another_way_is_refused(tmp_path: Path, model: type[GridSearchModel]) -> None:
    for call in (model(tmp_path).fit, model(tmp_path).plan, model(tmp_path).confirm):
        with pytest.raises(ArgumentError, match="missing is 'fill', and says what to do about rows"):
            call(X, missing="fill")
