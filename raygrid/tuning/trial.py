"""The worker's side: what happens in a Ray Tune trial."""

from __future__ import annotations

import functools
import gc
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygrid.base.types import ModelDefinition
from raygrid.data.dataset_source import TrainingDatasets
from raygrid.data.mapped_arrays import open_array_files
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point, trainings
from raygrid.grid.records import tuples
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.points import PointStore, write_weights
from raygrid.tuning.carried_files import CarriedFile, obstacle
from raygrid.tuning.worker_memory import private_bytes

if TYPE_CHECKING:
    from raygrid.training.point_group import TrainedPoint
    from raygrid.training.traced_programs import TracedPrograms

# A report costs the driver milliseconds; one a second is enough to look at.
REPORT_INTERVAL_S = 1.0


@dataclass(frozen=True)
class TrainingJob:
    """What all trainings of a search share, beside the data.

    Attributes:
        definition: what the user's model defines.
        context: digest for the records.
        settings: shuffling and dtype policy.
        store: where the driver records what trials report; all nodes of a cluster must see it.
        checkpoints: where trainings leave how far they are; all nodes of a cluster must see it.
        files: what the builder reads, see ``depended_files``.
    """

    definition: ModelDefinition
    context: str
    settings: TrainSettings
    store: PointStore
    checkpoints: Checkpoints
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialJob:
    """What all trials of a search share in their workers, beside the data.

    Attributes:
        search: names the search; another one has another name.
        training: what is trained.
        cpus: intra-op threads.
        gpus: GPUs granted to a trial.
        verbose: whether TensorFlow's own messages are to be seen.
        files: what the builder reads.
    """

    search: str
    training: TrainingJob
    cpus: int
    gpus: float
    verbose: bool = False
    files: tuple[CarriedFile, ...] = ()


def encode_points(points: tuple[Point, ...]) -> str:
    """A trial's points as text: Tune would evaluate or expand some mappings, and text it leaves alone."""
    return json.dumps([[p.number, p.config, p.seed, p.key] for p in points])


def decode_points(text: str) -> tuple[Point, ...]:
    """What ``encode_points`` wrote."""
    return tuple(Point(number, tuples(config), seed, key) for number, config, seed, key in json.loads(text))


# The data of the search whose trial this worker ran last: its trials share the tensors that are made of it.
_kept: dict[str, TrainingArrays | TrainingDatasets] = {}


def kept_arrays(search: str, data: TrainingArrays | TrainingDatasets | Path) -> TrainingArrays | TrainingDatasets:
    """The arrays of a search, the same object for all its trials in this worker; those of another search are let go.

    Args:
        search: names the search.
        data: the arrays, or the folder of their files.
    """
    if search not in _kept:
        _kept.clear()
        _kept[search] = open_array_files(data) if isinstance(data, Path) else data
    return _kept[search]


def run_trial(config: dict[str, Any], *, job: TrialJob, data: TrainingArrays | TrainingDatasets | Path) -> None:
    """Trains the points of one trial; reports each as a tagged record, its best weights as a checkpoint of Tune's."""
    # With reused workers Tune waits this long for the last trial's thread; the default of 2 s is too short.
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "60")
    from raygrid.training.tensorflow_setup import prepare_worker

    prepare_worker(job.cpus, job.gpus, job.verbose)
    from raygrid.training.train import this_device, train_points

    report = _Report()
    if job.search not in _kept:
        # The first trial of the search here: nothing that could keep a worker from starting is left.
        found = obstacle(job.files)
        if found is not None:
            report.search_cannot_go_on(found)
            return
        kept_arrays(job.search, data)
        report.worker_is_ready()
    training = job.training
    for points in trainings(unrecorded(decode_points(config["points"]), training.store)):
        train_points(
            training.definition,
            points,
            training.context,
            kept_arrays(job.search, data),
            training.settings,
            device=this_device(),
            on_epoch=report.add_epoch,
            on_finished=report.finish,
            programs=_programs_of_this_worker(),
            checkpoints=training.checkpoints,
            on_apart=report.trained_apart,
            on_left_out=report.left_out,
            on_slower=report.slower,
        )


def unrecorded(points: Sequence[Point], store: PointStore) -> list[Point]:
    """Those that have still to be trained: a trial whose worker died begins again, and others of it may be recorded."""
    return [point for point in points if not _is_recorded(point, store)]


def _is_recorded(point: Point, store: PointStore) -> bool:
    record = store.get(point.key)
    if record is None or not record.final:
        return False
    # A winner whose weights are gone is trained again for their sake.
    return record.status != "done" or store.weights(record) is not None


@functools.cache
def _programs_of_this_worker() -> TracedPrograms:
    from raygrid.training.traced_programs import TracedPrograms

    # Keras collects garbage before every model. What TensorFlow's import left is 0.2 s of work, and no garbage.
    gc.collect()
    gc.freeze()
    return TracedPrograms()


class _Report:
    """Reports to the driver, at most one a second, each with all epochs since the last."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._first_epoch = 1
        self._epochs: list[dict[str, float | None]] = []
        self._told: dict[str, str] = {}
        self._last = time.monotonic()

    def trained_apart(self, reason: str) -> None:
        """Takes why points are trained one by one, for the next report."""
        self._told["trained_apart"] = reason

    def left_out(self, text: str) -> None:
        """Takes which callbacks are left out, for the next report."""
        self._told["left_out"] = text

    def slower(self, text: str) -> None:
        """Takes why epochs run through ``model.fit``, for the next report."""
        self._told["slower"] = text

    def worker_is_ready(self) -> None:
        """Reports that this worker is about to run code of the user's."""
        from ray import tune

        tune.report({"ready": True})

    def search_cannot_go_on(self, obstacle: str) -> None:
        """Reports what is wrong with this node, so that no point can be trained as it should be."""
        from ray import tune

        tune.report({"obstacle": obstacle})

    def add_epoch(self, points: Sequence[Point], epoch: int, logs: dict[str, float | None]) -> None:
        """Takes an epoch's metrics, and reports if the last report is long enough ago."""
        keys = [point.key for point in points]
        if keys != self._keys:
            self._send({})
            self._keys = keys
        if not self._epochs:
            self._first_epoch = epoch
        self._epochs.append(logs)
        if time.monotonic() - self._last >= REPORT_INTERVAL_S:
            self._send({})

    def finish(self, trained: TrainedPoint) -> None:
        """Reports a point's record and the memory of this worker, with the weights as a checkpoint if there are any."""
        from ray import tune

        record = {"record": trained.record.to_json(), "held_bytes": private_bytes()}
        if trained.weights is None:
            self._send(record)
            return
        with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
            write_weights(Path(folder, weights_name(trained.record.key)), trained.weights)
            self._send(record, tune.Checkpoint.from_directory(folder))

    def _send(self, message: dict[str, Any], checkpoint: Any = None) -> None:
        from ray import tune

        if not self._epochs and not message:
            return
        epochs = {"keys": self._keys, "first_epoch": self._first_epoch, "epochs": self._epochs}
        tune.report({**epochs, **self._told, **message}, checkpoint=checkpoint)
        self._told = {}
        self._epochs = []
        self._last = time.monotonic()


def weights_name(key: str) -> str:
    """The name of a point's weights in its trial's checkpoint."""
    return f"{key}.npz"
