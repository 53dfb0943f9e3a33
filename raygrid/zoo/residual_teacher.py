"""The teacher of the reference model: an autoencoder with the reference's own search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from raygrid.zoo.autoencoder import Autoencoder


class TeacherAutoencoder(Autoencoder):
    """``Autoencoder`` with the defaults of the reference: 288 points of larger models, trained for longer."""

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {
        "encoder_layers": (256, 128),
        "latent_dim": 32,
        "activation": "relu",
        "learning_rate": 1e-3,
        "batch_size": 128,
        "epochs": 120,
        "patience": 15,
    }
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {
        "encoder_layers": [(256, 128), (512, 256, 128), (512, 256, 128, 64)],
        "latent_dim": [32, 64, 96],
        "activation": ["relu", "selu"],
        "learning_rate": [1e-3, 5e-4],
        "batch_size": [128, 256],
        "epochs": [120, 180],
        "patience": [15, 25],
    }
