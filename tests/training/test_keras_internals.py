"""What raygrid uses of Keras, TensorFlow and Ray though it is not public: all of it is there, and in its place.

``make test-latest`` runs this against the newest releases: a name that is gone is the first thing to look at.
"""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raygrid

PACKAGE = Path(raygrid.__file__).parent
PRIVATE_MODULE = re.compile(r"(keras\.src|tensorflow\.python|tensorflow\.core|ray\._\w+)(\.|$)")


def model() -> Any:
    import keras

    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.Sequential([keras.layers.Dense(1)])])
    made.compile("adam", "mse", loss_weights=[2.0], metrics=["mae"], weighted_metrics=["mse"])
    return made


def test_every_private_attribute_of_a_model_is_there() -> None:
    import keras

    from raygrid.training import keras_internals as internals

    made = model()
    assert [layer for layer in internals.all_layers(made) if isinstance(layer, keras.layers.Dense)] == [
        made.layers[0],
        made.layers[1].layers[0],
    ]
    assert internals.metrics_given_to_compile(made) == [["mae"], ["mse"]]
    assert internals.loss_weights_given_to_compile(made) == [2.0]
    assert internals.runs_under_a_strategy(made) is False
    made.evaluate(np.zeros((2, 3)), np.zeros((2, 1)), verbose=0)
    assert internals.metrics_or_logs(made, {"of its own": 1.0}) == {"of its own": 1.0}
    uncompiled = keras.Sequential([keras.layers.Dense(1)])
    assert internals.metrics_given_to_compile(uncompiled) == []
    assert internals.loss_weights_given_to_compile(uncompiled) is None


def test_attributes_that_are_left_out_of_a_structure_are_there() -> None:
    import keras

    from raygrid.training import keras_internals as internals

    made = model()
    functional = keras.Model(made.inputs, made.outputs)
    assert set(internals.OF_ONE_OBJECT_ALONE) <= {*vars(functional), *vars(made.optimizer)}
    assert any(name.startswith(internals.PREFIX_OF_CHECKPOINTS) for name in vars(made.layers[0]))


def test_variables_are_numbered_in_the_order_in_which_they_are_made() -> None:
    import tensorflow as tf

    from raygrid.training.keras_internals import order_of_making

    first, second = tf.Variable(1.0, name="b"), tf.Variable(1.0, name="a")
    assert order_of_making(first) < order_of_making(second)


def test_operations_say_whether_they_are_stateful() -> None:
    from raygrid.training.keras_internals import is_stateful

    assert is_stateful("RandomUniform") is True
    assert is_stateful("MatMul") is False
    assert is_stateful("a_function_7") is None


def test_gradients_are_in_a_registry() -> None:
    import tensorflow as tf

    from raygrid.training.keras_internals import registered_gradients

    before = set(registered_gradients() or ())
    assert "MatMul" in before

    @tf.function
    def traced(x: Any) -> Any:
        return tf.custom_gradient(lambda x: (x * 2, lambda upstream: upstream))(x)

    traced.get_concrete_function(tf.constant(1.0))
    assert any(name.startswith("CustomGradient-") for name in set(registered_gradients() or ()) - before)


def test_outside_eager_execution_keras_leaves_prepared_programs_alone() -> None:
    import tensorflow as tf

    from raygrid.training.keras_internals import outside_eager_execution

    with outside_eager_execution():
        assert not tf.executing_eagerly()
    assert tf.executing_eagerly()


def test_the_places_of_keras_session_and_of_tensorflows_seed_are_there() -> None:
    from keras.src.backend.common import global_state
    from tensorflow.python.eager import context

    assert hasattr(global_state, "GLOBAL_STATE_TRACKER")
    assert hasattr(global_state, "GLOBAL_SETTINGS_TRACKER")
    import tensorflow as tf

    tf.random.set_seed(4)
    assert context.context()._seed == 4
    assert isinstance(context.context()._rng, random.Random)


def private_imports(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and PRIVATE_MODULE.match(node.module):
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if PRIVATE_MODULE.match(alias.name))


PRIVATE = {
    (path.relative_to(PACKAGE).as_posix(), module, name)
    for path in PACKAGE.rglob("*.py")
    for module, name in private_imports(path)
}


@pytest.mark.parametrize(("path", "module", "name"), sorted(PRIVATE))
def test_every_private_name_that_is_imported_exists(path: str, module: str, name: str) -> None:
    found = importlib.import_module(module)
    if name and not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


def test_private_modules_of_keras_and_tensorflow_are_imported_in_one_place() -> None:
    assert {path for path, module, _ in PRIVATE if not module.startswith("ray.")} == {"training/keras_internals.py"}
    assert all(path.startswith("tuning/") for path, module, _ in PRIVATE if module.startswith("ray."))


def test_private_attributes_of_models_are_read_in_one_place() -> None:
    """Of anything but ``self``, ``cls`` and what raygrid's own classes call private."""
    own = {
        node.attr if isinstance(node, ast.Attribute) else node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    elsewhere = {
        f"{path.relative_to(PACKAGE).as_posix()}: {node.attr}"
        for path in PACKAGE.rglob("*.py")
        # Those of Ray are in tuning, and tested with the start of Ray.
        if path.name != "keras_internals.py" and path.parent.name != "tuning"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own
    }
    assert elsewhere <= {"cli/stopping.py: _exit", "watched_config.py: _value_of"}, elsewhere
