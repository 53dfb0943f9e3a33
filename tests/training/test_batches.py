"""What a training is fed: one tensor of each array, or batches out of files."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_training import train_point
from small_models import WIDTH, dense_model, small_rows

from raygrid.data.mapped_arrays import Fed, open_array_files, write_array_files
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point

Array = np.ndarray[Any, Any]

GENERATOR = np.random.default_rng(0)
X, X_VAL = small_rows(), small_rows(60, seed=1)
CONFIG = {"hidden": (4,), "learning_rate": 0.01, "activation": "relu", "epochs": 3, "patience": None}


def tensors_of_shape(shape: tuple[int, ...]) -> int:
    """How many tensors of this shape the process holds."""
    gc.collect()
    return sum(type(o).__name__ == "EagerTensor" and tuple(o.shape) == shape for o in gc.get_objects())


# In memory


def test_all_trainings_on_the_same_arrays_share_one_tensor_which_goes_with_the_arrays() -> None:
    from raygrid.training.batches import train_items, val_items, validation_data

    arrays, settings = TrainingArrays(small_rows(37), None, small_rows(13), None), TrainSettings()
    items = [train_items(arrays, {}, settings) for _ in range(3)]
    of_val = [make(arrays, {}, settings) for make in (val_items, val_items, validation_data)]
    assert (tensors_of_shape((37, WIDTH)), tensors_of_shape((13, WIDTH))) == (1, 1)
    del items, of_val
    assert tensors_of_shape((37, WIDTH)) == 1
    del arrays
    assert (tensors_of_shape((37, WIDTH)), tensors_of_shape((13, WIDTH))) == (0, 0)


def test_arrays_of_equal_values_are_not_taken_for_one_another() -> None:
    from raygrid.training.batches import train_items

    one, other = (TrainingArrays(X + i, None, X_VAL, None) for i in (0, 1))
    for arrays in (one, other):
        (x, _) = train_items(arrays, {}, TrainSettings()).gather(np.arange(len(X)))
        np.testing.assert_array_equal(x, arrays.x_train)


@pytest.mark.parametrize(
    "column",
    [
        GENERATOR.normal(size=(70_001, 40)).astype(np.float32),  # several blocks
        GENERATOR.normal(size=(50, 6, 3)).astype(np.float32),
        np.arange(-9, 9, dtype=np.int32),
        np.arange(9).reshape(3, 3) * 2**40,
    ],
    ids=["large", "three axes", "int32", "int64"],
)
def test_a_tensor_holds_its_array_to_the_last_bit(column: Array) -> None:
    from raygrid.training.batches import train_items

    column.flags.writeable = False
    x = np.zeros((len(column), 1), np.float32)
    (_, y) = train_items(TrainingArrays(x, column, x, column), {}, TrainSettings()).gather(np.arange(len(column)))
    assert y.numpy().dtype == column.dtype
    assert y.numpy().tobytes() == column.tobytes()


# Out of files


def in_files(arrays: TrainingArrays, folder: Path) -> TrainingArrays:
    """The same arrays, mapped from files."""
    present = {name: value for name, value in vars(arrays).items() if value is not None}
    write_array_files(folder, {name: Fed(value, lambda block: block) for name, value in present.items()})
    return open_array_files(folder)


def left_to_fit(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """A model with dropout, which ``model.fit`` trains also where the data is in memory."""
    import keras

    class Own(keras.Model):
        def reset_metrics(self) -> None:
            super().reset_metrics()

    inputs = keras.Input(input_shape)
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(6, "relu")(inputs))
    model = Own(inputs, keras.layers.Dense(input_shape[-1])(hidden))
    model.compile(keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


def classifier(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(3, "softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy", steps_per_execution=2)
    return model


def weighted_labels() -> TrainingArrays:
    y, y_val = (GENERATOR.integers(0, 3, n).astype(np.int32) for n in (len(X), len(X_VAL)))
    w, w_val = (GENERATOR.uniform(0, 2, n).astype(np.float32) for n in (len(X), len(X_VAL)))
    return TrainingArrays(X, y, X_VAL, y_val, w, w_val)


ROWS = TrainingArrays(X, None, X_VAL, None)
RUNS = TrainingArrays(
    X, None, X_VAL, None, runs_train=np.repeat([0, 1, 2], [90, 50, 60]), runs_val=np.repeat([0, 1], [40, 20])
)


@pytest.mark.parametrize(
    ("build", "arrays", "windowed", "batch_size"),
    [
        (left_to_fit, ROWS, False, 32),
        (left_to_fit, ROWS, False, 20),  # all batches have the same size
        (dense_model, ROWS, False, 32),  # in memory it trains in graph
        (classifier, weighted_labels(), False, 30),
        (left_to_fit, RUNS, True, 16),
    ],
    ids=["rows", "even batches", "in graph", "labels and weights", "windows"],
)
@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
def test_out_of_files_a_training_gives_what_it_gives_in_memory_to_the_last_bit(
    build: Callable[..., Any], arrays: TrainingArrays, windowed: bool, batch_size: int, shuffle: bool, tmp_path: Path
) -> None:
    point = Point(0, {**CONFIG, "batch_size": batch_size, "window": 8, "stride": 3}, 5, "key")
    settings = TrainSettings(shuffle, windowed=windowed)
    one, other = (
        train_point(build, point, "c", given, settings, device="CPU") for given in (arrays, in_files(arrays, tmp_path))
    )
    assert one.record.status == "done", one.record.error
    assert other.record.history == one.record.history
    assert [w.tobytes() for w in other.weights] == [w.tobytes() for w in one.weights]


def test_out_of_files_nothing_of_the_data_becomes_a_tensor_and_the_reason_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrays = in_files(TrainingArrays(small_rows(41), None, small_rows(17), None), tmp_path)
    held: list[int] = []

    def on_epoch(epoch: int, logs: Any) -> None:
        held.append(tensors_of_shape((41, WIDTH)) + tensors_of_shape((17, WIDTH)))

    point = Point(0, {**CONFIG, "batch_size": 8}, 5, "key")
    with caplog.at_level(logging.INFO, "raygrid"):
        train_point(dense_model, point, "c", arrays, TrainSettings(), device="CPU", on_epoch=on_epoch)
    assert held == [0, 0, 0]
    assert f"model.fit, which is slower: the data is read from files in {tmp_path}" in caplog.text
