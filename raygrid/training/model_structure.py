"""What the trace of a model's steps depends on, as text. Importing this module imports TensorFlow.

Two models of the same structure differ only in the values of their variables, the learning rate among them: a program
that was traced for one of them computes for the other once it holds the other's values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raygrid.training.keras_internals import (
    OF_ONE_OBJECT_ALONE,
    PREFIX_OF_CHECKPOINTS,
    all_layers,
    loss_weights_given_to_compile,
    metrics_given_to_compile,
)

_PLAIN = (bool, int, float, str, bytes, type(None))
_CONTAINERS = (list, tuple, set, frozenset)

# Whose code is the same in every process that runs one search.
_KNOWN_PACKAGES = ("keras", "tensorflow", "builtins", "inspect")


class _UnknownPartError(Exception):
    """Something whose code or values no config holds."""


def structure_of(model: keras.Model) -> str | None:
    """The structure of a compiled and built model; None where it cannot be known.

    Known are models that are made of Keras' own layers, losses, metrics and optimizers alone: what a layer or a
    function of somebody else does may depend on anything.
    """
    try:
        attributes = [_attributes(part) for part in parts(model)]
        text = {
            "model": model.get_config(),
            "compile": _compile_config(model),
            "attributes": attributes,
            "variables": [
                (tuple(v.shape), v.dtype, v.trainable) for v in (*model.variables, *model.optimizer.variables)
            ],
            "keras": [keras.config.epsilon(), keras.config.floatx(), keras.config.image_data_format()],
            "policy": keras.config.dtype_policy().name,
        }
        return json.dumps(text, sort_keys=True)
    except (_UnknownPartError, AttributeError, TypeError, ValueError, NotImplementedError):
        return None


def parts(model: keras.Model) -> Iterator[Any]:
    """Every object whose attributes steps may read."""
    for layer in all_layers(model):
        yield layer
        yield from getattr(layer, "operations", ())
    yield model.optimizer
    # In one that scales losses is the one that was given.
    yield from filter(None, [getattr(model.optimizer, "inner_optimizer", None)])
    yield from keras.tree.flatten([model.loss, loss_weights_given_to_compile(model), metrics_given_to_compile(model)])


def _attributes(part: Any) -> Any:
    _require_known(part)
    if isinstance(part, _PLAIN) or (callable(part) and not hasattr(part, "__dict__")):
        return _described(part)
    if getattr(part, "stateful", False) is True:
        # Its state is carried from batch to batch in variables that are not all among the model's.
        raise _UnknownPartError
    values = {
        name: _described(value)
        for name, value in vars(part).items()
        if name not in OF_ONE_OBJECT_ALONE and not name.startswith(PREFIX_OF_CHECKPOINTS)
    }
    if hasattr(part, "get_vocabulary"):
        # What it learned from data is in no config, and in no variable.
        values["vocabulary"] = [str(token) for token in part.get_vocabulary()]
    return [type(part).__qualname__, values]


def _described(value: Any) -> Any:
    """Plain values as they are; of anything else its type, once it is known to be covered by the configs."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Mapping):
        return [[_described(key), _described(item)] for key, item in value.items()]
    if isinstance(value, _CONTAINERS):
        items = [_described(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    _require_known(value)
    # With the module: keras.activations.gelu and keras.ops.gelu are two functions.
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _require_known(value: Any) -> None:
    if isinstance(value, np.ndarray | np.generic | tf.Tensor):
        raise _UnknownPartError
    for module in {type(value).__module__, getattr(value, "__module__", None) or "builtins"}:
        if module.partition(".")[0] not in _KNOWN_PACKAGES:
            raise _UnknownPartError


def _compile_config(model: keras.Model) -> dict[str, Any]:
    config: dict[str, Any] = model.get_compile_config()
    optimizer = dict(config["optimizer"]["config"])
    if isinstance(optimizer.get("learning_rate"), float):
        # A variable, and not a constant of the trace; a schedule is one.
        del optimizer["learning_rate"]
    return {**config, "optimizer": [config["optimizer"]["class_name"], optimizer]}
