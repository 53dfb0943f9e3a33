"""Dense layers that predict one number or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raygrid.base.types import Array
from raygrid.data.row_labels import check_row_labels
from raygrid.data.training_data import TrainingData
from raygrid.errors import DataError
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel
from raygrid.zoo.mlp import MLP_CONFIG, MLP_PARAM_GRID, hidden_stack
from raygrid.zoo.regression_scores import regression_scores

if TYPE_CHECKING:
    import keras


class MLPRegressor(GridSearchModel):
    """Learns to predict one target or several.

    Layers: the input, one dense layer per number in ``hidden_layers``, each followed by dropout, and a linear layer
    with a unit for each target. Loss: mean squared error, with Adam; metric: mean absolute error. Inputs and targets
    are scaled to mean 0 and standard deviation 1 unless asked otherwise; losses are in scaled units, ``predict`` and
    ``score`` in original ones.

    Hyperparameters: ``hidden_layers`` (units of each layer), ``activation`` (a name that Keras knows), ``dropout``
    (a fraction), ``learning_rate``, ``batch_size`` (rows), ``epochs``, ``patience`` (epochs).
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = MLP_CONFIG
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = MLP_PARAM_GRID
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
    DEFAULT_TARGET_SCALER: ClassVar[str | None] = "standard"
    EMBEDDED_TARGETS: ClassVar[tuple[str, ...]] = ("stripper_underflow_E_concentration",)
    SINGLE_ARRAY: ClassVar[bool] = True
    USES_TARGETS: ClassVar[bool | None] = True

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # The shape of y_train is part of the data that results depend on.
        self.fitted_outputs = 0

    def build_model(self, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        import keras

        inputs, x = hidden_stack(config, input_shape)
        model = keras.Model(inputs, keras.layers.Dense(self.fitted_outputs)(x), name="mlp_regressor")
        model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse", metrics=["mae"])
        return model

    def predict(self, X: object, run_ids: object = None) -> Array:
        """The targets of each row in original units, float32 or float64 as in ``GridSearchModel.predict``.

        Args:
            X: inputs in original units, rows first, of the width that was trained on.
            run_ids: for models of windows; leave it out.

        Returns:
            Shape (rows,) where ``y_train`` was of that shape, otherwise (rows, targets).
        """
        predicted: Array = super().predict(X, run_ids)
        shape = _target_shape(self.published.manifest.depends_on)
        return predicted if shape is None else predicted.reshape(len(predicted), *shape)

    def score(self, X: object, y: object) -> float:
        """The coefficient of determination R² on ``X``, as scikit-learn's regressors give it; see ``metrics``."""
        return self.metrics(X, y)["r2"]

    def metrics(self, X: object, y: object) -> dict[str, float]:
        """``mae``, ``rmse`` and ``r2`` on ``X`` in original units; see ``regression_scores``.

        Args:
            X: inputs in original units, rows first.
            y: targets in original units, of the shape that was trained on.

        Raises:
            DataError: ``y`` does not fit to ``X`` or to what was trained on.
        """
        check_row_labels("X", X, y=y)
        predicted = self.predict(X)
        return regression_scores(self.published.targets("y", y, len(predicted)), predicted)

    def checked_data(self, X_train: object, X_val: object, **others: Any) -> TrainingData:
        data = super().checked_data(X_train, X_val, **others)
        assert data.y_train is not None
        if data.y_train.ndim > 2:
            raise DataError(
                f"y_train has shape {data.y_train.shape}; targets must be of shape (rows,) or (rows, targets).",
                remedy="Flatten them with .reshape(len(y), -1).",
            )
        self.fitted_outputs = int(np.prod(data.y_train.shape[1:]))
        return data

    def take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        # Where Keras cannot load the file by itself, the model is built anew.
        self.fitted_outputs = int(np.prod(_target_shape(cached.manifest.depends_on) or (1,)))
        return super().take_cached(paths, cached)


def _target_shape(depends_on: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Shape of one row of ``y_train``; None where another program made the model and did not say."""
    targets = depends_on.get("data", {}).get("y_train")
    return None if targets is None else tuple(targets["shape"][1:])
