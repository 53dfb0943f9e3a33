"""One call of ``fit`` or ``plan``: its checked data, what is asked, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raygrid.base.fingerprint import digest_json
from raygrid.base.types import NO_FUNCTIONS, FitFunctions
from raygrid.data.dataset_source import DatasetSource
from raygrid.data.precision import check_unscaled
from raygrid.data.training_data import TrainingData
from raygrid.data.windows import check_window_configs
from raygrid.errors import ArgumentError
from raygrid.grid.request import Request
from raygrid.identity.files import digest_files, remember_digests
from raygrid.identity.identity import Identity
from raygrid.model.asked_datasets import try_datasets
from raygrid.model.fit_plan import FitPlan, Task
from raygrid.search.run import SearchRun
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel, read_cached, require_current
from raygrid.store.publishing import read_manifest
from raygrid.store.resets import begin_reset, current_experiment, reset_experiment_id
from raygrid.store.retries import failed_points

if TYPE_CHECKING:
    from raygrid.model.grid_search_model import GridSearchModel


@dataclass(frozen=True)
class CallOptions:
    """What a call of ``fit`` says beside its data and its grid; see there."""

    reset: bool = False
    retry_failed: bool = True
    accept_code_change: bool = False
    functions: FitFunctions = NO_FUNCTIONS

    def __post_init__(self) -> None:
        if self.accept_code_change and self.reset:
            raise ArgumentError(
                "both accept_code_change and reset_experiment are given; the one takes over what is trained, the other "
                "trains all of it anew.",
                remedy="Leave one of them out.",
            )


@dataclass(frozen=True)
class FitCall:
    """A call of ``fit`` or ``plan``. Both find out here, and nowhere else, what is to be done.

    Attributes:
        model: whose it is.
        paths: the files of its prefix.
        data: checked arrays in original units.
        identity: what the results depend on.
        asked: the grid or config of the call; None: nothing in particular.
        options: what else it says.
    """

    model: GridSearchModel
    paths: ModelArtifacts
    data: TrainingData | DatasetSource
    identity: Identity
    asked: Request | None
    options: CallOptions

    def task(self, warn: bool = True) -> Task:
        """What has to be done, as things stand.

        Args:
            warn: whether the log says what a person should know.

        Raises:
            StaleCacheError, CorruptArtifactError: see ``GridSearchModel.fit``.
        """
        options, paths, model = self.options, self.paths, self.model
        request = self.asked
        if not options.reset:
            request = request or self._published_request()
            cached = self._current(request, warn)
            if cached is not None:
                request = request or cached.request
                tries = options.retry_failed and not cached.legacy
                failed = failed_points(paths, cached.manifest, request) if tries else {}
                return Task(request, cached, cached.manifest.experiment, failed)
        request = request or model._space().default()
        self.check(request, warn)
        if options.reset:
            return Task(request, None, reset_experiment_id(paths, asked_digest(self.identity, request)))
        return Task(request, None, current_experiment(paths))

    def check(self, request: Request, warn: bool = True) -> None:
        """Refuses data that cannot be trained on, and warns of what is lost where it is cast and not scaled.

        Args:
            request: what is to be trained.
            warn: whether this is the first look: it warns, and makes datasets.
        """
        model, data = self.model, self.data
        if isinstance(data, DatasetSource):
            if warn:
                try_datasets(model, data, next(iter(request.configs())))
            return
        if model.WINDOWED:
            series = {"X_train": (data.runs_train, data.rows), "X_val": (data.runs_val, data.val_rows)}
            check_window_configs(type(model).__name__, request.configs(), series)
        if warn:
            check_unscaled(data.unscaled(model.scaler_kind, model.target_scaler_kind))

    def run(self, task: Task, begin: bool) -> SearchRun:
        """The search that does ``task``.

        Args:
            begin: whether it begins now, and a reset with it; otherwise nothing is written.
        """
        experiment = task.experiment
        if begin:
            self._require_same_files()
        if begin and self.options.reset:
            experiment = begin_reset(self.paths, asked_digest(self.identity, task.request))
        options, request = self.options, task.request
        return SearchRun(
            self.paths, self.data, self.identity, experiment, request, options.retry_failed, options.functions
        )

    def remember_files(self) -> None:
        """Keeps the digests of files, so that the next call need not read them."""
        paths = [entry["path"] for entry in self.identity.files.values()]
        if isinstance(self.data, DatasetSource):
            paths += [str(file["path"]) for file in self.data.files.values()]
        remember_digests(self.paths.digests_path, paths)

    def _require_same_files(self) -> None:
        """Reads the files that the model depends on once more: a search may have waited for hours for the lock.

        Raises:
            ArgumentError: one holds something else than when the call began.
        """
        known, today = dict(self.identity.files), self.model.files_read(verify=True)
        if isinstance(self.data, DatasetSource):
            # They may be too large to be read once more: what looks as it did is taken for the same.
            paths = [str(file["path"]) for file in self.data.files.values()]
            now_there = digest_files(paths, False, self.paths.digests_path, "data_files")
            known |= {str(file["path"]): dict(file) for file in self.data.files.values()}
            today |= {path: {**file, "path": path} for path, file in now_there.items()}
        for part in {**known, **today}:
            before, now = known.get(part), today.get(part)
            if before is None or now is None or before["digest"] != now["digest"]:
                path = (now or before or {})["path"]
                raise ArgumentError(f"{path} was changed since this call began.", remedy="Call it again.")
        self.remember_files()

    def plan(self) -> FitPlan:
        """What ``fit`` would do; writes nothing."""
        task = self.task()
        run = self.run(task, begin=False)
        if self.options.accept_code_change and task.cached is None:
            run.accept_other_code()
        return FitPlan.of(run, task.loads)

    def _published_request(self) -> Request | None:
        """What the published set was asked for, to be published anew, where what ``request_extras`` gives differs.

        Also where it is taken over from other code.
        """
        always, extras = self.options.accept_code_change, self.model.request_extras()
        manifest = read_manifest(self.paths) if extras or always else None
        if manifest is None or not manifest.request:
            return None
        renewed = replace(Request.from_json(manifest.request), extras=extras)
        return None if renewed.same_as(manifest.request) and not always else renewed

    def _current(self, request: Request | None, warn: bool) -> CachedModel | None:
        """The published model if it is what is asked for; None where something is to be trained or published."""
        # With a manifest, a missing file is damage: reading will say which.
        if not self.model._cache_exists(self.paths) and read_manifest(self.paths) is None:
            return None
        cached = read_cached(self.paths, warn)
        if cached is None:
            return None
        if self.options.accept_code_change and self.identity.only_code_differs(cached.manifest.depends_on):
            return None
        require_current(self.paths, cached, self.identity)
        return cached if cached.answers(request) else None


def asked_digest(identity: Identity, request: Request) -> str:
    """What tells resets apart: one that was killed goes on where the same is asked for again."""
    return digest_json([identity.to_json(), request.to_json()])


def published_names(paths: ModelArtifacts) -> Mapping[str, tuple[str, ...]]:
    """The names of the columns that the published model of a prefix was trained on."""
    manifest = read_manifest(paths)
    return {} if manifest is None else manifest.column_names
