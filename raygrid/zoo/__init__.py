"""The built-in models, one a file."""

from __future__ import annotations

MODELS = {"autoencoder": "raygrid.zoo.autoencoder:Autoencoder"}
