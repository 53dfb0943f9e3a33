"""Models that commands train: one that makes its own datasets, and one that takes the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raygrid import GridSearchModel

CITIES = ("Bern", "Köln", "Lyon")
NUMBERS = "numbers.txt"

Config = dict[str, Any]


class MakesDatasets(GridSearchModel):
    """Learns the sum of two numbers from datasets that it makes, and counts its epochs with a callback."""

    DEFAULT_CONFIG: ClassVar[Config] = {"units": 2, "batch_size": 8, "epochs": 2}
    DEFAULT_PARAM_GRID: ClassVar[Config] = {"units": [2, 3]}

    def build_model(self, config: Config, input_shape: tuple[int, ...]) -> Any:
        import keras

        layers = [keras.layers.Dense(config["units"], "relu"), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input(input_shape), *layers])
        model.compile("adam", "mse")
        return model

    def rows(self) -> Any:
        """Pairs of numbers."""
        return np.random.default_rng(0).normal(size=(40, 2))

    def datasets(self, config: Config) -> tuple[Any, Any]:
        import tensorflow as tf

        x = self.rows().astype("float32")
        y = x.sum(axis=1)
        train, val = (tf.data.Dataset.from_tensor_slices((x[part], y[part])) for part in (slice(32), slice(32, None)))
        return train.batch(config["batch_size"]), val.batch(config["batch_size"])

    def callbacks(self, config: Config) -> Sequence[Any]:
        import keras

        class Counted(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                logs["counted"] = epoch + 1

        return [Counted()]


class MakesDatasetsOfFile(MakesDatasets):
    """The same of a file in the working folder."""

    data_files = (NUMBERS,)

    def rows(self) -> Any:
        return np.loadtxt(NUMBERS)


class MakesEndlessDatasets(MakesDatasets):
    """The same without an end."""

    def datasets(self, config: Config) -> tuple[Any, Any]:
        train, val = super().datasets(config)
        return train.repeat(), val.repeat()


class TakesColumns(GridSearchModel):
    """Has an input for each column of ``mixed_columns``, and an output for each target, by its name."""

    DEFAULT_CONFIG: ClassVar[Config] = {"units": 2, "batch_size": 8, "epochs": 1}
    DEFAULT_PARAM_GRID: ClassVar[Config] = {"units": [2]}
    TAKES_COLUMNS = True
    TARGETS: ClassVar[tuple[str, ...]] = ("price",)

    def build_model(self, config: Config, input_shape: dict[str, tuple[int, ...]]) -> Any:
        import keras

        layers = keras.layers
        assert input_shape == {"size": (), "rooms": (), "new": (), "city": ()}
        dtypes = {"size": "float32", "rooms": "int32", "new": "bool", "city": "string"}
        inputs = {name: keras.Input((), dtype=dtype, name=name) for name, dtype in dtypes.items()}
        seen = [
            layers.Reshape((1,))(inputs["size"]),
            layers.Embedding(10, 2)(inputs["rooms"]),
            layers.Reshape((1,))(keras.ops.cast(inputs["new"], "float32")),
            layers.StringLookup(vocabulary=list(CITIES), output_mode="one_hot")(inputs["city"]),
        ]
        hidden = layers.Dense(config["units"], "relu")(layers.Concatenate()(seen))
        outputs = {name: layers.Dense(1, name=name)(hidden) for name in self.TARGETS}
        several = len(outputs) > 1
        model = keras.Model(inputs, outputs if several else outputs[self.TARGETS[0]])
        model.compile("adam", dict.fromkeys(outputs, "mse") if several else "mse")
        return model


class TakesColumnsOfTwoTargets(TakesColumns):
    """The same with two targets."""

    TARGETS: ClassVar[tuple[str, ...]] = ("price", "rent")


def mixed_columns(rows: int = 40) -> dict[str, Any]:
    """Floats, whole numbers, truth values and texts, and two targets."""
    rng = np.random.default_rng(0)
    size = rng.normal(100, 20, rows)
    return {
        "size": size,
        "rooms": rng.integers(1, 6, rows),
        "new": rng.integers(0, 2, rows).astype(bool),
        "city": np.array(CITIES, object)[rng.integers(0, 3, rows)],
        "price": size * 10,
        "rent": size / 10,
    }


def write_numbers(folder: Path) -> Path:
    """The file of ``MakesDatasetsOfFile``."""
    path = folder / NUMBERS
    np.savetxt(path, np.random.default_rng(1).normal(size=(40, 2)))
    return path
