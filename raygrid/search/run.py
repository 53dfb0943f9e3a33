"""One call's view of a prefix: its data, its identity, its records, and the plan for what is asked."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.memory import Shortage, available_memory, data_shortage
from raygrid.base.row_blocks import by_column
from raygrid.base.types import Array
from raygrid.data.mapped_arrays import open_array_files, write_array_files
from raygrid.data.precision import cast
from raygrid.data.scaler import make_scaler
from raygrid.data.scaling import Scaling
from raygrid.data.training_arrays import TrainingArrays, TrainSettings, item_shape
from raygrid.data.training_data import TrainingData
from raygrid.data.windows import window_starts
from raygrid.errors import MissingArtifactError, RebuildError
from raygrid.grid.plan import Plan, Point, Points, make_plan
from raygrid.grid.records import PointRecord
from raygrid.grid.request import Request
from raygrid.identity.identity import Identity, point_key
from raygrid.store.accepted_code import OtherCode, points_of_other_code, take_over
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.ledger import read_ledger, results_table, write_ledger
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest, read_manifest_or_damaged

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("raygrid")


# What a training in this process holds beside the user's data: the scaled arrays, and the tensors made of them.
COPIES_HERE = 2

# The setting that says whether inputs and targets are scaled.
_SCALER_OF = {"x": "scaler", "y": "target_scaler"}


def results_of_published(paths: ModelArtifacts, manifest: Manifest) -> pa.Table:
    """The table of all points recorded with the published model, numbered as in the grid that was asked for.

    Where the point store is not there (only the artifacts were copied), the ledger as it was last written; without
    that, no rows.
    """
    records = PointStore(paths.points_dir).of_context(manifest.context)
    if not records:
        return read_ledger(paths) or results_table([], {})
    seed = manifest.depends_on.get("settings", {}).get("seed", 0)
    configs = Request.from_json(manifest.request).configs()
    return results_table(records, {point_key(manifest.context, c, seed): number for number, c in enumerate(configs)})


def recorded_results(paths: ModelArtifacts) -> pa.Table:
    """The table of a prefix as it stands: the published model's points, or, where nothing is published yet, all."""
    manifest = read_manifest(paths)
    if manifest is not None:
        return results_of_published(paths, manifest)
    return results_table(PointStore(paths.points_dir).all(), {})


