"""``PublishedModel``: a winner with all that makes it usable: its scaling, its manifest, its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import as_features, as_input, as_sample_weights, as_targets
from raygrid.data.column_names import column_order, in_order, names_of, put_back
from raygrid.data.columns_apart import columns_apart, targets_apart
from raygrid.data.dataset_source import DATASETS
from raygrid.data.given_data import as_runs, unpacked
from raygrid.data.missing_values import MissingValues
from raygrid.data.precision import are_whole, cast, require_float32, unscaled_dtype
from raygrid.data.row_labels import check_row_labels
from raygrid.data.scaling import Scaling
from raygrid.data.structures import (
    Tree,
    filled,
    given_structure,
    is_structure,
    leaf_name,
    leaves,
    row_count,
    same_structure,
)
from raygrid.data.texts import is_text
from raygrid.data.training_arrays import RowSpec
from raygrid.data.unsupported_data import is_dataset
from raygrid.errors import ArgumentError, DataError, DataTypeError
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

    def predict(self, X: object, run_ids: object = None) -> Any:
        """See ``GridSearchModel.predict``."""
        if is_dataset(X):
            self._require_unscaled("predict")
            with quiet_tensorflow():
                return self.keras_model.predict(X, verbose=0)
        _, output = self.inputs_and_outputs(X, run_ids)
        if self.targets_are_inputs:
            return self.as_given(X, self.scaling.unscale_inputs(output))
        return self._unscaled_outputs(output)

    def evaluate(
        self, X: object, y: object = None, run_ids: object = None, sample_weight: object = None
    ) -> dict[str, float]:
        """See ``GridSearchModel.evaluate``."""
        model = self.keras_model
        if is_dataset(X):
            self._require_unscaled("evaluate")
            with quiet_tensorflow():
                found = model.evaluate(X, verbose=0, return_dict=True)
            return {name: float(value) for name, value in found.items()}
        X, y, sample_weight = unpacked("X", X, y, sample_weight)
        if not isinstance(X, Mapping | tuple | list):
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
        rows = row_count(x)
        target = x if y is None else self._model_targets(y, rows)
        weights = None
        if sample_weight is not None:
            tree = given_structure("sample_weight", sample_weight)
            given = {p: as_sample_weights(leaf_name("sample_weight", p), w, rows) for p, w in leaves(tree).items()}
            weights = filled(tree, given)
        with quiet_tensorflow():
            from raygrid.training.batches import as_keras_takes

            metrics = model.evaluate(
                as_keras_takes(x),
                as_keras_takes(target),
                sample_weight=weights,
                batch_size=_PREDICT_BATCH_SIZE,
                verbose=0,
                return_dict=True,
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

    def _require_unscaled(self, method: str) -> None:
        if self.scaling:
            raise DataTypeError(
                f"{method} is given a dataset, and the model was trained on arrays, which are scaled.",
                remedy="Pass arrays in original units; or call best_model with a dataset in scaled units.",
            )

    def _model_inputs(self, X: object, run_ids: object) -> tuple[Tree, Array | None]:
        """``X`` in the units that the model sees, and the number of each row's run."""
        X, trained = self._by_column(X), self._trained_inputs()
        tree = given_structure("X", X)
        if isinstance(trained, RowSpec) and is_structure(X):
            # Says what it is, and what to do.
            as_features("X", X)
        if trained is not None:
            same_structure("X", tree, "the training data", trained)
        specs = leaves(trained) if trained is not None else {}
        found: dict[str, Array] = {}
        missing = MissingValues()
        for path, leaf in leaves(tree).items():
            name = leaf_name("X", path)
            # Other columns are refused first, whatever is in them.
            order = self._order_of_leaf(name, leaf, path)
            x = in_order(as_input(name, leaf, missing, alone=path == ""), order)
            if path in specs:
                self._check_shape(name, x, specs[path])
            if found and len(x) != row_count(found):
                raise DataError(
                    f"{name} has {counted(len(x), 'row')}, and the parts before have {row_count(found)}.",
                    remedy="Pass the same rows in all parts.",
                )
            found[path] = x
        missing.require_none()
        x = filled(tree, found)
        if run_ids is not None and not self.windowed:
            raise ArgumentError(
                "the model sees single rows, not windows, and run_ids is given.", remedy="Leave run_ids out."
            )
        runs = None if run_ids is None else as_runs("run_ids", run_ids, row_count(x))
        scaled = leaves(self.scaling.scale_inputs(x))
        for path, array in scaled.items():
            if path not in self.scaling.inputs and not is_text(array):
                name = leaf_name("X", path)
                require_float32(name, array)
                scaled[path] = cast(array, self._unscaled_dtype(name, path, array))
        return filled(tree, scaled), runs

    def _by_column(self, X: object) -> object:
        """``X``, where it is a table and the model has an input for each column, as a dict of its columns."""
        trained = self._trained_inputs()
        by_column = isinstance(trained, dict) and all(row.shape == () for row in leaves(trained).values())
        return columns_apart("X", X) if by_column else X

    def _trained_inputs(self) -> Tree | None:
        """What a row was in training; a legacy set does not say."""
        data = self.manifest.depends_on.get("data", {})
        known = self._of_datasets or any(name.startswith("x_train") for name in data)
        return self.manifest.inputs.rows if known else None

    @property
    def _of_datasets(self) -> bool:
        """Whether it was trained on datasets."""
        return DATASETS in self.manifest.depends_on.get("data", {})

    def _check_shape(self, name: str, x: Array, trained: RowSpec) -> None:
        if is_text(x) != (trained.dtype == object):
            kinds = ("texts", "numbers") if is_text(x) else ("numbers", "texts")
            raise DataTypeError(
                f"{name} holds {kinds[0]}, and the model was trained on {kinds[1]}.", remedy=f"Pass {kinds[1]}."
            )
        # Other axes than the last may be of any length, such as that of a time series.
        shape = trained.shape[1 if self.windowed else 0 :]
        if x.ndim != 1 + len(shape) or (shape and shape[-1] not in (None, x.shape[-1])):
            raise DataError(
                f"{name} has rows of shape {x.shape[1:]}, and the model was trained on rows of shape {shape}.",
                remedy="Pass the same features, in the same order, as in training.",
            )

    def _unscaled_dtype(self, name: str, path: str, x: Array) -> np.dtype[Any]:
        """What ``x`` is fed as, which is not scaled: as in training; whole numbers may be given as floats."""
        specs = leaves(self.manifest.inputs.rows)
        trained = specs[path].dtype if path in specs else np.dtype(np.float32)
        if trained.kind == "f":
            return trained
        if x.dtype.kind != "f":
            low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
            limits = (0, 1) if trained.kind == "b" else (np.iinfo(trained).min, np.iinfo(trained).max)
            if limits[0] <= low and high <= limits[1]:
                return trained
            return np.promote_types(trained, unscaled_dtype(name, x))
        if are_whole(x):
            return np.dtype(np.int64)
        inputs = getattr(self.keras_model, "inputs", None) or []
        if any("int" in str(one.dtype) for one in inputs):
            raise DataError(
                f"{name} (dtype {x.dtype}) holds fractions, and the model was trained on whole numbers, to which its "
                "input would round them.",
                remedy=f"Pass whole numbers, for example np.rint({name}).astype('{trained}').",
            )
        return np.dtype(np.float32)

    def _model_targets(self, y: object, rows: int) -> Tree:
        """``y`` in the units that the model sees."""
        tree = given_structure("y", targets_apart("y", y) if any(self._target_paths()) else y)
        self._check_target_paths(tree)
        targets = filled(tree, {p: self.targets(leaf_name("y", p), leaf, rows, p) for p, leaf in leaves(tree).items()})
        scaled = leaves(self.scaling.scale_targets(targets))
        for path, array in scaled.items():
            if path not in self.scaling.targets:
                require_float32(leaf_name("y", path), array)
                scaled[path] = cast(array, unscaled_dtype(leaf_name("y", path), array))
        return filled(tree, scaled)

    def _target_paths(self) -> list[str]:
        data = self.manifest.depends_on.get("data", {})
        return [name.partition("/")[2] for name in data if name.partition("/")[0] == "y_train"]

    def _check_target_paths(self, y: Tree) -> None:
        trained = self._target_paths()
        if trained and set(trained) != set(leaves(y)):
            raise DataError(
                f"y has the parts {sorted(leaves(y))}, and the model was trained on the targets {sorted(trained)}.",
                remedy="Pass the targets in the structure of y_train.",
            )

    def _unscaled_outputs(self, output: Tree) -> Any:
        """What the model gives, in original units, in the structure that Keras gives it in."""
        if not self.scaling.targets:
            return _as_keras_gives(output)
        given, trained = leaves(output), self._target_paths() or [""]
        if set(given) == set(trained):
            target_of = {path: path for path in given}
        else:
            # Targets may go by the names of outputs that the model gives as a list.
            names = getattr(self.keras_model, "output_names", None) or []
            target_of = {f"[{i}]" if len(names) > 1 else "": name for i, name in enumerate(names)}
            if set(target_of) != set(given) or not set(trained) <= set(target_of.values()):
                raise DataError(
                    f"the model gives the outputs {sorted(given)}, and its targets were {sorted(trained)}: which "
                    "scaler is whose cannot be told.",
                    remedy="Give the model outputs of the structure of y_train, or leave target_scaler out.",
                )
        as_targets_are = {target_of[path]: array for path, array in given.items()}
        unscaled = self.scaling.unscale_targets(as_targets_are)
        return _as_keras_gives(filled(output, {path: unscaled[name] for path, name in target_of.items()}))

    def _order_of_leaf(self, name: str, leaf: object, path: str) -> list[int] | None:
        key = f"x_train/{path}" if path else "x_train"
        trained, kept = self._trained_inputs(), self.manifest.column_names.get(key)
        spec = None if trained is None else leaves(trained).get(path)
        shape = () if spec is None else spec.shape
        return column_order(name, names_of(name, leaf), kept, "the training data", shape[-1] if shape else None)

    def order_of(self, X: object, name: str = "X") -> list[int] | None:
        """Where each column that was trained on stands in ``X``, one array; None: where it stood in training.

        Raises:
            DataError: other columns; the message lists them.
        """
        return self._order_of_leaf(name, X, "")

    def as_given(self, X: object, values: Tree) -> Any:
        """``values``, one for each column that was trained on, in the order of the columns of ``X``."""
        given = leaves(given_structure("X", self._by_column(X)))
        found = {
            path: put_back(array, self._order_of_leaf(leaf_name("X", path), given[path], path))
            for path, array in leaves(values).items()
        }
        return _as_keras_gives(filled(values, found))

    def targets(self, name: str, y: object, rows: int, path: str = "") -> Array:
        """``y`` as checked targets in original units, its columns in the order that was trained on."""
        targets = as_targets(name, y, rows)
        if targets.ndim < 2 or targets.shape[1] == 1:
            return targets
        kept = self.manifest.column_names.get(f"y_train/{path}" if path else "y_train")
        return in_order(targets, column_order(name, names_of(name, y), kept, "the training targets", targets.shape[1]))

    def inputs_and_outputs(self, X: object, run_ids: object = None) -> tuple[Tree, Tree]:
        """``X`` and the model's output for its rows, both in the units that the model sees."""
        model = self.keras_model
        x, runs = self._model_inputs(X, run_ids)
        if self.windowed:
            return x, reproduce_rows(model, x, runs, self.config["window"])
        with quiet_tensorflow():
            from raygrid.training.batches import as_keras_takes

            output = model.predict(as_keras_takes(x), batch_size=_PREDICT_BATCH_SIZE, verbose=0)
        return x, given_structure("the model's output", output) if isinstance(output, dict | list | tuple) else (
            np.asarray(output)
        )

    @property
    def targets_are_inputs(self) -> bool:
        """Whether it reproduces its inputs."""
        data = self.manifest.depends_on.get("data")
        if data is None:
            # A legacy set does not say; a model that gives back what it gets is taken for an autoencoder.
            return bool(self.keras_model.output_shape == self.keras_model.input_shape)
        return not self._of_datasets and not any(name.partition("/")[0] == "y_train" for name in data)


def _as_keras_gives(output: Tree) -> Any:
    """Several outputs that have no names as a list."""
    return list(output) if isinstance(output, tuple) else output
