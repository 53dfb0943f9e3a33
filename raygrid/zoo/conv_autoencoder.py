"""A convolutional autoencoder for windows of a time series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raygrid.base.types import Array
from raygrid.model.grid_search_model import GridSearchModel

if TYPE_CHECKING:
    import keras


class ConvAutoencoder(GridSearchModel):
    """Learns to reproduce windows of a time series through a narrow layer.

    Layers: one convolution in time per number in ``filters``, each of which halves the length (rounded up);
    ``latent_dim`` units, or none; the convolutions backwards, transposed, each cut to the length that the encoder had
    there, so that every window length works; and a linear convolution of the input's width. Loss: mean squared error,
    with Adam. Inputs are scaled to mean 0 and standard deviation 1 unless asked otherwise.

    Hyperparameters: ``window`` (rows), ``stride`` (rows from the beginning of one window to that of the next, in
    training and for ``val_loss``), ``filters`` (of each convolution), ``kernel_size`` (steps in time), ``latent_dim``
    (units; None: no dense layers, the innermost convolution is the bottleneck), ``activation`` (a name that Keras
    knows), ``learning_rate``, ``batch_size`` (windows), ``epochs``, ``patience`` (epochs).

    ``val_loss`` is the mean over windows, rows and features, so that it is per element, and windows of different length
    compare. What does not compare, or only roughly:

    - Another ``stride`` changes which windows are validated. With a stride beyond ``window``, rows between two windows
      are never seen; below it, rows in the middle of a run count in more windows than those at its ends.
    - A longer window fits into a run fewer times, and the rows after the last window are left out: other rows are
      trained on and validated.
    - The rows at the ends of a window have neighbours on one side only, are reproduced worse for it, and are a larger
      part of a short window.
    - ``latent_dim`` units hold a window: the same number is narrower for a longer one.
    - The same ``batch_size`` and ``epochs`` are fewer training steps where there are fewer windows.

    ``score`` on the same rows compares all of them: it has one value a row, whatever the window.
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {
        "window": 16,
        "stride": 4,
        "filters": (32, 16),
        "kernel_size": 5,
        "latent_dim": 32,
        "activation": "relu",
        "learning_rate": 1e-3,
        "batch_size": 32,
        "epochs": 20,
        "patience": 5,
    }
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {
        "window": [8, 16],
        "filters": [(32, 16), (64, 32)],
        "latent_dim": [16, 32],
    }
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
    SINGLE_ARRAY: ClassVar[bool] = True
    USES_TARGETS: ClassVar[bool | None] = False
    WINDOWED: ClassVar[bool] = True

    def build_model(self, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        import keras

        layers = keras.layers
        _, width = input_shape
        kernel, activation = config["kernel_size"], config["activation"]
        inputs = x = keras.Input(input_shape)
        lengths = []
        for filters in config["filters"]:
            lengths.append(x.shape[1])
            x = layers.Conv1D(filters, kernel, strides=2, padding="same", activation=activation)(x)
        if config["latent_dim"] is not None:
            inner = x.shape[1:]
            x = layers.Dense(config["latent_dim"], activation, name="latent")(layers.Flatten()(x))
            x = layers.Reshape(inner)(layers.Dense(inner[0] * inner[1], activation)(x))
        for filters, length in zip(reversed(config["filters"]), reversed(lengths), strict=True):
            x = layers.Conv1DTranspose(filters, kernel, strides=2, padding="same", activation=activation)(x)
            x = layers.Cropping1D((0, x.shape[1] - length))(x)
        outputs = layers.Conv1D(width, kernel, padding="same")(x)
        model = keras.Model(inputs, outputs, name="conv_autoencoder")
        model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse")
        return model

    def anomaly_scores(self, X: object, run_ids: object = None) -> Array:
        """How badly each row is reproduced: the mean over features of its squared error, in scaled units.

        Args:
            X: inputs in original units, rows first, in order of time.
            run_ids: the run that each row belongs to; None: one run.

        Returns:
            float32, shape (rows,). A row's reproduction is that of ``predict``.
        """
        x, reproduced = self.published.inputs_and_outputs(X, run_ids)
        return np.asarray(np.mean(np.square(reproduced - x.astype(np.float32, copy=False)), axis=-1))
