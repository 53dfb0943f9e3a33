"""Models and data for the tests that train: small enough that a training takes a second."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from raygrid import GridSearchModel

WIDTH = 4


def small_rows(rows: int = 200, seed: int = 0) -> np.ndarray[Any, Any]:
    """float32 rows on a plane, with a little noise."""
    generator = np.random.default_rng(seed)
    plane = generator.normal(size=(rows, 2)) @ generator.normal(size=(2, WIDTH))
    return np.asarray(plane + 0.1 * generator.normal(size=(rows, WIDTH)), dtype=np.float32)


def dense_model(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """A builder function: Dense layers that reproduce their input."""
    import keras

    layers = [keras.Input(input_shape)]
    layers += [keras.layers.Dense(units, config["activation"]) for units in config["hidden"]]
    model = keras.Sequential([*layers, keras.layers.Dense(input_shape[0])])
    model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse", metrics=["mae"])
    return model


class SmallModel(GridSearchModel):
    """``dense_model`` as a class."""

    DEFAULT_CONFIG = {"hidden": (4,), "learning_rate": 0.01, "activation": "relu", "epochs": 2, "batch_size": 32}  # noqa: RUF012

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        return dense_model(config, input_shape)


class LoggedModel(SmallModel):
    """Writes a line with the process and the hidden layers at every build, and whether it is looked at only.

    Args:
        build_log: the file of these lines. Its name is part of the builder's digest.
        deadly: hidden layers whose first build of all kills its process.
    """

    def __init__(self, *args: Any, build_log: str, deadly: tuple[int, ...] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.build_log = build_log
        self.deadly = deadly

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        from raygrid.training.publishable import unchecked

        model = super().build_model(config, input_shape)
        deadly = config["hidden"] == self.deadly
        first = deadly and not any(hidden == self.deadly for _, hidden in builds(self.build_log))
        looked_at = "" if first or not unchecked(model) else " looked at"
        with open(self.build_log, "a") as log:
            log.write(f"{os.getpid()} {','.join(map(str, config['hidden']))}{looked_at}\n")
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
        return model


def builds(build_log: str | Path) -> list[tuple[int, tuple[int, ...]]]:
    """Process and hidden layers of each build outside this process that is not looked at only.

    The driver builds only to publish the winner.
    """
    path = Path(build_log)
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    trained = [line for line in lines if len(line) == 2]
    found = [(int(pid), tuple(int(units) for units in hidden.split(","))) for pid, hidden in trained]
    return [(pid, hidden) for pid, hidden in found if pid != os.getpid()]


class SteppingModel(SmallModel):
    """Notes every training step that is taken in a file: process, hidden layers, learning rate, number of the step.

    Args:
        step_log: the file. Its name is part of the builder's digest.
    """

    def __init__(self, *args: Any, step_log: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.step_log = step_log

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras
        import tensorflow as tf

        step_log = f"file://{self.step_log}"

        class Stepping(keras.Sequential):
            def train_step(self, data: Any) -> Any:
                logs = super().train_step(data)
                step = self.optimizer.iterations.value
                tf.print(os.getpid(), config["hidden"][0], config["learning_rate"], step, output_stream=step_log)
                return logs

        plain = dense_model(config, input_shape)
        model = Stepping([keras.Input(input_shape), *plain.layers])
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse")
        return model


def steps(step_log: str | Path) -> list[tuple[int, tuple[int, float], int]]:
    """Of each step that was taken: the process, hidden units and learning rate, and its number."""
    path = Path(step_log)
    text = path.read_text() if path.exists() else ""
    # The last line may be half written.
    lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
    return [(int(pid), (int(units), float(rate)), int(step)) for pid, units, rate, step in lines]


def falling_rate(config: dict[str, Any], factor: float = 0.5) -> list[Any]:
    """Callbacks that multiply the learning rate by ``factor`` after each epoch."""
    import keras

    return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * factor if epoch else rate)]


def noted_rates(config: dict[str, Any]) -> list[Any]:
    """The same by a callback of ones own, which notes the rate, beside one that raygrid does the work of."""
    import keras

    class NotedRate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["rate_now"] = float(self.model.optimizer.learning_rate)
            self.model.optimizer.learning_rate = logs["rate_now"] / 2

    return [NotedRate(), keras.callbacks.EarlyStopping(patience=0)]


class CallbackModel(SmallModel):
    """``SmallModel`` with a learning rate that falls."""

    def callbacks(self, config: dict[str, Any]) -> list[Any]:
        return falling_rate(config)

    def twice_as_fast(self, config: dict[str, Any]) -> list[Any]:
        return falling_rate(config, 0.25)
