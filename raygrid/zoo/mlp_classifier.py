"""Dense layers that tell classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from raygrid.base.fingerprint import digest_json
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import require_some_weight
from raygrid.data.row_labels import check_row_labels
from raygrid.data.training_data import TrainingData
from raygrid.errors import RESTORE, ArgumentError, CorruptArtifactError, DataError
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel
from raygrid.zoo.labels import ClassWeight, Label, as_labels, check_class_weight, class_labels, encode, row_weights
from raygrid.zoo.mlp import MLP_CONFIG, MLP_PARAM_GRID, hidden_stack

if TYPE_CHECKING:
    import keras

    from raygrid.search.run import SearchRun

_ARTIFACT = "classes"
_FORMAT = 1


class MLPClassifier(GridSearchModel):
    """Learns which class a row belongs to.

    Layers: the input, one dense layer per number in ``hidden_layers``, each followed by dropout, and a softmax over the
    classes. Loss: cross-entropy, with Adam; metric: accuracy. Inputs are scaled to mean 0 and standard deviation 1
    unless asked otherwise.

    ``y_train`` and ``y_val`` hold a label for each row: strings, whole numbers or booleans. The classes are those of
    the training rows, in sorted order; they are published with the model, in ``{prefix}_classes.json``.

    Hyperparameters: ``hidden_layers`` (units of each layer), ``activation`` (a name that Keras knows), ``dropout``
    (a fraction), ``learning_rate``, ``batch_size`` (rows), ``epochs``, ``patience`` (epochs).

    Args:
        model_dir, cache_prefix, verbose: see ``GridSearchModel``.
        class_weight: what a row of each class counts in training: a mapping of labels to weights, where a label that is
            left out has 1; ``"balanced"``: the classes count alike, however many rows they have; None: the rows count
            alike. It multiplies ``sample_weight``. As in Keras, ``val_loss`` is not weighted by it.
        settings: see ``GridSearchModel``.

    Raises:
        ArgumentError: ``class_weight`` cannot be right, or a target scaler is asked for.
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = MLP_CONFIG
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = MLP_PARAM_GRID
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
    EMBEDDED_TARGETS: ClassVar[tuple[str, ...]] = ("fault",)
    SINGLE_ARRAY: ClassVar[bool] = True
    USES_TARGETS: ClassVar[bool | None] = True
    TARGET_IS_LABEL: ClassVar[bool] = True
    EXTRA_ARTIFACTS: ClassVar[tuple[str, ...]] = (_ARTIFACT,)

    def __init__(
        self,
        model_dir: str | Path = "models",
        cache_prefix: str = "model",
        verbose: int = 1,
        *,
        class_weight: ClassWeight = None,
        **settings: Any,
    ) -> None:
        super().__init__(model_dir, cache_prefix, verbose, **settings)
        if self.target_scaler_kind is not None:
            raise ArgumentError(
                f"target_scaler={self.target_scaler_kind!r} cannot scale classes.", remedy="Leave target_scaler out."
            )
        # In the weights of the rows and in the digest of the classes, all of these are part of what results depend on.
        self.fitted_class_weight = check_class_weight(class_weight)
        self.fitted_training_classes: tuple[Label, ...] = ()
        self.fitted_outputs = 0
        self.fitted_classes: tuple[Label, ...] = ()

    @property
    def class_weight(self) -> ClassWeight:
        """What a row of each class counts in training."""
        return self.fitted_class_weight

    @property
    def classes(self) -> Array:
        """The labels of the published model, in the order of the columns of ``predict_proba``.

        Raises:
            NotFittedError: neither ``fit`` nor ``load`` was called.
            CorruptArtifactError: the published model has no classes.
        """
        published = self.published
        if not self.fitted_classes:
            path = published.paths.extra_path(_ARTIFACT)
            raise CorruptArtifactError(
                f"{path} is not part of the published model, which was made by another class or program.",
                remedy="To train a classifier, $train_anew; or use $another_prefix.",
            )
        return np.array(self.fitted_classes)

    def build_model(self, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        import keras

        inputs, x = hidden_stack(config, input_shape)
        # In half precision, probabilities would not add up to 1.
        outputs = keras.layers.Dense(self.fitted_outputs, "softmax", dtype="float32")(x)
        model = keras.Model(inputs, outputs, name="mlp_classifier")
        model.compile(
            keras.optimizers.Adam(config["learning_rate"]), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    def predict(self, X: object, run_ids: object = None) -> Array:
        """The most probable label of each row, shape (rows,), in the type of the labels that were trained on.

        Args:
            X: inputs in original units, rows first, of the width that was trained on.
            run_ids: for models of windows; leave it out.
        """
        return np.asarray(self.classes[super().predict(X, run_ids).argmax(axis=1)])

    def predict_proba(self, X: object) -> npt.NDArray[np.float32]:
        """The probability of each class, float32, shape (rows, classes), columns in the order of ``classes``.

        Args:
            X: as for ``predict``.
        """
        probabilities: Array = super().predict(X)
        return probabilities.astype(np.float32, copy=False)

    def score(self, X: object, y: object) -> float:
        """The fraction of rows that are recognised (accuracy), as scikit-learn's classifiers give it.

        Args:
            X: inputs in original units, rows first.
            y: the label of each row.

        Raises:
            DataError: labels that the training data has not, or another number of rows.
        """
        codes = self._encoded(X, y)
        return float(np.mean(self.predict_proba(X).argmax(axis=1) == codes))

    def evaluate(
        self, X: object, y: object = None, run_ids: object = None, sample_weight: object = None
    ) -> dict[str, float]:
        """Loss and accuracy on ``X``.

        Args:
            X: inputs in original units, rows first.
            y: the label of each row.
            run_ids: for models of windows; leave it out.
            sample_weight: as for ``GridSearchModel.evaluate``.

        Raises:
            ArgumentError: ``y`` is missing.
            DataError: labels that the training data has not.
        """
        return super().evaluate(X, None if y is None else self._encoded(X, y), run_ids, sample_weight)

    def recall(self, X: object, y: object) -> dict[Label, float]:
        """For each class in ``y``, the fraction of its rows that are recognised.

        Args:
            X: inputs in original units, rows first.
            y: the label of each row.

        Raises:
            DataError: labels that the training data has not, or another number of rows.
        """
        codes = self._encoded(X, y)
        probabilities = self.predict_proba(X)
        if len(codes) != len(probabilities):
            raise DataError(
                f"y holds {counted(len(codes), 'label')} and X {counted(len(probabilities), 'row')}.",
                remedy="Pass one label per row.",
            )
        right = probabilities.argmax(axis=1) == codes
        return {self.fitted_classes[code]: float(right[codes == code].mean()) for code in np.unique(codes).tolist()}

    def _encoded(self, X: object, y: object) -> npt.NDArray[np.int32]:
        check_row_labels("X", X, y=y)
        return encode("y", as_labels("y", y), self.classes.tolist())

    def checked_data(self, X_train: object, X_val: object, **others: Any) -> TrainingData:
        if others.get("y_train") is None:
            return super().checked_data(X_train, X_val, **others)
        # Labels are encoded here, and have lost their index once the other checks see them.
        check_row_labels("X_train", X_train, y_train=others["y_train"])
        check_row_labels("X_val", X_val, y_val=others.get("y_val"))
        labels = as_labels("y_train", others["y_train"])
        classes = class_labels(labels)
        others["y_train"] = encode("y_train", labels, classes)
        if others.get("y_val") is not None:
            others["y_val"] = encode("y_val", as_labels("y_val", others["y_val"]), classes)
        data = super().checked_data(X_train, X_val, **others)
        assert data.y_train is not None
        assert data.y_val is not None
        if X_val is None:
            _check_split(data.y_train, data.y_val, classes)
        if len(classes) == 1:
            raise DataError(
                f"y_train holds one class only, {classes[0]!r}, so there is nothing to tell apart.",
                remedy="Pass rows of two classes or more.",
            )
        weights = row_weights(self.fitted_class_weight, data.y_train, classes)
        if weights is not None:
            weights = weights if data.w_train is None else weights * data.w_train
            require_some_weight("class_weight, times sample_weight where it is given,", weights)
            data = replace(data, w_train=weights)
        self.fitted_training_classes, self.fitted_outputs = classes, len(classes)
        return data

    def extra_digests(self) -> dict[str, dict[str, Any]]:
        classes = self.fitted_training_classes
        return {_ARTIFACT: {"digest": digest_json(classes), "shape": [len(classes)]}}

    def extra_artifacts(self, run: SearchRun) -> dict[str, Any]:
        values = {_ARTIFACT: {"format": _FORMAT, "classes": list(self.fitted_training_classes)}}
        self.take_extra_artifacts(values)
        return values

    def take_extra_artifacts(self, values: Mapping[str, Any]) -> None:
        saved = values.get(_ARTIFACT, {"classes": []})
        classes = saved.get("classes") if isinstance(saved, dict) else None
        if (
            not isinstance(classes, list)
            or len({type(label) for label in classes}) > 1
            or not all(isinstance(label, str) or (isinstance(label, int) and abs(label) < 2**64) for label in classes)
        ):
            raise CorruptArtifactError(
                f"{self._get_artifacts().extra_path(_ARTIFACT)} is damaged: its classes are no list of texts or of "
                "whole numbers.",
                remedy=RESTORE,
            )
        self.fitted_classes = tuple(classes)

    def take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        # Where Keras cannot load the file by itself, the model is built anew.
        data = cached.manifest.depends_on.get("data", {})
        self.fitted_outputs = next(iter(data.get(_ARTIFACT, {"shape": [0]})["shape"]), 0)
        return super().take_cached(paths, cached)


def _check_split(train: Array, val: Array, classes: Sequence[Label]) -> None:
    """Refuses a split that leaves a class without training rows."""
    only_val = [classes[code] for code in np.setdiff1d(val, train).tolist()]
    if only_val:
        shown = ", ".join(map(repr, only_val))
        raise DataError(
            f"the validation part, the last rows of y_train, has labels that the training part has not: {shown}.",
            remedy="Pass $shuffle_split, which draws rows of every class, or choose the validation rows yourself: "
            "X_val and y_val.",
        )
