"""One epoch as one graph: shuffle, gather, every train step, every test step. Importing it imports TensorFlow.

On small and medium data ``model.fit`` spends most of its time outside the arithmetic: it enters and leaves TensorFlow
for every batch. Here a whole epoch with its validation is a single call. The steps are the model's own ``train_step``
and ``test_step``, so that everything Keras means by them holds: compiled loss and metrics, sample weights, dropout,
batch normalisation, regularisers, schedules, mixed precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from raygrid.training.batches import Items, epoch_order
from raygrid.training.keras_internals import (
    all_layers,
    metrics_given_to_compile,
    metrics_or_logs,
    runs_under_a_strategy,
)

Logs = dict[str, float]


# What fit calls in Python at every epoch, or what fit is made of. In one graph it would run once, while tracing.
_OF_KERAS = ("fit", "evaluate", "make_train_function", "make_test_function", "reset_metrics", "get_metrics_result")


def why_not(model: keras.Model) -> str | None:
    """Why a model's epochs cannot run in one graph; None where they can.

    What is known to mean the same in a graph is allowed; everything else is left to ``model.fit``.
    """
    cls = type(model).__name__
    for name, method in methods_of_fit(model).items():
        if method is not getattr(keras.Model, name):
            return f"{cls} has its own {name}"
    for metric in all_metrics(model):
        # It may clear lists, files or counters; the reset of Keras' own metrics only assigns variables.
        if not str(getattr(metric.reset_state, "__module__", "")).startswith("keras."):
            return f"the metric {type(metric).__name__} has its own reset_state"
    if model.train_function is not None or model.test_function is not None:
        return "build_model has trained or evaluated the model already"
    if model.run_eagerly:
        return "the model is compiled with run_eagerly"
    if model.steps_per_execution != 1:
        return "the model is compiled with steps_per_execution"
    if tf.distribute.has_strategy() or runs_under_a_strategy(model):
        return "the model runs under a tf.distribute strategy"
    if tf.config.functions_run_eagerly():
        return "tf.config.run_functions_eagerly is on"
    if keras.config.max_epochs() is not None or keras.config.max_steps_per_epoch() is not None:
        return "Keras limits epochs or steps (keras.config.set_max_epochs, set_max_steps_per_epoch)"
    return None


def methods_of_fit(model: keras.Model) -> dict[str, Any]:
    """The functions that ``fit`` is made of or calls in Python at every epoch, as this model has them."""
    # Also where one was set on the instance.
    return {name: getattr(getattr(model, name), "__func__", None) for name in _OF_KERAS}


def all_metrics(model: keras.Model) -> list[keras.Metric]:
    """Every metric of a compiled model."""
    metrics = [*model.metrics, *keras.tree.flatten(metrics_given_to_compile(model))]
    return [metric for metric in metrics if isinstance(metric, keras.Metric)]


class EpochProgram:
    """A model's training epoch and validation, traced when it is made.

    Attributes:
        model: the model that is trained.
        function: an epoch, traced.

    Args:
        model: compiled; it need not be built.
        train: what is trained on.
        val: what ``val_loss`` is measured on.
        batch_size: items of a batch; the last batch of a pass may be smaller.
        shuffle: whether an epoch sees the items in another order, drawn from the seed and the epoch's number alone.

    Raises:
        Exception: whatever the model's steps raise while they are traced.
    """

    def __init__(self, model: keras.Model, train: Items, val: Items, batch_size: int, shuffle: bool) -> None:
        self.model = model
        make_variables(model)
        self.function = tf.function(
            self._trace(train, val, batch_size, shuffle),
            input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64)],
            autograph=False,
        ).get_concrete_function()

    def run(self, seed: int, epoch: int) -> Logs:
        """Trains one epoch (counted from 0) and validates; the metrics as ``model.fit`` would report them."""
        logs = self.function(tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64))
        # One transfer for all of them; float64 holds counts and float64 metrics as float() in fit does.
        values = tf.stack([tf.cast(value, tf.float64) for value in logs.values()]).numpy().tolist()
        return dict(zip(logs, values, strict=True))

    def take_values_of(self, other: keras.Model) -> None:
        """Trains from now on as if it were made for ``other``, a model of the same structure."""
        for mine, theirs in zip(all_variables(self.model), all_variables(other), strict=True):
            mine.assign(theirs)

    def _trace(self, train: Items, val: Items, batch_size: int, shuffle: bool) -> Callable[..., Mapping[str, Any]]:
        model = self.model

        def epoch_and_validation(seed: tf.Tensor, epoch: tf.Tensor) -> Mapping[str, Any]:
            # Keras makes compiled metrics when a step is first traced; only then do they exist to be reset.
            train_on = _traced(model, model.train_step, train, batch_size)
            test_on = _traced(model, model.test_step, val, batch_size)
            model.reset_metrics()
            logs = _pass(model, train_on, train, epoch_order(train.count, seed if shuffle else None, epoch), batch_size)
            with tf.control_dependencies(list(logs.values())):
                model.reset_metrics()
                val_logs = _pass(model, test_on, val, epoch_order(val.count, None, epoch), batch_size)
            return {**logs, **{f"val_{name}": value for name, value in val_logs.items()}}

        return epoch_and_validation


def step_functions(model: keras.Model, train: Items, val: Items, batch_size: int) -> list[Any]:
    """The model's steps, traced one by one for batches of all sizes: what an epoch of ``model.fit`` is made of."""
    return [
        _traced(model, step, items, batch_size) for step, items in ((model.train_step, train), (model.test_step, val))
    ]


