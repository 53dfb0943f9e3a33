"""Grid search for Keras models on Ray Tune: trains every point once, keeps the best, loads it in seconds.

Importing raygrid loads neither TensorFlow nor Ray; its names are resolved when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from raygrid.zoo import MODELS

if TYPE_CHECKING:
    # For type checkers and editors; "as" says that a name is offered.
    from raygrid import datasets as datasets
    from raygrid import errors as errors
    from raygrid.grid.plan import Plan as Plan
    from raygrid.grid.plan import Point as Point
    from raygrid.grid.records import PointRecord as PointRecord
    from raygrid.model.fit_plan import FitPlan as FitPlan
    from raygrid.model.grid_search_model import GridSearchModel as GridSearchModel
    from raygrid.progress.listeners import SearchListener as SearchListener
    from raygrid.store.paths import ModelArtifacts as ModelArtifacts
    from raygrid.tuning.resources import Resources as Resources
    from raygrid.zoo.autoencoder import Autoencoder as Autoencoder
    from raygrid.zoo.conv_autoencoder import ConvAutoencoder as ConvAutoencoder
    from raygrid.zoo.detector import AutoencoderDetector as AutoencoderDetector
    from raygrid.zoo.mlp_classifier import MLPClassifier as MLPClassifier
    from raygrid.zoo.mlp_regressor import MLPRegressor as MLPRegressor
    from raygrid.zoo.residual_regressor import AutoencoderResidualRegressor as AutoencoderResidualRegressor

__version__ = "0.1.0"

_HOME = {
    "FitPlan": "raygrid.model.fit_plan",
    "GridSearchModel": "raygrid.model.grid_search_model",
    "ModelArtifacts": "raygrid.store.paths",
    "Plan": "raygrid.grid.plan",
    "Point": "raygrid.grid.plan",
    "PointRecord": "raygrid.grid.records",
    "Resources": "raygrid.tuning.resources",
    "SearchListener": "raygrid.progress.listeners",
    **{name: module for module, _, name in (path.partition(":") for path in MODELS.values())},
}

__all__ = sorted([*_HOME, "__version__", "datasets", "errors"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in ("datasets", "errors"):
        return importlib.import_module(f"raygrid.{name}")
    raise AttributeError(f"module 'raygrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
