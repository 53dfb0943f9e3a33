"""Runs the planned trials on Ray Tune, and leaves a record of every point."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygrid.base.stop_signals import HeldBack, search_stopped, signals_held_back
from raygrid.base.wording import counted
from raygrid.data.dataset_source import PreparedDatasets, TrainingDatasets
from raygrid.data.prepared_data import PreparedData
from raygrid.data.training_arrays import TrainingArrays
from raygrid.errors import AllTrialsFailedError
from raygrid.grid.plan import Plan, PlannedTrial, bundled
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener
from raygrid.progress.remedies import MEMORY_REMEDY, out_of_memory_alone
from raygrid.tuning.carried_files import carried_files
from raygrid.tuning.nodes import nodes_alive, nodes_to_come
from raygrid.tuning.options import SearchOptions
from raygrid.tuning.resources import TrialResources, resolve, shortage_on_a_node
from raygrid.tuning.session import RaySession
from raygrid.tuning.shared_folder import check_shared_folder
from raygrid.tuning.startup_faults import STARTUP_REMEDY, StartupFaults
from raygrid.tuning.trial import TrainingJob, TrialJob, encode_points, run_trial
from raygrid.tuning.trial_queue import TrialQueue
from raygrid.tuning.worker_memory import GROWTH_LIMIT_BYTES, WorkerGrowth

if TYPE_CHECKING:
    from raygrid.tuning.callbacks import KilledForMemory, RecordingCallback
    from raygrid.tuning.head_watch import HeadWatch
    from raygrid.tuning.startup_faults import StartupFaults

log = logging.getLogger("raygrid")

# A worker that died is started again this often before its point counts as failed.
_WORKER_RETRIES = 2

# Tune keeps some 50 kB of each trial in this process, and looks through all of them at every step.
TRIALS_PER_WAVE = 1000


def run_search(
    plan: Plan,
    training: TrainingJob,
    data: PreparedData | PreparedDatasets,
    tune_dir: Path,
    options: SearchOptions,
    listener: SearchListener,
    meanwhile: Callable[[], None],
) -> dict[str, PointRecord]:
    """Trains every point of the plan's trials in parallel; each is recorded the moment it is finished.

    Args:
        plan: what to train.
        training: how.
        data: is put into Ray's object store, once; or, where a node has too little memory, in files that all nodes see.
        tune_dir: an absolute folder for Tune's own files; all nodes of a cluster must see it.
        options: what each trial asks for, and where.
        listener: who hears of it.
        meanwhile: called while Ray starts.

    Returns:
        The records of the points that were trained, by key.

    Raises:
        SearchInterrupted, KeyboardInterrupt: it was stopped (Ctrl-C, SIGTERM); what was finished is recorded.
        OSError: a record could not be written.
        ResourceError, ClusterError: see ``resolve`` and ``RaySession``; or a node has another file than the builder has
            to read.
    """
    # What a killed search left there; nothing in it is needed to go on.
    shutil.rmtree(tune_dir, ignore_errors=True)
    verbose = options.verbose
    # What Ray says of a worker that died may come when Tune has ended.
    with _quiet(verbose), RaySession(options.address, options.user_modules, verbose) as session:
        # Takes a second, which Ray needs to start as well.
        importlib.import_module("ray.tune")
        meanwhile()
        session.wait()
        nodes = nodes_alive()
        to_come = nodes_to_come()
        granted = resolve(options.resources, nodes, to_come)
        check_shared_folder(tune_dir)
        if granted.concurrent is not None:
            plan = replace(plan, trials=bundled(plan.trials, granted.concurrent))
        shared = _shared(data.arrays(shortage_on_a_node(options.resources, granted, nodes, data.bytes)))
        files = carried_files(training.files, elsewhere=len(nodes) > 1 or len(to_come) > 0)
        job = TrialJob(secrets.token_hex(6), training, granted.cpus, granted.gpus, verbose, files)
        return run_trials(plan, job, shared, granted, tune_dir, listener)


def _shared(arrays: TrainingArrays | TrainingDatasets) -> Any:
    """What trials get their data from: a reference into the object store, or the folder of the files.

    Only this is kept, so that this process has no copy of its own while trials run.
    """
    import ray

    return ray.put(arrays) if arrays.folder is None else arrays.folder


def run_trials(
    plan: Plan,
    job: TrialJob,
    data: Any,
    granted: TrialResources,
    tune_dir: Path,
    listener: SearchListener,
    run_trial: Callable[..., None] = run_trial,
) -> dict[str, PointRecord]:
    """Runs the plan's trials on the Ray that is up, wave after wave; see ``run_search``.

    Args:
        run_trial: what a trial does in its worker, with the arguments and the reports of ``trial.run_trial``.
    """
    import ray
    from ray import tune

    from raygrid.tuning.callbacks import RecordingCallback
    from raygrid.tuning.head_watch import HeadWatch

    recorder = RecordingCallback(plan, job.training.context, job.training.store, listener)
    # The data goes into the object store here, once for all waves.
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, job=job, data=data), {"CPU": granted.cpus, "GPU": granted.gpus}
    )
    head = HeadWatch(ray.get_runtime_context().gcs_address)
    try:
        with _quiet(job.verbose), head, signals_held_back() as held:
            _Waves(trainable, granted, tune_dir, recorder, held, head, job.verbose).run(plan.trials)
    except Exception:
        # Tune wraps what a callback raises.
        if recorder.recording_error is None and recorder.startup.cause is None and not head.lost:
            raise
    if recorder.startup.cause is not None:
        raise _no_worker_starts(recorder.startup, plan.to_train)
    if recorder.recording_error is not None:
        raise recorder.recording_error
    missing = plan.to_train - len(recorder.records)
    if head.lost:
        raise head.error()
    if missing:
        raise search_stopped(missing, plan.to_train)
    return recorder.records


@dataclass(frozen=True)
class _Waves:
    """A search's trials on Tune, wave after wave; the workers of each are new processes."""

    trainable: Any
    granted: TrialResources
    tune_dir: Path
    recorder: RecordingCallback
    held: HeldBack
    head: HeadWatch
    verbose: bool

    def run(self, trials: Sequence[PlannedTrial]) -> None:
        """Runs the trials until all are recorded, or the search is told to stop."""
        queue = TrialQueue(trials, TRIALS_PER_WAVE)
        while (wave := queue.next_wave()) and self.held.number is None:
            alone = queue.alone
            given, killed = self._run_wave(wave, 1 if alone else self.granted.concurrent)
            lost = self.recorder.take_lost()
            left = queue.ended(given, self.recorder.records, killed.keys, lost)
            if left and not killed.keys:
                # Tune ended by itself: SIGUSR1 does that.
                return
            if lost:
                log.warning(
                    "A worker died that had more than one training to do. To be trained again at the end, each on a "
                    "worker of its own: %s.",
                    _numbered(wave, lost),
                )
            if alone:
                self.recorder.record_failure(killed.keys, out_of_memory_alone(killed.cause))
            elif killed.keys:
                log.warning(
                    "Ray ended a worker, since its node was short of memory. To be trained again at the end, each with "
                    "no other trial beside it: %s. What avoids this: %s.",
                    _numbered(left, killed.keys),
                    MEMORY_REMEDY,
                )

    def _run_wave(self, trials: Sequence[PlannedTrial], concurrent: int | None) -> tuple[int, KilledForMemory]:
        """Runs the first of ``trials``; how many, decides the workers' memory.

        Returns:
            How many were begun, and those in the middle of which the wave ended, since Ray killed their workers.
        """
        from ray import tune

        from raygrid.tuning.callbacks import GrowthCallback, KilledForMemory, RunningTrials, has_several_trainings
        from raygrid.tuning.head_watch import LostHeadCallback
        from raygrid.tuning.neighbours import NeighbourWatch
        from raygrid.tuning.waves import InOrder, Wave

        # A name that was used before would make Tune overwrite that run's state.
        name = f"search-{secrets.token_hex(6)}"
        growth = WorkerGrowth(GROWTH_LIMIT_BYTES)
        # A trial of several trainings is not tried again as it is: each of them is, by itself.
        wave = Wave(growth, concurrent, retries=lambda trial: 0 if has_several_trainings(trial) else _WORKER_RETRIES)
        running = RunningTrials(self.held)
        tuner = tune.Tuner(
            self.trainable,
            param_space={"points": tune.grid_search([encode_points(trial.points) for trial in trials])},
            tune_config=tune.TuneConfig(
                search_alg=wave,
                scheduler=InOrder(),
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(self.tune_dir),
                callbacks=[
                    self.recorder,
                    running,
                    GrowthCallback(growth),
                    LostHeadCallback(self.head),
                ],
                verbose=1 if self.verbose else 0,
            ),
        )
        killed = KilledForMemory()
        try:
            with NeighbourWatch(wave, self.granted):
                tuner.fit()
        except Exception as error:
            if self.held.number is None:
                killed = running.killed_for_memory() if _is_out_of_memory(error) else killed
                if not killed.keys:
                    raise
        finally:
            running.end_all()
            shutil.rmtree(self.tune_dir / name, ignore_errors=True)
        log.debug("A wave of %d trials; its largest worker held %.0f MB.", wave.given, growth.largest_bytes / 1e6)
        return wave.given, killed


