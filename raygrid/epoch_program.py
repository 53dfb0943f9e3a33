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

from raygrid.batches import Items, epoch_order

Logs = dict[str, float]


def why_not(model: keras.Model) -> str | None:
    """Why a model's epochs cannot run in one graph; None where they can.

    What is known to mean the same in a graph is allowed; everything else is left to ``model.fit``.
    """
    cls = type(model)
    if cls.fit is not keras.Model.fit or cls.evaluate is not keras.Model.evaluate:
        return f"{cls.__name__} has a fit or evaluate of its own"
    if cls.make_train_function is not keras.Model.make_train_function:
        return f"{cls.__name__} makes a training function of its own"
    if model.run_eagerly:
        return "the model is compiled with run_eagerly"
    if model.steps_per_execution != 1:
        return "the model is compiled with steps_per_execution"
    return None


class EpochProgram:
    """A model's training epoch and validation, compiled.

    Args:
        model: compiled and built.
        train: what is trained on.
        val: what ``val_loss`` is measured on.
        batch_size: items of a batch; the last batch of a pass may be smaller.
        shuffle: whether an epoch sees the items in another order, drawn from the seed and the epoch's number alone.
    """

    def __init__(self, model: keras.Model, train: Items, val: Items, batch_size: int, shuffle: bool) -> None:
        self._model = model
        self._epoch = tf.function(
            self._trace(train, val, batch_size, shuffle),
            input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64)],
            autograph=False,
        )

    def run(self, seed: int, epoch: int) -> Logs:
        """Trains one epoch (counted from 0) and validates; the metrics as ``model.fit`` would report them."""
        logs = self._epoch(tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64))
        names, values = zip(*sorted(logs.items()), strict=True)
        # One transfer for all of them.
        return dict(zip(names, tf.stack([tf.cast(v, tf.float32) for v in values]).numpy().tolist(), strict=True))

    def _trace(self, train: Items, val: Items, batch_size: int, shuffle: bool) -> Callable[..., Mapping[str, Any]]:
        model = self._model
        train_on, test_on = _step_on(model, model.train_step), _step_on(model, model.test_step)

        def epoch_and_validation(seed: tf.Tensor, epoch: tf.Tensor) -> Mapping[str, Any]:
            # Keras makes compiled metrics when a step is first traced; only then do they exist to be reset.
            for step_on, items in ((train_on, train), (test_on, val)):
                sample = tf.zeros([min(batch_size, items.count)], tf.int64)
                step_on.get_concrete_function(items.gather(sample))
            model.reset_metrics()
            logs = _pass(model, train_on, train, epoch_order(train.count, seed if shuffle else None, epoch), batch_size)
            with tf.control_dependencies(list(logs.values())):
                model.reset_metrics()
                val_logs = _pass(model, test_on, val, epoch_order(val.count, None, epoch), batch_size)
            return {**logs, **{f"val_{name}": value for name, value in val_logs.items()}}

        return epoch_and_validation


def _step_on(model: keras.Model, step: Callable[[Any], Mapping[str, Any]]) -> Any:
    # A function of its own, so that the steps of one size share one trace; compiled as fit would compile it.
    return tf.function(lambda data: dict(step(data)), autograph=False, jit_compile=model.jit_compile)


def _pass(model: keras.Model, step_on: Any, items: Items, order: tf.Tensor, batch_size: int) -> Mapping[str, Any]:
    full, rest = divmod(items.count, batch_size)

    def one(begin: Any, size: int) -> Mapping[str, Any]:
        return dict(step_on(items.gather(tf.ensure_shape(order[begin : begin + size], [size]))))

    last: Mapping[str, Any] = {}
    if full:
        last = {name: tf.convert_to_tensor(value) for name, value in one(0, batch_size).items()}
    if full > 1:

        def body(i: tf.Tensor, _: Any) -> Any:
            return i + 1, {name: tf.convert_to_tensor(v) for name, v in one(i * batch_size, batch_size).items()}

        _, last = tf.while_loop(lambda i, _: i < full, body, [tf.constant(1), last], parallel_iterations=1)
    if rest:
        last = one(full * batch_size, rest)
    # As fit: the metrics' results, unless the step returned something else.
    return dict(model._get_metrics_result_or_logs(last))
