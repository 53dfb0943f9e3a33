"""A dense, symmetric autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from raygrid.model.grid_search_model import GridSearchModel
from raygrid.zoo.fault_detection import QStatistic, detect_faults, detection_table

if TYPE_CHECKING:
    import keras


# The fraction of normal rows that may raise an alarm.
_FALSE_ALARMS = 0.01


class Autoencoder(GridSearchModel):
    """Learns to reproduce its inputs through a narrow layer.

    Layers: the input, one dense layer per number in ``encoder_layers``, ``latent_dim`` units, ``encoder_layers``
    backwards, and a linear layer of the input's width. Loss: mean squared error, with Adam. Inputs are scaled to mean 0
    and standard deviation 1 unless asked otherwise.

    Hyperparameters: ``encoder_layers`` (units of each layer), ``latent_dim`` (units), ``activation`` (a name that Keras
    knows), ``learning_rate``, ``batch_size`` (rows), ``epochs``, ``patience`` (epochs).
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {
        "encoder_layers": (128, 64),
        "latent_dim": 16,
        "activation": "relu",
        "learning_rate": 1e-3,
        "batch_size": 128,
        "epochs": 20,
        "patience": 5,
    }
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {
        "encoder_layers": [(128, 64), (256, 128)],
        "latent_dim": [16, 32],
        "activation": ["relu", "selu"],
        "learning_rate": [1e-3, 5e-4],
    }
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
    SINGLE_ARRAY: ClassVar[bool] = True
    USES_TARGETS: ClassVar[bool | None] = False

    def build_model(self, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        import keras

        (width,) = input_shape
        inputs = x = keras.Input((width,))
        for units in config["encoder_layers"]:
            x = keras.layers.Dense(units, config["activation"])(x)
        x = keras.layers.Dense(config["latent_dim"], config["activation"], name="latent")(x)
        for units in reversed(config["encoder_layers"]):
            x = keras.layers.Dense(units, config["activation"])(x)
        model = keras.Model(inputs, keras.layers.Dense(width)(x), name="autoencoder")
        model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse")
        return model

    def reconstruction_errors(self, X: object) -> npt.NDArray[np.float32]:
        """The squared error of each value of ``X`` as the model gives it back, in scaled units.

        Args:
            X: inputs in original units, rows first.

        Returns:
            float32, shape (rows, features), columns in the order of ``X``.
        """
        x, output = self.published.inputs_and_outputs(X)
        errors = np.square(output.astype(np.float32, copy=False) - x.astype(np.float32, copy=False))
        return np.asarray(self.published.as_given(X, errors))

    def anomaly_scores(self, X: object) -> npt.NDArray[np.float64]:
        """The mean over features of ``reconstruction_errors``, float64, shape (rows,).

        Args:
            X: inputs in original units, rows first.
        """
        return row_scores(self.reconstruction_errors(X))

    def embedded_report(self) -> str:
        """How many rows of each fault of the embedded data the model finds, beside PCA; what the command shows."""
        from raygrid.datasets import load_tep

        data = load_tep()
        scorers = {"autoencoder": self.anomaly_scores, "PCA": QStatistic.fit(data.X_train).anomaly_scores}
        found = {
            name: detect_faults(score(data.X_val), score(data.X_test), data.fault, 1 - _FALSE_ALARMS)
            for name, score in scorers.items()
        }
        return "\nFaults of the simulated Tennessee Eastman process that are found: " + detection_table(found)


def row_scores(errors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The mean error of each row, summed in double precision."""
    return np.asarray(errors.mean(axis=1, dtype=np.float64))
