"""What every competitor is given and gives back: files in one folder, whose path is the only argument.

Imports nothing that is slow, since raygrid imports TensorFlow while Ray starts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

Config = dict[str, Any]
Choice = str | int | float | bool


@dataclass(frozen=True)
class Task:
    """One run of one competitor.

    Attributes:
        folder: where its files are, and where it may write.
        grids: names to lists of values; several grids are searched as one.
        points: all their combinations.
        seed: set before each model is built.
    """

    folder: Path
    grids: list[dict[str, list[Any]]]
    points: list[Config]
    seed: int

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation rows, float32, standard-scaled; they are inputs and targets."""
        with np.load(self.folder / "data.npz") as arrays:
            return arrays["x_train"], arrays["x_val"]

    @cached_property
    def space(self) -> dict[str, list[Any]]:
        """For tools that search one grid only: that grid, or, where there are several, the points as one name."""
        return self.grids[0] if len(self.grids) == 1 else {"point": self.points}

    @cached_property
    def choices(self) -> dict[str, list[Choice]]:
        """``space`` for tools whose values must be numbers or texts: others are written as JSON."""
        return {name: [_as_choice(value) for value in values] for name, values in self.space.items()}

    def config_of(self, chosen: Mapping[str, Any]) -> Config:
        """The config that a choice from ``space`` or ``choices`` means."""
        config = {
            name: next(value for value in values if _as_choice(value) == _as_choice(chosen[name]))
            for name, values in self.space.items()
        }
        return config.get("point", config)

    def finish(self, results: Iterable[tuple[Config, float]]) -> None:
        """Writes the ``val_loss`` of each config, as the competitor tells it."""
        rows = [{"config": config, "val_loss": float(val_loss)} for config, val_loss in results]
        (self.folder / "result.json").write_text(json.dumps(rows))


def read_task() -> Task:
    """The task in the folder that the command line names."""
    folder = Path(sys.argv[1]).resolve()
    return Task(folder, **json.loads((folder / "task.json").read_text()))


def note_times(folder: Path, begin: float, end: float) -> None:
    """Notes when a training began and ended, in seconds since the epoch. Processes and threads may write at once."""
    with open(folder / "times.jsonl", "a") as file:
        file.write(json.dumps([begin, end]) + "\n")


def _as_choice(value: Any) -> Choice:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
