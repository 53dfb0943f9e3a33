"""The points that one training answers: each has its own stop and its own best weights. Imports TensorFlow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raygrid.base.types import Array
from raygrid.errors import BuilderError
from raygrid.grid.early_stop import EarlyStop
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord, finite_or_none
from raygrid.store.checkpoints import Checkpoint, stops_of
from raygrid.training.training_state import values_of

EpochLogs = dict[str, float | None]
OnEpoch = Callable[[Sequence[Point], int, EpochLogs], None]
OnFinished = Callable[["TrainedPoint"], None]


@dataclass(frozen=True)
class TrainedPoint:
    """A point's record, and its best weights in the order of ``model.get_weights()`` where it is done."""

    record: PointRecord
    weights: list[Array] | None


class PointGroup:
    """The points of one training, from its first epoch to the last that one of them needs.

    Args:
        points: they differ only in when to stop.
        base: what the records of all of them say.
        on_epoch: called after every epoch with the points that trained it, its number (from 1) and its metrics.
        on_finished: called with each point the moment it is finished.
        finish_at_end: whether points are finished by ``end`` alone: what runs after the last epoch may still fail.

    Attributes:
        caller_error: what ``on_finished`` raised, such as that a disk is full: no fault of the training.
    """

    def __init__(
        self,
        points: Sequence[Point],
        base: PointRecord,
        on_epoch: OnEpoch,
        on_finished: OnFinished,
        *,
        finish_at_end: bool = False,
    ) -> None:
        self._points, self._base = points, base
        self._finish_at_end = finish_at_end
        self._on_epoch = on_epoch
        self._on_finished = on_finished
        self.caller_error: BaseException | None = None
        self._begin = time.monotonic()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forgets all epochs: the training begins with its first one. No point may be finished yet."""
        self._training = [_Member(point, self._base) for point in self._points]
        self._ended = False
        self._rows: list[dict[str, float]] = []
        # The best epoch of all that still train is the same, since they have seen the same epochs.
        self._best = EarlyStop(None)
        # Tensors: they stay on the device until a point ends.
        self._best_weights: list[tf.Tensor] = []

    @property
    def begun(self) -> bool:
        """Whether an epoch was taken."""
        return bool(self._rows)

    @property
    def ended(self) -> bool:
        """Whether no point trains any more."""
        return self._ended or not self._training

    def take(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Takes the metrics of ``epoch`` (from 1); returns whether no point trains any more."""
        return self.tell(epoch, self.measure(model, epoch, logs))

    def measure(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of ``epoch`` (from 1) as numbers; keeps the weights that gave them, if they are the best so far.

        Raises:
            BuilderError: there is no ``val_loss`` among them.
        """
        row = {name: float(value) for name, value in logs.items()}
        if "val_loss" not in row:
            raise BuilderError(
                f"the model's test_step logs no 'loss' (an epoch gave {', '.join(sorted(row)) or 'nothing'}), so there "
                "is no val_loss to choose by.",
                remedy="It must return {'loss': ..., ...}; keras.metrics.Mean(name='loss') gives the mean over an "
                "epoch's batches.",
            )
        better, _ = self._best.update(epoch, row["val_loss"])
        if better:
            self._best_weights = [tf.identity(variable.value) for variable in model.weights]
        return row

    def end(self, error: str | None) -> None:
        """The training is over for those that still took part."""
        for member in self._training:
            self._finish(member, error)

    def checkpoint(
        self, way: str, built_for: Point, variables: Sequence[Array], callbacks: Sequence[Mapping[str, Any]] = ()
    ) -> Checkpoint:
        """How far the training is after the last epoch; for the arguments see ``Checkpoint``."""
        return Checkpoint(
            way=way,
            stops=stops_of(built_for),
            rows=list(self._rows),
            variables=variables,
            best_epoch=self._best.best_epoch,
            best_weights=values_of(self._best_weights),
            seconds=time.monotonic() - self._begin,
            callbacks=callbacks,
        )

    def replay(self, checkpoint: Checkpoint) -> None:
        """Takes the epochs of a checkpoint that serves all points, before any other; listeners hear of them again."""
        self._begin -= checkpoint.seconds
        self._best_weights = [tf.convert_to_tensor(weight) for weight in checkpoint.best_weights]
        for epoch, row in enumerate(checkpoint.rows, start=1):
            self._best.update(epoch, row["val_loss"])
            self.tell(epoch, dict(row))

    def tell(self, epoch: int, row: dict[str, float]) -> bool:
        """Tells the points and the listeners of the metrics of ``epoch``; returns whether no point trains any more."""
        self._rows.append(row)
        points = [member.point for member in self._training]
        ended = [member for member in self._training if member.take(epoch, row)]
        if points:
            self._on_epoch(points, epoch, {name: finite_or_none(value) for name, value in row.items()})
        if self._finish_at_end:
            self._ended = len(ended) == len(points)
            return self.ended
        for member in ended:
            self._training.remove(member)
            self._finish(member, None)
        return self.ended

    def _finish(self, member: _Member, error: str | None) -> None:
        result = member.result(error, self._rows, self._best_weights, time.monotonic() - self._begin)
        try:
            self._on_finished(result)
        except BaseException as raised:
            self.caller_error = raised
            raise


class _Member:
    """Says when one point ends, and what it gives."""

    def __init__(self, point: Point, base: PointRecord) -> None:
        self.point = point
        self._base = replace(base, key=point.key, config=point.config)
        self._stop = EarlyStop(point.config["patience"], point.config["epochs"])

    def take(self, epoch: int, row: Mapping[str, float]) -> bool:
        """Takes the metrics of ``epoch`` (from 1); returns whether it is this point's last."""
        _, last = self._stop.update(epoch, row["val_loss"])
        return last

    def result(
        self,
        error: str | None,
        rows: Sequence[Mapping[str, float]],
        best_weights: Sequence[tf.Tensor],
        seconds: float,
    ) -> TrainedPoint:
        """The record of what was trained, with the weights if the point is done."""
        record = replace(
            self._base,
            error=error,
            epochs_run=len(rows),
            seconds=round(seconds, 3),
            history=_columns(rows),
        )
        if error is not None:
            return TrainedPoint(record, None)
        best = self._stop.best_epoch
        if best is None:
            return TrainedPoint(replace(record, status="diverged", error="val_loss was not finite in any epoch"), None)
        weights = values_of(best_weights)
        metrics = {name: finite_or_none(value) for name, value in rows[best - 1].items()}
        record = replace(record, best_epoch=best, metrics=metrics)
        if not all(np.isfinite(w).all() for w in weights if np.issubdtype(w.dtype, np.inexact)):
            cause = f"the weights of the best epoch ({best}) are not finite, though its val_loss is"
            return TrainedPoint(replace(record, status="diverged", error=cause), None)
        return TrainedPoint(replace(record, status="done"), weights)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(finite_or_none(row.get(name, math.nan)) for row in rows) for name in names}
