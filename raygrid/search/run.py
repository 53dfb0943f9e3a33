"""One call's view of a prefix: its data, its identity, its records, and the plan for what is asked."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.types import NO_FUNCTIONS, FitFunctions
from raygrid.data.dataset_source import DatasetSource, PreparedDatasets
from raygrid.data.prepared_data import PreparedData
from raygrid.data.training_arrays import TrainSettings
from raygrid.data.training_data import TrainingData
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
        functions: those of a config that ``fit`` was given.

    Attributes:
        prepared: the data as models are fed it.
        accepted: points of other code that count as done.
    """

    def __init__(
        self,
        paths: ModelArtifacts,
        data: TrainingData | DatasetSource,
        identity: Identity,
        experiment: str,
        request: Request,
        retry_failed: bool = True,
        functions: FitFunctions = NO_FUNCTIONS,
    ) -> None:
        self.paths = paths
        self.data = data
        self.identity = identity
        self.experiment = experiment
        self.request = request
        self.retry_failed = retry_failed
        self.functions = functions
        self.context = identity.context(experiment)
        self.store = PointStore(paths.points_dir, identity.code["digest"])
        self.accepted = OtherCode.nothing()
        self.checkpoints = Checkpoints(paths.checkpoints_dir)
        self.prepared: PreparedData | PreparedDatasets
        if isinstance(data, DatasetSource):
            self.prepared = PreparedDatasets(data)
        else:
            self.prepared = PreparedData(data, identity.settings, paths.data_dir)
        self.settings = TrainSettings(
            shuffle=identity.settings["shuffle"],
            dtype_policy=identity.settings["dtype_policy"],
            keras=KerasSettings.from_json(identity.settings),
            windowed=identity.settings["windowed"],
        )

    def points(self, seed: int | None = None) -> Points:
        """The points that are asked for, with the seed of the search or another one."""
        return Points(self.request, self.context, self.identity.settings["seed"] if seed is None else seed)

    def plan_for(self, points: Sequence[Point]) -> Plan:
        """Which of ``points`` are done, and the trials for the others."""
        recorded = self.store.get_all(p.key for p in points)
        if self.accepted:
            recorded |= {p.key: self.accepted.records[p.key] for p in points if p.key in self.accepted.records}
        return make_plan(points, recorded, self.prepared.items, retry_failed=self.retry_failed)

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
                "other rules of training or of another major version of Keras.",
                remedy="To take the saved model as it is: $load. To train anew, $train_anew.",
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
            what = f"{error.what} Nothing is taken over of what other code has trained."
            raise RebuildError(what, remedy=error.remedy) from error

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
