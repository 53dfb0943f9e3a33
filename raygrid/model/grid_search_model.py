"""``GridSearchModel``: the public base class. ``fit`` reads like the flow in docs/structure.md."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from raygrid.base.arguments import (
    dtype_policy_name,
    flag,
    instance,
    local_path,
    number_from_0,
    seed_number,
    text,
    verbosity,
    whole_number,
)
from raygrid.base.files import decode_json, encode_json, make_folder
from raygrid.base.keras_settings import global_dtype_policy, keras_settings
from raygrid.base.types import Builder, FitFunctions, ModelDefinition
from raygrid.data.columns_apart import data_by_column
from raygrid.data.dataset_source import DatasetSource
from raygrid.data.dropped_rows import DROP, ERROR, check_missing, drop_missing
from raygrid.data.given_data import data_apart
from raygrid.data.scaling import ScalerSetting, scaler_setting
from raygrid.data.training_data import TrainingData, prepare_data
from raygrid.errors import AllTrialsFailedError, ArgumentError, BuilderError, MissingArtifactError, NotFittedError
from raygrid.grid.request import Request
from raygrid.grid.space import SearchSpace
from raygrid.grid.values import DEFAULT_MAX_POINTS, Config, iter_param_grid
from raygrid.identity.code_digest import builder_digest, describe_code, with_callbacks, with_class_weight, with_datasets
from raygrid.identity.files import depended_files, file_patterns
from raygrid.identity.identity import Identity, installed_versions
from raygrid.model.asked_datasets import DATASET_ARGUMENTS, dataset_source
from raygrid.model.fit_arguments import callbacks_function, explains_arguments, explains_settings
from raygrid.model.fit_call import CallOptions, FitCall, published_names
from raygrid.model.fit_plan import FitPlan, Task
from raygrid.model.parameters import Parameters
from raygrid.model.published_model import PublishedModel
from raygrid.progress.listeners import LogProgress, SearchListener, set_verbosity
from raygrid.search.confirmation import Confirmation, confirm_winner
from raygrid.search.run import SearchRun
from raygrid.search.winner import Outcome, search_grid, train_config
from raygrid.store.accepted_code import accepted_codes
from raygrid.store.cleaning import drop_spent
from raygrid.store.ledger import results_text
from raygrid.store.lock import prefix_locked
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts, check_prefix
from raygrid.store.published import CachedModel, read_cached, require_current
from raygrid.store.publishing import publish, published_exists, read_manifest_or_damaged
from raygrid.store.resets import current_experiment, end_reset
from raygrid.store.retries import same_failures
from raygrid.training.tensorflow_setup import check_backend, load_tensorflow
from raygrid.tuning.options import SearchOptions
from raygrid.tuning.resources import Resources

if TYPE_CHECKING:
    import keras
    import pyarrow as pa

log = logging.getLogger("raygrid")


class GridSearchModel(Parameters):
    """A Keras model whose hyperparameters are found by grid search, and that is loaded from its files afterwards.

    Subclass it and define ``build_model(config, input_shape)``, or pass a function as ``build_model``. A subclass may
    also define ``callbacks(config)``, and set these class variables:

    - ``DEFAULT_CONFIG``: name to default value; also says which hyperparameters there are, and their types.
    - ``DEFAULT_PARAM_GRID``: what ``fit`` searches where nothing is asked.
    - ``DEFAULT_SCALER``, ``DEFAULT_TARGET_SCALER``: ``"standard"`` or None, for inputs and for targets.
    - ``USES_TARGETS``: True: ``y_train`` is needed; False: it is refused; None: both work.
    - ``WINDOWED``: True: the model learns to reproduce windows of ``config["window"]`` rows, ``config["stride"]`` rows
      apart; ``input_shape`` is then ``(window, features)``.
    - ``TAKES_COLUMNS``: True: the model has an input for each column, and is given a table (a DataFrame, a
      ``pyarrow.Table``, a data file) as a dict of its columns by name: numbers and truth values as they are, texts as
      texts. ``input_shape`` is then a dict of ``()``. Targets of several columns are a dict as well.
    - ``depends_on``: the files that ``build_model`` reads, such as weights of a pre-trained part; see the argument. In
      ``build_model``, ``self.depends_on`` holds them as absolute paths, in this order.
    - ``data_files``: the files that ``datasets`` reads, also patterns; in it, ``self.data_files`` holds absolute
      paths. Relative ones begin in the working folder of the moment when the object is made.

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
        depends_on: paths of the files that ``build_model`` reads, also patterns such as ``weights/*.h5``; None: those
            of the class. A relative one begins in the working folder of the moment when the object is made. Results
            depend on what is in the files, not on where they lie; nodes of a cluster that do not have them get them, at
            the same paths.

    Raises:
        PrefixError, ArgumentError: an argument that cannot be right.
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {}
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {}
    DEFAULT_SCALER: ClassVar[ScalerSetting] = None
    DEFAULT_TARGET_SCALER: ClassVar[ScalerSetting] = None
    USES_TARGETS: ClassVar[bool | None] = None
    TARGET_IS_LABEL: ClassVar[bool] = False
    WINDOWED: ClassVar[bool] = False
    EXTRA_ARTIFACTS: ClassVar[tuple[str, ...]] = ()
    SINGLE_ARRAY: ClassVar[bool] = False
    TAKES_COLUMNS: ClassVar[bool] = False
    # What a built-in model predicts of the embedded data.
    EMBEDDED_TARGETS: ClassVar[tuple[str, ...]] = ()
    depends_on: Sequence[str | Path] = ()
    data_files: Sequence[str | Path] = ()

    @explains_settings
    def __init__(
        self,
        model_dir: str | Path = "models",
        cache_prefix: str = "model",
        verbose: int = 1,
        *,
        build_model: Builder | None = None,
        seed: int = 0,
        scaler: ScalerSetting = "default",
        target_scaler: ScalerSetting = "default",
        shuffle: bool = True,
        dtype_policy: str | None = None,
        resources: Resources | None = None,
        address: str | None = None,
        max_points: int = DEFAULT_MAX_POINTS,
        lock_timeout_s: float | None = None,
        progress: SearchListener | None = None,
        depends_on: Sequence[str | Path] | None = None,
    ) -> None:
        if build_model is not None and not callable(build_model):
            raise ArgumentError(
                f"build_model is {build_model!r}; it must be a function of config and input_shape.",
                remedy="Pass the function itself, not what it returns.",
            )
        self.model_dir = local_path("model_dir", model_dir)
        self.cache_prefix = check_prefix(cache_prefix)
        self.verbose = verbosity(verbose)
        self.seed = seed_number(seed)
        self.scaler, self.target_scaler = scaler, target_scaler
        scaler_setting(self.scaler_kind)
        scaler_setting(self.target_scaler_kind, "target_scaler")
        self.shuffle = flag("shuffle", shuffle)
        self.dtype_policy = None if dtype_policy is None else dtype_policy_name(dtype_policy)
        self.resources = Resources() if resources is None else instance("resources", resources, Resources)
        self.address = None if address is None else text("address", address)
        self.max_points = whole_number("max_points", max_points, 1)
        self.lock_timeout_s = (
            None if lock_timeout_s is None else number_from_0("lock_timeout_s", lock_timeout_s, "seconds, or None")
        )
        self.progress = None if progress is None else instance("progress", progress, SearchListener)
        self.depends_on = file_patterns("depends_on", type(self).depends_on if depends_on is None else depends_on)
        self.data_files = file_patterns("data_files", type(self).data_files)
        self._build_function = build_model
        self._published: PublishedModel | None = None

    # The public interface

    @explains_arguments
    def fit(
        self,
        X_train: object = None,
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
        validation_data: object = None,
        data: Callable[[Config], Any] | None = None,
        data_files: Sequence[str | Path] | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        verify_data: bool = False,
        validation_split: float = 0.2,
        shuffle_split: bool = False,
        callbacks: Callable[[Config], Sequence[keras.callbacks.Callback]] | None = None,
        class_weight: Mapping[int, float] | str | Callable[[Config], Any] | None = None,
        missing: str = ERROR,
        retry_failed: bool = True,
        accept_code_change: bool = False,
    ) -> keras.Model:
        """Loads the saved model if it is what is asked for; otherwise trains, publishes and returns the best.

        Args:
            X_train: inputs, rows first: an array, a DataFrame of pandas or polars, or a ``pyarrow.Table``; a dict or
                list of these for a model of several inputs; or a tuple of inputs and targets. The names of columns are
                kept, and later data is brought into their order. Values are scaled in float64 and fed as float32;
                without a scaler, floats are cast to float32, and integers, booleans and texts stay what they are.
            X_val: inputs for validation, of the same columns; None: the last ``validation_split`` of ``X_train``.
            param_grid: names to lists of values: every combination is trained in parallel on Ray Tune. None, with no
                ``model_config`` and nothing saved: ``DEFAULT_PARAM_GRID``.
            model_config: a single config, trained in this process without Ray; names that it leaves out have their
                default. Not together with ``param_grid``.
            reset_experiment: train anew, ignoring all earlier results of the prefix.
            y_train: targets of the training rows, an array, or a dict or list of arrays for a model of several outputs;
                None: the targets are the (scaled) inputs.
            y_val: targets of ``X_val``.
            sample_weight: weights of the training rows.
            val_sample_weight: weights of the rows of ``X_val``.
            run_ids: for a model of windows, the run that each row belongs to; windows do not cross runs. None: one run.
            val_run_ids: the same for ``X_val``.
            validation_data: ``(X_val, y_val)`` or ``(X_val, y_val, val_sample_weight)`` instead of these.
            data: a function that gives ``(train, validation)`` for a config, each a ``tf.data.Dataset`` or a
                ``keras.utils.PyDataset``, in the place of arrays and of the class' own ``datasets``; see there.
            data_files: paths and patterns of the files that datasets are made of; what is in them counts in what makes
                the saved model stale. None: those of the class.
            steps_per_epoch: batches of an epoch, for a dataset without an end.
            validation_steps: the same for validation.
            verify_data: read all of ``data_files``, also those that look as they did when they were read before.
            validation_split: the fraction of rows, from the end, that is held out where ``X_val`` is None.
            shuffle_split: hold out rows that are drawn by the model's seed instead of the last ones. Where targets are
                labels (whole numbers that each come often, truth values, one-hot rows), each class gives its share.
            callbacks: a function that gives new Keras callbacks for the config of a point, such as ``lambda config:
                [keras.callbacks.ReduceLROnPlateau(patience=config["wait"])]``; it takes the place of the class' own
                method, see there. None: that method.
            missing: ``"error"``: missing, masked and infinite values are refused, with their counts; ``"drop"``: rows
                that have one in any of the arrays are left out of all of them, and one line of the log says how many.
                Rows from within a run are never dropped.
            class_weight: what a row of each class counts in training, as in ``model.fit``: a mapping of the numbers of
                classes to weights, or ``"balanced"``; or a function that gives one for a config, to be searched over.
                It multiplies ``sample_weight``; the validation rows all count alike.
            retry_failed: whether points of the grid that failed before are tried again, also where a model is
                published; it stays as it is where they fail again. False: they are left, and it is loaded.
            accept_code_change: take over points, and a published model, that differ in the code of ``build_model`` or
                ``callbacks`` alone, as if today's code had trained them; for a change that alters no result, such as a
                method that is added. The winner must still reproduce its ``val_loss``. The manifest records both
                digests.

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
        functions = self._checked_functions(callbacks, class_weight)
        options = _call_options(reset_experiment, retry_failed, accept_code_change, functions)
        call = self._call(
            options,
            param_grid,
            model_config,
            X_train,
            X_val,
            y_train=y_train,
            y_val=y_val,
            sample_weight=sample_weight,
            val_sample_weight=val_sample_weight,
            run_ids=run_ids,
            val_run_ids=val_run_ids,
            validation_data=validation_data,
            data=data,
            data_files=data_files,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            verify_data=verify_data,
            validation_split=validation_split,
            shuffle_split=shuffle_split,
            missing=missing,
            class_weight=_of_data(class_weight),
        )
        paths, task = call.paths, call.task()
        if task.cached is not None and task.loads:
            call.remember_files()
            return self._load_from_cache(paths, task.cached)
        failed = task.failed
        with self._locked(paths):
            # While this one waited for the lock, another process may have trained it, or tried again what had failed.
            task = call.task(warn=False)
            cached = task.cached
            if cached is not None and not same_failures(failed, task.failed):
                return self._load_from_cache(paths, cached)
            run = call.run(task, begin=True)
            try:
                with run.other_code_taken_over() if options.accept_code_change else nullcontext():
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
            self._save_model(paths, outcome)
        return outcome.model

    @explains_arguments
    def plan(
        self,
        X_train: object = None,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        reset_experiment: bool = False,
        *,
        callbacks: Callable[[Config], Sequence[keras.callbacks.Callback]] | None = None,
        class_weight: Mapping[int, float] | str | Callable[[Config], Any] | None = None,
        missing: str = ERROR,
        retry_failed: bool = True,
        accept_code_change: bool = False,
        **data: Any,
    ) -> FitPlan:
        """What ``fit`` with the same arguments would do; trains nothing and writes nothing.

        Raises:
            What ``fit`` raises before it trains, such as StaleCacheError and CorruptArtifactError.
        """
        functions = self._checked_functions(callbacks, class_weight)
        options = _call_options(reset_experiment, retry_failed, accept_code_change, functions)
        return self._call(
            options,
            param_grid,
            model_config,
            X_train,
            X_val,
            missing=missing,
            class_weight=_of_data(class_weight),
            **data,
        ).plan()

    @explains_arguments
    def confirm(
        self,
        X_train: object = None,
        X_val: object = None,
        *,
        callbacks: Callable[[Config], Sequence[keras.callbacks.Callback]] | None = None,
        class_weight: Mapping[int, float] | str | Callable[[Config], Any] | None = None,
        seeds: int = 3,
        within: float = 0.05,
        missing: str = ERROR,
        **data: Any,
    ) -> Confirmation:
        """Trains the winner, and the points close to it, with further seeds, and says whether the winner stands.

        Nothing is published; what is trained is recorded, so that asking again costs nothing.

        Args:
            X_train, X_val, callbacks, class_weight, missing, data: as for the ``fit`` whose winner is published.
            seeds: how many further seeds.
            within: how close to the winner's ``val_loss`` a point must be, as a fraction of it.

        Raises:
            ArgumentError: arguments or data that cannot be right.
            MissingArtifactError: nothing is published.
            StaleCacheError: the data is not that of the published model.
        """
        seeds = whole_number("seeds", seeds, 1)
        within = number_from_0("within", within, "a fraction of the winner's val_loss, 0 or more, such as 0.05")
        given = self._checked_functions(callbacks, class_weight)
        paths = self._get_artifacts()
        checked = self._checked_rows(
            missing, published_names(paths), X_train=X_train, X_val=X_val, class_weight=_of_data(class_weight), **data
        )
        identity = self._identity(checked, given)
        cached = self._read_cached(paths)
        require_current(paths, cached, identity)
        if cached.legacy:
            raise ArgumentError(
                f"{paths.model_path} was made by another implementation; its search is not known.",
                remedy="To have a search whose winner can be confirmed, $train_anew.",
            )
        manifest = cached.manifest
        with self._locked(paths):
            run = SearchRun(paths, checked, identity, manifest.experiment, Request.from_json(manifest.request))
            key = str(manifest.winner["key"])
            confirmation = confirm_winner(
                run, key, self._bare_definition(given), self._options(given, checked), seeds, within
            )
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

    # The published model

    @property
    def best_config(self) -> Config | None:
        """The winner's config, sequences as tuples; None before ``fit`` or ``load``."""
        return None if self._published is None else self._published.config

    @best_config.setter
    def best_config(self, config: Config | None) -> None:
        self._published = None if config is None else replace(self.published, config=config)

    @property
    def best_model(self) -> keras.Model | None:
        """The winner's ``keras.Model``, which sees scaled inputs; None before ``fit`` or ``load``."""
        return None if self._published is None else self._published.keras_model

    @best_model.setter
    def best_model(self, model: keras.Model | None) -> None:
        self._published = None if model is None else replace(self.published, keras_model=model)

    @property
    def best_metrics(self) -> dict[str, Any] | None:
        """What ``{prefix}_metrics.json`` holds; None before ``fit`` or ``load``.

        At the best epoch ``loss``, ``val_loss`` and every compiled metric with and without ``val_``, then
        ``best_epoch`` (from 1), ``epochs_run`` and ``seconds``.
        """
        return None if self._published is None else self._published.metrics

    @best_metrics.setter
    def best_metrics(self, metrics: dict[str, Any] | None) -> None:
        self._published = None if metrics is None else replace(self.published, metrics=metrics)

    def predict(self, X: object, run_ids: object = None) -> Any:
        """The model's output for rows of ``X``, in the original units of the targets, or of the inputs it reproduces.

        A model of windows gives for each row the mean over all windows, one row apart, that hold it.

        Args:
            X: inputs in original units, rows first, of the width that was trained on. Columns with names may stand in
                any order; what the model reproduces of them is given back in the order of ``X``.
            run_ids: for a model of windows, the run that each row belongs to; windows do not cross runs. None: one run.

        Returns:
            Array, rows first: float32, or float64 where float32 is too coarse for the original units, such as those of
            times since 1970; see ``StandardScaler.inverse_transform``.

        Raises:
            DataError: other columns than were trained on; for a model of windows, a run is shorter than the window; or
                fractions, for a model whose input takes whole numbers.
        """
        return self.published.predict(X, run_ids)

    def evaluate(
        self, X: object, y: object = None, run_ids: object = None, sample_weight: object = None
    ) -> dict[str, float]:
        """Loss and compiled metrics on ``X`` (inputs in original units), in scaled units.

        A model of windows is measured as ``val_loss`` is: over the windows that are ``stride`` rows apart.

        Args:
            X: inputs, rows first.
            y: targets; None: the (scaled) inputs.
            run_ids: as for ``predict``.
            sample_weight: what each row counts in the loss and in ``weighted_metrics``, shape (rows,); None: all the
                same.

        Raises:
            ArgumentError: ``y`` is missing, or it or ``sample_weight`` is given to a model of windows.
            DataError: other columns than were trained on; the rows of ``y`` are labelled in another order than those of
                ``X``; for a model of windows, a run is shorter than the window.
        """
        return self.published.evaluate(X, y, run_ids, sample_weight)

    @property
    def results(self) -> pa.Table:
        """All recorded points, in the columns of ``raygrid.store.ledger.results_table``; ``summary()`` prints it."""
        return self.published.results

    @property
    def history(self) -> dict[str, list[float | None]]:
        """Every metric of the winner by epoch; empty where its record is not there."""
        return self.published.history

    def summary(self, rows: int = 10) -> None:
        """Prints the best points, and what failed.

        Args:
            rows: how many of the best points.
        """
        print(self.summary_text(rows))  # noqa: T201, what it is for

    def summary_text(self, rows: int = 10) -> str:
        """What ``summary`` prints."""
        return results_text(self.results, whole_number("rows", rows, 1))

    @property
    def published(self) -> PublishedModel:
        """The published model with its scaling and its manifest.

        Raises:
            NotFittedError: neither ``fit`` nor ``load`` was called.
        """
        if self._published is None:
            raise NotFittedError(f"{type(self).__name__} has no model yet.", remedy="Call fit or load first.")
        return self._published

    @property
    def scaler_kind(self) -> ScalerSetting:
        """How inputs are scaled: ``scaler``, or the class' own choice."""
        return self.DEFAULT_SCALER if self.scaler == "default" else self.scaler

    @property
    def target_scaler_kind(self) -> ScalerSetting:
        """How targets are scaled: ``target_scaler``, or the class' own choice."""
        return self.DEFAULT_TARGET_SCALER if self.target_scaler == "default" else self.target_scaler

    # What a subclass defines

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        """A compiled ``keras.Model`` for ``config``.

        Args:
            config: the whole config of a point.
            input_shape: shape of one row of ``X_train``, such as ``(52,)``; of several inputs, a dict or tuple of them.

        With a third argument, ``build_model(self, config, input_shape, X_train=None)``, it is given the training inputs
        as the model sees them, for layers that must see data before they are trained (``adapt``): numpy arrays, texts
        of dtype ``object``, rows first. Where a saved model that Keras cannot load by itself is built anew without its
        data, ``X_train`` is None.
        """
        if self._build_function is None:
            raise BuilderError(
                f"{type(self).__name__} has no build_model.",
                remedy="Define build_model(self, config, input_shape) in a subclass, or pass build_model=function.",
            )
        return self._build_function(config, input_shape)

    def callbacks(self, config: dict[str, Any]) -> Sequence[keras.callbacks.Callback]:
        """The Keras callbacks of a training, such as ``ReduceLROnPlateau``, new ones each time; none unless overridden.

        They get ``model``, ``params`` and ``logs`` as ``model.fit`` gives them. Numbers that they add to ``logs`` are
        recorded. Their code is part of what results depend on. raygrid stops early, keeps the best weights, writes
        checkpoints and TensorBoard logs itself: Keras' own callbacks for these do not run.

        Args:
            config: the whole config of a point.
        """
        return []

    def datasets(self, config: dict[str, Any]) -> tuple[Any, Any]:
        """``(train, validation)`` of a config, for data that is no array: none unless overridden.

        Each is a ``tf.data.Dataset`` or a ``keras.utils.PyDataset`` of batches, as ``model.fit`` takes it. They are
        made in each worker, once for every training, after its seeds are set; ``config["batch_size"]`` is yours to
        read. What they depend on is this code, and the files that ``data_files`` names; raygrid notices no change of
        anything else that they read, such as a database. Read the files by ``self.data_files``, whose paths are
        absolute: a worker's working folder may be another one. Training runs through ``model.fit``.

        Args:
            config: the whole config of a point.
        """
        raise NotImplementedError

    @property
    def makes_datasets(self) -> bool:
        """Whether the class has ``datasets`` of its own."""
        return getattr(self.datasets, "__func__", None) is not GridSearchModel.datasets

    # The pattern's methods: places to override

    def _get_artifacts(self) -> ModelArtifacts:
        """The paths of this prefix' files."""
        return ModelArtifacts.for_prefix(self.model_dir, self.cache_prefix)

    def _cache_exists(self, artifacts: ModelArtifacts) -> bool:
        """Whether ALL required files of a published model are there."""
        return published_exists(artifacts)

    def _load_model(self, artifacts: ModelArtifacts) -> keras.Model:
        """Loads the published model; sets ``best_config``, ``best_model`` and ``best_metrics``."""
        return self.take_cached(artifacts, self._read_cached(artifacts))

    def _save_model(self, artifacts: ModelArtifacts, outcome: Outcome) -> None:
        """Publishes the outcome of a search; sets ``best_config``, ``best_model`` and ``best_metrics``."""
        run = outcome.run
        best_config, best_model, best_metrics = outcome
        files = {
            artifacts.config_path.name: encode_json(best_config),
            artifacts.model_path.name: outcome.model_bytes,
            artifacts.metrics_path.name: encode_json(best_metrics),
        }
        scaling = run.prepared.scaling
        if scaling:
            files[artifacts.scaler_path.name] = encode_json(scaling.to_json())
        manifest = _new_manifest(outcome)
        # With it, what is asked for as a further file can be computed as a user would, with the model itself.
        published = PublishedModel(
            artifacts, manifest, best_config, best_model, best_metrics, scaling, run.settings.windowed
        )
        self._published = published
        for name, value in self.extra_artifacts(run).items():
            files[artifacts.extra_path(name).name] = encode_json(value)
        previous = read_manifest_or_damaged(artifacts)
        manifest = publish(artifacts, files, manifest)
        self._published = replace(published, manifest=manifest)
        end_reset(artifacts, run.experiment)
        dethroned = {str(previous.winner.get("key"))} if isinstance(previous, Manifest) else set()
        drop_spent(artifacts, manifest, also=dethroned)
        run.write_ledger()

    def _run_grid_search(
        self, X_train: Any, X_val: Any, param_grid: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> Outcome:
        """Searches a grid on Ray Tune: ``(best_config, best_model, best_metrics)``. ``run``: what ``fit`` prepared."""
        run = run or self._unpublished_run(X_train, X_val, self._space().grid(param_grid))
        return search_grid(run, self._bare_definition(run.functions), self._options(run.functions, run.data))

    def _train_single(
        self, X_train: Any, X_val: Any, config: Mapping[str, Any], *, run: SearchRun | None = None
    ) -> Outcome:
        """Trains one config in this process, without Ray: ``(best_config, best_model, best_metrics)``."""
        run = run or self._unpublished_run(X_train, X_val, Request(config=self._normalize_config(config)))
        return train_config(run, self._bare_definition(run.functions), self._options(run.functions, run.data))

    def _iter_param_grid(self, grid: Mapping[str, Sequence[Any]]) -> Iterator[Config]:
        """Every combination of a grid's values: names sorted, the last name varying fastest."""
        return iter_param_grid(grid)

    def _normalize_config(self, config: Mapping[str, Any]) -> Config:
        """The whole config: defaults filled in, types coerced, sequences as tuples."""
        return self._space().config(config)

    # Places to override beside the pattern

    def checked_data(self, X_train: object, X_val: object, **others: Any) -> TrainingData:
        """The data of a call, checked; a subclass may encode or refuse what it is given, before or after.

        Args:
            X_train, X_val, others: what ``fit`` was given, and ``kept``, see ``prepare_data``.

        Raises:
            ArgumentError: what cannot be trained on, or not by this model.
        """
        if self.WINDOWED and others.get("shuffle_split"):
            raise ArgumentError(
                f"shuffle_split draws single rows, and {type(self).__name__} learns windows of rows in order.",
                remedy="Leave $shuffle_split out, or pass whole runs for validation as $val_runs.",
            )
        given: dict[str, Any] = {"X_train": X_train, "X_val": X_val, **others}
        if self.TAKES_COLUMNS:
            given = data_by_column(type(self).__name__, data_apart(given))
        data = prepare_data(
            **given,
            seed=self.seed,
            targets_are_labels=self._targets_are_labels(),
            single_array=self.SINGLE_ARRAY or self.WINDOWED,
            in_series=self.WINDOWED,
        )
        if self.USES_TARGETS is False and data.supervised:
            raise ArgumentError(
                f"{type(self).__name__} learns to reproduce its inputs, and targets are given.",
                remedy="Leave $targets out.",
            )
        if self.USES_TARGETS is True and not data.supervised:
            raise ArgumentError(
                f"{type(self).__name__} learns to predict targets, and none are given.",
                remedy="Pass them as $targets_of_fit.",
            )
        if self.WINDOWED and (data.supervised or data.w_train is not None):
            raise ArgumentError(
                f"{type(self).__name__} reproduces windows of its inputs, and targets or sample weights are given.",
                remedy="Leave targets and sample weights out.",
            )
        if not self.WINDOWED and data.runs_train is not None:
            raise ArgumentError(
                f"{type(self).__name__} sees single rows, not windows, and run ids are given.",
                remedy="Leave $run_ids out.",
            )
        return data

    def identity_of(self, data: TrainingData | DatasetSource) -> Identity:
        """What results depend on besides their config. Where it differs, nothing that was trained is used again."""
        builder: object = self._build_function or type(self)
        own = {
            name: value
            for name, value in vars(self).items()
            if name not in _BASE_ATTRIBUTES and not name.startswith("fitted_")
        }
        digest = builder_digest(builder, own)
        if self._build_function is not None and (self._has_callbacks or self.makes_datasets):
            # The function is not of the class, whose callbacks and datasets are trained with.
            digest = with_callbacks(digest, type(self))
        if isinstance(data, DatasetSource) and data.datasets.name == "data":
            digest = with_datasets(digest, data.datasets.make)
        return Identity(
            data={**data.digests(self.scaler_kind), **self.extra_digests()},
            code={"name": describe_code(builder), "digest": digest},
            settings={
                "seed": self.seed,
                "scaler": scaler_setting(self.scaler_kind),
                "target_scaler": scaler_setting(self.target_scaler_kind, "target_scaler"),
                "windowed": self.WINDOWED,
                "shuffle": self.shuffle,
                "dtype_policy": self.dtype_policy or global_dtype_policy(),
                **keras_settings().to_json(),
                **(data.settings() if isinstance(data, DatasetSource) else {}),
            },
            files=self.files_read(),
        )

    def files_read(self, verify: bool = False) -> dict[str, dict[str, Any]]:
        """Digest, size and path of each file that ``depends_on`` names, see ``depended_files``.

        Args:
            verify: whether each is read, also where it looks as it did when it was read before.

        Raises:
            ArgumentError: there is no such file, or it cannot be read.
        """
        patterns = file_patterns("depends_on", self.depends_on)
        return depended_files(patterns, verify, self._get_artifacts().digests_path)

    def take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        """Takes the published files over: sets ``best_config``, ``best_model`` and ``best_metrics``."""
        load_tensorflow()
        from raygrid.training.keras_files import model_from_bytes
        from raygrid.training.rebuild import built_as_trained

        rebuild = None
        has_builder = self._build_function is not None or type(self).build_model is not GridSearchModel.build_model
        # A legacy set does not say what its input is.
        if has_builder and not cached.legacy:
            inputs = cached.manifest.inputs
            settings = cached.manifest.depends_on.get("settings", {})

            def rebuild() -> keras.Model:
                return built_as_trained(self.build_model, cached.config, inputs, settings)

        model = model_from_bytes(cached.files[paths.model_path.name], paths.model_path, rebuild)
        # What is published counts: any class may have loaded it.
        windowed = bool(cached.manifest.depends_on.get("settings", {}).get("windowed", self.WINDOWED))
        self._published = PublishedModel(
            paths, cached.manifest, cached.config, model, cached.metrics, cached.scaling, windowed
        )
        self.take_extra_artifacts(
            {
                name: decode_json(cached.files[path.name], path)
                for name in self.EXTRA_ARTIFACTS
                if (path := paths.extra_path(name)).name in cached.files
            }
        )
        return model

    # What a subclass may add to the published set

    def extra_artifacts(self, run: SearchRun) -> dict[str, Any]:
        """JSON values of further published files, by the names in ``EXTRA_ARTIFACTS``; ``best_model`` is set."""
        return {}

    def take_extra_artifacts(self, values: Mapping[str, Any]) -> None:
        """Takes what ``extra_artifacts`` gave, read back."""

    def extra_digests(self) -> dict[str, dict[str, Any]]:
        """Further data that results depend on, such as another model: name to ``{"digest", "shape"}``."""
        return {}

    def request_extras(self) -> dict[str, Any]:
        """What else the published set depends on, though no training does."""
        return {}

    # For scikit-learn

    def _parameter(self, name: str) -> Any:
        # The method has the name of the argument.
        return self._build_function if name == "build_model" else super()._parameter(name)

    def __sklearn_is_fitted__(self) -> bool:
        return self._published is not None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None, target_tags=TargetTags(required=bool(self.USES_TARGETS)), input_tags=InputTags()
        )

    # Steps

    def _call(
        self,
        options: CallOptions,
        param_grid: Mapping[str, Any] | None,
        model_config: Mapping[str, Any] | None,
        X_train: object,
        X_val: object,
        missing: str = ERROR,
        **data: Any,
    ) -> FitCall:
        """What ``fit`` and ``plan`` are given, checked; before anything starts."""
        set_verbosity(self.verbose)
        check_backend()
        asked, paths = self._space().asked(param_grid, model_config), self._get_artifacts()
        kept = {} if options.reset else published_names(paths)
        checked = self._checked_rows(missing, kept, X_train=X_train, X_val=X_val, **data)
        return FitCall(self, paths, checked, self._identity(checked, options.functions), asked, options)

    def _checked_rows(
        self, missing: str, kept: Mapping[str, Sequence[str]], **given: Any
    ) -> TrainingData | DatasetSource:
        """The data of a call, checked, without the rows that are to be dropped; or how its datasets are made."""
        arrays = {name: value for name, value in given.items() if name not in DATASET_ARGUMENTS}
        source = dataset_source(self, {**arrays, "validation_split": None}, given)
        if source is not None:
            if check_missing(missing) == DROP:
                raise ArgumentError(
                    "missing is 'drop', and datasets make their own rows.",
                    remedy="Leave rows out in the dataset, for example with filter().",
                )
            return source
        if check_missing(missing) == DROP:
            arrays = drop_missing(data_apart(arrays), self.WINDOWED)
        return self.checked_data(**arrays, kept=kept)

    def _search(self, run: SearchRun) -> Outcome:
        """Trains what is asked for, by the method that a subclass may override."""
        x, x_val, request = run.data.x_train, run.data.x_val, run.request
        if request.grid is not None:
            return self._run_grid_search(x, x_val, request.grid, run=run)
        return self._train_single(x, x_val, request.config or {}, run=run)

    def _load_from_cache(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        log.info("Loaded from cache: %s (val_loss %s)", paths.model_path, cached.metrics.get("val_loss"))
        return self.take_cached(paths, cached)

    def _read_cached(self, paths: ModelArtifacts) -> CachedModel:
        cached = read_cached(paths)
        if cached is None:
            raise MissingArtifactError(
                f"nothing is published as {paths.prefix!r} in {paths.model_dir}.",
                remedy="Call fit first, or check model_dir and cache_prefix.",
            )
        return cached

    def _unpublished_run(self, X_train: object, X_val: object, request: Request) -> SearchRun:
        data, paths = self._checked_rows(ERROR, {}, X_train=X_train, X_val=X_val), self._get_artifacts()
        make_folder(paths.runs_dir)
        functions = self._checked_functions(None, None)
        call = FitCall(self, paths, data, self._identity(data, functions), request, CallOptions())
        call.check(request)
        return call.run(Task(request, None, current_experiment(paths)), begin=True)

    def _space(self) -> SearchSpace:
        return SearchSpace(
            type(self).__name__,
            self.DEFAULT_CONFIG,
            self.DEFAULT_PARAM_GRID,
            self.max_points,
            self.request_extras(),
        )

    def _targets_are_labels(self) -> bool | None:
        if self.TARGET_IS_LABEL:
            return True
        # Labels cannot be scaled.
        return None if self.target_scaler_kind is None else False

    def _locked(self, paths: ModelArtifacts) -> Any:
        return prefix_locked(
            paths,
            self.lock_timeout_s,
            lambda holder: log.warning("%s trains under the prefix %r; waiting for it.", holder, self.cache_prefix),
        )

    @property
    def _has_callbacks(self) -> bool:
        """Whether there are callbacks of the model's own."""
        return getattr(self.callbacks, "__func__", None) is not GridSearchModel.callbacks

    def _checked_functions(self, callbacks: object, class_weight: object) -> FitFunctions:
        """The functions of a config that ``fit`` was given, checked; the model's own callbacks as well."""
        if self._has_callbacks:
            callbacks_function(f"{type(self).__name__}.callbacks", self.callbacks)
        if class_weight is not None and "class_weight" in self.parameter_names():
            # There it goes by labels, and here it would go by their numbers.
            own = type(self).__name__
            raise ArgumentError(
                f"class_weight is a setting of {own}, by labels, and is given to a call.",
                remedy=f"Pass it to the constructor: {own}(..., class_weight=...).",
            )
        of_config = class_weight if callable(class_weight) else None
        return FitFunctions(callbacks_function("callbacks", callbacks), of_config)

    def _identity(self, data: TrainingData | DatasetSource, functions: FitFunctions) -> Identity:
        """``identity_of`` the data, with the functions that ``fit`` was given."""
        identity = self.identity_of(data)
        if functions.callbacks is not None:
            identity = identity.with_code(with_callbacks(identity.code["digest"], functions.callbacks))
        if functions.class_weight is not None:
            identity = identity.with_code(with_class_weight(identity.code["digest"], functions.class_weight))
        return identity

    def _options(self, functions: FitFunctions, data: TrainingData | DatasetSource | None = None) -> SearchOptions:
        datasets = data.datasets.make if isinstance(data, DatasetSource) else None
        codes = (self._build_function or type(self), functions.callbacks, functions.class_weight, datasets)
        homes = (getattr(code, "__module__", "") for code in codes)
        modules = dict.fromkeys(sys.modules.get(home or "") for home in homes)
        return SearchOptions(
            resources=self.resources,
            address=self.address,
            user_modules=tuple(module for module in modules if module is not None),
            progress=self.progress or LogProgress(),
            verbose=self.verbose > 1,
        )

    def bare(self) -> Self:
        """A copy without results, displays or live models, which must not travel to workers."""
        bare = copy.copy(self)
        for name in _STATE_ATTRIBUTES:
            setattr(bare, name, None)
        return bare

    def _bare_definition(self, functions: FitFunctions) -> ModelDefinition:
        """What the model defines, for workers.

        Args:
            functions: those that ``fit`` was given; callbacks take the place of the model's own.
        """
        bare, callbacks = self.bare(), functions.callbacks
        if callbacks is None and self._has_callbacks:
            callbacks = bare.callbacks
        elif isinstance(callbacks, MethodType) and callbacks.__self__ is self:
            callbacks = MethodType(callbacks.__func__, bare)
        return ModelDefinition(self._build_function or bare.build_model, callbacks, functions.class_weight)


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
        input_shape=outcome.inputs.shape_json(),
        input_dtypes=outcome.inputs.dtypes_json(),
        versions=installed_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        accepted_code=accepted_codes(run.recorded()),
    )


def _of_data(class_weight: object) -> object:
    """Weights of classes that are the same for all points, and so go with the data."""
    return None if callable(class_weight) else class_weight


def _call_options(
    reset_experiment: object, retry_failed: object, accept_code_change: object, functions: FitFunctions
) -> CallOptions:
    return CallOptions(
        flag("reset_experiment", reset_experiment),
        flag("retry_failed", retry_failed),
        flag("accept_code_change", accept_code_change),
        functions,
    )


# What every model has. An absolute folder, since the working folder of a worker may be gone.
_BASE_ATTRIBUTES = frozenset(vars(GridSearchModel("/")))
_STATE_ATTRIBUTES = ("_published", "progress")
