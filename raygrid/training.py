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
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raygrid.batches import train_items, val_items, validation_data
from raygrid.epoch_program import EpochProgram, why_not
from raygrid.errors import BuilderError
from raygrid.plan import Point
from raygrid.records import PointRecord, finite_or_none
from raygrid.stopping import EarlyStop
from raygrid.training_inputs import TrainingArrays, TrainSettings

log = logging.getLogger("raygrid")

Array = np.ndarray[Any, Any]
Builder = Callable[[dict[str, Any], tuple[int, ...]], Any]
EpochLogs = dict[str, float | None]
OnEpoch = Callable[[int, EpochLogs], None]

# Reasons against the graph that this process has told already.
_told: set[str] = set()


@dataclass(frozen=True)
class TrainedPoint:
    """A point's record, and its best weights in the order of ``model.get_weights()`` where it is done."""

    record: PointRecord
    weights: list[Array] | None


def train_point(
    build: Builder,
    point: Point,
    context: str,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    device: str,
    on_epoch: OnEpoch = lambda epoch, logs: None,
) -> TrainedPoint:
    """Trains one point: clears the session, seeds, builds, fits; never raises for what the builder does.

    Args:
        build: gives a compiled ``keras.Model`` for a config and the shape of one input row.
        point: config, seed and key.
        context: digest for the record.
        arrays: float32 arrays in the units that the model sees.
        settings: shuffling and dtype policy.
        device: what the record says of where it ran.
        on_epoch: called after every epoch with its number (from 1) and its metrics.
    """
    start = time.monotonic()
    base = PointRecord(
        key=point.key,
        context=context,
        config=point.config,
        seed=point.seed,
        status="failed",
        worker=f"{socket.gethostname()}:{os.getpid()}",
        device=device,
        threads=tf.config.threading.get_intra_op_parallelism_threads(),
    )
    follower = _Follower(point.config["patience"], on_epoch)
    error: str | None = None
    try:
        begin_session(point.seed, settings.dtype_policy)
        model = build_checked(build, point.config, arrays.input_shape(point.config, settings))
        _train(model, point, arrays, settings, follower)
    except Exception:
        error = traceback.format_exc(limit=-8)
    return follower.result(base, error, time.monotonic() - start)


def this_device() -> str:
    """Where TensorFlow trains in a process that nobody prepared as a worker."""
    found = tf.config.get_visible_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else "CPU"


def begin_session(seed: int, dtype_policy: str) -> None:
    """A clean Keras session: what an earlier model left, the dtype policy and all seeds are set anew.

    In this order, since clearing the session also resets the policy and the seeds, both of which belong to the thread.
    """
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
    model: keras.Model, point: Point, arrays: TrainingArrays, settings: TrainSettings, follower: _Follower
) -> None:
    reason = why_not(model)
    if reason is None:
        _train_in_graph(model, point, arrays, settings, follower)
        return
    if reason not in _told:
        _told.add(reason)
        log.info("Epochs run through model.fit, which is slower: %s.", reason)
    _train_with_fit(model, point, arrays, settings, follower)


def _train_in_graph(
    model: keras.Model, point: Point, arrays: TrainingArrays, settings: TrainSettings, follower: _Follower
) -> None:
    program = EpochProgram(
        model,
        train_items(arrays, point.config, settings),
        val_items(arrays, point.config, settings),
        point.config["batch_size"],
        settings.shuffle,
    )
    for epoch in range(point.config["epochs"]):
        if follower.take(model, epoch + 1, program.run(point.seed, epoch)):
            return


def _train_with_fit(
    model: keras.Model, point: Point, arrays: TrainingArrays, settings: TrainSettings, follower: _Follower
) -> None:
    batch_size, epochs = point.config["batch_size"], point.config["epochs"]
    items = train_items(arrays, point.config, settings)
    model.fit(
        items.epochs(epochs, batch_size, point.seed if settings.shuffle else None),
        steps_per_epoch=items.steps(batch_size),
        epochs=epochs,
        validation_data=validation_data(arrays, point.config, settings),
        validation_batch_size=None if settings.windowed else batch_size,
        callbacks=[_FollowingCallback(follower)],
        shuffle=False,
        verbose=0,
    )


class _FollowingCallback(keras.callbacks.Callback):
    """Lets a follower hear of ``model.fit``, and stop it."""

    def __init__(self, follower: _Follower) -> None:
        super().__init__()
        self._follower = follower

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._follower.take(self.model, epoch + 1, logs or {}):
            self.model.stop_training = True


class _Follower:
    """Keeps the history and the best weights, and says when to stop."""

    def __init__(self, patience: int | None, on_epoch: OnEpoch) -> None:
        self._stop = EarlyStop(patience)
        self._on_epoch = on_epoch
        self._rows: list[dict[str, float]] = []
        self._best_weights: list[Array] | None = None

    def take(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Takes the metrics of ``epoch`` (from 1); returns whether to stop."""
        row = {name: float(value) for name, value in logs.items()}
        self._rows.append(row)
        better, stop = self._stop.update(epoch, row["val_loss"])
        if better:
            self._best_weights = model.get_weights()
        self._on_epoch(epoch, {name: finite_or_none(value) for name, value in row.items()})
        return stop

    def result(self, base: PointRecord, error: str | None, seconds: float) -> TrainedPoint:
        """The record of what was trained, with the weights if the point is done."""
        fields: dict[str, Any] = base.__dict__ | {
            "error": error,
            "epochs_run": len(self._rows),
            "seconds": round(seconds, 3),
            "history": _columns(self._rows),
        }
        if error is not None:
            return TrainedPoint(PointRecord(**fields), None)
        best, weights = self._stop.best_epoch, self._best_weights
        if best is None or weights is None:
            return TrainedPoint(
                PointRecord(**fields | {"status": "diverged", "error": "val_loss was not finite in any epoch"}), None
            )
        fields["best_epoch"] = best
        fields["metrics"] = {name: finite_or_none(value) for name, value in self._rows[best - 1].items()}
        if not all(np.isfinite(w).all() for w in weights if np.issubdtype(w.dtype, np.inexact)):
            cause = f"the weights of the best epoch ({best}) are not finite, though its val_loss is"
            return TrainedPoint(PointRecord(**fields | {"status": "diverged", "error": cause}), None)
        return TrainedPoint(PointRecord(**fields | {"status": "done"}), weights)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(finite_or_none(row.get(name, math.nan)) for row in rows) for name in names}
