"""Trains one model on arrays, without Ray. Importing this module imports TensorFlow.

The rules of a point are here and in ``stopping.py``. ``TRAINING_RULES`` is raised whenever a change may change
results: it is part of every point's key.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import graph_mode

from raygrid.batches import train_items, validation_data
from raygrid.epoch_program import EpochProgram, why_not
from raygrid.errors import BuilderError
from raygrid.plan import STOP_KEYS, Point
from raygrid.records import PointRecord, finite_or_none
from raygrid.stopping import EarlyStop
from raygrid.traced_programs import TracedPrograms
from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.watched_config import WatchedConfig

log = logging.getLogger("raygrid")

Array = np.ndarray[Any, Any]
Builder = Callable[[Any, tuple[int, ...]], Any]
EpochLogs = dict[str, float | None]
OnEpoch = Callable[[Sequence[Point], int, EpochLogs], None]
OnFinished = Callable[["TrainedPoint"], None]

# Reasons against the graph that this process has told already.
_told: set[str] = set()


@dataclass(frozen=True)
class TrainedPoint:
    """A point's record, and its best weights in the order of ``model.get_weights()`` where it is done."""

    record: PointRecord
    weights: list[Array] | None


def train_points(
    build: Builder,
    points: Sequence[Point],
    context: str,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    device: str,
    on_epoch: OnEpoch = lambda points, epoch, logs: None,
    on_finished: OnFinished = lambda trained: None,
    programs: TracedPrograms | None = None,
) -> None:
    """Trains points that differ only in when to stop: clears the session, seeds, builds, trains once, to the longest.

    Each point has its own stop and its own best weights, exactly as if it were trained alone. A builder that reads a
    config's ``epochs`` or ``patience`` makes them different trainings; then they are trained one by one. What the
    builder does wrong is recorded and never raised.

    Args:
        build: gives a compiled ``keras.Model`` for a config and the shape of one input row.
        points: configs that differ in ``STOP_KEYS`` alone, of one seed.
        context: digest for the records.
        arrays: float32 arrays in the units that the model sees.
        settings: shuffling and dtype policy.
        device: what the records say of where they were trained.
        on_epoch: called after every epoch with the points that trained it, its number (from 1) and its metrics.
        on_finished: called with each point the moment it is finished.
        programs: those of earlier trainings, to be used again; None: there are none.
    """
    if len(points) > 1 and _tells_points_apart(build, points[0], arrays, settings):
        for point in points:
            train_points(
                build,
                [point],
                context,
                arrays,
                settings,
                device=device,
                on_epoch=on_epoch,
                on_finished=on_finished,
                programs=programs,
            )
        return
    longest = max(points, key=lambda point: int(point.config["epochs"]))
    base = PointRecord(
        key="",
        context=context,
        config={},
        seed=longest.seed,
        status="failed",
        worker=f"{socket.gethostname()}:{os.getpid()}",
        device=device,
        threads=tf.config.threading.get_intra_op_parallelism_threads(),
        trained_with=longest.key if len(points) > 1 else None,
    )
    group = _Group([_Follower(point, base) for point in points], on_epoch, on_finished)
    error: str | None = None
    programs = TracedPrograms() if programs is None else programs

    def new_model() -> keras.Model:
        begin_session(longest.seed, settings.dtype_policy, keep_programs=len(programs) > 0)
        return build_checked(build, longest.config, arrays.input_shape(longest.config, settings))

    try:
        _train(new_model, longest, arrays, settings, group, programs)
    except Exception:
        error = traceback.format_exc(limit=-8)
    group.end(error)


def train_point(
    build: Builder,
    point: Point,
    context: str,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    device: str,
    on_epoch: Callable[[int, EpochLogs], None] = lambda epoch, logs: None,
) -> TrainedPoint:
    """Trains one point; see ``train_points``."""
    finished: list[TrainedPoint] = []
    train_points(
        build,
        [point],
        context,
        arrays,
        settings,
        device=device,
        on_epoch=lambda points, epoch, logs: on_epoch(epoch, logs),
        on_finished=finished.append,
    )
    return finished[0]


def _tells_points_apart(build: Builder, point: Point, arrays: TrainingArrays, settings: TrainSettings) -> bool:
    """Whether the builder reads what these points differ in, or cannot be watched reading."""
    watched = WatchedConfig(point.config)
    try:
        begin_session(point.seed, settings.dtype_policy)
        build(watched, arrays.input_shape(point.config, settings))
    except Exception:
        # It may want a real dict; trained one by one, it gets one, and its own errors are recorded.
        return True
    return bool(watched.read & STOP_KEYS)


def this_device() -> str:
    """Where TensorFlow trains in a process that nobody prepared as a worker."""
    found = tf.config.get_visible_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else "CPU"


def begin_session(seed: int, dtype_policy: str, *, keep_programs: bool = False) -> None:
    """A clean Keras session: what an earlier model left, the dtype policy and all seeds are set anew.

    In this order, since clearing the session also resets the policy and the seeds, both of which belong to the thread.

    Args:
        seed: seeds Python, numpy and TensorFlow.
        dtype_policy: such as ``float32``.
        keep_programs: whether traced programs stay ready to run. Keras has TensorFlow drop what it prepared for them,
            and to prepare it again takes as long as several epochs; outside eager execution Keras leaves it alone.
    """
    with graph_mode() if keep_programs else contextlib.nullcontext():
        keras.utils.clear_session()
    keras.config.set_dtype_policy(dtype_policy)
    keras.utils.set_random_seed(seed)