class SearchRun:
    """What the steps of a search share.

    Args:
        paths: the names of the prefix, absolute.
        data: checked arrays in original units.
        identity: what the results depend on.
        experiment: the experiment that records belong to.
        request: what is asked for.
        retry_failed: whether points that are recorded as failed are trained again.

    Attributes:
        accepted: points of other code that count as done.
    """

    def __init__(
        self,
        paths: ModelArtifacts,
        data: TrainingData,
        identity: Identity,
        experiment: str,
        request: Request,
        retry_failed: bool = True,
    ) -> None:
        self.paths = paths
        self.data = data
        self.identity = identity
        self.experiment = experiment
        self.request = request
        self.retry_failed = retry_failed
        self.context = identity.context(experiment)
        self.store = PointStore(paths.points_dir, identity.code["digest"])
        self.accepted = OtherCode.nothing()
        self.checkpoints = Checkpoints(paths.checkpoints_dir)
        self._windows: dict[tuple[int, int], int] = {}
        self.settings = TrainSettings(
            shuffle=identity.settings["shuffle"],
            dtype_policy=identity.settings["dtype_policy"],
            keras=KerasSettings.from_json(identity.settings),
            windowed=identity.settings["windowed"],
        )

    @cached_property
    def _dtypes(self) -> dict[str, np.dtype[Any]]:
        settings = self.identity.settings
        return self.data.fed_dtypes(
            inputs_scaled=settings["scaler"] is not None, targets_scaled=settings["target_scaler"] is not None
        )

    @property
    def data_bytes(self) -> int:
        """What one copy of the data takes, as a model is fed it."""
        return self._bytes_of(self._dtypes)

    @property
    def val_bytes(self) -> int:
        """What the arrays for validation take of it."""
        return self._bytes_of(name for name in self._dtypes if name.endswith("_val"))

    def _bytes_of(self, names: Iterable[str]) -> int:
        arrays, sizes = self.data.arrays(), {}
        for name in names:
            role = name.partition("_")[0]
            scaled = self.identity.settings.get(_SCALER_OF.get(role, "")) is not None
            # Unscaled targets that are the very array of the inputs are held once.
            sizes[id(arrays[name]), role if scaled else ""] = arrays[name].size * self._dtypes[name].itemsize
        return sum(sizes.values())

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the training data."""
        settings, data = self.identity.settings, self.data
        targets = None
        if data.y_train is not None and settings["target_scaler"] is not None:
            targets = make_scaler(settings["target_scaler"], by_column(data.y_train))
        return Scaling(make_scaler(settings["scaler"], data.x_train), targets)

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, ...]:
        """Shape of one input of a model: of a row, or of a window of rows."""
        return item_shape(self.data.x_train.shape[1:], config, self.settings.windowed)

    def arrays(self, shortage: Shortage | None) -> TrainingArrays:
        """The data in the units that the model sees; in memory it is made anew at every call, and kept by nobody else.

        Args:
            shortage: why it must not be held in memory; it is then in files, which ``data_files`` removes. None: it is
                in memory.

        Raises:
            OSError: there is no room for the files.
        """
        if shortage is None:
            return _arrays({name: change(array) for name, (array, change) in self._changes().items()})
        if not self.paths.data_dir.exists():
            log.warning(
                "The data does not stay in memory: %s. It is read batch by batch from %s, and models train through "
                "model.fit, which is slower. What avoids this: more memory, fewer trials at the same time "
                "(Resources(max_concurrent=...)) or a higher limit (Resources(memory_gb=...)).",
                shortage,
                self.paths.data_dir,
            )
            write_array_files(self.paths.data_dir, self._changes())
        return open_array_files(self.paths.data_dir)

    def validation_arrays(self, limit_gb: float | None) -> TrainingArrays:
        """The same to measure ``val_loss`` with; the arrays for training may be empty.

        Args:
            limit_gb: what the data may take in memory, see ``Resources.memory_gb``.
        """
        if self.paths.data_dir.exists():
            return open_array_files(self.paths.data_dir)
        shortage = data_shortage(self.val_bytes, COPIES_HERE, available_memory(), limit_gb)
        if shortage is not None:
            return self.arrays(shortage)
        return _arrays(
            {
                name: change(array if name.endswith("_val") else array[:0])
                for name, (array, change) in self._changes().items()
            }
        )

    @contextlib.contextmanager
    def data_files(self) -> Iterator[None]:
        """The files of ``arrays`` live inside; what a killed search left of them is removed before."""
        shutil.rmtree(self.paths.data_dir, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(self.paths.data_dir, ignore_errors=True)

    def _changes(self) -> dict[str, tuple[Array, Callable[[Array], Array]]]:
        """Each array that is there, in original units, with what makes of a block of its rows what a model is fed."""
        by_role: dict[str, Callable[[Array], Array]] = {
            "x": self.scaling.scale_inputs,
            "y": self.scaling.scale_targets,
            "w": _as_it_is,
            "runs": _as_it_is,
        }

        def change_of(name: str) -> Callable[[Array], Array]:
            change, dtype = by_role[name.partition("_")[0]], self._dtypes[name]
            return lambda block: cast(change(block), dtype)

        return {name: (array, change_of(name)) for name, array in self.data.arrays().items()}

    def items(self, config: Mapping[str, Any]) -> int:
        """How many rows, or windows, a config trains on."""
        rows = len(self.data.x_train)
        if not self.settings.windowed:
            return rows
        cut = (config["window"], config["stride"])
        if cut not in self._windows:
            self._windows[cut] = len(window_starts(self.data.runs_train, rows, *cut))
        return self._windows[cut]

    def points(self, seed: int | None = None) -> Points:
        """The points that are asked for, with the seed of the search or another one."""
        return Points(self.request, self.context, self.identity.settings["seed"] if seed is None else seed)

    def plan_for(self, points: Sequence[Point]) -> Plan:
        """Which of ``points`` are done, and the trials for the others."""
        recorded = self.store.get_all(p.key for p in points)
        if self.accepted:
            recorded |= {p.key: self.accepted.records[p.key] for p in points if p.key in self.accepted.records}
        return make_plan(points, recorded, self.items, retry_failed=self.retry_failed)

    def of_other_code(self, known: Collection[str] = ()) -> OtherCode:
        """The finished points that differ in the code alone; those of the keys ``known`` are not looked at."""
        found = read_manifest_or_damaged(self.paths)
        # A reset replaces a damaged one, and takes nothing over.
        manifest = found if isinstance(found, Manifest) else None
        return points_of_other_code(self.store, self.identity, self.experiment, manifest, known)

    def accept_other_code(self) -> None:
        """Counts what other code has trained as done, see ``accepted``; writes nothing.

        Raises:
            MissingArtifactError: the published winner is of other code, and not among it.
        """
        manifest, other = read_manifest(self.paths), self.of_other_code()
        if (
            manifest is not None
            and self.identity.only_code_differs(manifest.depends_on)
            and manifest.winner.get("key") not in other.origins.values()
        ):
            raise MissingArtifactError(
                f"the published winner cannot be taken over: {self.paths.points_dir} has no record of it, or one of "
                "other rules of training or of another major version of Keras. load() takes the saved model as it is; "
                "fit(..., reset_experiment=True) trains anew."
            )
        self.accepted = other

    @contextlib.contextmanager
    def other_code_taken_over(self) -> Iterator[None]:
        """Records what other code has trained as today's; not where the winner turns out to be another model today.

        Raises:
            MissingArtifactError: see ``accept_other_code``.
        """
        self.accept_other_code()
        if self.accepted:
            log.info("Taken over: %s.", self.accepted.text())
        take_over(self.store, self.accepted)
        try:
            yield
        except RebuildError as error:
            if not self.accepted:
                raise
            self.store.forget(self.accepted.records)
            raise RebuildError(f"{error} Nothing is taken over of what other code has trained.") from error

    def keeps_weights(self, record: PointRecord) -> bool:
        """Whether the weights of a point that is done are there, and whole."""
        origin = self.accepted.origins.get(record.key, record.key)
        return self.store.weights(replace(record, key=origin)) is not None

    def plan(self) -> Plan:
        """Which of the points that are asked for are done, and the trials for the others."""
        return self.plan_for(self.points())

    def recorded(self) -> list[PointRecord]:
        """All records of the same data, code, settings and experiment, also those of other grids."""
        return self.store.of_context(self.context)

    def results(self) -> pa.Table:
        """The table of all recorded points; see ``results_table``."""
        return results_table(self.recorded(), {point.key: point.number for point in self.points()})

    def write_ledger(self) -> None:
        """Writes that table beside the artifacts."""
        write_ledger(self.paths, self.results())


def _arrays(present: Mapping[str, Array]) -> TrainingArrays:
    return TrainingArrays(
        x_train=present["x_train"],
        y_train=present.get("y_train"),
        x_val=present["x_val"],
        y_val=present.get("y_val"),
        w_train=present.get("w_train"),
        w_val=present.get("w_val"),
        runs_train=present.get("runs_train"),
        runs_val=present.get("runs_val"),
    )


def _as_it_is(array: Array) -> Array:
    return array
