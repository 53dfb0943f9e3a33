"""Columns go by their names from training on: in validation, prediction, evaluation, and the next call of ``fit``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from small_models import SmallModel, small_rows

from raygrid import AutoencoderDetector, AutoencoderResidualRegressor, MLPRegressor
from raygrid.data.column_names import NamedArray
from raygrid.errors import DataError, StaleCacheError

NAMES = ["a", "b", "c", "d"]
# Far apart, so that a column in the place of another one shows.
FRAME = pd.DataFrame(small_rows(120) * [1, 10, 100, 1000] + [0, 50, -500, 9000], columns=NAMES)
VAL = pd.DataFrame(small_rows(40, 1) * [1, 10, 100, 1000] + [0, 50, -500, 9000], columns=NAMES)
Y = pd.DataFrame({"p": FRAME["a"] * 2, "q": FRAME["d"] / 3}).astype("float32")
Y_VAL = pd.DataFrame({"p": VAL["a"] * 2, "q": VAL["d"] / 3}).astype("float32")
OTHER = ["d", "b", "a", "c"]
CONFIG: dict[str, Any] = {"hidden_layers": (8,), "epochs": 2, "batch_size": 32}


def tables(frame: pd.DataFrame) -> list[Any]:
    """The rows of a frame as everything that has names, columns in another order, and as an array in its own."""
    return [
        frame[OTHER],
        pa.Table.from_pandas(frame[OTHER]),
        pl.DataFrame({name: frame[name].to_numpy() for name in OTHER}),
        NamedArray(frame[OTHER].to_numpy(), tuple(OTHER)),
        frame.to_numpy(),
    ]


@pytest.fixture(scope="module")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> MLPRegressor:
    model = MLPRegressor(tmp_path_factory.mktemp("models"), "small", 0)
    model.fit(FRAME, VAL[OTHER], model_config=CONFIG, y_train=Y, y_val=Y_VAL[["q", "p"]])
    return model


def test_validation_data_in_another_order_is_measured_as_if_it_were_in_order(regressor: MLPRegressor) -> None:
    assert regressor.best_metrics is not None
    measured = regressor.evaluate(VAL, Y_VAL)
    assert measured["loss"] == pytest.approx(regressor.best_metrics["val_loss"], rel=1e-5)


def test_another_order_gives_the_same_answers(regressor: MLPRegressor) -> None:
    expected = regressor.predict(VAL)
    for X in tables(VAL):
        np.testing.assert_array_equal(regressor.predict(X), expected)
        assert regressor.evaluate(X, Y_VAL[["q", "p"]]) == regressor.evaluate(VAL, Y_VAL)
        assert regressor.metrics(X, Y_VAL[["q", "p"]]) == regressor.metrics(VAL, Y_VAL)


def test_missing_additional_and_renamed_columns_are_listed(regressor: MLPRegressor) -> None:
    wrong = VAL.rename(columns={"b": "B"}).drop(columns="c").assign(note="text")
    message = "X does not have the columns of the training data: 'b', 'c' are missing, 'B', 'note' are new"
    for call in (regressor.predict, lambda X: regressor.evaluate(X, Y_VAL), lambda X: regressor.metrics(X, Y_VAL)):
        with pytest.raises(DataError, match=message):
            call(wrong)
    with pytest.raises(
        DataError, match="y does not have the columns of the training targets: 'q' is missing, 'r' is new"
    ):
        regressor.evaluate(VAL, Y_VAL.rename(columns={"q": "r"}))
    with pytest.raises(DataError, match="X_val does not have the columns of X_train: 'b', 'c' are missing"):
        regressor.plan(FRAME, wrong, y_train=Y, y_val=Y_VAL)
    with pytest.raises(DataError, match="y_val does not have the columns of y_train: 'q' is missing, 'r' is new"):
        regressor.plan(FRAME, VAL, y_train=Y, y_val=Y_VAL.rename(columns={"q": "r"}))


def test_the_same_columns_in_another_order_are_the_same_data(regressor: MLPRegressor) -> None:
    again = MLPRegressor(regressor.model_dir, "small", 0)
    for X in tables(FRAME):
        for y in (Y, Y[["q", "p"]]):
            data = {"y_train": y, "y_val": Y_VAL}
            assert again.plan(X, VAL, model_config=CONFIG, **data).plan.to_train == 0
            again.best_model = None
            again.fit(X, VAL, **data)
            np.testing.assert_array_equal(again.predict(VAL[OTHER]), regressor.predict(VAL))


def test_names_are_kept_when_a_model_is_loaded(regressor: MLPRegressor) -> None:
    loaded = MLPRegressor.load(regressor.model_dir, "small", 0)
    np.testing.assert_array_equal(loaded.predict(VAL[OTHER]), regressor.predict(VAL))
    with pytest.raises(DataError, match="'d' is missing"):
        loaded.predict(VAL[["a", "b", "c"]])


def test_renamed_columns_make_a_model_stale_and_are_listed(regressor: MLPRegressor) -> None:
    again = MLPRegressor(regressor.model_dir, "small", 0)
    renamed = {"b": "flow"}
    with pytest.raises(StaleCacheError, match=r"data x_train: 'b' is missing, 'flow' is new\n"):
        again.fit(FRAME.rename(columns=renamed), VAL.rename(columns=renamed), y_train=Y, y_val=Y_VAL)
    more = {"X_train": FRAME.assign(e=1.0), "X_val": VAL.assign(e=1.0)}
    with pytest.raises(StaleCacheError, match=r"data x_train: was \(120, 4\).*, now \(120, 5\).*; 'e' is new\n"):
        again.fit(**more, y_train=Y, y_val=Y_VAL)
    with pytest.raises(StaleCacheError, match="data y_train: 'q' is missing, 'r' is new"):
        again.confirm(FRAME, VAL, y_train=Y.rename(columns={"q": "r"}), y_val=Y_VAL.rename(columns={"q": "r"}))


def test_names_are_in_the_manifest_and_in_no_key(regressor: MLPRegressor) -> None:
    paths = regressor._get_artifacts()
    data = json.loads(paths.manifest_path.read_text())["depends_on"]["data"]
    assert (data["x_train"]["names"], data["y_train"]["names"]) == (NAMES, ["p", "q"])
    named = regressor.plan(FRAME, VAL, y_train=Y, y_val=Y_VAL).run
    plain = MLPRegressor(regressor.model_dir, "other", 0)
    array = plain.plan(FRAME.to_numpy(), VAL.to_numpy(), y_train=Y.to_numpy(), y_val=Y_VAL.to_numpy()).run
    assert named.context == array.context


def test_a_model_of_arrays_goes_by_position_and_takes_frames(tmp_path: Path) -> None:
    model = SmallModel(tmp_path, "small", 0)
    rows = small_rows(60)
    model.fit(rows, model_config={"epochs": 1})
    model.best_model = None
    model.fit(pd.DataFrame(rows, columns=NAMES))
    np.testing.assert_array_equal(model.predict(pd.DataFrame(rows, columns=NAMES)), model.predict(rows))
    # The labels of a frame without names are the positions.
    frame = pd.DataFrame(rows)
    np.testing.assert_array_equal(model.predict(frame[[3, 1, 0, 2]])[:, [2, 1, 3, 0]], model.predict(rows))


def test_what_a_detector_says_of_columns_is_in_the_order_of_its_input(tmp_path: Path) -> None:
    config = {"encoder_layers": (8,), "latent_dim": 2, "epochs": 1, "batch_size": 32}
    model = AutoencoderDetector(tmp_path, "small", 0, quantile=0.5)
    model.fit(FRAME, VAL, model_config=config)
    other = VAL[OTHER]
    places = [NAMES.index(name) for name in OTHER]
    np.testing.assert_array_equal(model.predict(other), model.predict(VAL)[:, places])
    np.testing.assert_array_equal(model.reconstruction_errors(other), model.reconstruction_errors(VAL)[:, places])
    np.testing.assert_array_equal(model.contributions(other), model.contributions(VAL)[:, places])
    np.testing.assert_array_equal(model.detect(other), model.detect(VAL))
    alarms = model.alarm_features(VAL, top=4)
    assert alarms
    for given in (other, VAL.to_numpy()):
        for alarm, same in zip(alarms, model.alarm_features(given, top=4), strict=True):
            assert dict(alarm.features) == dict(same.features)
    # Publishing anew with another quantile, from an array, keeps the names.
    again = AutoencoderDetector(tmp_path, "small", 0, quantile=0.9)
    again.fit(FRAME.to_numpy(), VAL.to_numpy())
    assert again.quantile == 0.9
    np.testing.assert_array_equal(again.predict(other), model.predict(other))


def test_teacher_and_student_go_by_names(tmp_path: Path) -> None:
    model = AutoencoderResidualRegressor(tmp_path, "small", 0)
    model.train_autoencoder(
        FRAME, VAL[OTHER], autoencoder_config={"encoder_layers": (8,), "latent_dim": 2, "epochs": 1, "batch_size": 32}
    )
    model.fit(FRAME[OTHER], VAL, model_config=CONFIG)
    for X in tables(VAL):
        assert model.evaluate(X) == model.evaluate(VAL)
    with pytest.raises(DataError, match="X does not have the columns of the training data: 'a' is missing, 'A' is new"):
        model.predict(VAL.rename(columns={"a": "A"}))


# Classes that training never saw, and validation rows that are drawn

LABELS = np.repeat([0, 1, 2], 40)
PLAN: dict[str, Any] = {"model_config": {"epochs": 1}}


@pytest.mark.parametrize("y", [LABELS, LABELS.astype(float), np.eye(3)[LABELS]], ids=["whole", "floats", "one-hot"])
def test_a_class_that_training_never_saw_is_reported_with_the_fix(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, y: Any
) -> None:
    model = SmallModel(tmp_path, "small", 1)
    with caplog.at_level(logging.WARNING, "raygrid"):
        model.plan(FRAME, y_train=y, validation_split=1 / 3, **PLAN)
    [record] = caplog.records
    assert "classes that the training rows do not have: 2 (40 of 40 validation rows)" in record.getMessage()
    assert "shuffle_split=True" in record.getMessage()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "raygrid"):
        model.plan(FRAME[:80], X_val=FRAME[80:], y_train=y[:80], y_val=y[80:], **PLAN)
    [record] = caplog.records
    assert "y_val has classes that y_train does not have: 2 (40 of 40 validation rows)" in record.getMessage()


def test_numbers_to_predict_and_drawn_rows_are_not_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        SmallModel(tmp_path, "small", 1).plan(FRAME, y_train=np.arange(120), **PLAN)
        # Targets that are scaled are numbers.
        MLPRegressor(tmp_path, "small", 1).plan(FRAME, y_train=LABELS, model_config=CONFIG)
        SmallModel(tmp_path, "small", 1).plan(FRAME, y_train=LABELS, shuffle_split=True, **PLAN)
    assert not caplog.records


def test_drawn_validation_rows_hold_every_class_depend_on_the_seed_and_are_found_again(tmp_path: Path) -> None:
    def data_of(seed: int, **asked: Any) -> Any:
        return SmallModel(tmp_path, "small", 0, seed=seed).plan(FRAME, y_train=LABELS, **asked, **PLAN).run.data

    data = data_of(3, shuffle_split=True)
    assert np.bincount(data.y_val).tolist() == [8, 8, 8]
    assert data.digests() == data_of(3, shuffle_split=True).digests()
    assert data.digests() != data_of(4, shuffle_split=True).digests()
    assert data_of(3).digests() == data_of(4).digests()


def test_what_was_trained_on_drawn_rows_loads_with_the_same_call(tmp_path: Path) -> None:
    rows = small_rows(60)
    SmallModel(tmp_path, "small", 0).fit(rows, model_config={"epochs": 1}, shuffle_split=True)
    again = SmallModel(tmp_path, "small", 0)
    assert again.plan(rows, model_config={"epochs": 1}, shuffle_split=True).plan.to_train == 0
    again.fit(rows, shuffle_split=True)
    with pytest.raises(StaleCacheError, match="data x_val"):
        again.fit(rows)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"X_val": VAL}, "shuffle_split chooses the validation rows, and X_val is given"),
        ({"run_ids": np.repeat([0, 1], 60)}, "run_ids says that the rows are series"),
        ({"shuffle_split": "yes"}, "shuffle_split is 'yes'. It must be True or False"),
    ],
)
def test_a_draw_that_contradicts_the_data_is_refused(tmp_path: Path, asked: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallModel(tmp_path, "small", 0).plan(FRAME, **{"shuffle_split": True, **asked}, **PLAN)


def test_windows_are_not_drawn_row_by_row(tmp_path: Path) -> None:
    from raygrid import ConvAutoencoder

    with pytest.raises(ValueError, match="ConvAutoencoder learns windows of rows in order"):
        ConvAutoencoder(tmp_path, "small", 0).plan(FRAME, shuffle_split=True)
