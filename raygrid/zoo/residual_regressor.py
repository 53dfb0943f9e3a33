"""The reference of the pattern: an autoencoder, and a regressor that predicts its reconstruction error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from raygrid.base.arguments import local_path, verbosity
from raygrid.base.fingerprint import digest_array, digest_json
from raygrid.base.types import Array, Float32Array
from raygrid.base.wording import counted
from raygrid.data.checks import as_features, as_targets
from raygrid.data.column_names import NamedArray, in_order, names_of
from raygrid.data.dropped_rows import DROP, ERROR, check_missing, drop_missing
from raygrid.data.missing_values import MissingValues
from raygrid.errors import (
    PYTHON,
    ArgumentError,
    CorruptArtifactError,
    DataError,
    NotFittedError,
    StaleCacheError,
    VersionError,
)
from raygrid.model.fit_arguments import explains_arguments
from raygrid.model.fit_plan import FitPlan
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.model.parameters import Parameters
from raygrid.progress.listeners import set_verbosity
from raygrid.search.confirmation import Confirmation
from raygrid.store.paths import check_prefix
from raygrid.store.publishing import read_manifest
from raygrid.training.tensorflow_setup import check_backend
from raygrid.zoo.regression_scores import regression_scores
from raygrid.zoo.residual_student import TEACHER, ResidualStudent
from raygrid.zoo.residual_teacher import TeacherAutoencoder

if TYPE_CHECKING:
    import keras
    import pyarrow as pa


_OF_THE_TEACHER = {
    **PYTHON,
    "train_anew": "call train_autoencoder(..., reset_autoencoder=True)",
    "accept_code_change": "train_autoencoder(..., accept_code_change=True)",
}


class AutoencoderResidualRegressor(Parameters):
    """A teacher that reproduces rows, and a student that predicts how badly the teacher will do.

    The residual of a row is one number: the mean over its features of the squared reconstruction error, in the units
    that the teacher sees (scaled, unless ``scaler=None``). The student learns it from the row alone.

    Both are ``GridSearchModel``s, each with files and a cache of its own, under the prefixes
    ``{cache_prefix}_autoencoder`` and ``{cache_prefix}_regressor``. The student depends on its teacher: with another
    one (other weights, config or scaler) the saved student is stale.

    Args:
        model_dir: the folder of all files.
        cache_prefix: what the two prefixes begin with.
        verbose: see ``GridSearchModel``.
        settings: those of ``GridSearchModel``, but ``build_model``, for both; ``target_scaler`` is the student's alone.

    Raises:
        PrefixError, ArgumentError: an argument that cannot be right.
    """

    # What the student has, for messages about arguments.
    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = ResidualStudent.DEFAULT_CONFIG
    USES_TARGETS: ClassVar[bool | None] = False

    def __init__(
        self, model_dir: str | Path = "models", cache_prefix: str = "residual", verbose: int = 1, **settings: Any
    ) -> None:
        if "build_model" in settings:
            raise ArgumentError(
                f"{type(self).__name__} has two models, each with its own build_model.",
                remedy="Leave build_model out, or subclass GridSearchModel.",
            )
        # Now, and for both: the student is made anew for another teacher, perhaps in another working folder.
        self.model_dir = local_path("model_dir", model_dir)
        self.cache_prefix = check_prefix(cache_prefix)
        self.verbose = verbosity(verbose)
        self._settings = settings
        of_teacher = {name: value for name, value in settings.items() if name != "target_scaler"}
        self._autoencoder = TeacherAutoencoder(self.model_dir, f"{cache_prefix}_autoencoder", verbose, **of_teacher)
        self._regressor = self._new_student()

    # Training

    @explains_arguments
    def train_autoencoder(
        self,
        X_train: object,
        X_val: object = None,
        autoencoder_param_grid: Mapping[str, Any] | None = None,
        autoencoder_config: Mapping[str, Any] | None = None,
        reset_autoencoder: bool = False,
        *,
        shuffle_split: bool = False,
        missing: str = ERROR,
        retry_failed: bool = True,
        accept_code_change: bool = False,
    ) -> keras.Model:
        """Loads the saved teacher if it is what is asked for; otherwise trains and publishes it.

        A student that this object has is dropped where the teacher becomes another one.

        Args:
            X_train: inputs, shape (rows, features), in original units.
            X_val: inputs for validation; None: the last fifth of ``X_train``.
            autoencoder_param_grid: the grid to search; None, with no config and nothing saved: the default, 288 points.
            autoencoder_config: a single config, trained in this process.
            reset_autoencoder: train anew, ignoring all earlier results.
            shuffle_split: where ``X_val`` is None, hold out a fifth that is drawn by the seed instead.
            missing: what to do about rows with missing values, see ``GridSearchModel.fit``.
            retry_failed: whether points that failed before are tried again, see ``GridSearchModel.fit``.
            accept_code_change: as for ``GridSearchModel.fit``.

        Returns:
            The teacher's model; it sees scaled inputs.

        Raises:
            As ``GridSearchModel.fit``.
        """
        data = _inputs(X_train, X_val, shuffle_split, missing)
        with _speaking_of_the_teacher():
            model = self._autoencoder.fit(
                **data,
                param_grid=autoencoder_param_grid,
                model_config=autoencoder_config,
                reset_experiment=reset_autoencoder,
                retry_failed=retry_failed,
                accept_code_change=accept_code_change,
            )
        if self._regressor.fitted_teacher != _model_digest(self._autoencoder):
            self._regressor = self._new_student()
        return model

    @explains_arguments
    def fit(
        self,
        X_train: object,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        reset_experiment: bool = False,
        *,
        shuffle_split: bool = False,
        missing: str = ERROR,
        retry_failed: bool = True,
        accept_code_change: bool = False,
    ) -> keras.Model:
        """Loads the saved student if it is what is asked for; otherwise trains it on the teacher's residuals.

        The teacher is the one that this object has trained or loaded, on whatever data that was. Where it has none,
        the published one of the prefix is loaded if it was trained on this same data.

        Args:
            X_train: inputs, shape (rows, features), in original units.
            X_val: inputs for validation; None: the last fifth of ``X_train``, as for the teacher.
            param_grid: the grid to search; None, with no config and nothing saved: the default, 216 points.
            model_config: a single config, trained in this process.
            reset_experiment: train the student anew, ignoring all its earlier results; the teacher stays.
            shuffle_split: as for the teacher.
            missing: as for the teacher.
            retry_failed: whether points that failed before are tried again, see ``GridSearchModel.fit``.
            accept_code_change: as for ``GridSearchModel.fit``; of the teacher, too, where it is loaded here.

        Returns:
            The student's model; it sees and gives scaled numbers. ``predict`` gives original units.

        Raises:
            NotFittedError: there is no teacher; call ``train_autoencoder`` first.
            StaleCacheError: the saved student is of another teacher, or of other data, code or settings; or the
                published teacher is.
            And as ``GridSearchModel.fit``.
        """
        data = self._student_data(X_train, X_val, shuffle_split, missing, accept_code_change)
        with self._telling_of_another_teacher():
            return self._regressor.fit(
                **data,
                param_grid=param_grid,
                model_config=model_config,
                reset_experiment=reset_experiment,
                retry_failed=retry_failed,
                accept_code_change=accept_code_change,
            )

    @explains_arguments
    def plan(
        self,
        X_train: object,
        X_val: object = None,
        param_grid: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        reset_experiment: bool = False,
        *,
        shuffle_split: bool = False,
        missing: str = ERROR,
        retry_failed: bool = True,
        accept_code_change: bool = False,
    ) -> FitPlan:
        """What ``fit`` with the same arguments would do; trains nothing and writes nothing.

        The teacher must be there: its residuals are what the student learns. ``autoencoder.plan`` says what
        ``train_autoencoder`` would do.

        Raises:
            What ``fit`` raises before it trains.
        """
        data = self._student_data(X_train, X_val, shuffle_split, missing)
        with self._telling_of_another_teacher():
            return self._regressor.plan(
                **data,
                param_grid=param_grid,
                model_config=model_config,
                reset_experiment=reset_experiment,
                retry_failed=retry_failed,
                accept_code_change=accept_code_change,
            )

    @explains_arguments
    def confirm(
        self,
        X_train: object,
        X_val: object = None,
        *,
        seeds: int = 3,
        within: float = 0.05,
        shuffle_split: bool = False,
        missing: str = ERROR,
    ) -> Confirmation:
        """Whether the winning student stands with further seeds; see ``GridSearchModel.confirm``."""
        data = self._student_data(X_train, X_val, shuffle_split, missing)
        return self._regressor.confirm(**data, seeds=seeds, within=within)

    @classmethod
    def load(
        cls, model_dir: str | Path = "models", cache_prefix: str = "residual", verbose: int = 1, **settings: Any
    ) -> Self:
        """The published teacher and student of a prefix, without their data.

        Args:
            model_dir, cache_prefix, verbose, settings: as for the constructor.

        Raises:
            MissingArtifactError: one of them is not published.
            CorruptArtifactError: a file is damaged.
            StaleCacheError: the student is of another teacher than the published one.
        """
        model = cls(model_dir, cache_prefix, verbose, **settings)
        set_verbosity(model.verbose)
        check_backend()
        for part in (model._autoencoder, model._regressor):
            part._load_model(part._get_artifacts())
        teacher, of_student = _model_digest(model._autoencoder), _teacher_of_published(model._regressor)
        # A student that another implementation made does not say whose it is.
        if of_student not in (None, teacher):
            raise StaleCacheError(model._another_teacher(), remedy="To train it anew, $train_anew.")
        model._regressor.fitted_teacher = teacher
        return model

    # Use

    def predict(self, X: object) -> Float32Array:
        """The residual that the student expects of each row: float32, shape (rows,), in the units of the residual.

        The student's last layer is linear: a prediction near 0 may be slightly negative.

        Args:
            X: inputs, shape (rows, features), in original units.
        """
        predicted: Float32Array = self._regressor.predict(_rows("X", X, self._regressor))
        return predicted.reshape(-1)

    def autoencoder_residuals(self, X: object) -> Float32Array:
        """The teacher's reconstruction error of each row: float32, shape (rows,).

        It is the mean over features of the squared difference, in the units that the teacher sees.

        Args:
            X: inputs, shape (rows, features), in original units.
        """
        if self._autoencoder.best_model is None:
            raise self._no_teacher()
        x, output = self._autoencoder.published.inputs_and_outputs(_rows("X", X, self._autoencoder))
        with np.errstate(over="ignore"):
            error: Float32Array = np.square(output - x).mean(axis=1, dtype=np.float64).astype(np.float32)
        return error

    def evaluate(self, X: object, residuals: object = None) -> dict[str, float]:
        """How well the student predicts: ``mae`` and ``rmse`` in the units of the residual, and ``r2``.

        See ``raygrid.zoo.regression_scores``.

        Args:
            X: inputs, shape (rows, features), in original units.
            residuals: what to compare with, shape (rows,); None: the teacher's residuals of ``X``.
        """
        predicted = self.predict(X)
        actual = self.autoencoder_residuals(X) if residuals is None else _one_a_row(residuals, len(predicted))
        return regression_scores(actual, predicted)

    @property
    def autoencoder(self) -> GridSearchModel:
        """The teacher."""
        return self._autoencoder

    @property
    def regressor(self) -> GridSearchModel:
        """The student."""
        return self._regressor

    @property
    def best_config(self) -> dict[str, Any] | None:
        """The student's winning config; None before ``fit`` or ``load``."""
        return self._regressor.best_config

    @property
    def best_model(self) -> keras.Model | None:
        """The student's winning model; None before ``fit`` or ``load``."""
        return self._regressor.best_model

    @property
    def best_metrics(self) -> dict[str, Any] | None:
        """The winner's metrics, of scaled residuals; None before ``fit`` or ``load``."""
        return self._regressor.best_metrics

    @property
    def results(self) -> pa.Table:
        """All recorded points of the student; ``autoencoder.results`` are the teacher's."""
        return self._regressor.results

    @property
    def history(self) -> dict[str, list[float | None]]:
        """Every metric of the winning student by epoch."""
        return self._regressor.history

    def summary(self, rows: int = 10) -> None:
        """Prints the best points of the student, and what failed."""
        self._regressor.summary(rows)

    def summary_text(self, rows: int = 10) -> str:
        """What ``summary`` prints."""
        return self._regressor.summary_text(rows)

    # For scikit-learn

    @classmethod
    def parameter_names(cls) -> list[str]:
        """The arguments of the constructor; ``settings`` are those of ``GridSearchModel``."""
        return sorted({*super().parameter_names(), *GridSearchModel.parameter_names()} - {"build_model"})

    def _parameter(self, name: str) -> Any:
        if name in ("model_dir", "cache_prefix", "verbose"):
            return getattr(self, name)
        # The student has all of them.
        return self._settings.get(name, self._regressor._parameter(name))

    def set_params(self, **params: Any) -> Self:
        """Sets arguments of the constructor, of both models; what was fitted or loaded stays.

        Raises:
            ArgumentError: an unknown name, or a value that one of them refuses; nothing is set then.
        """
        teacher, student = self._autoencoder, self._regressor
        super().set_params(**params)
        # The parts are made anew; a published model and the teacher that it is of go over to them.
        self._autoencoder._published, self._regressor._published = teacher._published, student._published
        self._regressor.fitted_teacher = student.fitted_teacher
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self._regressor.__sklearn_is_fitted__()

    def __sklearn_tags__(self) -> Any:
        return self._autoencoder.__sklearn_tags__()

    # Steps

    def _new_student(self) -> ResidualStudent:
        return ResidualStudent(self.model_dir, f"{self.cache_prefix}_regressor", self.verbose, **self._settings)

    def _student_data(
        self, X_train: object, X_val: object, shuffle_split: bool, missing: str, accept_code_change: bool = False
    ) -> dict[str, Any]:
        """What the student is fitted on, as keywords; the teacher is loaded where there is none yet."""
        data = _inputs(X_train, X_val, shuffle_split, missing)
        if self._autoencoder.best_model is None:
            self._load_teacher(data, accept_code_change)
        for name in ("X_train", "X_val"):
            if data[name] is not None:
                data[name] = self._as_the_teacher(name, data[name])
        data["y_train"] = self._targets("X_train", data["X_train"])
        if X_val is not None:
            data["y_val"] = self._targets("X_val", data["X_val"])
        self._regressor.fitted_teacher = _model_digest(self._autoencoder)
        return data

    def _as_the_teacher(self, name: str, x: NamedArray) -> NamedArray:
        """``x`` with its columns in the teacher's order, so that an array means the same to teacher and student."""
        order = self._autoencoder.published.order_of(x, name)
        kept = self._autoencoder.published.manifest.column_names.get("x_train")
        return NamedArray(in_order(x.array, order), kept or x.names)

    def _load_teacher(self, data: Mapping[str, Any], accept_code_change: bool) -> None:
        paths = self._autoencoder._get_artifacts()
        if not self._autoencoder._cache_exists(paths) and read_manifest(paths) is None:
            raise self._no_teacher()
        with _speaking_of_the_teacher():
            # Nothing in particular is asked for, so what is published is loaded as it is, or refused.
            self._autoencoder.fit(**data, retry_failed=False, accept_code_change=accept_code_change)

    def _targets(self, name: str, x: NamedArray) -> Float32Array:
        residuals = self.autoencoder_residuals(_rows(name, x, self._autoencoder))
        too_large = int(np.count_nonzero(~np.isfinite(residuals)))
        if too_large:
            raise DataError(
                f"The reconstruction error of {counted(too_large, 'row')} of {name} is beyond float32, so there is "
                "nothing to learn from.",
                remedy="Look for values far outside the data that the autoencoder was trained on.",
            )
        return residuals

    def _no_teacher(self) -> NotFittedError:
        paths = self._autoencoder._get_artifacts()
        return NotFittedError(
            f"there is no autoencoder yet whose residuals could be learnt: none was trained here, and nothing is "
            f"published as {paths.prefix!r} in {paths.model_dir}.",
            remedy="Call train_autoencoder(X_train, X_val) first.",
        )

    @contextmanager
    def _telling_of_another_teacher(self) -> Iterator[None]:
        try:
            yield
        except StaleCacheError as error:
            if _teacher_of_published(self._regressor) in (None, self._regressor.fitted_teacher):
                raise
            raise StaleCacheError(f"{self._another_teacher()}\n{error.what}", remedy=error.remedy) from error

    def _another_teacher(self) -> str:
        return (
            f"the teacher {self._autoencoder.cache_prefix!r} is another one than the saved student "
            f"{self._regressor.cache_prefix!r} was trained on: the autoencoder was retrained since."
        )


