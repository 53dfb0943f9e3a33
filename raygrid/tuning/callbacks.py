"""The driver's side of a running search: what trials report becomes records, at once, and listeners hear of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError
from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from raygrid.base.stop_signals import HeldBack
from raygrid.errors import AllTrialsFailedError, ClusterError
from raygrid.grid.plan import Plan, Point, trainings
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener, tell_left_out, tell_slower, tell_trained_apart
from raygrid.progress.remedies import NOT_STARTED, with_remedy
from raygrid.store.points import PointStore
from raygrid.tuning.startup_faults import STARTUP_REMEDY, StartupFaults
from raygrid.tuning.trial import decode_points, weights_name
from raygrid.tuning.worker_memory import WorkerGrowth

# How long the workers that Ray killed are waited for to say so.
_DEAD_ANSWER_S = 2.0

_SAME_FILES = (
    "raygrid carries a file to a node where nothing is at its path, and replaces none. Remove the other file there, or "
    "put the same one at this path on all nodes; what was finished is kept."
)


class ToldToStopError(Exception):
    """Ends Tune's loop where the search is told to stop; nobody but the driver sees it."""


class RecordingCallback(Callback):
    """Records every finished point the moment its trial reports it.

    An error while recording (a full disk) ends the search: going on would lose what is trained. So does a fault of
    every worker, and a node with another file than the builder has to read.

    Attributes:
        records: what was recorded, by key, without the histories: those of many points take hundreds of MB.
        recording_error: why the search was ended.
        startup: what is known of faults of every worker.
    """

    def __init__(self, plan: Plan, context: str, store: PointStore, listener: SearchListener) -> None:
        self.records: dict[str, PointRecord] = {}
        self.recording_error: OSError | None = None
        self._points = {point.key: point for trial in plan.trials for point in trial.points}
        self._context = context
        self._store = store
        self._listener = listener
        self._awaiting_checkpoint: dict[str, PointRecord] = {}
        self._lost: set[str] = set()
        self.startup = StartupFaults()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into a file that nothing here reads; live displays cannot be pickled.
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Tune logs and forgets what is raised while it handles a checkpoint; here it ends the search.
        if self.recording_error is not None:
            raise self.recording_error
        if self.startup.cause is not None:
            raise AllTrialsFailedError(self.startup.cause, remedy=STARTUP_REMEDY)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.startup.began(trial.trial_id)
        for point in decode_points(trial.config["points"]):
            # A trial whose worker died begins again, with points that were recorded before.
            if point.key not in self.records:
                self._listener.point_started(point)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self.startup.worker_is_ready()
        if "obstacle" in result and self.recording_error is None:
            self.recording_error = ClusterError(f"{result['obstacle']}.", remedy=_SAME_FILES)
        if "keys" not in result:
            return
        if "trained_apart" in result:
            tell_trained_apart(result["trained_apart"])
        if "left_out" in result:
            tell_left_out(result["left_out"])
        if "slower" in result:
            tell_slower(result["slower"])
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

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.startup.failed(trial.trial_id, _error_of(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        error = _error_of(trial)
        self.startup.failed(trial.trial_id, error)
        if self.startup.cause is not None:
            # Told once, of all points.
            return
        keys = [point.key for point in decode_points(trial.config["points"])]
        if has_several_trainings(trial):
            self._lost.update(key for key in keys if key not in self.records)
        else:
            self.record_failure(keys, error)

    def take_lost(self) -> set[str]:
        """The keys of the points that have no result since their worker died, and had other trainings in their trial.

        Only one of the trainings is at fault. Asked again, only those of since then.
        """
        lost, self._lost = self._lost, set()
        return lost

    def record_failure(self, keys: Iterable[str], error: str) -> None:
        """Records those points of ``keys`` as failed that have no record yet."""
        for point in (self._points[key] for key in keys):
            record = PointRecord(
                key=point.key,
                context=self._context,
                config=point.config,
                seed=point.seed,
                status="failed",
                error=error,
            )
            self._record(point, record, None)

    def _record(self, point: Point, record: PointRecord, weights: Path | None) -> None:
        if point.key in self.records:
            return
        try:
            record = self._store.add(with_remedy(record), weights)
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


@dataclass(frozen=True)
class KilledForMemory:
    """The keys of the points whose workers Ray killed for their memory, and what Ray says of it."""

    keys: frozenset[str] = frozenset()
    cause: str = ""


class RunningTrials(Callback):
    """Knows which trials run, and on which actors; ends them where the search is to stop.

    Args:
        held: what came of Ctrl-C and SIGTERM.
    """

    def __init__(self, held: HeldBack) -> None:
        self._held = held
        # Only while they run: Ray keeps an actor as long as somebody holds it.
        self._running: dict[str, tuple[Any, frozenset[str]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        keys = frozenset(point.key for point in decode_points(trial.config["points"]))
        self._running[trial.trial_id] = (trial.temporary_state.ray_actor, keys)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.pop(trial.trial_id, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._held.number is not None:
            # Tune would wait for the next report of each trial, which comes after a long epoch.
            self.end_all()
            raise ToldToStopError("the search is told to stop")

    def end_all(self) -> None:
        """Kills the workers of all trials that run."""
        for actor, _ in self._running.values():
            ray.kill(actor)
        self._running.clear()

    def killed_for_memory(self) -> KilledForMemory:
        """The trials whose workers Ray killed, since their node ran out of memory.

        All that run where no worker says so: it was one of them.
        """
        if not self._running:
            return KilledForMemory()
        asked = {actor.__ray_ready__.remote(): keys for actor, keys in self._running.values()}
        # A dead worker answers at once, one that trains when it is done.
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_DEAD_ANSWER_S)
        found = {}
        for answer in answered:
            try:
                ray.get(answer)
            except OutOfMemoryError as error:
                found[answer] = str(error)
            except RayError:
                # Tune ended it since.
                continue
        keys = frozenset().union(*(asked[answer] for answer in found or asked))
        return KilledForMemory(keys, next(iter(found.values()), ""))


def has_several_trainings(trial: Trial) -> bool:
    """Whether more than one training travels in a trial."""
    return len(trainings(decode_points(trial.config["points"]))) > 1


def _error_of(trial: Trial) -> str:
    return f"{NOT_STARTED}: {_last_failure(trial)}"


def _last_failure(trial: Trial) -> str:
    # Tune's own getters look into the shared storage, where the error arrives only after this callback.
    path = trial.error_file
    if path is None or not Path(path).is_file():
        return "Tune says nothing of the cause"
    # A text for each failure of the trial, headed by a line "Failure # 1 (occurred at ...)".
    _, _, last = Path(path).read_text(errors="replace").rpartition("Failure # ")
    return last.partition("\n")[2].strip()
