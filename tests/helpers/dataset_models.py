"""Models that are trained on datasets, which workers make, and functions that make these."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from structured_models import several, several_model

from raygrid import GridSearchModel

Config = dict[str, Any]

CONFIG: Config = {"noise": 0.1, "units": 3, "rate": 0.05, "epochs": 3, "batch_size": 16}
ROWS, VAL_ROWS, WIDTH = 80, 24, 4


def rows(count: int = ROWS + VAL_ROWS) -> tuple[Any, Any]:
    """Inputs and targets."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, WIDTH)).astype(np.float32)
    return x, np.sin(x[:, :1])


X, Y = rows()


def regressor(config: Config, input_shape: tuple[int, ...]) -> Any:
    import keras

    layers = [keras.layers.Dense(config["units"], "relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(input_shape), *layers])
    model.compile(keras.optimizers.Adam(config["rate"]), "mse", metrics=["mae"])
    return model


def pipelines() -> tuple[Any, Any]:
    """Training and validation rows, one at a time."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    return dataset.take(ROWS), dataset.skip(ROWS)


def augmented(config: Config) -> tuple[Any, Any]:
    """Shuffled, with noise whose strength is a hyperparameter."""
    import tensorflow as tf

    train, val = pipelines()

    def noisy(x: Any, y: Any) -> Any:
        return x + tf.random.normal(tf.shape(x), stddev=config["noise"]), y

    size = config["batch_size"]
    return train.shuffle(ROWS, seed=3).map(noisy).batch(size), val.batch(size)


def augmented_otherwise(config: Config) -> tuple[Any, Any]:
    """The same with twice the noise."""
    return augmented({**config, "noise": 2 * config["noise"]})


def generated(config: Config) -> tuple[Any, Any]:
    """Of a length that is not known."""
    import tensorflow as tf

    def dataset(first: int, end: int) -> Any:
        def generator() -> Iterator[Any]:
            for at in range(first, end):
                yield X[at], Y[at]

        spec = (tf.TensorSpec([WIDTH], tf.float32), tf.TensorSpec([1], tf.float32))
        return tf.data.Dataset.from_generator(generator, output_signature=spec).batch(config["batch_size"])

    return dataset(0, ROWS), dataset(ROWS, len(X))


def repeated(config: Config) -> tuple[Any, Any]:
    """Without an end."""
    train, val = pipelines()
    return train.shuffle(ROWS).repeat().batch(config["batch_size"]), val.repeat().batch(config["batch_size"])


def by_number(config: Config) -> tuple[Any, Any]:
    """Batches by their number, with noise that is drawn when one is asked for."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, x: Any, y: Any, noise: float) -> None:
            super().__init__()
            self.x, self.y, self.noise = x, y, noise
            self.generator = np.random.default_rng(5)

        def __len__(self) -> int:
            return -(-len(self.x) // config["batch_size"])

        def __getitem__(self, number: int) -> Any:
            at = slice(number * config["batch_size"], (number + 1) * config["batch_size"])
            x = self.x[at] + self.noise * self.generator.normal(size=self.x[at].shape)
            return x + self.noise * np.random.normal(size=x.shape), self.y[at]

    return Batches(X[:ROWS], Y[:ROWS], config["noise"]), Batches(X[ROWS:], Y[ROWS:], 0.0)


def of_several_inputs(config: Config) -> tuple[Any, Any]:
    """A dict of numbers, images and texts, with two targets."""
    import tensorflow as tf

    x, y = several()
    x = {**x, "sensor": x["sensor"].astype(np.float32)}
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    size = config["batch_size"]
    return dataset.take(96).shuffle(96, seed=1).batch(size), dataset.skip(96).batch(size)


SHAPES_OF_SEVERAL = {"sensor": (3,), "image": (6, 6, 1), "city": ()}


class OfDatasets(GridSearchModel):
    """Has a method that makes its datasets."""

    DEFAULT_CONFIG = CONFIG

    def datasets(self, config: Config) -> tuple[Any, Any]:
        return augmented(config)

    def build_model(self, config: Config, input_shape: Any) -> Any:
        return several_model(config, input_shape) if isinstance(input_shape, dict) else regressor(config, input_shape)


class Bare(GridSearchModel):
    """Is given the function that makes its datasets."""

    DEFAULT_CONFIG = CONFIG
    build_model = OfDatasets.build_model


class OfFiles(Bare):
    """Reads its rows from a file that it names.

    Args:
        folder: of the file.
    """

    def __init__(self, *args: Any, folder: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.folder = folder

    def datasets(self, config: Config) -> tuple[Any, Any]:
        import tensorflow as tf

        x = np.load(Path(self.folder, "rows.npy"))
        dataset = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(config["batch_size"])
        return dataset, dataset


class Killing(Bare):
    """Notes each epoch of a training in a file, and kills the process of the search in the middle of one.

    Args:
        folder: of that file, and of ``driver``, which holds the id of the process; it is killed once.
    """

    def __init__(self, *args: Any, folder: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.folder = folder

    def datasets(self, config: Config) -> tuple[Any, Any]:
        import tensorflow as tf

        train, val = (dataset.batch(config["batch_size"]) for dataset in pipelines())
        return train.map(lambda x, y: (tf.py_function(self._noted(config["units"]), [x], tf.float32), y)).map(
            lambda x, y: (tf.ensure_shape(x, (None, WIDTH)), tf.ensure_shape(y, (None, 1)))
        ), val

    def _noted(self, units: int) -> Callable[[Any], Any]:
        def noted(x: Any) -> Any:
            with open(Path(self.folder, "batches"), "a") as file:
                file.write(f"{units}\n")
            driver = Path(self.folder, "driver")
            if units == 5 and driver.exists() and batches(self.folder).count(5) > ROWS // CONFIG["batch_size"]:
                pid = int(driver.read_text())
                driver.unlink()
                os.kill(pid, signal.SIGKILL)
            return x

        return noted


def batches(folder: str | Path) -> list[int]:
    """The units of the model that each batch was for."""
    path = Path(folder, "batches")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def killing_search(folder: str | Path) -> Killing:
    """Two points, one after the other."""
    from raygrid import Resources

    model = Killing(Path(folder, "models"), "m", 0, folder=str(folder), resources=Resources(max_concurrent=1))
    model.fit(param_grid={"units": [4, 5]})
    return model
