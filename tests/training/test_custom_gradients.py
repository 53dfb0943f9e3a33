"""Custom gradients: forgotten with their graph, there as long as it is, and a process that does not grow."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from child_processes import run_script
from tensorflow.python.framework import ops

from raygrid.training.custom_gradients import release_custom_gradients

REGISTERED = ops.gradient_registry._registry


@tf.custom_gradient
def trebled_gradient(x: tf.Tensor) -> Any:
    return x * 2.0, lambda upstream: upstream * 3.0


@pytest.fixture(autouse=True)
def empty_registry() -> None:
    gc.collect()
    release_custom_gradients()
    gc.collect()


def custom() -> set[str]:
    gc.collect()
    return {name for name in REGISTERED if name.startswith("CustomGradient-")}


def test_a_kept_graph_keeps_its_gradient_and_gives_it_to_a_later_tape() -> None:
    before = custom()
    inner = tf.function(lambda x: tf.reduce_sum(trebled_gradient(x)), autograph=False).get_concrete_function(
        tf.TensorSpec([None])
    )
    # Traced without a tape: the gradient is asked for only now, after the release.
    release_custom_gradients()
    assert len(custom() - before) == 1
    for _ in range(2):
        x = tf.constant([1.0, 2.0])
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = inner(x)
        np.testing.assert_array_equal(tape.gradient(total, x), [3.0, 3.0])
        release_custom_gradients()
    del inner, tape, total
    assert custom() <= before


def test_what_a_gradient_of_ones_own_knows_beside_tensors_does_not_matter() -> None:
    before, network = custom(), SimpleNamespace(graph=SimpleNamespace())

    @tf.custom_gradient
    def weighed(x: tf.Tensor) -> Any:
        return x * 2.0, lambda upstream: upstream * len(vars(network))

    traced = tf.function(lambda x: weighed(x), autograph=False).get_concrete_function(tf.TensorSpec([None]))
    release_custom_gradients()
    assert len(custom() - before) == 1
    assert vars(network.graph) == {}
    del traced
    assert custom() <= before


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_a_training_leaves_no_graph_behind(activation: str) -> None:
    before = custom()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation=activation)])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 2)), np.zeros((4, 2)), verbose=0)
    assert len(custom() - before) > 0
    del model
    assert len(custom() - before) > 0, "TensorFlow forgets them by itself now; this module can go"
    release_custom_gradients()
    assert custom() <= before


_GROWTH = """
    import gc
    from small_models import SmallModel, small_rows
    from raygrid.tuning.worker_memory import private_bytes

    held = []
    for _ in range(10):
        SmallModel("models", "a", 0).fit(small_rows(), model_config={"hidden": [3]}, reset_experiment=True)
        gc.collect()
        held.append(private_bytes() / 1e6)
    print((held[-1] - held[3]) / 6)
"""


@pytest.mark.long
def test_trainings_in_one_process_do_not_make_it_grow(tmp_path: Path) -> None:
    # Without the release each adds 3 MB.
    assert float(run_script(_GROWTH, tmp_path).splitlines()[-1]) < 0.3
