"""A model each of whose points has a fault of its own."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from small_models import SmallModel

# Beyond what a process holds already.
_ROOM_BYTES = 100 * 2**20


class FaultyModel(SmallModel):
    """Its only hyperparameter says what goes wrong; all that goes well is the same model with the same result.

    Args:
        build_log: a file that gets a line with the process and the case at every build.
    """

    DEFAULT_CONFIG = {"case": "well", "epochs": 8, "batch_size": 32}  # noqa: RUF012

    def __init__(self, *args: Any, build_log: str = os.devnull, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.build_log = build_log

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        case = config["case"]
        with open(self.build_log, "a") as log:
            log.write(f"{os.getpid()} {case}\n")
        # The last point may have left its limit in this worker.
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        units = int(case.removeprefix("units ")) if case.startswith("units ") else 4
        if case == "a builder that is too large":
            leave_room(_ROOM_BYTES)
            np.ones(10 * _ROOM_BYTES, np.uint8)
        if case == "a training that is too large":
            units = 1_000_000
        layers: list[Any] = [keras.Input(input_shape)]
        if case == "slow":
            layers.append(slow_layer())
        if case == "NaN weights":
            # Better than the others, but for a weight that nothing is made of.
            layers.append(idle_nan_layer())
            units = 16
        model = keras.Sequential(
            [*layers, keras.layers.Dense(units, "relu"), keras.layers.Dense(input_shape[0], name="out")]
        )
        rate = float(case.removeprefix("rate ")) if case.startswith("rate ") else 0.01
        if case == "NaN weights":
            rate = 0.1
        model.compile(keras.optimizers.Adam(rate), loss="mse")
        if case == "a training that is too large":
            leave_room(_ROOM_BYTES)
        return model


def leave_room(room_bytes: int) -> None:
    """This process may take that much more memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def slow_layer() -> Any:
    """Takes its time and changes nothing."""
    import keras
    import tensorflow as tf

    def slowly(x: Any) -> Any:
        time.sleep(0.03)
        return x

    class Slow(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return tf.ensure_shape(tf.numpy_function(slowly, [inputs], inputs.dtype), inputs.shape)

    return Slow()


def idle_nan_layer() -> Any:
    """Has a weight that is NaN and plays no part in its output."""
    import keras

    class Idle(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.add_weight(shape=(1,), initializer=keras.initializers.Constant(float("nan")), trainable=False)

        def call(self, inputs: Any) -> Any:
            return inputs

    return Idle()


def builds_by_case(build_log: Path) -> Counter[str]:
    """How many processes have built each case, beside this one, which builds only to publish.

    A process may build a model of a new kind twice: to see whether it could be published, and to train it.
    """
    lines = {tuple(line.split(maxsplit=1)) for line in build_log.read_text().splitlines()}
    return Counter(case for pid, case in lines if int(pid) != os.getpid())


def last_process(build_log: Path, case: str) -> int:
    """Which process built ``case`` last."""
    lines = [line.split(maxsplit=1) for line in build_log.read_text().splitlines()]
    return int(next(pid for pid, built in reversed(lines) if built == case))
