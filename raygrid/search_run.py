"""One call's view of a prefix: its data, its identity, its records, and the plan for what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raygrid.artifacts import ModelArtifacts
from raygrid.data import TrainingData
from raygrid.identity import Identity, point_key
from raygrid.ledger import read_ledger, results_table, write_ledger
from raygrid.manifest import Manifest
from raygrid.plan import Plan, Point, make_plan
from raygrid.point_store import PointStore
from raygrid.publishing import read_manifest
from raygrid.records import PointRecord
from raygrid.request import Request
from raygrid.scaler import make_scaler
from raygrid.scaling import Scaling
from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.windows import window_starts

if TYPE_CHECKING:
    import pyarrow as pa


def results_of_published(paths: ModelArtifacts, manifest: Manifest) -> pa.Table:
    """The table of all points recorded with the published model, numbered as in the grid that was asked for.

    Where the point store is not there (only the artifacts were copied), the ledger as it was last written; without
    that, no rows.
    """
    records = PointStore(paths.points_dir).of_context(manifest.context)
    if not records:
        return read_ledger(paths) or results_table([], {})
    seed = manifest.depends_on["settings"]["seed"]
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
    """

    def __init__(
        self,
        paths: ModelArtifacts,
        data: TrainingData,
        identity: Identity,
        experiment: str,
        request: Request,
    ) -> None:
        self.paths = paths
        self.data = data
        self.identity = identity
        self.experiment = experiment
        self.request = request
        self.context = identity.context(experiment)
        self.store = PointStore(paths.points_dir)
        self.settings = TrainSettings(
            shuffle=identity.settings["shuffle"],
            dtype_policy=identity.settings["dtype_policy"],
            windowed=identity.settings["windowed"],
        )

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the training data."""
        settings, data = self.identity.settings, self.data
        targets = None
        if data.y_train is not None and settings["target_scaler"] is not None:
            y = data.y_train.reshape(len(data.y_train), -1) if data.y_train.ndim == 1 else data.y_train
            targets = make_scaler(settings["target_scaler"], y)
        return Scaling(make_scaler(settings["scaler"], data.x_train), targets)

    @cached_property
    def arrays(self) -> TrainingArrays:
        """The data in the units that the model sees."""
        data, scaling = self.data, self.scaling
        return TrainingArrays(
            x_train=scaling.scale_inputs(data.x_train),
            y_train=None if data.y_train is None else scaling.scale_targets(data.y_train),
            x_val=scaling.scale_inputs(data.x_val),
            y_val=None if data.y_val is None else scaling.scale_targets(data.y_val),
            w_train=data.w_train,
            w_val=data.w_val,
            runs_train=data.runs_train,
            runs_val=data.runs_val,
        )

    def items(self, config: Mapping[str, Any]) -> int:
        """How many rows, or windows, a config trains on."""
        rows = len(self.data.x_train)
        if not self.settings.windowed:
            return rows
        return len(window_starts(self.data.runs_train, rows, config["window"], config["stride"]))

    def points(self, seed: int | None = None) -> list[Point]:
        """The points that are asked for, with the seed of the search or another one."""
        seed = self.identity.settings["seed"] if seed is None else seed
        return [
            Point(number, config, seed, point_key(self.context, config, seed))
            for number, config in enumerate(self.request.configs())
        ]

    def plan_for(self, points: Sequence[Point]) -> Plan:
        """Which of ``points`` are done, and the trials for the others."""
        return make_plan(points, self.store.get_all(p.key for p in points), self.items)

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
