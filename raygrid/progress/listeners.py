"""What a search tells while it runs, and to whom."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Mapping, Sequence

from raygrid.base.once import first_time
from raygrid.base.wording import counted
from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord

log = logging.getLogger("raygrid")


class SearchListener:
    """Hears what happens in a search, on the driver. Every method does nothing unless it is overridden."""

    def search_started(self, plan: Plan) -> None:
        """The trials of ``plan`` are about to start."""

    def point_started(self, point: Point) -> None:
        """A worker began to train ``point``; again, if its first worker died."""

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        """``point`` finished the epochs from ``first_epoch`` (counted from 1) with these metrics."""

    def point_finished(self, point: Point, record: PointRecord) -> None:
        """``point`` is done, diverged or failed, and recorded."""

    def search_ended(self) -> None:
        """No trial runs any more, whatever the reason."""


class Audience(SearchListener):
    """Several listeners as one. One that raises an error will receive no further events: a broken display must not end
    a search.

    What a listener prints goes to where standard output was when the audience was made: that of Tune is held back.
    """

    def __init__(self, *listeners: SearchListener) -> None:
        self._listeners = list(listeners)
        self._stdout = sys.stdout

    def search_started(self, plan: Plan) -> None:
        self._tell(lambda listener: listener.search_started(plan))

    def point_started(self, point: Point) -> None:
        self._tell(lambda listener: listener.point_started(point))

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        self._tell(lambda listener: listener.point_epochs(point, first_epoch, rows))

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self._tell(lambda listener: listener.point_finished(point, record))

    def search_ended(self) -> None:
        self._tell(lambda listener: listener.search_ended())

    def _tell(self, message: Callable[[SearchListener], None]) -> None:
        for listener in list(self._listeners):
            try:
                with contextlib.redirect_stdout(self._stdout):
                    message(listener)
            except Exception:
                self._listeners.remove(listener)
                log.warning(
                    "%s raised an error and will receive no further events of this search.",
                    type(listener).__name__,
                    exc_info=True,
                )


class BestSoFar(SearchListener):
    """Counts what is finished and keeps the lowest ``val_loss``; for displays to build on."""

    def __init__(self) -> None:
        self.total = self.finished = 0
        self.best: float | None = None

    def search_started(self, plan: Plan) -> None:
        self.total, self.finished = len(plan.points), len(plan.points) - plan.to_train
        # One display may follow several searches, of other data.
        self.best = None
        for record in plan.done.values():
            self._take(record)

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self.finished += 1
        self._take(record)

    def _take(self, record: PointRecord) -> None:
        if record.status == "done" and record.val_loss is not None:
            self.best = record.val_loss if self.best is None else min(self.best, record.val_loss)

    @property
    def best_text(self) -> str:
        """The lowest ``val_loss`` so far, for people."""
        return "none yet" if self.best is None else f"{self.best:.6g}"


class LogProgress(BestSoFar):
    """Writes a line for every finished point to the log ``raygrid``."""

    def search_started(self, plan: Plan) -> None:
        super().search_started(plan)
        log.info("%s, %d already done, %d to train", counted(self.total, "point"), self.finished, plan.to_train)

    def point_finished(self, point: Point, record: PointRecord) -> None:
        super().point_finished(point, record)
        log.info(
            "%d/%d  point %d  %s  (%s, %.1f s)  best %s",
            self.finished,
            self.total,
            point.number,
            result_text(record),
            counted(record.epochs_run, "epoch"),
            record.seconds,
            self.best_text,
        )


def result_text(record: PointRecord) -> str:
    """How a point ended, in a few words."""
    if record.status == "done" and record.val_loss is not None:
        return f"val_loss {record.val_loss:.6g}"
    return f"{record.status}: {record.cause}"


@functools.cache
def tell_trained_apart(reason: str) -> None:
    """Says, once for each reason, that points take longer than they would if one training could answer them."""
    log.info("Points that differ only in epochs or patience are trained one by one, not all in one: %s.", reason)


@functools.cache
def tell_left_out(text: str) -> None:
    """Says, once, which callbacks do not run, and what raygrid does in their place."""
    log.warning("%s", text)


def tell_slower(text: str) -> None:
    """Says, once, why epochs run through ``model.fit``."""
    if first_time(text):
        log.info("%s", text)


def set_verbosity(verbose: int) -> None:
    """Sets the level of the log ``raygrid``, and gives it an output if the program has set up none."""
    log.setLevel(logging.WARNING if verbose <= 0 else logging.INFO if verbose == 1 else logging.DEBUG)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