def _numbered(trials: Iterable[PlannedTrial], keys: Collection[str]) -> str:
    """The points of ``trials`` under ``keys``, for people."""
    return ", ".join(f"point {point.number}" for trial in trials for point in trial.points if point.key in keys)


def _no_worker_starts(startup: StartupFaults, points: int) -> AllTrialsFailedError:
    """The error of a search none of whose workers has come as far as the user's code."""
    return AllTrialsFailedError(
        f"no worker can start, so the search was stopped; {counted(startup.tries, 'try', 'tries')} for the first of "
        f"{counted(points, 'point')} ended alike, before any code of the model ran:\n  {startup.cause}",
        remedy=STARTUP_REMEDY,
    )


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether Ray killed a worker for its memory; Tune, which does not know that error, ends then."""
    from ray.exceptions import OutOfMemoryError

    while error is not None and not isinstance(error, OutOfMemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def _trial_name(trial: Any) -> str:
    from raygrid.tuning.trial import decode_points

    first = decode_points(trial.config["points"])[0]
    return f"point-{first.number:05d}-{trial.trial_id}"


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Keeps what Tune and Ray print whatever their verbosity out of the output."""
    if verbose:
        yield
        return
    tune_log = logging.getLogger("ray.tune")
    level = tune_log.level
    tune_log.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tune_log.setLevel(level)
