"""One call's view of a prefix: its data, its identity, its records, and the plan for what is asked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

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
from raygrid.scaler import StandardScaler, make_scaler
from raygrid.training_inputs import TrainingArrays, TrainSettings

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
            shuffle=identity.settings["shuffle"], dtype_policy=identity.settings["dtype_policy"]
        )

    @cached_property
    def scaler(self) -> StandardScaler | None:
        """Fitted on the training inputs; None where the model gets them as they are."""
        return make_scaler(self.identity.settings["scaler"], self.data.x_train)

    @cached_property
    def arrays(self) -> TrainingArrays:
        """The data in the units that the model sees."""
        data = self.data
        x_train, x_val = data.x_train, data.x_val
        if self.scaler is not None:
            x_train, x_val = self.scaler.transform(x_train), self.scaler.transform(x_val)
        return TrainingArrays(x_train, data.y_train, x_val, data.y_val, data.w_train, data.w_val)

    def plan(self) -> Plan:
        """Which points are done, and the trials for the others."""
        seed = self.identity.settings["seed"]
        points = [
            Point(number, config, seed, point_key(self.context, config, seed))
            for number, config in enumerate(self.request.configs())
        ]
        return make_plan(points, self.store.get_all(p.key for p in points), len(self.data.x_train))

    def recorded(self) -> list[PointRecord]:
        """All records of the same data, code, settings and experiment, also those of other grids."""
        return self.store.of_context(self.context)

    def results(self, plan: Plan) -> pa.Table:
        """The table of all recorded points; see ``results_table``."""
        return results_table(self.recorded(), {point.key: point.number for point in plan.points})

    def write_ledger(self, plan: Plan) -> None:
        """Writes that table beside the artifacts."""
        write_ledger(self.paths, self.results(plan))
