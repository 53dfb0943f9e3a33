"""Grid search for Keras models on Ray Tune: trains every point once, keeps the best, loads it in seconds.

Importing raygrid loads neither TensorFlow nor Ray; its names are resolved when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raygrid import datasets, errors
    from raygrid.model.grid_search_model import GridSearchModel
    from raygrid.progress.listeners import SearchListener
    from raygrid.store.paths import ModelArtifacts
    from raygrid.tuning.resources import Resources
    from raygrid.zoo.autoencoder import Autoencoder
    from raygrid.zoo.conv_autoencoder import ConvAutoencoder
    from raygrid.zoo.detector import AutoencoderDetector
    from raygrid.zoo.mlp_classifier import MLPClassifier
    from raygrid.zoo.mlp_regressor import MLPRegressor
    from raygrid.zoo.residual_regressor import AutoencoderResidualRegressor

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "AutoencoderDetector",
    "AutoencoderResidualRegressor",
    "ConvAutoencoder",
    "GridSearchModel",
    "MLPClassifier",
    "MLPRegressor",
    "ModelArtifacts",
    "Resources",
    "SearchListener",
    "__version__",
    "datasets",
    "errors",
]

_HOME = {
    "Autoencoder": "raygrid.zoo.autoencoder",
    "AutoencoderDetector": "raygrid.zoo.detector",
    "AutoencoderResidualRegressor": "raygrid.zoo.residual_regressor",
    "ConvAutoencoder": "raygrid.zoo.conv_autoencoder",
    "GridSearchModel": "raygrid.model.grid_search_model",
    "MLPClassifier": "raygrid.zoo.mlp_classifier",
    "MLPRegressor": "raygrid.zoo.mlp_regressor",
    "ModelArtifacts": "raygrid.store.paths",
    "Resources": "raygrid.tuning.resources",
    "SearchListener": "raygrid.progress.listeners",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in ("datasets", "errors"):
        return importlib.import_module(f"raygrid.{name}")
    raise AttributeError(f"module 'raygrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
