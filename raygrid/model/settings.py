"""``ConfiguredModel``: a model before it has seen data: its settings, its builder, its search space."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
from raygrid.base.keras_settings import global_dtype_policy, keras_settings
from raygrid.base.types import Builder
from raygrid.data.precision import check_unscaled
from raygrid.data.scaler import check_scaler_kind
from raygrid.data.training_data import TrainingData, prepare_data
from raygrid.data.windows import check_window_configs
from raygrid.errors import ArgumentError, BuilderError
from raygrid.grid.request import Request
from raygrid.grid.space import SearchSpace
from raygrid.grid.values import (
    DEFAULT_MAX_POINTS,
)
from raygrid.identity.code_digest import builder_digest, describe_code
from raygrid.identity.identity import Identity
from raygrid.model.published_model import FittedModel
from raygrid.progress.listeners import LogProgress, SearchListener
from raygrid.search.run import SearchRun
from raygrid.store.lock import prefix_locked
from raygrid.store.paths import ModelArtifacts, check_prefix
from raygrid.tuning.options import SearchOptions
from raygrid.tuning.resources import Resources

if TYPE_CHECKING:
    import keras

log = logging.getLogger("raygrid")


class ConfiguredModel(FittedModel):
    """The settings of a ``GridSearchModel``, which describes them, and what follows from them alone."""

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {}
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {}
    DEFAULT_SCALER: ClassVar[str | None] = None
    DEFAULT_TARGET_SCALER: ClassVar[str | None] = None
    USES_TARGETS: ClassVar[bool | None] = None
    TARGET_IS_LABEL: ClassVar[bool] = False
    WINDOWED: ClassVar[bool] = False
    EXTRA_ARTIFACTS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model_dir: str | Path = "models",
        cache_prefix: str = "model",
        verbose: int = 1,
        *,
        build_model: Builder | None = None,
        seed: int = 0,
        scaler: str | None = "default",
        target_scaler: str | None = "default",
        shuffle: bool = True,
        dtype_policy: str | None = None,
        resources: Resources | None = None,
        address: str | None = None,
        max_points: int = DEFAULT_MAX_POINTS,
        lock_timeout_s: float | None = None,
        progress: SearchListener | None = None,
    ) -> None:
        if build_model is not None and not callable(build_model):
            raise ArgumentError(f"build_model is {build_model!r}; it must be a function of config and input_shape.")
        super().__init__(local_path("model_dir", model_dir), check_prefix(cache_prefix))
        self.verbose = verbosity(verbose)
        self.seed = seed_number(seed)
        self.scaler_kind = check_scaler_kind(self.DEFAULT_SCALER if scaler == "default" else scaler)
        self.target_scaler_kind = check_scaler_kind(
            self.DEFAULT_TARGET_SCALER if target_scaler == "default" else target_scaler, "target_scaler"
        )
        self.shuffle = flag("shuffle", shuffle)
        self.dtype_policy = None if dtype_policy is None else dtype_policy_name(dtype_policy)
        self.resources = Resources() if resources is None else instance("resources", resources, Resources)
        self.address = None if address is None else text("address", address)
        self.max_points = whole_number("max_points", max_points, 1)
        self.lock_timeout_s = (
            None if lock_timeout_s is None else number_from_0("lock_timeout_s", lock_timeout_s, "seconds, or None")
        )
        self.progress = None if progress is None else instance("progress", progress, SearchListener)
        self._build_function = build_model

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

    # What a model of the zoo adds to the published set

    def _extra_artifacts(self, run: SearchRun) -> dict[str, Any]:
        """JSON values of further published files, by the names in ``EXTRA_ARTIFACTS``; ``best_model`` is set."""
        return {}

    def _take_extra_artifacts(self, values: Mapping[str, Any]) -> None:
        """Takes what ``_extra_artifacts`` gave, read back."""

    def _extra_digests(self) -> dict[str, dict[str, Any]]:
        """Further data that results depend on, such as another model: name to ``{"digest", "shape"}``."""
        return {}

    def _request_extras(self) -> dict[str, Any]:
        """What else the published set depends on, though no training does."""
        return {}

    # What follows from the settings

    def _space(self) -> SearchSpace:
        return SearchSpace(
            type(self).__name__,
            self.DEFAULT_CONFIG,
            self.DEFAULT_PARAM_GRID,
            self.max_points,
            self._request_extras(),
        )

    def _checked_data(self, X_train: object, X_val: object, **others: Any) -> TrainingData:
        if self.WINDOWED and others.get("shuffle_split"):
            raise ArgumentError(
                f"shuffle_split draws single rows, and {type(self).__name__} learns windows of rows in order. Leave "
                "shuffle_split out, or pass whole runs for validation as X_val and val_run_ids."
            )
        data = prepare_data(X_train, X_val, seed=self.seed, targets_are_labels=self._targets_are_labels(), **others)
        if self.USES_TARGETS is False and data.supervised:
            raise ArgumentError(f"{type(self).__name__} learns to reproduce its inputs; leave y_train and y_val out.")
        if self.USES_TARGETS is True and not data.supervised:
            raise ArgumentError(
                f"{type(self).__name__} learns to predict targets; pass them as y_train: fit(X, y_train=y)."
            )
        if self.WINDOWED and (data.supervised or data.w_train is not None):
            raise ArgumentError(f"{type(self).__name__} reproduces windows; leave targets and sample weights out.")
        if not self.WINDOWED and data.runs_train is not None:
            raise ArgumentError(f"{type(self).__name__} sees single rows, not windows; leave run_ids out.")
        return data

    def _targets_are_labels(self) -> bool | None:
        if self.TARGET_IS_LABEL:
            return True
        # Labels cannot be scaled.
        return None if self.target_scaler_kind is None else False

    def _check_windows(self, data: TrainingData, request: Request) -> None:
        if self.WINDOWED:
            series = {
                "X_train": (data.runs_train, len(data.x_train)),
                "X_val": (data.runs_val, len(data.x_val)),
            }
            check_window_configs(type(self).__name__, request.configs(), series)

    def _check_precision(self, data: TrainingData) -> None:
        """Warns of what is lost where the data is cast and not scaled, and refuses what cannot be cast."""
        inputs_scaled, targets_scaled = self.scaler_kind is not None, self.target_scaler_kind is not None
        check_unscaled(data.unscaled(inputs_scaled=inputs_scaled, targets_scaled=targets_scaled))

    def _identity(self, data: TrainingData) -> Identity:
        builder: object = self._build_function or type(self)
        own = {
            name: value
            for name, value in vars(self).items()
            if name not in _BASE_ATTRIBUTES and not name.startswith("fitted_")
        }
        return Identity(
            data={**data.digests(inputs_scaled=self.scaler_kind is not None), **self._extra_digests()},
            code={"name": describe_code(builder), "digest": builder_digest(builder, own)},
            settings={
                "seed": self.seed,
                "scaler": self.scaler_kind,
                "target_scaler": self.target_scaler_kind,
                "windowed": self.WINDOWED,
                "shuffle": self.shuffle,
                "dtype_policy": self.dtype_policy or global_dtype_policy(),
                **keras_settings().to_json(),
            },
        )

    def _locked(self, paths: ModelArtifacts) -> Any:
        return prefix_locked(
            paths,
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

    def _bare_builder(self) -> Builder:
        """The builder without results, displays or live models, which must not travel to workers."""
        if self._build_function is not None:
            return self._build_function
        bare = copy.copy(self)
        for name in _STATE_ATTRIBUTES:
            setattr(bare, name, None)
        return bare.build_model


# An absolute folder, since the working folder of a worker may be gone.
_BASE_ATTRIBUTES = frozenset(vars(ConfiguredModel("/")))
_STATE_ATTRIBUTES = {*vars(FittedModel(Path(), "")), "progress"} - {"model_dir", "cache_prefix"}
