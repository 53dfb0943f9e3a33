"""Types that many modules speak of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

# Gives a compiled keras.Model for a config and the shape of one row of inputs; with a third argument ``X_train`` it is
# given the training inputs as well.
Builder = Callable[..., Any]

# Gives new keras.callbacks.Callback objects for a config.
CallbacksFunction = Callable[[Any], Sequence[Any]]


# Gives the weights of classes for a config.
ClassWeightFunction = Callable[[Any], Any]


@dataclass(frozen=True)
class FitFunctions:
    """The functions of a config that ``fit`` was given; None: it was given none.

    Attributes:
        callbacks: in place of the model's own.
        class_weight: see ``GridSearchModel.fit``.
    """

    callbacks: CallbacksFunction | None = None
    class_weight: ClassWeightFunction | None = None


NO_FUNCTIONS = FitFunctions()


@dataclass(frozen=True)
class ModelDefinition:
    """What a user's model defines for whoever trains it.

    Attributes:
        build: gives a compiled ``keras.Model`` for a config and the shape of one input row.
        callbacks: gives the callbacks of a training for its config, new ones each time; None: there are none.
        class_weight: gives the weights of classes for a config; None: all count alike.
    """

    build: Builder
    callbacks: CallbacksFunction | None = None
    class_weight: ClassWeightFunction | None = None

    @property
    def wants_training_data(self) -> bool:
        """Whether the builder has an argument ``X_train``."""
        return wants_training_data(self.build)


def wants_training_data(build: Builder) -> bool:
    """Whether a builder has an argument ``X_train``."""
    try:
        return "X_train" in inspect.signature(build).parameters
    except (TypeError, ValueError):
        return False
