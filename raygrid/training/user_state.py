"""What a training in the user's own process leaves as it was. Importing this module imports TensorFlow."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np

from raygrid.training.keras_internals import session_kept


@contextlib.contextmanager
def user_state_kept() -> Iterator[None]:
    """Gives the user's process its Keras settings, Keras' session and its random states back after a training in it.

    What the user draws afterwards from Python, numpy, TensorFlow and Keras is what would have been drawn without the
    training. The exception is an operation of TensorFlow with a seed of its own that was run before,
    such as ``tf.random.uniform([3], seed=1)``: TensorFlow counts its calls where nobody can read them, and begins anew.
    Nor is a ``tf.random.Generator`` put back that ``build_model`` itself draws from.
    """
    config = keras.config
    policy, python_state, numpy_state = config.dtype_policy(), random.getstate(), np.random.get_state()
    floatx, epsilon, image_data_format = config.floatx(), config.epsilon(), config.image_data_format()
    try:
        with session_kept():
            yield
    finally:
        config.set_floatx(floatx)
        config.set_epsilon(epsilon)
        config.set_image_data_format(image_data_format)
        config.set_dtype_policy(policy)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
