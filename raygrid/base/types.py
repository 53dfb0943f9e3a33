"""Types that many modules speak of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

# Gives a compiled keras.Model for a config and the shape of one row of inputs; with a third argument ``X_train`` it is
# given the training inputs as well.
Builder = Callable[..., Any]


def wants_training_data(build: Builder) -> bool:
    """Whether a builder has an argument ``X_train``."""
    try:
        return "X_train" in inspect.signature(build).parameters
    except (TypeError, ValueError):
        return False
