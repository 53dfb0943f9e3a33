"""A dense, symmetric autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from raygrid.model import GridSearchModel

if TYPE_CHECKING:
    import keras


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
        "latent_dim": [8, 16],
        "activation": ["relu", "selu"],
        "learning_rate": [1e-3, 5e-4],
    }
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
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
