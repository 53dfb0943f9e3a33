"""What a running search shows: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from raygrid.cli import display
from raygrid.cli.display import ConsoleHandler, LiveBar, PlainLines, make_display
from raygrid.grid.plan import Plan, Point, make_plan
from raygrid.grid.records import PointRecord, Status

POINTS = [Point(n, {"epochs": 10, "batch_size": 4}, seed=0, key=f"key{n}") for n in range(3)]
ROW = {"loss": 0.5, "val_loss": 0.5}


def record(point: Point, val_loss: float | None = 0.5, status: Status = "done", **fields: Any) -> PointRecord:
    metrics = {} if val_loss is None else {"val_loss": val_loss}
    return PointRecord(point.key, "c", point.config, 0, status, metrics, seconds=1.25, **fields)


def plan_of(*done: PointRecord) -> Plan:
    return make_plan(POINTS, {r.key: r for r in done}, items=lambda config: 4)


def terminal() -> Console:
    """A terminal that keeps what is written."""
    return Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=60)


def written(console: Console) -> str:
    """What is written so far, without colours and movements."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


@pytest.fixture
def bar() -> Iterator[LiveBar]:
    bar = LiveBar(terminal())
    yield bar
    bar.search_ended()


def shown_by(bar: LiveBar) -> tuple[float, float | None, str]:
    """How much of the bar is full, what it is full at, and the words beside it."""
    assert bar._progress is not None
    (task,) = bar._progress.tasks
    return task.completed, task.total, task.description


def test_a_terminal_has_the_bar_and_everything_else_has_lines() -> None:
    assert isinstance(make_display(terminal()), LiveBar)
    assert isinstance(make_display(plain()), PlainLines)


def test_the_bar_shows_what_is_done_what_runs_the_best_so_far_and_the_time_left(bar: LiveBar) -> None:
    bar.search_started(plan_of(record(POINTS[2], 0.75)))
    assert shown_by(bar) == (0, 20, "1/3 points  0 running  best 0.75")
    bar.point_started(POINTS[0])
    bar.point_started(POINTS[1])
    bar.point_epochs(POINTS[0], 1, [ROW] * 4)
    assert shown_by(bar) == (4, 20, "1/3 points  2 running  best 0.75")
    bar.point_epochs(POINTS[0], 5, [ROW] * 6)
    bar.point_finished(POINTS[0], record(POINTS[0], 0.25, epochs_run=10))
    assert shown_by(bar) == (10, 20, "2/3 points  1 running  best 0.25")
    assert bar._progress is not None
    bar._progress.refresh()
    text = written(bar._console)
    assert re.search(r"2/3 points  1 running  best 0\.25 \d:\d\d:\d\d", text)


def test_a_point_that_stops_early_completes_its_share(bar: LiveBar) -> None:
    bar.search_started(plan_of())
    for point in POINTS:
        bar.point_started(point)
        bar.point_epochs(point, 1, [ROW] * 3)
        bar.point_finished(point, record(point, epochs_run=3))
    assert shown_by(bar) == (30, 30, "3/3 points  0 running  best 0.5")


def test_a_point_that_is_trained_again_does_not_count_twice(bar: LiveBar) -> None:
    bar.search_started(plan_of())
    bar.point_started(POINTS[0])
    bar.point_epochs(POINTS[0], 1, [ROW] * 7)
    # Its worker died, and another one begins anew.
    bar.point_started(POINTS[0])
    assert shown_by(bar) == (0, 30, "0/3 points  1 running  best none yet")
    bar.point_epochs(POINTS[0], 1, [ROW] * 2)
    assert shown_by(bar)[0] == 2
    bar.point_finished(POINTS[0], record(POINTS[0], epochs_run=2))
    assert shown_by(bar)[:2] == (10, 30)


def test_a_point_that_fails_before_it_starts_completes_its_share_and_says_why(bar: LiveBar) -> None:
    bar.search_started(plan_of())
    failed = record(POINTS[1], None, "failed", error="Traceback\nValueError: units=-1 [red]is wrong[/red]")
    bar.point_finished(POINTS[1], failed)
    assert shown_by(bar) == (10, 30, "1/3 points  0 running  best none yet")
    assert "point 1 failed: ValueError: units=-1 [red]is wrong[/red]" in written(bar._console)


