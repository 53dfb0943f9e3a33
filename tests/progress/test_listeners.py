"""Listeners: who hears what, a broken one does no harm, and what the log says."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import subprocess
import sys
from typing import Any

import pytest

from raygrid.grid.plan import Plan, Point, make_plan
from raygrid.grid.records import PointRecord, Status
from raygrid.progress.listeners import Audience, BestSoFar, LogProgress, SearchListener, result_text, set_verbosity

POINTS = [Point(n, {"epochs": 2, "batch_size": 4}, seed=0, key=f"key{n}") for n in range(3)]


def record(number: int, val_loss: float | None = 0.5, status: Status = "done", **fields: Any) -> PointRecord:
    point = POINTS[number]
    metrics = {"val_loss": val_loss}
    return PointRecord(point.key, "c", point.config, 0, status, metrics, epochs_run=2, seconds=1.25, **fields)


def plan_of(*done: PointRecord) -> Plan:
    return make_plan(POINTS, {r.key: r for r in done}, items=lambda config: 4)


class Notes(SearchListener):
    """Writes down what it hears; fails where it is told to."""

    def __init__(self, fails_at: str = "") -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.fails_at = fails_at

    def _note(self, name: str, *args: Any) -> None:
        self.heard.append((name, *args))
        if name == self.fails_at:
            raise RuntimeError("the display is broken")

    def search_started(self, plan: Plan) -> None:
        self._note("search_started", plan)

    def point_started(self, point: Point) -> None:
        self._note("point_started", point)

    def point_epochs(self, point: Point, first_epoch: int, rows: Any) -> None:
        self._note("point_epochs", point, first_epoch, rows)

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self._note("point_finished", point, record)

    def search_ended(self) -> None:
        self._note("search_ended")


def tell_all(listener: SearchListener) -> list[tuple[Any, ...]]:
    """Tells a whole search; returns what was told."""
    plan, rows = plan_of(), [{"loss": 0.5}]
    listener.search_started(plan)
    listener.point_started(POINTS[0])
    listener.point_epochs(POINTS[0], 1, rows)
    listener.point_finished(POINTS[0], record(0))
    listener.search_ended()
    return [
        ("search_started", plan),
        ("point_started", POINTS[0]),
        ("point_epochs", POINTS[0], 1, rows),
        ("point_finished", POINTS[0], record(0)),
        ("search_ended",),
    ]


def test_a_listener_may_leave_everything_out() -> None:
    tell_all(SearchListener())


def test_everybody_in_an_audience_hears_everything() -> None:
    first, second = Notes(), Notes()
    told = tell_all(Audience(first, second))
    assert first.heard == second.heard == told


@pytest.mark.parametrize("message", ["search_started", "point_started", "point_epochs", "point_finished"])
def test_a_listener_that_fails_hears_no_more_and_the_others_do(message: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, other = Notes(fails_at=message), Notes()
    with caplog.at_level(logging.WARNING, "raygrid"):
        told = tell_all(Audience(broken, other))
    assert other.heard == told
    assert broken.heard[-1][0] == message
    assert len(broken.heard) < len(told)
    (warning,) = caplog.records
    assert warning.getMessage() == "Notes raised an error and will receive no further events of this search."
    assert warning.exc_info is not None and "the display is broken" in str(warning.exc_info[1])


def test_what_a_listener_prints_is_seen_while_output_is_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    class Prints(SearchListener):
        def search_ended(self) -> None:
            sys.stdout.write("the search is over\n")

    audience = Audience(Prints())
    with contextlib.redirect_stdout(io.StringIO()):
        sys.stdout.write("of Tune")
        audience.search_ended()
    assert capsys.readouterr().out == "the search is over\n"


def test_ctrl_c_in_a_listener_still_stops_the_search() -> None:
    class Stops(SearchListener):
        def search_ended(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Audience(Stops()).search_ended()


# Counting


def test_what_is_done_already_counts() -> None:
    best = BestSoFar()
    best.search_started(plan_of(record(0, 0.5), record(1, None, "diverged")))
    assert (best.total, best.finished, best.best) == (3, 2, 0.5)
    best.point_finished(POINTS[2], record(2, 0.25))
    assert (best.finished, best.best, best.best_text) == (3, 0.25, "0.25")


def test_only_a_done_point_can_be_the_best() -> None:
    best = BestSoFar()
    best.search_started(plan_of())
    assert best.best_text == "none yet"
    best.point_finished(POINTS[0], record(0, 0.1, "failed"))
    best.point_finished(POINTS[1], record(1, None, "diverged"))
    assert (best.finished, best.best) == (2, None)
    best.point_finished(POINTS[2], record(2, 0.75))
    assert best.best == 0.75


def test_a_second_search_does_not_inherit_the_best_of_the_first() -> None:
    best = BestSoFar()
    best.search_started(plan_of(record(0, 0.001)))
    best.search_started(plan_of())
    assert (best.finished, best.best) == (0, None)


# What is written


def test_the_log_has_a_line_for_the_plan_and_for_each_point(caplog: pytest.LogCaptureFixture) -> None:
    log = LogProgress()
    with caplog.at_level(logging.INFO, "raygrid"):
        log.search_started(plan_of(record(0, 0.5)))
        log.point_finished(POINTS[1], record(1, 0.25))
        log.point_finished(POINTS[2], record(2, None, "failed", error="Traceback\nValueError: units is -1"))
    assert caplog.messages == [
        "3 points, 1 already done, 2 to train",
        "2/3  point 1  val_loss 0.25  (2 epochs, 1.2 s)  best 0.25",
        "3/3  point 2  failed: ValueError: units is -1  (2 epochs, 1.2 s)  best 0.25",
    ]


def test_how_a_point_ended_in_a_few_words() -> None:
    assert result_text(record(0, 1 / 3)) == "val_loss 0.333333"
    assert result_text(record(0, None, "diverged", error="no epoch was finite")) == "diverged: no epoch was finite"
    assert result_text(record(0, math.pi, "failed")) == "failed: no cause was recorded"


VERBOSITY = """
import logging
from raygrid.progress.listeners import set_verbosity
log = logging.getLogger("raygrid")
for verbose in (0, 1, 2, True):
    set_verbosity(verbose)
    log.warning("w%s", int(verbose)), log.info("i%s", int(verbose)), log.debug("d%s", int(verbose))
print(len(log.handlers))
"""


def test_verbosity_is_the_level_of_the_log_and_a_bare_program_gets_one_output() -> None:
    done = subprocess.run([sys.executable, "-c", VERBOSITY], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["w0", "w1", "i1", "w2", "i2", "d2", "w1", "i1"]
    assert done.stdout.strip() == "1"


def test_a_program_with_logging_of_its_own_gets_no_second_output(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("raygrid")
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(log, "level", log.level)
    set_verbosity(1)
    assert [type(handler) for handler in log.handlers] == [logging.NullHandler]