def _inputs(X_train: object, X_val: object, shuffle_split: bool, missing: str) -> dict[str, Any]:
    """The inputs of both models as keywords of ``fit``, without the rows that are to be dropped."""
    if check_missing(missing) == DROP:
        kept = drop_missing({"X_train": X_train, "X_val": X_val})
        X_train, X_val = kept["X_train"], kept["X_val"]
    return {
        "X_train": _rows("X_train", X_train),
        "X_val": None if X_val is None else _rows("X_val", X_val),
        "shuffle_split": shuffle_split,
    }


def _rows(name: str, value: object, model: GridSearchModel | None = None) -> NamedArray:
    """``value`` as checked rows, of the columns that ``model`` was trained on."""
    names = names_of(name, value)
    if model is not None:
        # Refuses other columns by the name that the caller knows.
        model.published.order_of(value, name)
    # What is measured is not dropped.
    missing = MissingValues("$drop_missing" if model is None else None)
    x = as_features(name, value, missing)
    missing.require_none()
    if x.ndim != 2:
        raise DataError(
            f"{name} has shape {x.shape}; it must be (rows, features).",
            remedy="Give each row one axis, for example with X.reshape(len(X), -1).",
        )
    if model is not None:
        width = model.published.keras_model.input_shape[-1]
        if x.shape[1] != width:
            raise DataError(
                f"{name} has {counted(x.shape[1], 'feature')}, and {model.cache_prefix!r} was trained on {width}.",
                remedy="Pass the features of the training data, in the same order.",
            )
    return NamedArray(x, names)


