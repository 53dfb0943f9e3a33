"""Keras' global settings, as a training in this process would find them. Keras is not imported for that.

Workers are new processes: they have none of what a program or notebook has set, so raygrid takes it with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygrid.base.arguments import dtype_policy_name
from raygrid.errors import ArgumentError

_DEBUG_LIMITS = ("max_epochs", "max_steps_per_epoch")


@dataclass(frozen=True)
class KerasSettings:
    """What a model's results depend on beside its builder; the values here are Keras' own defaults.

    Attributes:
        floatx: dtype of inputs and of tensors that are made without one.
        epsilon: the small number in logarithms and denominators.
        image_data_format: ``channels_last`` or ``channels_first``.
    """

    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> KerasSettings:
        """Those among the settings of a manifest; what is not recorded is Keras' default."""
        return cls(**{name: recorded[name] for name in _DEFAULTS if name in recorded})

    def to_json(self) -> dict[str, Any]:
        """What differs from Keras' defaults, so that results of before these were recorded stay valid."""
        return {name: value for name, value in vars(self).items() if value != _DEFAULTS[name]}


_DEFAULTS = vars(KerasSettings())


def keras_json() -> tuple[Path, dict[str, Any]]:
    """Keras' configuration file and what it holds; nothing where it is not there or damaged, as for Keras."""
    path = Path(os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras")), "keras.json")
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return path, {}
    return path, value if isinstance(value, dict) else {}


def keras_settings() -> KerasSettings:
    """The settings that a training has now.

    Raises:
        ArgumentError: Keras is told to cut trainings short.
    """
    config = _keras_config()
    _refuse_debug_limits(config)
    if config is not None:
        return KerasSettings(**{name: getattr(config, name)() for name in _DEFAULTS})
    _, saved = keras_json()
    return KerasSettings(**{name: saved.get(name, default) for name, default in _DEFAULTS.items()})


def global_dtype_policy() -> str:
    """The name of the policy that layers have now where they name none.

    Raises:
        ArgumentError: no model can be trained with it.
    """
    config = _keras_config()
    return dtype_policy_name(keras_settings().floatx if config is None else config.dtype_policy())


def _keras_config() -> Any:
    """Keras' module of settings, where it is loaded."""
    return getattr(sys.modules.get("keras"), "config", None)


def _refuse_debug_limits(config: Any) -> None:
    for name in _DEBUG_LIMITS:
        variable = f"KERAS_{name.upper()}"
        limit = os.environ.get(variable) if config is None else getattr(config, name)()
        if limit:
            raise ArgumentError(
                f"Keras is told to end trainings early: {name} is {limit}. raygrid would record what is not the result "
                "of a config's own epochs.",
                remedy=f"Unset {variable} and keras.config.set_{name}, and ask for fewer epochs, or train on fewer "
                "rows.",
            )


def workers_do_without() -> list[str]:
    """What this process has set in TensorFlow that its workers on Ray will not have, as calls."""
    config = getattr(sys.modules.get("tensorflow"), "config", None)
    if config is None:
        return []
    found = []
    if config.functions_run_eagerly():
        found.append("tf.config.run_functions_eagerly(True)")
    if not config.experimental.tensor_float_32_execution_enabled():
        found.append("tf.config.experimental.enable_tensor_float_32_execution(False)")
    if config.optimizer.get_jit():
        found.append("tf.config.optimizer.set_jit")
    return found
