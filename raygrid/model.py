"""``GridSearchModel``: the public base class. ``fit`` reads like the flow in docs/structure.md."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from raygrid.artifacts import ModelArtifacts, check_prefix
from raygrid.backend import check_backend, load_tensorflow
from raygrid.cache import CachedModel, read_cached, require_current
from raygrid.code_digest import builder_digest, describe_code
from raygrid.data import TrainingData, prepare_data
from raygrid.errors import ArgumentError, BuilderError, MissingArtifactError, NotFittedError
from raygrid.experiments import begin_reset, current_experiment, end_reset
from raygrid.fingerprint import digest_json
from raygrid.fitted import FittedModel
from raygrid.grid import (
    DEFAULT_MAX_POINTS,
    TRAINING_DEFAULTS,
    Config,
    iter_param_grid,
    normalize_config,
    normalize_grid,
)
from raygrid.identity import Identity, installed_versions
from raygrid.manifest import Manifest
from raygrid.plan import Plan
from raygrid.progress import LogProgress, SearchListener, set_verbosity
from raygrid.publishing import publish, published_exists, read_manifest
from raygrid.request import Request
from raygrid.scaler import check_scaler_kind
from raygrid.search import Outcome, SearchOptions, search_grid, train_config
from raygrid.search_run import SearchRun
from raygrid.storage import encode_json, locked, make_folder
from raygrid.tuning.resources import Resources

if TYPE_CHECKING:
    import keras

log = logging.getLogger("raygrid")

BuildModel = Callable[[dict[str, Any], tuple[int, ...]], Any]


class GridSearchModel(FittedModel):
    """A Keras model whose hyperparameters are found by grid search, and that is loaded from its files afterwards.

    Subclass it and define ``build_model(config, input_shape)``, or pass a function as ``build_model``. Class variables
    that a subclass may set:

    - ``DEFAULT_CONFIG``: name to default value; also says which hyperparameters there are, and their types.
    - ``DEFAULT_PARAM_GRID``: what ``fit`` searches where nothing is asked.
    - ``DEFAULT_SCALER``: ``"standard"`` or None.
    - ``USES_TARGETS``: True: ``y_train`` is needed; False: it is refused; None: both work.

    raygrid itself reads ``batch_size``, ``epochs`` and ``patience`` (epochs without a better ``val_loss`` before
    training stops; None or 0: never) from every config.

    Args:
        model_dir: the folder of the artifacts; made when something is saved.
        cache_prefix: what all file names begin with; a plain file name.
        verbose: 0: warnings only; 1: progress; 2: also Ray's and Tune's own messages.
        build_model: a function ``(config, input_shape) -> compiled keras.Model`` instead of a subclass.
        seed: seeds weights, dropout and shuffling of every point, 0 to 2**32 - 1.
        scaler: ``"standard"`` scales inputs to mean 0 and standard deviation 1, fitted on the training data; None
            leaves them as they are; ``"default"`` is the class' own choice. Without targets, the model learns to
            reproduce its scaled inputs; ``val_loss`` is in scaled units.
        shuffle: whether each epoch sees the rows in another order.
        dtype_policy: Keras' dtype policy in training, such as ``"float32"`` or ``"mixed_bfloat16"``.
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

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {}
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {}
    DEFAULT_SCALER: ClassVar[str | None] = None
    USES_TARGETS: ClassVar[bool | None] = None

    def __init__(
        self,
        model_dir: str | Path = "models",
        cache_prefix: str = "model",
        verbose: int = 1,
        *,
        build_model: BuildModel | None = None,
        seed: int = 0,
        scaler: str | None = "default",
        shuffle: bool = True,
        dtype_policy: str = "float32",
        resources: Resources | None = None,
        address: str | None = None,
        max_points: int = DEFAULT_MAX_POINTS,
        lock_timeout_s: float | None = None,
        progress: SearchListener | None = None,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ArgumentError(f"seed is {seed!r}; it must be a whole number from 0 to 2**32 - 1.")
        if build_model is not None and not callable(build_model):
            raise ArgumentError(f"build_model is {build_model!r}; it must be a function of config and input_shape.")
        super().__init__(Path(model_dir), check_prefix(cache_prefix))
        self.verbose = verbose
        self.seed = seed
        self.scaler_kind = check_scaler_kind(self.DEFAULT_SCALER if scaler == "default" else scaler)
        self.shuffle = shuffle
        self.dtype_policy = dtype_policy
        self.resources = resources or Resources()
        self.address = address
        self.max_points = max_points
        self.lock_timeout_s = lock_timeout_s
        self.progress = progress
        self._build_function = build_model
        self._run: SearchRun | None = None
        self._outcome: Outcome | None = None

    # What a subclass defines

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        """A compiled ``keras.Model`` for ``config``.

        Args:
            config: the whole config of a point.
            input_shape: shape of one row of ``X_train``, such as ``(52,)``.
        """
        if self._build_function is None:
            raise BuilderError(
                f"{type(self).__name__} has no build_model; define build_model(self, config, input_shape) in a "
                "subclass, or pass build_model=function."
            )
        return self._build_function(config, input_shape)

    # The public interface

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
        validation_split: float = 0.2,
    ) -> keras.Model:
        """Loads the saved model if it is what is asked for; otherwise trains, publishes and returns the best.

        Args:
            X_train: inputs, rows first: an array, a pandas DataFrame or a ``pyarrow.Table``, cast to float32.
            X_val: inputs for validation, of the same width; None: the last ``validation_split`` of ``X_train``.
            param_grid: names to lists of values: every combination is trained in parallel on Ray Tune. None, with no
                ``model_config`` and nothing saved: ``DEFAULT_PARAM_GRID``.
            model_config: a single config, trained in this process without Ray; names that it leaves out have their
                default. Not together with ``param_grid``.
            reset_experiment: train anew, ignoring all earlier results of the prefix.
            y_train: targets of the training rows; None: the targets are the (scaled) inputs.
            y_val: targets of ``X_val``.
            sample_weight: weights of the training rows.
            val_sample_weight: weights of the rows of ``X_val``.
            validation_split: the fraction of rows, from the end, that is held out where ``X_val`` is None.

        Returns:
            The model with the lowest ``val_loss``, also in ``best_model``. It sees scaled inputs; ``predict`` and
            ``evaluate`` of this class scale by themselves.

        Raises:
            ArgumentError: arguments, grid, config or data that cannot be right; before anything starts.
            StaleCacheError: the saved model is of other data, code or settings.
            CorruptArtifactError: a saved file is damaged.
            AllTrialsFailedError: no point has a result that could win.
            SearchInterrupted: it was stopped; run the same again to go on.
        """
        set_verbosity(self.verbose)
        check_backend()
        request = self._request(param_grid, model_config)
        data = self._checked_data(
            X_train,
            X_val,
            y_train=y_train,
            y_val=y_val,
            sample_weight=sample_weight,
            val_sample_weight=val_sample_weight,
            validation_split=validation_split,
        )
        identity = self._identity(data)
        paths = self._get_artifacts()
        if not reset_experiment and self._load_if_current(paths, identity, request):
            return self.best_model
        request = request or self._default_request()
        with self._locked(paths):
            # Another process may have trained it while this one waited for the lock.
            if not reset_experiment and self._load_if_current(paths, identity, request):
                return self.best_model
            if reset_experiment:
                experiment = begin_reset(paths, digest_json([identity.to_json(), request.to_json()]))
            else:
                experiment = current_experiment(paths)
            run = SearchRun(paths, data, identity, experiment, request)
            if request.grid is not None:
                result = self._run_grid_search(data.x_train, data.x_val, request.grid, run=run)
            else:
                result = self._train_single(data.x_train, data.x_val, request.config or {}, run=run)
            self.best_config, self.best_model, self.best_metrics = result
            self._run = run
            self._save_model(paths)
        return self.best_model

    def plan(
        self,
        X_train: object,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        **data: Any,
    ) -> tuple[SearchRun, Plan]:
        """What ``fit`` with the same arguments would have to train; trains nothing and writes nothing."""
        request = self._request(param_grid, model_config) or self._default_request()
        checked = self._checked_data(X_train, X_val, **data)
        paths = self._get_artifacts()
        run = SearchRun(paths, checked, self._identity(checked), current_experiment(paths), request)
        return run, run.plan()

    @classmethod
    def load(cls, model_dir: str | Path = "models", cache_prefix: str = "model", verbose: int = 1) -> Self:
        """The published model of a prefix, without its data.

        Raises:
            MissingArtifactError: nothing is published there.
            CorruptArtifactError: a file is damaged.
        """
        set_verbosity(verbose)
        check_backend()
        model = cls(model_dir=model_dir, cache_prefix=cache_prefix, verbose=verbose)
        model._load_model(model._get_artifacts())
        return model

    # The pattern's methods: places to override

    def _cache_exists(self, artifacts: ModelArtifacts) -> bool:
        """Whether ALL required files of a published model are there."""
        return published_exists(artifacts)

    def _load_model(self, artifacts: ModelArtifacts) -> keras.Model:
        """Loads the published model; sets ``best_config``, ``best_model`` and ``best_metrics``."""
        cached = read_cached(artifacts)
        if cached is None:
            raise MissingArtifactError(
                f"nothing is published as {artifacts.prefix!r} in {artifacts.model_dir}; call fit first, or check "
                "model_dir and cache_prefix."
            )
        return self._take_cached(artifacts, cached)

    def _save_model(self, artifacts: ModelArtifacts) -> None:
        """Publishes ``best_config``, ``best_model`` and ``best_metrics`` of the last training."""
        run, outcome = self._run, self._outcome
        if run is None or outcome is None:
            raise NotFittedError("there is nothing to save yet; call fit first.")
        files = {
            artifacts.config_path.name: encode_json(self.best_config),
            artifacts.model_path.name: outcome.model_bytes,
            artifacts.metrics_path.name: encode_json(self.best_metrics),
        }
        if run.scaler is not None:
            files[artifacts.scaler_path.name] = encode_json(run.scaler.to_json())
        self._manifest = publish(artifacts, files, self._new_manifest(run, outcome))
        self._scaler = run.scaler
        end_reset(artifacts, run.experiment)
        run.store.drop_weights(keep={outcome.record.key})
        run.write_ledger(run.plan())

    def _run_grid_search(
        self, X_train: Any, X_val: Any, param_grid: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> tuple[Config, keras.Model, dict[str, Any]]:
        """Searches a grid on Ray Tune: ``(best_config, best_model, best_metrics)``. ``run``: what ``fit`` prepared."""
        run = run or self._unpublished_run(X_train, X_val, self._grid_request(param_grid))
        return self._take_outcome(search_grid(run, self._bare_builder(), self._options()))

    def _train_single(
        self, X_train: Any, X_val: Any, config: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> tuple[Config, keras.Model, dict[str, Any]]:
        """Trains one config in this process, without Ray: ``(best_config, best_model, best_metrics)``."""
        run = run or self._unpublished_run(X_train, X_val, Request(config=self._normalize_config(config)))
        return self._take_outcome(train_config(run, self._bare_builder(), self._options()))

    def _iter_param_grid(self, grid: Mapping[str, Sequence[Any]]) -> Iterator[Config]:
        """Every combination of a grid's values: names sorted, the last name varying fastest."""
        return iter_param_grid(grid)

    def _normalize_config(self, config: Mapping[str, Any]) -> Config:
        """The whole config: defaults filled in, types coerced, sequences as tuples."""
        return normalize_config(config, self._defaults(), self._known_names())

    # Steps

    def _defaults(self) -> Config:
        return normalize_config({**TRAINING_DEFAULTS, **self.DEFAULT_CONFIG}, {}, None)

    def _known_names(self) -> set[str] | None:
        if not self.DEFAULT_CONFIG and not self.DEFAULT_PARAM_GRID:
            # Nothing is declared, so nothing is known to be wrong.
            return None
        return {*TRAINING_DEFAULTS, *self.DEFAULT_CONFIG, *self.DEFAULT_PARAM_GRID}

    def _request(self, param_grid: Mapping[str, Any] | None, model_config: Mapping[str, Any] | None) -> Request | None:
        if param_grid is not None and model_config is not None:
            raise ArgumentError(
                "both param_grid and model_config are given; pass param_grid to search, or model_config to train one "
                "config, not both."
            )
        if param_grid is not None:
            return self._grid_request(param_grid)
        if model_config is not None:
            return Request(config=self._normalize_config(model_config))
        return None

    def _grid_request(self, grid: Mapping[str, Any]) -> Request:
        defaults = self._defaults()
        return Request.for_grid(normalize_grid(grid, defaults, self._known_names(), self.max_points), defaults)

    def _default_request(self) -> Request:
        if not self.DEFAULT_PARAM_GRID:
            raise ArgumentError(
                f"{type(self).__name__} has no DEFAULT_PARAM_GRID, and neither param_grid nor model_config is given; "
                'pass one of them, such as param_grid={"units": [32, 64]}.'
            )
        return self._grid_request(self.DEFAULT_PARAM_GRID)

    def _checked_data(self, X_train: object, X_val: object, **others: Any) -> TrainingData:
        data = prepare_data(X_train, X_val, **others)
        if self.USES_TARGETS is False and data.supervised:
            raise ArgumentError(f"{type(self).__name__} learns to reproduce its inputs; leave y_train and y_val out.")
        if self.USES_TARGETS is True and not data.supervised:
            raise ArgumentError(f"{type(self).__name__} learns to predict targets; pass them as y_train.")
        return data

    def _identity(self, data: TrainingData) -> Identity:
        builder: object = self._build_function or type(self)
        own = {name: value for name, value in vars(self).items() if name not in _BASE_ATTRIBUTES}
        return Identity(
            data=data.digests(),
            code={"name": describe_code(builder), "digest": builder_digest(builder, own)},
            settings={
                "seed": self.seed,
                "scaler": self.scaler_kind,
                "shuffle": self.shuffle,
                "dtype_policy": self.dtype_policy,
            },
        )

    def _load_if_current(self, paths: ModelArtifacts, identity: Identity, request: Request | None) -> bool:
        # With a manifest, a missing file is damage: reading will say which.
        if not self._cache_exists(paths) and read_manifest(paths) is None:
            return False
        cached = read_cached(paths)
        if cached is None:
            return False
        require_current(paths, cached, identity)
        if not cached.legacy and request is not None:
            served = (cached.manifest.request, {"config": cached.config})
            if not any(request.same_as(saved) for saved in served):
                return False
        log.info("Loaded from cache: %s (val_loss %s)", paths.model_path, cached.metrics.get("val_loss"))
        self._take_cached(paths, cached)
        return True

    def _take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        load_tensorflow()
        from raygrid.model_files import built_model, model_from_bytes

        rebuild = None
        if self._build_function is not None or type(self).build_model is not GridSearchModel.build_model:
            shape = tuple(cached.manifest.input_shape)

            def rebuild() -> keras.Model:
                return built_model(self.build_model, cached.config, shape)

        self.best_model = model_from_bytes(cached.model_bytes, paths.model_path, rebuild)
        self.best_config, self.best_metrics = cached.config, cached.metrics
        self._manifest, self._scaler = cached.manifest, cached.scaler
        return self.best_model

    def _take_outcome(self, outcome: Outcome) -> tuple[Config, keras.Model, dict[str, Any]]:
        self._outcome = outcome
        return outcome.record.config, outcome.model, outcome.metrics

    def _new_manifest(self, run: SearchRun, outcome: Outcome) -> Manifest:
        return Manifest(
            generation="",
            files={},
            depends_on=run.identity.to_json(),
            request=run.request.to_json(),
            experiment=run.experiment,
            context=run.context,
            winner={"key": outcome.record.key, "point": outcome.number},
            model_class=run.identity.code["name"],
            input_shape=list(run.data.input_shape),
            versions=installed_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _unpublished_run(self, X_train: object, X_val: object, request: Request) -> SearchRun:
        data = self._checked_data(X_train, X_val)
        paths = self._get_artifacts()
        make_folder(paths.runs_dir)
        return SearchRun(paths, data, self._identity(data), current_experiment(paths), request)

    def _locked(self, paths: ModelArtifacts) -> Any:
        make_folder(paths.runs_dir)
        return locked(
            paths.lock_path,
            self.lock_timeout_s,
            lambda holder: log.warning("%s trains under the prefix %r; waiting for it.", holder, self.cache_prefix),
        )

    def _options(self) -> SearchOptions:
        module = sys.modules.get(getattr(self._build_function or type(self), "__module__", ""))
        return SearchOptions(
            resources=self.resources,
            address=self.address,
            user_modules=() if module is None else (module,),
            progress=self.progress or LogProgress(),
            verbose=self.verbose > 1,
        )

    def _bare_builder(self) -> BuildModel:
        """The builder without results, displays or live models, which must not travel to workers."""
        if self._build_function is not None:
            return self._build_function
        bare = copy.copy(self)
        for name in _STATE_ATTRIBUTES:
            setattr(bare, name, None)
        return bare.build_model


_BASE_ATTRIBUTES = frozenset(vars(GridSearchModel()))
_STATE_ATTRIBUTES = {*vars(FittedModel(Path(), "")), "progress", "_run", "_outcome"} - {"model_dir", "cache_prefix"}