def _one_a_row(residuals: object, rows: int) -> Array:
    y = as_targets("residuals", residuals, rows)
    if y.size != rows:
        raise DataError(
            f"residuals has shape {y.shape}; it must hold one number per row ({counted(rows, 'row')}).",
            remedy="Pass the residuals of these rows, such as autoencoder_residuals(X).",
        )
    return y.reshape(-1)


def _model_digest(model: GridSearchModel) -> str:
    """A digest of what a fitted model computes. Two saves of one model differ in bytes, so the file is no measure."""
    weights = [digest_array(weight) for weight in model.published.keras_model.get_weights()]
    return digest_json(["raygrid-model-1", model.best_config, weights, model.published.scaling.to_json()])


def _teacher_of_published(student: ResidualStudent) -> str | None:
    """The digest of the teacher that the published student was trained on; None where nothing says."""
    manifest = read_manifest(student._get_artifacts())
    digest = {} if manifest is None else manifest.depends_on.get("data", {}).get(TEACHER, {})
    return digest.get("digest")


@contextmanager
def _speaking_of_the_teacher() -> Iterator[None]:
    """Errors of ``GridSearchModel`` advise ``fit``, which is the student's here."""
    try:
        yield
    except (StaleCacheError, CorruptArtifactError, VersionError) as error:
        told = type(error)(f"the autoencoder cannot be used as it is: {error.what}", remedy=error.remedy)
        told.words = _OF_THE_TEACHER
        raise told from error
