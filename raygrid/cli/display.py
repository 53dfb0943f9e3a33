"""How a running search looks: a live bar in a terminal, plain lines elsewhere. All on standard error."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from raygrid.base.wording import counted
from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord
from raygrid.grid.time_left import TimeLeft
from raygrid.progress.listeners import BestSoFar, SearchListener, result_text

# How often a search that finishes no point says in plain lines that it is alive.
_SIGN_OF_LIFE_S = 30.0


def make_display(console: Console) -> SearchListener:
    """The bar in a terminal, lines elsewhere."""
    return LiveBar(console) if console.is_terminal else PlainLines(console)


class ConsoleHandler(logging.Handler):
    """Writes log records through the console, so that they appear above a live bar and not across it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class _Work(BestSoFar):
    """How much of the planned epochs is trained, and which points are being trained."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs_total = self.epochs_done = 0
        self.running: dict[str, int] = {}
        self._planned: dict[str, int] = {}
        self._time_left = TimeLeft(0)

    def search_started(self, plan: Plan) -> None:
        super().search_started(plan)
        points = [point for trial in plan.trials for point in trial.points]
        self._planned = {point.key: int(point.config["epochs"]) for point in points}
        self.epochs_total, self.epochs_done = sum(self._planned.values()), 0
        self.running = {}
        self._time_left = TimeLeft(self.epochs_total)

    def point_started(self, point: Point) -> None:
        # A point whose worker died begins again.
        self.epochs_done -= self.running.get(point.key, 0)
        self._time_left.begun_again(self.running.get(point.key, 0))
        self.running[point.key] = 0

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        self.running[point.key] = self.running.get(point.key, 0) + len(rows)
        self.epochs_done += len(rows)
        self._time_left.trained(len(rows), time.monotonic())

    def point_finished(self, point: Point, record: PointRecord) -> None:
        super().point_finished(point, record)
        planned, trained = self._planned[point.key], self.running.pop(point.key, 0)
        # A point that stopped early leaves the rest of its epochs behind.
        self.epochs_done += planned - trained
        self._time_left.finished(planned, record.epochs_run, trained)

    def _left(self) -> str:
        text = self._time_left.text(time.monotonic())
        return f"  {text}" if text else ""


class LiveBar(_Work):
    """A bar with what is done, what runs, the best so far and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def search_started(self, plan: Plan) -> None:
        super().search_started(plan)
        self._progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=self.epochs_total, left="")
        self._progress.start()
        self._update()

    def point_started(self, point: Point) -> None:
        super().point_started(point)
        self._update()

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        super().point_epochs(point, first_epoch, rows)
        self._update()

    def point_finished(self, point: Point, record: PointRecord) -> None:
        super().point_finished(point, record)
        if record.status != "done":
            self._console.print(f"point {point.number} {result_text(record)}", markup=False, highlight=False)
        self._update()

    def search_ended(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _update(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task,
                completed=self.epochs_done,
                left=self._left().strip(),
                description=f"{self.finished}/{self.total} points  {len(self.running)} running  best {self.best_text}",
            )


class PlainLines(_Work):
    """A line a finished point, and now and then a sign of life."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._last = time.monotonic()

    def search_started(self, plan: Plan) -> None:
        super().search_started(plan)
        self._print(f"{counted(self.total, 'point')}, {self.finished} already done, {plan.to_train} to train")

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        super().point_epochs(point, first_epoch, rows)
        if time.monotonic() - self._last > _SIGN_OF_LIFE_S:
            self._print(f"{self.finished}/{self.total} points, {len(self.running)} running{self._left()}")

    def point_finished(self, point: Point, record: PointRecord) -> None:
        super().point_finished(point, record)
        self._print(
            f"{self.finished}/{self.total}  point {point.number}  {result_text(record)}  "
            f"({counted(record.epochs_run, 'epoch')}, {record.seconds:.1f} s)  best {self.best_text}{self._left()}"
        )

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
