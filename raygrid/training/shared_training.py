"""Whether one training may answer points that differ only in when to stop. Importing this module imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from raygrid.grid.plan import STOP_KEYS
from raygrid.training.watched_config import Watch


class StopsMatterError(Exception):
    """When a training stops may have an effect on its epochs; the message says why."""


def built_whatever_the_stops(build: Callable[[dict[str, Any]], keras.Model], config: Mapping[str, Any]) -> keras.Model:
    """A model on which ``epochs`` and ``patience`` of its config have no effect.

    That is proved, and not only observed: nobody read them while the model was built, and once it is, nobody holds the
    config any more to read them later.

    Args:
        build: gives a model for a config; whoever calls must not keep the config.
        config: the whole config.

    Raises:
        StopsMatterError: they may have an effect.
    """
    watch = Watch(config, STOP_KEYS)
    try:
        model = build(watch.lend())
    except Exception as error:
        # It may not like what it was given. Trained one by one, each point gets a plain dict, and its own error.
        raise StopsMatterError(f"build_model raises {type(error).__name__}") from error
    reason = watch.why_it_matters()
    if reason is None and getattr(model.fit, "__func__", None) is not keras.Model.fit:
        reason = f"{type(model).__name__} has its own fit, which is told the number of epochs"
    if reason is not None:
        raise StopsMatterError(reason)
    return model
