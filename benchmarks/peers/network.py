"""The autoencoder in plain Keras, equal to raygrid's, and what every peer fits it with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
from task import note_times


def build_model(
    width: int, seed: int, *, encoder_layers: list[int], latent_dim: int, activation: str, learning_rate: float
) -> keras.Model:
    """A compiled model, with its weights drawn from ``seed``."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((width,))
    for units in [*encoder_layers, latent_dim, *reversed(encoder_layers)]:
        x = keras.layers.Dense(units, activation)(x)
    model = keras.Model(inputs, keras.layers.Dense(width)(x))
    model.compile(keras.optimizers.Adam(learning_rate), loss="mse")
    return model


def model_of(config: dict[str, Any], width: int, seed: int) -> keras.Model:
    """The model of a whole config, whose last three names are for ``fit``."""
    return build_model(
        width,
        seed,
        encoder_layers=config["encoder_layers"],
        latent_dim=config["latent_dim"],
        activation=config["activation"],
        learning_rate=config["learning_rate"],
    )


def early_stopping(config: dict[str, Any]) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping("val_loss", patience=config["patience"], restore_best_weights=True)


class TrainingTimes(keras.callbacks.Callback):
    """Notes when ``fit`` began and ended, for the extrapolation of samples."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_begin(self, logs: Any = None) -> None:
        self.begin = time.time()

    def on_train_end(self, logs: Any = None) -> None:
        note_times(self.folder, self.begin, time.time())
