"""Numbers that the training rules give. Records of earlier trainings are used again as long as these stay.

Whoever changes a number here must raise ``TRAINING_RULES``, or else a search mixes old results with new ones. The last
bits differ between processors, and so do versions of TensorFlow; a rule that changes moves far more than that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_training import train_point
from small_models import WIDTH, dense_model, small_rows

from raygrid import MLPRegressor
from raygrid.data.training_arrays import TRAINING_RULES, TrainingArrays, TrainSettings
from raygrid.grid.plan import Point

CONFIG = {
    "hidden": (8,),
    "learning_rate": 0.01,
    "activation": "relu",
    "batch_size": 32,
    "epochs": 3,
    "patience": 2,
    "window": 6,
    "stride": 2,
}
X, X_VAL = small_rows(210), small_rows(70, seed=1)
ARRAYS = TrainingArrays(X, None, X_VAL, None)


def compiled(config: dict[str, Any], *layers: Any) -> Any:
    import keras

    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse", metrics=["mae"])
    return model


def normalised(config: dict[str, Any], shape: tuple[int, ...]) -> Any:
    import keras.layers as k

    dropped = k.BatchNormalization(), k.Dropout(0.3)
    return compiled(config, k.Input(shape), k.Dense(8, "relu"), *dropped, k.Dense(WIDTH))


def convolution(config: dict[str, Any], shape: tuple[int, ...]) -> Any:
    import keras.layers as k

    convolved = k.Reshape((WIDTH, 1)), k.Conv1D(3, 2, activation="tanh"), k.Flatten()
    return compiled(config, k.Input(shape), *convolved, k.Dense(WIDTH))


def lstm(config: dict[str, Any], shape: tuple[int, ...]) -> Any:
    import keras.layers as k

    return compiled(config, k.Input(shape), k.Reshape((WIDTH, 1)), k.LSTM(5), k.Dense(WIDTH))


def of_windows(config: dict[str, Any], shape: tuple[int, ...]) -> Any:
    import keras.layers as k

    convolved = k.Conv1D(5, 3, padding="same", activation="relu"), k.Conv1D(WIDTH, 3, padding="same")
    return compiled(config, k.Input(shape), *convolved)


TRAININGS = {
    "dense": (dense_model, False),
    "normalised, with dropout": (normalised, False),
    "convolution": (convolution, False),
    "lstm": (lstm, False),
    "windows": (of_windows, True),
}
# val_loss of the best epoch, and the sum of the sizes of all weights there.
PINNED = {
    "dense": (0.4831494390964508, 22.89255732204765),
    "normalised, with dropout": (0.5559300780296326, 39.509172301739454),
    "convolution": (0.31047871708869934, 18.052218705415726),
    "lstm": (0.881790041923523, 34.41933825286105),
    "windows": (0.7048657536506653, 26.743038225686178),
    "scaled targets": (0.5568915009498596, 12.964971978217363),
}


def test_the_rules_are_those_of_the_numbers_below() -> None:
    assert TRAINING_RULES == 3


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_gives_the_numbers_that_its_rules_gave_before(name: str) -> None:
    build, windowed = TRAININGS[name]
    trained = train_point(
        build, Point(0, CONFIG, 5, "key"), "c", ARRAYS, TrainSettings(windowed=windowed), device="CPU"
    )
    assert trained.record.status == "done", trained.record.error
    assert (trained.record.val_loss, size_of(trained.weights)) == pytest.approx(PINNED[name], rel=1e-4)


def test_scaled_inputs_and_targets_give_the_numbers_that_they_gave_before(tmp_path: Path) -> None:
    config = {"hidden_layers": (8,), "dropout": 0.1, "learning_rate": 0.01, "batch_size": 32, "epochs": 3}
    model = MLPRegressor(tmp_path, "pinned", verbose=0, seed=5)
    fitted = model.fit(1e3 * X[:, 1:] + 50, y_train=30 * X[:, 0] - 7, model_config=config)
    assert model.best_metrics is not None
    found = model.best_metrics["val_loss"], size_of(fitted.get_weights())
    assert found == pytest.approx(PINNED["scaled targets"], rel=1e-4)


def size_of(weights: list[np.ndarray[Any, Any]]) -> float:
    return float(sum(np.abs(weight.astype(np.float64)).sum() for weight in weights))
