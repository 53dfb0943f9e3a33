"""Everything that raygrid uses of Keras and TensorFlow that they do not call public. Importing it imports TensorFlow.

A release may rename any of it. Then an epoch that cannot be traced is left to ``model.fit``, memory is not given back,
and the user's random state stays as training left it; no point fails. ``tests/training/test_keras_internals.py`` goes
through all of it, and the upper bounds in ``pyproject.toml`` keep untested releases out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

# Among the attributes of Keras' objects: these hold addresses and running numbers, which configs and the order of
# variables say as well, or are what TensorFlow notes of attributes for its own checkpoints.
OF_ONE_OBJECT_ALONE = ("_nodes", "_trainable_variables_indices")
PREFIX_OF_CHECKPOINTS = "_self_"


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The model and every layer in it, at any depth."""
    return list(model._flatten_layers())


def metrics_given_to_compile(model: keras.Model) -> list[Any]:
    """As they were given; they are among ``model.metrics`` only once a step was traced."""
    compiled = model._compile_metrics
    return [] if compiled is None else [compiled._user_metrics, compiled._user_weighted_metrics]


def loss_weights_given_to_compile(model: keras.Model) -> Any:
    """As they were given; None where there are none."""
    return model._compile_loss and model._compile_loss._user_loss_weights


def runs_under_a_strategy(model: keras.Model) -> bool:
    """Whether the model was made under a ``tf.distribute`` strategy."""
    return model._distribute_strategy is not None


def metrics_or_logs(model: keras.Model, logs: Any) -> Mapping[str, Any]:
    """What ``fit`` reports after a step that returned ``logs``."""
    found: Mapping[str, Any] = model._get_metrics_result_or_logs(logs)
    return found


def order_of_making(variable: tf.Variable) -> int:
    """A number that is larger for a variable that was made later."""
    return int(variable._unique_id.rpartition("_")[2])


def is_stateful(operation: str) -> bool | None:
    """Whether TensorFlow calls an operation stateful; None where the name is that of a function."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(operation)
    return None if definition is None else bool(definition.is_stateful)


def outside_eager_execution() -> contextlib.AbstractContextManager[Any]:
    """Where Keras leaves alone what TensorFlow has prepared to run traced programs."""
    try:
        from tensorflow.python.eager.context import graph_mode
    except ImportError:
        return contextlib.nullcontext()
    entered: contextlib.AbstractContextManager[Any] = graph_mode()
    return entered


def registered_gradients() -> dict[str, Any] | None:
    """What TensorFlow has registered as gradients, by name; None where it keeps them in another way."""
    try:
        from tensorflow.python.framework import ops
    except ImportError:
        return None
    registered = getattr(getattr(ops, "gradient_registry", None), "_registry", None)
    return registered if isinstance(registered, dict) else None


@contextlib.contextmanager
def session_kept() -> Iterator[None]:
    """Puts Keras' session and the state of unseeded random operations back as they were.

    The session holds the global seed generator, the dtype policy, the numbers in names of layers, and Keras' settings.
    ``keras.utils.clear_session`` puts another one in its place, so that the one that is kept here does not change.
    """
    put_back = [*_keras_session(), *_tensorflow_seed()]
    try:
        yield
    finally:
        for put in put_back:
            put()


def _keras_session() -> Iterator[Callable[[], None]]:
    try:
        from keras.src.backend.common import global_state
    except ImportError:
        return
    for name in ("GLOBAL_STATE_TRACKER", "GLOBAL_SETTINGS_TRACKER"):
        if hasattr(global_state, name):
            yield _setter(global_state, name, getattr(global_state, name))


def _tensorflow_seed() -> Iterator[Callable[[], None]]:
    try:
        from tensorflow.python.eager import context
    except ImportError:
        return
    current = context.context()
    for name in ("_seed", "_rng"):
        # Without a seed there is no generator yet.
        yield _setter(current, name, getattr(current, name, None))


def _setter(owner: ModuleType | Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)
