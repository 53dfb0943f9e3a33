"""Types that many modules speak of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

# Gives a compiled keras.Model for a config and the shape of one row of inputs.
Builder = Callable[[Any, tuple[int, ...]], Any]

# Gives new keras.callbacks.Callback objects for a config.
CallbacksFunction = Callable[[Any], Sequence[Any]]


@dataclass(frozen=True)
class ModelDefinition:
    """What a user's model defines for whoever trains it.

    Attributes:
        build: gives a compiled ``keras.Model`` for a config and the shape of one input row.
        callbacks: gives the callbacks of a training for its config, new ones each time; None: there are none.
    """

    build: Builder
    callbacks: CallbacksFunction | None = None
