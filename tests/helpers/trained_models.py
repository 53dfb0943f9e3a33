"""Small trainings in this process: what is trained is counted, and one published model is there to be copied."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from small_models import SmallModel, small_rows

from raygrid import SearchListener
from raygrid.grid.plan import Point
from raygrid.store.paths import ModelArtifacts

X, X_VAL = small_rows() * 5 + 2, small_rows(60, seed=1) * 5 + 2
CONFIG = {"hidden": [3, 2], "epochs": 2}
OTHER = {"hidden": [5], "epochs": 2}


class Trainings(SearchListener):
    """The hidden layers of every point whose training began."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, ...]] = []

    def point_started(self, point: Point) -> None:
        self.begun.append(point.config["hidden"])


def small_model(folder: Path, cls: type[SmallModel] = SmallModel, **settings: Any) -> tuple[SmallModel, list[Any]]:
    """A model, and the list that its trainings are added to."""
    listener = Trainings()
    settings = {"scaler": "standard", "progress": listener, **settings}
    return cls(folder, "small", 0, **settings), listener.begun


def trained_copy(folder: Path) -> ModelArtifacts:
    """A copy, at ``folder``, of the published model of ``CONFIG`` with everything that its search has left."""
    shutil.copytree(_trained(), folder)
    return ModelArtifacts.for_prefix(folder, "small")


@functools.cache
def _trained() -> Path:
    # In the home folder of the tests, which is removed at their end.
    folder = Path(tempfile.mkdtemp(dir=Path.home()))
    small_model(folder)[0].fit(X, X_VAL, model_config=CONFIG)
    return folder


def bits(model: Any) -> list[bytes]:
    """The weights of a Keras model, to the last bit."""
    return [array.tobytes() for array in model.get_weights()]
