"""Numbers that float32 cannot tell apart, from ``fit`` to ``predict``: scaled in float64, or fed as integers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_models import SmallModel
from trained_models import trained_copy

from raygrid import GridSearchModel, MLPRegressor
from raygrid.errors import DataError

FIRST_ID = 2**24
WHOLE = np.random.default_rng(0).integers(0, 5, (100, 4)).astype(np.uint8)
ONE_EPOCH = {"epochs": 1, "batch_size": 20}


class Embedded(GridSearchModel):
    """Looks up a number for each id from ``FIRST_ID`` on, as an Embedding does for ids from 0 on."""

    DEFAULT_CONFIG = {"epochs": 20, "batch_size": 20, "learning_rate": 0.5}  # noqa: RUF012

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        ids = keras.Input(input_shape, dtype="int32")
        rows = keras.ops.subtract(ids, FIRST_ID)
        model = keras.Model(ids, keras.layers.Flatten()(keras.layers.Embedding(2, 1)(rows)))
        model.compile(keras.optimizers.SGD(config["learning_rate"]), loss="mse")
        return model


@pytest.fixture(scope="module")
def of_whole(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A model whose input is floats, trained on whole numbers that are not scaled."""
    model = SmallModel(tmp_path_factory.mktemp("models"), "whole", 0)
    model.fit(WHOLE, model_config=ONE_EPOCH)
    return model


class TokenRepeater(GridSearchModel):
    """Reproduces whole numbers, which are its classes."""

    DEFAULT_CONFIG = {"epochs": 1, "batch_size": 20}  # noqa: RUF012

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        tokens = keras.Input(input_shape, dtype="int32")
        x = keras.layers.Embedding(5, 3)(tokens)
        model = keras.Model(tokens, keras.layers.Dense(5, "softmax")(x))
        model.compile("adam", loss="sparse_categorical_crossentropy")
        return model


def test_ids_beyond_2_to_the_24_are_looked_up_apart_in_training_and_prediction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = FIRST_ID + np.arange(100) % 2
    y = np.where(ids == FIRST_ID, -1.0, 2.0)
    model = Embedded(tmp_path, "ids", 1)
    with caplog.at_level(logging.WARNING, "raygrid"):
        model.fit(ids[:, None], y_train=y[:, None], model_config={})
    [warning] = [line.getMessage() for line in caplog.records]
    assert "X_train (dtype int64) is not scaled and stays whole numbers (int32)" in warning
    assert "column 0 (2 distinct values become 1)" in warning
    two = ids[:2, None]
    np.testing.assert_allclose(model.predict(two)[:, 0], [-1, 2], atol=0.01)
    loaded = Embedded.load(tmp_path, "ids", 0)
    for given in (two, two.astype(np.uint32), two.astype(np.float64), pd.DataFrame(two)):
        np.testing.assert_allclose(loaded.predict(given)[:, 0], [-1, 2], atol=0.01)
    assert loaded.evaluate(two, y[:2, None])["loss"] < 1e-3
    with pytest.raises(DataError, match=r"X \(dtype float64\) holds fractions, .* np\.rint\(X\)\.astype\('int32'\)"):
        loaded.predict(two + 0.5)


def test_whole_numbers_that_are_their_own_targets_train_as_they_are(tmp_path: Path) -> None:
    tokens = TokenRepeater(tmp_path, "tokens", 0)
    tokens.fit(WHOLE, model_config={})
    assert tokens.predict(WHOLE[:3]).shape == (3, 4, 5)
    assert np.isfinite(tokens.evaluate(WHOLE)["loss"])


def test_a_model_whose_input_is_floats_takes_fractions_too(of_whole: SmallModel) -> None:
    predicted = of_whole.predict(WHOLE[:2] + 0.5)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, of_whole.best_model(WHOLE[:2] + np.float32(0.5)), rtol=1e-5)  # type: ignore[misc]


def test_whole_numbers_are_other_data_than_floats_where_they_are_not_scaled(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 5, (100, 4))
    keys = set()
    for scaler, given in ((None, x), (None, x.astype(np.float64)), ("standard", x), ("standard", x.astype(np.float32))):
        plan = SmallModel(tmp_path, "numbers", 0, scaler=scaler).plan(given, model_config=ONE_EPOCH)
        keys |= {point.key for point in plan.plan.points}
    assert len(keys) == 3


def test_times_as_inputs_and_targets_keep_their_seconds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seconds = np.arange(300.0)
    times = 1.7e9 + seconds
    model = MLPRegressor(tmp_path, "times", 1)
    with caplog.at_level(logging.WARNING, "raygrid"):
        model.fit(
            times[:, None],
            times[:, None],
            y_train=times,
            y_val=times,
            model_config={"hidden_layers": (), "dropout": 0.0, "epochs": 60, "learning_rate": 0.05, "batch_size": 50},
        )
    assert not caplog.records
    # Rounded to float32, times are 128 s apart.
    np.testing.assert_allclose(model.predict(times[:, None]), times, rtol=0, atol=2)
    loaded = MLPRegressor.load(tmp_path, "times", 0)
    assert loaded.predict(times[:, None]).dtype == np.float64
    assert loaded.metrics(times[:, None], times)["r2"] > 0.999
    assert loaded.evaluate(times[:, None], times)["loss"] < 1e-3


def test_an_unscaled_value_that_is_too_large_for_float32_is_refused_at_prediction_too(
    of_whole: SmallModel, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(40, 4))
    x[3, 2] = 1e40
    with pytest.raises(DataError, match=r"X \(shape \(40, 4\), dtype float64\) holds 1 value .*column 2 \(1\)\."):
        of_whole.predict(x)
    with pytest.raises(DataError, match=r"y .*too large for float32"):
        of_whole.evaluate(x[:3], x[1:4])
    with pytest.raises(DataError, match="X is a list that holds ndarray of shape"):
        of_whole.predict([x[:3], x[:3]])
    scaled = SmallModel.load(trained_copy(tmp_path / "models").model_dir, "small", 0)
    with pytest.raises(DataError, match="too large for float32 once they are scaled, first in column 2"):
        scaled.predict(x)
