"""A training with callbacks: what ``model.fit`` calls between epochs, around epochs in graph. Imports TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from raygrid.grid.plan import Point
from raygrid.training.epoch_program import EpochProgram, Logs, all_metrics, methods_of_fit
from raygrid.training.point_group import PointGroup
from raygrid.training.resuming import Resumption
from raygrid.training.user_callbacks import change_the_rate_alone, number_in_logs


class NeedsFitError(Exception):
    """A callback did what only ``model.fit`` can answer; the message says what. The training begins anew, with it."""


def with_listeners(
    callbacks: Sequence[keras.callbacks.Callback], group: PointGroup, resumption: Resumption
) -> list[keras.callbacks.Callback]:
    """The user's callbacks between those that let the points of a training hear of its epochs, and stop it."""
    first = _Measures(group)
    return [first, *callbacks, _Tells(first, group, resumption)]


class _Measures(keras.callbacks.Callback):
    """Takes an epoch's metrics and weights before the user's callbacks, which may change both."""

    def __init__(self, group: PointGroup) -> None:
        super().__init__()
        self._group = group
        self.row: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.row = self._group.measure(self.model, epoch + 1, logs or {})


class _Tells(keras.callbacks.Callback):
    """Tells the points of an epoch after the user's callbacks, with the numbers that these added to its logs."""

    def __init__(self, measured: _Measures, group: PointGroup, resumption: Resumption) -> None:
        super().__init__()
        self._measured = measured
        self._group = group
        self._resumption = resumption

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        # By now they have set themselves to the beginning of a training.
        self._resumption.callbacks_begun()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = dict(self._measured.row)
        for name, value in (logs or {}).items():
            number = None if name in row else number_in_logs(value)
            if number is not None:
                row[str(name)] = number
        if self._group.tell(epoch + 1, row):
            # After the last epoch fit does not say so either.
            if epoch + 1 < self.params["epochs"]:
                self.model.stop_training = True
        elif not self.model.stop_training:
            self._resumption.epoch_ended()


def train_with_callbacks(
    model: keras.Model,
    program: Callable[[], EpochProgram],
    callbacks: Sequence[keras.callbacks.Callback],
    listening: Sequence[keras.callbacks.Callback],
    point: Point,
    steps: int | None,
    done: int,
) -> None:
    """Trains as ``model.fit`` does, with an epoch and its validation as one graph.

    Args:
        model: the model that is trained.
        program: gives its epoch; called once, where ``fit`` traces its steps: when the first epoch has begun.
        callbacks: the user's. What they change before the first epoch, the trace sees.
        listening: ``with_listeners`` of them.
        point: its ``epochs`` and its seed are read.
        steps: batches in an epoch.
        done: how many epochs were done before.

    Raises:
        NeedsFitError: a callback did what an epoch in graph cannot answer.
        Exception: whatever the model's steps raise while they are traced, or the callbacks.
    """
    epochs, run = point.config["epochs"], _plainly
    hooks = keras.callbacks.CallbackList(
        list(listening), add_history=True, model=model, verbose=0, epochs=epochs, steps=steps
    )
    model.stop_training = False
    if not change_the_rate_alone(callbacks):
        run = _Watch(model).run
        # As in fit it is there before the first callback, which may make it anew, or use it.
        model.make_train_function()
    run(hooks.on_train_begin)
    traced: EpochProgram | None = None
    logs: Logs | None = None
    for epoch in range(done, epochs):
        model.reset_metrics()
        run(functools.partial(hooks.on_epoch_begin, epoch))
        if model.stop_training:
            raise NeedsFitError("a callback sets stop_training before an epoch, which ends it after its first batch")
        if traced is None:
            traced = program()
        logs = traced.run(point.seed, epoch)
        if run is not _plainly:
            model.make_test_function()
        run(functools.partial(hooks.on_epoch_end, epoch, logs))
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_weights)
    hooks.on_train_end(logs)


def _plainly(hook: Callable[[], None]) -> None:
    hook()


class _Watch:
    """Notices what callbacks change of a model that ``fit`` looks at from epoch to epoch, and a traced epoch does not.

    Its steps are traced once in ``fit`` as well: other attributes that they read have no effect there either.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def run(self, hook: Callable[[], None]) -> None:
        before = self._looked_at()
        hook()
        after = self._looked_at()
        changed = [name for name, value in before.items() if not _same(value, after[name])]
        if before["test_function"] is None and "test_function" in changed:
            # The first evaluation makes it, whoever evaluates.
            changed.remove("test_function")
        if changed:
            raise NeedsFitError(f"a callback changes {', '.join(changed)} of the model while it is trained")

    def _looked_at(self) -> dict[str, Any]:
        model = self._model
        names = ("train_function", "test_function", "run_eagerly", "jit_compile", "steps_per_execution")
        return {
            **{name: getattr(model, name) for name in names},
            "metrics": all_metrics(model),
            "functions_run_eagerly": tf.config.functions_run_eagerly(),
            **methods_of_fit(model),
        }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
    return one is other or (isinstance(one, bool | int | str) and one == other)
