"""``PublishedModel``: a winner with all that makes it usable: its scaling, its manifest, its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raygrid.base.types import Array
from raygrid.data.column_names import column_order, in_order, names_of, put_back
from raygrid.data.precision import are_whole, cast, require_float32, unscaled_dtype
from raygrid.data.row_labels import check_row_labels
from raygrid.data.scaling import Scaling
from raygrid.data.training_data import as_features, as_runs, as_sample_weights, as_targets
from raygrid.errors import ArgumentError, DataError
from raygrid.search.run import results_of_published
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.training.tensorflow_setup import quiet_tensorflow
from raygrid.training.window_prediction import evaluate_windows, reproduce_rows

if TYPE_CHECKING:
    import keras
    import pyarrow as pa

_PREDICT_BATCH_SIZE = 1024


@dataclass(frozen=True)
class PublishedModel:
    """A published model, in the units that it was trained on. For what it is asked see ``GridSearchModel``.

    Attributes:
        paths: its files.
        manifest: what they were made of.
        config: the winner's config, sequences as tuples.
        keras_model: sees scaled inputs.
        metrics: what ``{prefix}_metrics.json`` holds.
        scaling: of inputs and targets.
        windowed: whether it sees windows of rows.
    """

    paths: ModelArtifacts
    manifest: Manifest
    config: dict[str, Any]
    keras_model: keras.Model
    metrics: dict[str, Any]
    scaling: Scaling
    windowed: bool

    def predict(self, X: object, run_ids: object = None) -> Array:
        """See ``GridSearchModel.predict``."""
        _, output = self.inputs_and_outputs(X, run_ids)
        if self.targets_are_inputs:
            return self.as_given(X, self.scaling.unscale_inputs(output))
        return self.scaling.unscale_targets(output)

    def evaluate(
        self, X: object, y: object = None, run_ids: object = None, sample_weight: object = None
    ) -> dict[str, float]:
        """See ``GridSearchModel.evaluate``."""
        model = self.keras_model
        check_row_labels("X", X, y=y, run_ids=run_ids, sample_weight=sample_weight)
        x, runs = self._model_inputs(X, run_ids)
        if self.windowed:
            if y is not None or sample_weight is not None:
                raise ArgumentError(
                    "the model reproduces windows of its inputs, and y or sample_weight is given.",
                    remedy="Leave y and sample_weight out, and pass runs as run_ids=...",
                )
            return evaluate_windows(model, x, runs, self.config)
        if y is None and not self.targets_are_inputs:
            raise ArgumentError(
                "evaluate needs y: the model was trained with targets.", remedy="Pass the targets of X as y."
            )
        target = x if y is None else self._model_targets(y, len(x))
        weights = None if sample_weight is None else as_sample_weights("sample_weight", sample_weight, len(x))
        with quiet_tensorflow():
            metrics = model.evaluate(
                x, target, sample_weight=weights, batch_size=_PREDICT_BATCH_SIZE, verbose=0, return_dict=True
            )
        return {name: float(value) for name, value in metrics.items()}

    @property
    def results(self) -> pa.Table:
        """All recorded points."""
        return results_of_published(self.paths, self.manifest)

    @property
    def history(self) -> dict[str, list[float | None]]:
        """Every metric of the winner by epoch; empty where its record is not there."""
        record = PointStore(self.paths.points_dir).get(str(self.manifest.winner.get("key")))
        return {} if record is None else {name: list(column) for name, column in record.history.items()}

    def _model_inputs(self, X: object, run_ids: object) -> tuple[Array, Array | None]:
        """``X`` in the units that the model sees, and the number of each row's run."""
        # Other columns are refused first, whatever is in them.
        order = self.order_of(X)
        x = in_order(as_features("X", X), order)
        # A legacy set does not say. Other axes than the last may be of any length, such as that of a time series.
        trained = tuple(self.manifest.input_shape)[1 if self.windowed else 0 :]
        if trained and (x.ndim != 1 + len(trained) or x.shape[-1] != trained[-1]):
            raise DataError(
                f"X has rows of shape {x.shape[1:]}, and the model was trained on rows of shape {trained}.",
                remedy="Pass the same features, in the same order, as in training.",
            )
        if run_ids is not None and not self.windowed:
            raise ArgumentError(
                "the model sees single rows, not windows, and run_ids is given.", remedy="Leave run_ids out."
            )
        runs = None if run_ids is None else as_runs("run_ids", run_ids, len(x))
        if self.scaling.inputs is not None:
            return self.scaling.scale_inputs(x), runs
        require_float32("X", x)
        return cast(x, self._unscaled_dtype(x)), runs

    def _unscaled_dtype(self, x: Array) -> np.dtype[Any]:
        """What ``x`` is fed as, which is not scaled: as in training; whole numbers may be given as floats."""
        trained = np.dtype(self.manifest.input_dtype)
        if trained.kind == "f":
            return trained
        if x.dtype.kind != "f":
            return np.promote_types(trained, unscaled_dtype("X", x))
        if are_whole(x):
            return np.dtype(np.int64)
        inputs = getattr(self.keras_model, "inputs", None) or []
        if any("int" in str(one.dtype) for one in inputs):
            raise DataError(
                f"X (dtype {x.dtype}) holds fractions, and the model was trained on whole numbers, to which its input "
                "would round them.",
                remedy=f"Pass whole numbers, for example np.rint(X).astype('{trained}').",
            )
        return np.dtype(np.float32)

    def _model_targets(self, y: object, rows: int) -> Array:
        """``y`` in the units that the model sees."""
        targets = self.targets("y", y, rows)
        if self.scaling.targets is not None:
            return self.scaling.scale_targets(targets)
        require_float32("y", targets)
        return cast(targets, unscaled_dtype("y", targets))

    def order_of(self, X: object, name: str = "X") -> list[int] | None:
        """Where each column that was trained on stands in ``X``; None: where it stood in training.

        Raises:
            DataError: other columns; the message lists them.
        """
        shape, kept = self.manifest.input_shape, self.manifest.column_names.get("x_train")
        return column_order(name, names_of(name, X), kept, "the training data", shape[-1] if shape else None)

    def as_given(self, X: object, values: Array) -> Array:
        """``values``, one for each column that was trained on, in the order of the columns of ``X``."""
        return put_back(values, self.order_of(X))

    def targets(self, name: str, y: object, rows: int) -> Array:
        """``y`` as checked targets in original units, its columns in the order that was trained on."""
        targets = as_targets(name, y, rows)
        if targets.ndim < 2 or targets.shape[1] == 1:
            return targets
        kept = self.manifest.column_names.get("y_train")
        return in_order(targets, column_order(name, names_of(name, y), kept, "the training targets", targets.shape[1]))

    def inputs_and_outputs(self, X: object, run_ids: object = None) -> tuple[Array, Array]:
        """``X`` and the model's output for its rows, both in the units that the model sees."""
        model = self.keras_model
        x, runs = self._model_inputs(X, run_ids)
        if self.windowed:
            return x, reproduce_rows(model, x, runs, self.config["window"])
        with quiet_tensorflow():
            return x, np.asarray(model.predict(x, batch_size=_PREDICT_BATCH_SIZE, verbose=0))

    @property
    def targets_are_inputs(self) -> bool:
        """Whether it reproduces its inputs."""
        data = self.manifest.depends_on.get("data")
        if data is None:
            # A legacy set does not say; a model that gives back what it gets is taken for an autoencoder.
            return bool(self.keras_model.output_shape == self.keras_model.input_shape)
        return "y_train" not in data
