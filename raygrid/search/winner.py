"""From a plan to the winner: trains what is missing, picks the lowest ``val_loss``, rebuilds the model."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygrid.base.keras_settings import workers_do_without
from raygrid.base.memory import available_memory, data_shortage
from raygrid.base.stop_signals import search_stopped, sigterm_as_interrupt
from raygrid.base.types import Array, ModelDefinition
from raygrid.base.wording import counted
from raygrid.data.dataset_source import TrainingDatasets
from raygrid.data.prepared_data import COPIES_HERE
from raygrid.data.training_arrays import InputSpec, TrainingArrays
from raygrid.errors import AllTrialsFailedError, SearchInterrupted
from raygrid.grid.error_lines import same_causes
from raygrid.grid.plan import Plan, PlannedTrial, Point
from raygrid.grid.records import PointRecord, pick_best
from raygrid.progress.first_failures import FirstFailures
from raygrid.progress.listeners import Audience, BestSoFar, SearchListener
from raygrid.progress.remedies import with_remedy
from raygrid.progress.tensorboard_listener import TensorBoardListener
from raygrid.search.run import SearchRun
from raygrid.store.points import write_weights
from raygrid.training.tensorflow_setup import load_tensorflow, quiet_tensorflow
from raygrid.tuning.options import SearchOptions

if TYPE_CHECKING:
    import keras

log = logging.getLogger("raygrid")

# Below the causes, which are of several lines.
_CORRECT_THE_CAUSE = "\nCorrect in the model's code, the data or the grid what the cause names, and train again."

# Trains a plan's trials; gives the records of what was trained, by key.
Train = Callable[[SearchRun, Plan, ModelDefinition, SearchOptions], dict[str, PointRecord]]


@dataclass(frozen=True)
class Outcome:
    """The winner of a search, rebuilt and checked: what is published.

    It unpacks as ``best_config, best_model, best_metrics``.

    Attributes:
        run: the search.
        number: its point number in the grid.
        record: its record.
        model: the model as it comes back from ``model_bytes``.
        model_bytes: the ``.keras`` file.
        inputs: what it sees at a time.
    """

    run: SearchRun
    number: int
    record: PointRecord
    model: keras.Model
    model_bytes: bytes
    inputs: InputSpec

    def __iter__(self) -> Iterator[Any]:
        yield from (self.record.config, self.model, self.metrics)

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        record = self.record
        return {
            **dict(sorted(record.metrics.items())),
            "best_epoch": record.best_epoch,
            "epochs_run": record.epochs_run,
            "seconds": record.seconds,
        }


def search_grid(run: SearchRun, definition: ModelDefinition, options: SearchOptions) -> Outcome:
    """Trains the grid's missing points on Ray Tune and rebuilds the best of all its points.

    Raises:
        AllTrialsFailedError: no point has a result that could win.
        SearchInterrupted: it was stopped; what was finished is recorded.
    """
    missing = workers_do_without()
    if missing:
        log.warning("Trials run in processes of their own, without what this one has set: %s.", ", ".join(missing))
    return _find_winner(run, definition, options, train_on_ray)


def train_config(run: SearchRun, definition: ModelDefinition, options: SearchOptions) -> Outcome:
    """Trains the one config in this process, without Ray, unless it is recorded already, and rebuilds its model.

    Raises:
        AllTrialsFailedError: it has no usable result.
    """
    return _find_winner(run, definition, options, train_here)


def train_on_ray(
    run: SearchRun,
    plan: Plan,
    definition: ModelDefinition,
    options: SearchOptions,
    meanwhile: Callable[[], None] = load_tensorflow,
) -> dict[str, PointRecord]:
    """Trains the plan's trials on Ray Tune; the records of what was trained, by key.

    Args:
        run, plan, definition, options: what is trained, and how.
        meanwhile: called while Ray starts; what rebuilds a winner needs TensorFlow in this process too.

    Raises:
        SearchInterrupted: it was stopped; what was finished is recorded.
    """
    if not plan.trials:
        return {}
    with _told(run, plan, options.progress) as listener:
        from raygrid.tuning.driver import run_search
        from raygrid.tuning.trial import TrainingJob

        training = TrainingJob(definition, run.context, run.settings, run.store, run.checkpoints, run.identity.files)
        return run_search(plan, training, run.prepared, run.paths.tune_dir.resolve(), options, listener, meanwhile)


def train_here(
    run: SearchRun, plan: Plan, definition: ModelDefinition, options: SearchOptions
) -> dict[str, PointRecord]:
    """The same in this process, one trial after the other."""
    if not plan.trials:
        return {}
    with _told(run, plan, options.progress) as listener:
        data, limit_gb = run.prepared, options.resources.memory_gb
        arrays = data.arrays(data_shortage(data.bytes, COPIES_HERE, available_memory(), limit_gb))
        trained = (_train_here(run, definition, trial, arrays, listener) for trial in plan.trials)
        return {key: record for records in trained for key, record in records}


def _find_winner(run: SearchRun, definition: ModelDefinition, options: SearchOptions, train: Train) -> Outcome:
    with run.prepared.files():
        number, record, weights = _train_and_pick(run, lambda plan: train(run, plan, definition, options))
        load_tensorflow()
        from raygrid.training.rebuild import rebuild_winner

        arrays = run.prepared.validation_arrays(options.resources.memory_gb, definition.wants_training_data)
        model, data, inputs = rebuild_winner(definition, record, weights, arrays, run.settings, run.paths.model_path)
    return Outcome(run, number, record, model, data, inputs)


def _train_and_pick(
    run: SearchRun, train: Callable[[Plan], dict[str, PointRecord]]
) -> tuple[int, PointRecord, list[Array]]:
    plan = run.plan()
    if plan.trials:
        _tell_of_other_code(run, plan)
    records = plan.done | train(plan)
    best = pick_best((point.number, records[point.key]) for point in plan.points)
    if best is None:
        raise AllTrialsFailedError(_why_all_failed(plan, records), remedy=_CORRECT_THE_CAUSE)
    number, record = best
    lost = sorted(name for name, value in record.metrics.items() if value is None)
    if lost:
        log.warning("Not finite at the winner's best epoch, and written as null: %s.", ", ".join(lost))
    weights = run.store.weights(record)
    if weights is None:
        # Those of all but the last winner are dropped when a winner is published.
        log.info("The weights of point %d, the best, are not kept; it is trained again with the same seed.", number)
        again = replace(plan, trials=(PlannedTrial((plan.points[number],), 0),), failed_before=0)
        record = train(again)[record.key]
        weights = run.store.weights(record)
        if weights is None:
            raise AllTrialsFailedError(
                f"the winner {record.config} was trained again, since its weights were gone, and {record.status}: "
                f"{record.error}",
                remedy=_CORRECT_THE_CAUSE,
            )
    return number, record, weights


def _tell_of_other_code(run: SearchRun, plan: Plan) -> None:
    other = run.of_other_code(known=plan.done)
    if other:
        log.info(
            "There are %s. They are not used. If the change of the code alters no result, accept_code_change=True "
            "(--accept-code-change) takes them over.",
            other.text(),
        )


@contextlib.contextmanager
def _told(run: SearchRun, plan: Plan, progress: SearchListener) -> Iterator[SearchListener]:
    """Tells of the training that runs inside; the table of all points is written at its end, however it ends."""
    run.checkpoints.remove_leftovers()
    views = TensorBoardListener(run.paths.tensorboard_dir, run.recorded(), run.request.varying, run.store.get)
    best = BestSoFar()
    if plan.failed_before:
        log.info(
            "%s tried again (retry_failed=False, or --keep-failed, leaves %s)",
            counted(plan.failed_before, "failed point is", "failed points are"),
            "it" if plan.failed_before == 1 else "them",
        )
    audience = Audience(best, progress, views, FirstFailures())
    with sigterm_as_interrupt():
        audience.search_started(plan)
        try:
            yield audience
        except BaseException as error:
            audience.search_ended()
            # What ended the search is told, not that the full disk has no room for the ledger either.
            with contextlib.suppress(OSError):
                run.write_ledger()
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, SearchInterrupted):
                raise search_stopped(best.total - best.finished, plan.to_train) from error
            raise
        audience.search_ended()
        run.write_ledger()


@quiet_tensorflow()
def _train_here(
    run: SearchRun,
    definition: ModelDefinition,
    trial: PlannedTrial,
    arrays: TrainingArrays | TrainingDatasets,
    listener: SearchListener,
) -> list[tuple[str, PointRecord]]:
    load_tensorflow()
    from raygrid.training.point_group import TrainedPoint
    from raygrid.training.train import this_device, train_points
    from raygrid.training.user_state import user_state_kept

    points = {point.key: point for point in trial.points}
    records = []

    def on_epoch(trained: Sequence[Point], epoch: int, logs: dict[str, float | None]) -> None:
        for point in trained:
            listener.point_epochs(point, epoch, [logs])

    def on_finished(trained: TrainedPoint) -> None:
        with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
            weights = None
            if trained.weights is not None:
                weights = Path(folder, "weights.npz")
                write_weights(weights, trained.weights)
            record = run.store.add(with_remedy(trained.record), weights)
        records.append((record.key, record))
        listener.point_finished(points[record.key], record)

    for point in trial.points:
        listener.point_started(point)
    with user_state_kept():
        train_points(
            definition,
            trial.points,
            run.context,
            arrays,
            run.settings,
            device=this_device(),
            on_epoch=on_epoch,
            on_finished=on_finished,
            checkpoints=run.checkpoints,
        )
    return records


def _why_all_failed(plan: Plan, records: dict[str, PointRecord]) -> str:
    if len(plan.points) == 1:
        record = records[plan.points[0].key]
        return f"the config {record.config} {record.status}: {record.error}"
    ended = [records[point.key] for point in plan.points]
    causes = [f"{record.status}: {record.cause}" for record in ended]
    lines = "\n".join(f"  {len(alike)} x {causes[alike[0]]}" for alike in same_causes(causes))
    return f"none of the {len(plan.points)} points has a result that could win, and nothing was published:\n{lines}"
