"""The driver's side of a running search: what trials report becomes records, at once, and listeners hear of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from raygrid.plan import Plan, Point
from raygrid.point_store import PointStore
from raygrid.progress import SearchListener
from raygrid.records import PointRecord
from raygrid.tuning.trial import decode_points, weights_name
from raygrid.tuning.worker_memory import WorkerGrowth


class RecordingCallback(Callback):
    """Records every finished point the moment its trial reports it.

    An error while recording (a full disk) ends the search: going on would lose what is trained.

    Attributes:
        records: what was recorded, by key, without the histories: those of many points take hundreds of MB.
        recording_error: why the search was ended.
    """

    def __init__(self, plan: Plan, context: str, store: PointStore, listener: SearchListener) -> None:
        self.records: dict[str, PointRecord] = {}
        self.recording_error: OSError | None = None
        self._points = {point.key: point for trial in plan.trials for point in trial.points}
        self._context = context
        self._store = store
        self._listener = listener
        self._awaiting_checkpoint: dict[str, PointRecord] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into a file that nothing here reads; live displays cannot be pickled.
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Tune logs and forgets what is raised while it handles a checkpoint; here it ends the search.
        if self.recording_error is not None:
            raise self.recording_error

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        for point in decode_points(trial.config["points"]):
            # A trial whose worker died begins again, with points that were recorded before.
            if point.key not in self.records:
                self._listener.point_started(point)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "keys" not in result:
            return
        for key in result["keys"] if result["epochs"] else ():
            if key not in self.records:
                self._listener.point_epochs(self._points[key], result["first_epoch"], result["epochs"])
        if "record" in result:
            record = PointRecord.from_json(result["record"], f"the report of trial {trial.trial_id}")
            if record.status == "done":
                self._awaiting_checkpoint[trial.trial_id] = record
            else:
                self._record(self._points[record.key], record, None)

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **info: Any
    ) -> None:
        record = self._awaiting_checkpoint.pop(trial.trial_id, None)
        if record is None:
            return
        with checkpoint.as_directory() as folder:
            self._record(self._points[record.key], record, Path(folder, weights_name(record.key)))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        cause = _last_failure(trial)
        for point in decode_points(trial.config["points"]):
            if point.key not in self.records:
                record = PointRecord(
                    key=point.key,
                    context=self._context,
                    config=point.config,
                    seed=point.seed,
                    status="failed",
                    error=f"its worker died or could not start: {cause}",
                )
                self._record(point, record, None)

    def _record(self, point: Point, record: PointRecord, weights: Path | None) -> None:
        if point.key in self.records:
            return
        try:
            record = self._store.add(record, weights)
        except OSError as error:
            self.recording_error = error
            raise
        self.records[point.key] = record.without_history()
        self._listener.point_finished(point, record)


class GrowthCallback(Callback):
    """Takes what the workers of a wave say that they hold."""

    def __init__(self, growth: WorkerGrowth) -> None:
        self._growth = growth

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        held = result.get("held_bytes")
        if held is not None:
            self._growth.add(f"{result['hostname']}:{result['pid']}", held)


class InterruptCallback(Callback):
    """Notices Ctrl-C. Tune takes it for itself, and what ``fit`` returns does not tell it from an end of all trials.

    Attributes:
        interrupted: whether it came.
    """

    def __init__(self) -> None:
        self.interrupted = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Gives the handler of Ctrl-C back at the end, which Tune leaves as its own."""
        if threading.current_thread() is not threading.main_thread():
            # Neither Tune nor this may set a handler.
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def setup(self, **info: Any) -> None:
        # Called once Tune has set its own handler.
        if threading.current_thread() is not threading.main_thread():
            return
        tunes = signal.getsignal(signal.SIGINT)

        def notice(number: int, frame: FrameType | None) -> None:
            self.interrupted = True
            if callable(tunes):
                tunes(number, frame)

        signal.signal(signal.SIGINT, notice)


def _last_failure(trial: Trial) -> str:
    # Tune's own getters look into the shared storage, where the error arrives only after this callback.
    path = trial.error_file
    if path is None or not Path(path).is_file():
        return "Tune says nothing of the cause"
    # A text for each failure of the trial, headed by a line "Failure # 1 (occurred at ...)".
    _, _, last = Path(path).read_text(errors="replace").rpartition("Failure # ")
    return last.partition("\n")[2].strip()
