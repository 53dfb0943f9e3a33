"""``GridSearchModel``: the public base class. ``fit`` reads like the flow in docs/structure.md."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from raygrid.base.arguments import flag, number_from_0, whole_number
from raygrid.base.files import decode_json, encode_json, make_folder
from raygrid.base.fingerprint import digest_json
from raygrid.data.training_data import TrainingData
from raygrid.errors import AllTrialsFailedError, ArgumentError, MissingArtifactError
from raygrid.grid.request import Request
from raygrid.grid.values import (
    Config,
    iter_param_grid,
)
from raygrid.identity.identity import Identity, installed_versions
from raygrid.model.fit_arguments import explains_arguments
from raygrid.model.fit_plan import FitPlan, Task
from raygrid.model.settings import ConfiguredModel
from raygrid.progress.listeners import set_verbosity
from raygrid.search.confirmation import Confirmation, confirm_winner
from raygrid.search.run import SearchRun
from raygrid.search.winner import Outcome, search_grid, train_config
from raygrid.store.accepted_code import accepted_codes
from raygrid.store.cleaning import drop_spent
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel, read_cached, require_current
from raygrid.store.publishing import publish, published_exists, read_manifest, read_manifest_or_damaged
from raygrid.store.resets import begin_reset, current_experiment, end_reset, reset_experiment_id
from raygrid.store.retries import failed_points, same_failures
from raygrid.training.tensorflow_setup import check_backend, load_tensorflow

if TYPE_CHECKING:
    import keras

log = logging.getLogger("raygrid")


class GridSearchModel(ConfiguredModel):
    """A Keras model whose hyperparameters are found by grid search, and that is loaded from its files afterwards.

    Subclass it and define ``build_model(config, input_shape)``, or pass a function as ``build_model``. Class variables
    that a subclass may set:

    - ``DEFAULT_CONFIG``: name to default value; also says which hyperparameters there are, and their types.
    - ``DEFAULT_PARAM_GRID``: what ``fit`` searches where nothing is asked.
    - ``DEFAULT_SCALER``, ``DEFAULT_TARGET_SCALER``: ``"standard"`` or None, for inputs and for targets.
    - ``USES_TARGETS``: True: ``y_train`` is needed; False: it is refused; None: both work.
    - ``WINDOWED``: True: the model learns to reproduce windows of ``config["window"]`` rows, ``config["stride"]`` rows
      apart; ``input_shape`` is then ``(window, features)``.

    Instance attributes that a subclass adds count as code, since ``build_model`` may read them: another value makes the
    saved model stale. Those whose names begin with ``fitted_`` do not.

    raygrid itself reads ``batch_size``, ``epochs`` and ``patience`` (epochs without a better ``val_loss`` before
    training stops; None or 0: never) from every config.

    Args:
        model_dir: the folder of the artifacts; made when something is saved. A relative one lies in the working folder
            of the moment when the object is made, and stays there. Addresses such as ``s3://...`` are refused.
        cache_prefix: what all file names begin with; a plain file name.
        verbose: 0: warnings only; 1: progress; 2: also the messages of Ray, Tune and TensorFlow.
        build_model: a function ``(config, input_shape) -> compiled keras.Model`` instead of a subclass.
        seed: seeds weights, dropout and shuffling of every point, 0 to 2**32 - 1.
        scaler: ``"standard"`` scales inputs to mean 0 and standard deviation 1, fitted on the training data; None
            leaves them as they are; ``"default"`` is the class' own choice. Without targets, the model learns to
            reproduce its scaled inputs; ``val_loss`` is in scaled units.
        target_scaler: the same for targets; ``predict`` gives original units.
        shuffle: whether each epoch sees the rows in another order.
        dtype_policy: Keras' dtype policy in training, such as ``"float32"`` or ``"mixed_bfloat16"``, by name or as the
            policy itself; None: the global one of Keras at the time of ``fit``.
        resources: what each trial is granted.
        address: a Ray cluster to run trials on, as ``HOST:PORT`` or ``"auto"``; None: ``RAY_ADDRESS``, or this machine.
        max_points: the largest grid that is searched.
        lock_timeout_s: how long to wait for another process that trains under the same prefix, in seconds; None: until
            it is done.
        progress: hears of the search while it runs; None writes lines to the log ``raygrid``.

    Attributes:
        best_config, best_model, best_metrics, results, history: see ``FittedModel``.

    Raises:
        PrefixError, ArgumentError: an argument that cannot be right.
    """

    # The public interface

    @explains_arguments
    def fit(
        self,
        X_train: object,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        reset_experiment: bool = False,
        *,
        y_train: object = None,
        y_val: object = None,
        sample_weight: object = None,
        val_sample_weight: object = None,
        run_ids: object = None,
        val_run_ids: object = None,
        validation_split: float = 0.2,
        shuffle_split: bool = False,
        retry_failed: bool = True,
        accept_code_change: bool = False,
    ) -> keras.Model:
        """Loads the saved model if it is what is asked for; otherwise trains, publishes and returns the best.

        Args:
            X_train: inputs, rows first: an array, a DataFrame of pandas or polars, or a ``pyarrow.Table``. The names of
                its columns are kept, and later data is brought into their order. Values are scaled in float64 and fed
                as float32; without a scaler, floats are cast to float32 and integers stay integers.
            X_val: inputs for validation, of the same columns; None: the last ``validation_split`` of ``X_train``.
            param_grid: names to lists of values: every combination is trained in parallel on Ray Tune. None, with no
                ``model_config`` and nothing saved: ``DEFAULT_PARAM_GRID``.
            model_config: a single config, trained in this process without Ray; names that it leaves out have their
                default. Not together with ``param_grid``.
            reset_experiment: train anew, ignoring all earlier results of the prefix.
            y_train: targets of the training rows; None: the targets are the (scaled) inputs.
            y_val: targets of ``X_val``.
            sample_weight: weights of the training rows.
            val_sample_weight: weights of the rows of ``X_val``.
            run_ids: for a model of windows, the run that each row belongs to; windows do not cross runs. None: one run.
            val_run_ids: the same for ``X_val``.
            validation_split: the fraction of rows, from the end, that is held out where ``X_val`` is None.
            shuffle_split: hold out rows that are drawn by the model's seed instead of the last ones. Where targets are
                labels (whole numbers that each come often, truth values, one-hot rows), each class gives its share.
            retry_failed: whether points of the grid that failed before are tried again, also where a model is
                published; it stays as it is where they fail again. False: they are left, and it is loaded.
            accept_code_change: take over points, and a published model, that differ in the code of ``build_model``
                alone, as if today's code had trained them; for a change that alters no result, such as a method that
                is added. The winner must still reproduce its ``val_loss``. The manifest records both digests.

        Returns:
            The model with the lowest ``val_loss``, also in ``best_model``. It sees scaled inputs; ``predict`` and
            ``evaluate`` of this class scale by themselves.

        Raises:
            ArgumentError: arguments, grid, config or data that cannot be right; before anything starts.
            StaleCacheError: the saved model is of other data, code or settings.
            CorruptArtifactError: a saved file is damaged.
            AllTrialsFailedError: no point has a result that could win.
            SearchInterrupted: it was stopped; run the same again to go on.
            SystemExit: the same for SIGTERM, with the code 143, where the process has no handler for it.
        """
        set_verbosity(self.verbose)
        check_backend()
        reset, retry = flag("reset_experiment", reset_experiment), flag("retry_failed", retry_failed)
        accept = _accepts(accept_code_change, reset)
        asked = self._space().asked(param_grid, model_config)
        paths = self._get_artifacts()
        data = self._checked_data(
            X_train,
            X_val,
            y_train=y_train,
            y_val=y_val,
            sample_weight=sample_weight,
            val_sample_weight=val_sample_weight,
            run_ids=run_ids,
            val_run_ids=val_run_ids,
            validation_split=validation_split,
            shuffle_split=shuffle_split,
            kept={} if reset else self._kept_names(paths),
        )
        identity = self._identity(data)
        task = self._task(paths, data, identity, asked, reset, retry, accept)
        if task.cached is not None and task.loads:
            return self._load_from_cache(paths, task.cached)
        failed = task.failed
        with self._locked(paths):
            # While this one waited for the lock, another process may have trained it, or tried again what had failed.
            task = self._task(paths, data, identity, asked, reset, retry, accept, warn=False)
            cached = task.cached
            if cached is not None and not same_failures(failed, task.failed):
                return self._load_from_cache(paths, cached)
            experiment = begin_reset(paths, _asked_digest(identity, task.request)) if reset else task.experiment
            run = SearchRun(paths, data, identity, experiment, task.request, retry)
            try:
                with run.other_code_taken_over() if accept else nullcontext():
                    outcome = self._search(run)
            except AllTrialsFailedError as error:
                if cached is None:
                    raise
                log.warning("What failed before could not be tried again: %s", error)
                return self._load_from_cache(paths, cached)
            if cached is not None and outcome.record.key == cached.manifest.winner.get("key"):
                # To publish it again would change nothing.
                drop_spent(paths, cached.manifest)
                return self._load_from_cache(paths, cached)
            self.best_config, self.best_model, self.best_metrics = outcome
            self._save_model(paths, outcome)
        return outcome.model

    @explains_arguments
    def plan(
        self,
        X_train: object,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        reset_experiment: bool = False,
        *,
        retry_failed: bool = True,
        accept_code_change: bool = False,
        **data: Any,
    ) -> FitPlan:
        """What ``fit`` with the same arguments would do; trains nothing and writes nothing.

        Raises:
            What ``fit`` raises before it trains, such as StaleCacheError and CorruptArtifactError.
        """
        set_verbosity(self.verbose)
        check_backend()
        reset, retry = flag("reset_experiment", reset_experiment), flag("retry_failed", retry_failed)
        accept = _accepts(accept_code_change, reset)
        asked = self._space().asked(param_grid, model_config)
        paths = self._get_artifacts()
        checked = self._checked_data(X_train, X_val, **data, kept={} if reset else self._kept_names(paths))
        identity = self._identity(checked)
        task = self._task(paths, checked, identity, asked, reset, retry, accept)
        run = SearchRun(paths, checked, identity, task.experiment, task.request, retry)
        if accept and task.cached is None:
            run.accept_other_code()
        return FitPlan.of(run, task.loads)

    @explains_arguments
    def confirm(
        self, X_train: object, X_val: object = None, *, seeds: int = 3, within: float = 0.05, **data: Any
    ) -> Confirmation:
        """Trains the winner, and the points close to it, with further seeds, and says whether the winner stands.

        Nothing is published; what is trained is recorded, so that asking again costs nothing.

        Args:
            X_train, X_val, data: as for the ``fit`` whose winner is published.
            seeds: how many further seeds.
            within: how close to the winner's ``val_loss`` a point must be, as a fraction of it.

        Raises:
            MissingArtifactError: nothing is published.
            StaleCacheError: the data is not that of the published model.
        """
        seeds = whole_number("seeds", seeds, 1)
        within = number_from_0("within", within, "a fraction of the winner's val_loss, 0 or more, such as 0.05")
        paths = self._get_artifacts()
        checked = self._checked_data(X_train, X_val, **data, kept=self._kept_names(paths))
        identity = self._identity(checked)
        cached = self._read_cached(paths)
        require_current(paths, cached, identity)
        if cached.legacy:
            raise ArgumentError(f"{paths.model_path} was made by another implementation; its search is not known.")
        manifest = cached.manifest
        with self._locked(paths):
            run = SearchRun(paths, checked, identity, manifest.experiment, Request.from_json(manifest.request))
            key = str(manifest.winner["key"])
            confirmation = confirm_winner(run, key, self._bare_builder(), self._options(), seeds, within)
            drop_spent(paths, manifest)
        return confirmation

    @classmethod
    def load(
        cls, model_dir: str | Path = "models", cache_prefix: str = "model", verbose: int = 1, **settings: Any
    ) -> Self:
        """The published model of a prefix, without its data.

        Args:
            model_dir, cache_prefix, verbose: as for the constructor.
            settings: further settings of the constructor, such as ``build_model=function`` for a model with classes
                that Keras cannot find by itself.

        Raises:
            MissingArtifactError: nothing is published there.
            CustomObjectError: it holds classes or code that Keras cannot load, and there is no ``build_model``.
            CorruptArtifactError: a file is damaged.
        """
        model = cls(model_dir=model_dir, cache_prefix=cache_prefix, verbose=verbose, **settings)
        set_verbosity(model.verbose)
        check_backend()
        model._load_model(model._get_artifacts())
        return model

    # The pattern's methods: places to override

    def _cache_exists(self, artifacts: ModelArtifacts) -> bool:
        """Whether ALL required files of a published model are there."""
        return published_exists(artifacts)

    def _load_model(self, artifacts: ModelArtifacts) -> keras.Model:
        """Loads the published model; sets ``best_config``, ``best_model`` and ``best_metrics``."""
        return self._take_cached(artifacts, self._read_cached(artifacts))

    def _save_model(self, artifacts: ModelArtifacts, outcome: Outcome) -> None:
        """Publishes ``best_config``, ``best_model`` and ``best_metrics``, the outcome of a search."""
        run = outcome.run
        files = {
            artifacts.config_path.name: encode_json(self.best_config),
            artifacts.model_path.name: outcome.model_bytes,
            artifacts.metrics_path.name: encode_json(self.best_metrics),
        }
        if run.prepared.scaling:
            files[artifacts.scaler_path.name] = encode_json(run.prepared.scaling.to_json())
        # With these, what is asked for as a further file can be computed as a user would, with the model itself.
        self._manifest, self._scaling = _new_manifest(outcome), run.prepared.scaling
        for name, value in self._extra_artifacts(run).items():
            files[artifacts.extra_path(name).name] = encode_json(value)
        previous = read_manifest_or_damaged(artifacts)
        self._manifest = publish(artifacts, files, self._manifest)
        end_reset(artifacts, run.experiment)
        dethroned = {str(previous.winner.get("key"))} if isinstance(previous, Manifest) else set()
        drop_spent(artifacts, self._manifest, also=dethroned)
        run.write_ledger()

    def _run_grid_search(
        self, X_train: Any, X_val: Any, param_grid: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> Outcome:
        """Searches a grid on Ray Tune: ``(best_config, best_model, best_metrics)``. ``run``: what ``fit`` prepared."""
        run = run or self._unpublished_run(X_train, X_val, self._space().grid(param_grid))
        return search_grid(run, self._bare_builder(), self._options())

    def _train_single(
        self, X_train: Any, X_val: Any, config: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> Outcome:
        """Trains one config in this process, without Ray: ``(best_config, best_model, best_metrics)``."""
        run = run or self._unpublished_run(X_train, X_val, Request(config=self._normalize_config(config)))
        return train_config(run, self._bare_builder(), self._options())

    def _iter_param_grid(self, grid: Mapping[str, Sequence[Any]]) -> Iterator[Config]:
        """Every combination of a grid's values: names sorted, the last name varying fastest."""
        return iter_param_grid(grid)

    def _normalize_config(self, config: Mapping[str, Any]) -> Config:
        """The whole config: defaults filled in, types coerced, sequences as tuples."""
        return self._space().config(config)

    # Steps

    def _search(self, run: SearchRun) -> Outcome:
        """Trains what is asked for, by the method that a subclass may override."""
        x, x_val, request = run.data.x_train, run.data.x_val, run.request
        if request.grid is not None:
            return self._run_grid_search(x, x_val, request.grid, run=run)
        return self._train_single(x, x_val, request.config or {}, run=run)

    def _task(
        self,
        paths: ModelArtifacts,
        data: TrainingData,
        identity: Identity,
        asked: Request | None,
        reset: bool,
        retry: bool,
        accept_code_change: bool,
        warn: bool = True,
    ) -> Task:
        """What a call has to do: ``fit`` and ``plan`` both ask here, and nowhere else."""
        if not reset:
            request = asked or self._published_request(paths, always=accept_code_change)
            cached = self._current(paths, identity, request, accept_code_change, warn)
            if cached is not None:
                request = request or cached.request
                failed = failed_points(paths, cached.manifest, request) if retry and not cached.legacy else {}
                return Task(request, cached, cached.manifest.experiment, failed)
        else:
            request = asked
        request = request or self._space().default()
        self._check_windows(data, request)
        if warn:
            self._check_precision(data)
        if reset:
            return Task(request, None, reset_experiment_id(paths, _asked_digest(identity, request)))
        return Task(request, None, current_experiment(paths))

    def _kept_names(self, paths: ModelArtifacts) -> dict[str, tuple[str, ...]]:
        """The names of the columns that the published model was trained on."""
        manifest = read_manifest(paths)
        return {} if manifest is None else manifest.column_names

    def _published_request(self, paths: ModelArtifacts, always: bool) -> Request | None:
        """What the published set was asked for, to be published anew, where what ``_request_extras`` gives differs.

        Or ``always``, where that is known.
        """
        extras = self._request_extras()
        manifest = read_manifest(paths) if extras or always else None
        if manifest is None or not manifest.request:
            return None
        renewed = replace(Request.from_json(manifest.request), extras=extras)
        return None if renewed.same_as(manifest.request) and not always else renewed

    def _current(
        self,
        paths: ModelArtifacts,
        identity: Identity,
        request: Request | None,
        accept_code_change: bool,
        warn: bool,
    ) -> CachedModel | None:
        """The published model if it is what is asked for; None where something is to be trained or published."""
        # With a manifest, a missing file is damage: reading will say which.
        if not self._cache_exists(paths) and read_manifest(paths) is None:
            return None
        cached = read_cached(paths, warn)
        if cached is None:
            return None
        if accept_code_change and identity.only_code_differs(cached.manifest.depends_on):
            return None
        require_current(paths, cached, identity)
        return cached if cached.answers(request) else None

    def _load_from_cache(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        log.info("Loaded from cache: %s (val_loss %s)", paths.model_path, cached.metrics.get("val_loss"))
        return self._take_cached(paths, cached)

    def _read_cached(self, paths: ModelArtifacts) -> CachedModel:
        cached = read_cached(paths)
        if cached is None:
            raise MissingArtifactError(
                f"nothing is published as {paths.prefix!r} in {paths.model_dir}; call fit first, or check model_dir "
                "and cache_prefix."
            )
        return cached

    def _take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        load_tensorflow()
        from raygrid.training.keras_files import model_from_bytes
        from raygrid.training.rebuild import built_as_trained

        rebuild = None
        has_builder = self._build_function is not None or type(self).build_model is not GridSearchModel.build_model
        # A legacy set does not say what its input is.
        if has_builder and not cached.legacy:
            shape, dtype = tuple(cached.manifest.input_shape), cached.manifest.input_dtype
            settings = cached.manifest.depends_on.get("settings", {})

            def rebuild() -> keras.Model:
                return built_as_trained(self.build_model, cached.config, shape, dtype, settings)

        self.best_model = model_from_bytes(cached.files[paths.model_path.name], paths.model_path, rebuild)
        self.best_config, self.best_metrics = cached.config, cached.metrics
        self._manifest, self._scaling = cached.manifest, cached.scaling
        self._take_extra_artifacts(
            {
                name: decode_json(cached.files[path.name], path)
                for name in self.EXTRA_ARTIFACTS
                if (path := paths.extra_path(name)).name in cached.files
            }
        )
        return self.best_model

    def _unpublished_run(self, X_train: object, X_val: object, request: Request) -> SearchRun:
        data = self._checked_data(X_train, X_val)
        self._check_windows(data, request)
        paths = self._get_artifacts()
        make_folder(paths.runs_dir)
        return SearchRun(paths, data, self._identity(data), current_experiment(paths), request)


def _new_manifest(outcome: Outcome) -> Manifest:
    run = outcome.run
    return Manifest(
        generation="",
        files={},
        depends_on=run.identity.to_json(),
        request=run.request.to_json(),
        experiment=run.experiment,
        context=run.context,
        winner={"key": outcome.record.key, "point": outcome.number},
        model_class=run.identity.code["name"],
        input_shape=list(run.prepared.input_shape(outcome.record.config)),
        versions=installed_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        accepted_code=accepted_codes(run.recorded()),
    )


def _accepts(accept_code_change: object, reset: bool) -> bool:
    accept = flag("accept_code_change", accept_code_change)
    if accept and reset:
        raise ArgumentError(
            "both accept_code_change and reset_experiment are given; the one takes over what is trained, the other "
            "trains all of it anew. Leave one of them out."
        )
    return accept


def _asked_digest(identity: Identity, request: Request) -> str:
    """What tells resets apart: one that was killed goes on where the same is asked for again."""
    return digest_json([identity.to_json(), request.to_json()])