def test_one_bar_follows_several_searches(bar: LiveBar) -> None:
    bar.search_started(plan_of())
    bar.point_started(POINTS[0])
    bar.point_finished(POINTS[0], record(POINTS[0], 0.1))
    bar.point_started(POINTS[2])
    bar.point_epochs(POINTS[2], 1, [ROW])
    bar.search_ended()
    bar.search_ended()
    bar.search_started(plan_of(record(POINTS[1], 0.9)))
    assert shown_by(bar) == (0, 20, "1/3 points  0 running  best 0.9")


def test_log_lines_appear_above_the_bar_as_they_are() -> None:
    console = terminal()
    handler = ConsoleHandler(console)
    handler.emit(logging.LogRecord("raygrid", logging.WARNING, "", 0, "point [bold]%d[/bold]", (3,), None))
    assert "point [bold]3[/bold]\n" in written(console)


def test_the_bar_says_how_long_it_will_take_at_most_and_then_about_how_long(bar: LiveBar, clock: Clock) -> None:
    bar.search_started(plan_of())
    clock.now += 60
    bar.point_started(POINTS[0])
    bar.point_epochs(POINTS[0], 1, [ROW])
    assert bar._progress is not None
    bar._progress.refresh()
    assert "left" not in written(bar._console)
    clock.now += 4
    bar.point_epochs(POINTS[0], 2, [ROW] * 2)
    bar._progress.refresh()
    # A point stopped after 3 of its 10 epochs, at 2 s an epoch: two more points of as many.
    assert "at most 54 s left" in written(bar._console)
    bar.point_finished(POINTS[0], record(POINTS[0], epochs_run=3))
    bar._progress.refresh()
    assert "about 12 s left" in written(bar._console)


def test_lines_say_what_each_point_gave(clock: Clock) -> None:
    console = plain()
    lines = PlainLines(console)
    lines.search_started(plan_of(record(POINTS[2], 0.75)))
    lines.point_started(POINTS[0])
    lines.point_epochs(POINTS[0], 1, [ROW])
    clock.now += 20
    lines.point_epochs(POINTS[0], 2, [ROW] * 4)
    lines.point_finished(POINTS[0], record(POINTS[0], 0.25, epochs_run=5))
    lines.point_started(POINTS[1])
    lines.point_finished(POINTS[1], record(POINTS[1], None, "diverged", epochs_run=1, error="val_loss was not finite"))
    assert written(console).splitlines() == [
        "3 points, 1 already done, 2 to train",
        # Four epochs took 20 s, and half of them were enough. No line is broken, however narrow the output is.
        "2/3  point 0  val_loss 0.25  (5 epochs, 1.2 s)  best 0.25  about 25 s left",
        "3/3  point 1  diverged: val_loss was not finite  (1 epoch, 1.2 s)  best 0.25",
    ]


def test_a_long_training_gives_a_sign_of_life_now_and_then(clock: Clock) -> None:
    console = plain()
    lines = PlainLines(console)
    lines.search_started(plan_of())
    lines.point_started(POINTS[0])
    clock.now += 31
    lines.point_epochs(POINTS[0], 1, [ROW])
    clock.now += 29
    lines.point_epochs(POINTS[0], 2, [ROW])
    assert written(console).splitlines()[1:] == ["0/3 points, 1 running"]
    clock.now += 2
    lines.point_epochs(POINTS[0], 3, [ROW])
    assert written(console).splitlines()[2:] == ["0/3 points, 1 running  at most 6 min 58 s left"]


def test_the_time_left_is_never_negative(clock: Clock) -> None:
    console = plain()
    lines = PlainLines(console)
    lines.search_started(plan_of())
    for point in POINTS:
        for _ in range(2):
            lines.point_started(point)
            clock.now += 100
            lines.point_epochs(point, 1, [ROW] * 10)
            lines.point_epochs(point, 11, [ROW] * 2)
        lines.point_finished(point, record(point, epochs_run=12))
    assert lines.epochs_done == lines.epochs_total == 30
    text = written(console)
    assert "left" in text
    assert not re.search(r"(about|most) -", text)
    assert "left" not in text.splitlines()[-1]