@contextlib.contextmanager
def user_state_kept() -> Iterator[None]:
    """Gives the user's process its dtype policy and random states back after a training in it."""
    policy, python_state, numpy_state = keras.config.dtype_policy(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def build_checked(build: Builder, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
    """The builder's model.

    Raises:
        BuilderError: it is not a compiled ``keras.Model``.
    """
    model = build(dict(config), input_shape)
    if not isinstance(model, keras.Model):
        raise BuilderError(
            f"build_model returned {type(model).__name__}, not a keras.Model; does it end with 'return model'?"
        )
    if not model.compiled:
        raise BuilderError(
            "build_model returned a model that is not compiled; call model.compile(optimizer=..., loss=...)."
        )
    return model


def _train(
    new_model: Callable[[], keras.Model],
    point: Point,
    arrays: TrainingArrays,
    settings: TrainSettings,
    group: _Group,
    programs: TracedPrograms,
) -> None:
    model = new_model()
    reason = why_not(model) if arrays.folder is None else f"the data is read from files in {arrays.folder}"
    if reason is None:
        try:
            program = programs.program(model, arrays, point.config, settings)
        except Exception as error:
            log.debug("An epoch could not be traced.", exc_info=True)
            reason = f"its epoch cannot be traced ({next(iter(str(error).splitlines()), type(error).__name__)})"
            # The trace may have left its marks on the model.
            model = new_model()
        else:
            _train_in_graph(program, point, group)
            return
    if reason not in _told:
        _told.add(reason)
        log.info("Epochs run through model.fit, which is slower: %s.", reason)
    _train_with_fit(model, point, arrays, settings, group)


def _train_in_graph(program: EpochProgram, point: Point, group: _Group) -> None:
    for epoch in range(point.config["epochs"]):
        if group.take(program.model, epoch + 1, program.run(point.seed, epoch)):
            return


def _train_with_fit(
    model: keras.Model, point: Point, arrays: TrainingArrays, settings: TrainSettings, group: _Group
) -> None:
    batch_size, epochs = point.config["batch_size"], point.config["epochs"]
    items = train_items(arrays, point.config, settings)
    # It changes no result, and where it does not divide an epoch's steps, an epoch would take some of the next one's.
    model.steps_per_execution = 1
    model.fit(
        items.epochs(epochs, batch_size, point.seed if settings.shuffle else None),
        steps_per_epoch=items.steps(batch_size),
        epochs=epochs,
        validation_data=validation_data(arrays, point.config, settings),
        validation_batch_size=batch_size,
        callbacks=[_FollowingCallback(group)],
        shuffle=False,
        verbose=0,
    )


class _FollowingCallback(keras.callbacks.Callback):
    """Lets a group hear of ``model.fit``, and stop it."""

    def __init__(self, group: _Group) -> None:
        super().__init__()
        self._group = group

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._group.take(self.model, epoch + 1, logs or {}):
            self.model.stop_training = True


class _Group:
    """The points that one training answers."""

    def __init__(self, followers: Sequence[_Follower], on_epoch: OnEpoch, on_finished: OnFinished) -> None:
        self._training = list(followers)
        self._on_epoch = on_epoch
        self._on_finished = on_finished
        self._begin = time.monotonic()

    def take(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Takes the metrics of ``epoch`` (from 1); returns whether no point trains any more."""
        row = {name: float(value) for name, value in logs.items()}
        ended = [follower for follower in self._training if follower.take(model, epoch, row)]
        points = [follower.point for follower in self._training]
        self._on_epoch(points, epoch, {name: finite_or_none(value) for name, value in row.items()})
        for follower in ended:
            self._training.remove(follower)
            self._on_finished(follower.result(None, time.monotonic() - self._begin))
        return not self._training

    def end(self, error: str | None) -> None:
        """The training is over for those that still took part."""
        for follower in self._training:
            self._on_finished(follower.result(error, time.monotonic() - self._begin))


class _Follower:
    """Keeps the history and the best weights of one point, and says when it ends."""

    def __init__(self, point: Point, base: PointRecord) -> None:
        self.point = point
        self._base = replace(base, key=point.key, config=point.config)
        self._stop = EarlyStop(point.config["patience"])
        self._rows: list[dict[str, float]] = []
        # Tensors: they stay on the device until the point ends.
        self._best_weights: list[tf.Tensor] | None = None

    def take(self, model: keras.Model, epoch: int, row: dict[str, float]) -> bool:
        """Takes the metrics of ``epoch`` (from 1); returns whether it is this point's last."""
        self._rows.append(row)
        better, stop = self._stop.update(epoch, row["val_loss"])
        if better:
            self._best_weights = [tf.identity(variable.value) for variable in model.weights]
        return stop or epoch == self.point.config["epochs"]

    def result(self, error: str | None, seconds: float) -> TrainedPoint:
        """The record of what was trained, with the weights if the point is done."""
        record = replace(
            self._base,
            error=error,
            epochs_run=len(self._rows),
            seconds=round(seconds, 3),
            history=_columns(self._rows),
        )
        if error is not None:
            return TrainedPoint(record, None)
        best = self._stop.best_epoch
        if best is None or self._best_weights is None:
            return TrainedPoint(replace(record, status="diverged", error="val_loss was not finite in any epoch"), None)
        weights = [tensor.numpy() for tensor in self._best_weights]
        metrics = {name: finite_or_none(value) for name, value in self._rows[best - 1].items()}
        record = replace(record, best_epoch=best, metrics=metrics)
        if not all(np.isfinite(w).all() for w in weights if np.issubdtype(w.dtype, np.inexact)):
            cause = f"the weights of the best epoch ({best}) are not finite, though its val_loss is"
            return TrainedPoint(replace(record, status="diverged", error=cause), None)
        return TrainedPoint(replace(record, status="done"), weights)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(finite_or_none(row.get(name, math.nan)) for row in rows) for name in names}