def make_variables(model: keras.Model) -> None:
    """Makes what can be made before tracing: where a trace makes variables, TensorFlow traces a second time."""
    if model.built and all(layer.built for layer in all_layers(model)) and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def all_variables(model: keras.Model) -> list[Any]:
    """The variables that a training begins with; metrics are reset by every epoch."""
    return [*model.variables, *model.optimizer.variables]


def _traced(model: keras.Model, step: Callable[[Any], Mapping[str, Any]], items: Items, batch_size: int) -> Any:
    """A step, traced once for batches of all sizes and compiled as ``fit`` would compile it."""
    # As in fit, the size is known only where all batches have the same. Keras weights the losses of several outputs by
    # the batch's size where it knows it, and not at all where it does not.
    size = batch_size if items.count % batch_size == 0 else None
    batch = items.gather(tf.zeros([1], tf.int64))
    specs = keras.tree.map_structure(lambda column: tf.TensorSpec([size, *column.shape[1:]], column.dtype), batch)
    step_on = tf.function(lambda data: dict(step(data)), autograph=False, jit_compile=model.jit_compile)
    return step_on.get_concrete_function(specs)


def _pass(model: keras.Model, step_on: Any, items: Items, order: tf.Tensor, batch_size: int) -> Mapping[str, Any]:
    logs = step_on.structured_outputs
    # What a Python function gives has no known shape.
    nothing = tf.nest.map_structure(lambda log: tf.zeros([] if log.shape.rank is None else log.shape, log.dtype), logs)
    shapes = tf.nest.map_structure(lambda log: log.shape, logs)

    def one(i: tf.Tensor, _: Any) -> Any:
        # The step is in the graph once, the last and smaller batch included: a random op has a state at each place.
        begin = i * batch_size
        return i + 1, step_on(items.gather(order[begin : tf.minimum(begin + batch_size, items.count)]))

    _, last = tf.while_loop(
        lambda i, _: i < items.steps(batch_size),
        one,
        [tf.constant(0), nothing],
        shape_invariants=[tf.TensorShape([]), shapes],
        parallel_iterations=1,
    )
    # As fit: the metrics' results, unless the step returned something else.
    return _flat(metrics_or_logs(model, last))


def _flat(logs: Mapping[str, Any]) -> dict[str, Any]:
    # As fit does before it hands logs to callbacks.
    flat: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat
