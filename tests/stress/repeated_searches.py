"""Searches again and again in one process: how much each adds to its memory, which is bounded."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from events import count, largest, lost
from known_results import PREFIX, ROWS, Asked, fitted
from part import Part, started_part
from small_models import SmallModel

from raygrid.tuning.worker_memory import private_bytes

WARM_UP = 8
# Each of them is of one structure; of a new one, TensorFlow keeps some 0.4 MB.
MB_A_TRAINING = 0.3
MB_A_SEARCH = 5.0
SEARCH_S = 30.0


def held_mb() -> float:
    gc.collect()
    return (private_bytes() or 0) / 1e6


def trainings(folder: Path, end: float) -> None:
    """The same training anew, each published over the last."""
    held = []
    while time.monotonic() < end or len(held) < 2 * WARM_UP:
        fitted(folder, Asked(5), reset=True)
        held.append(held_mb())
        count("searches in one process", "trainings without Ray")
    grown = (held[-1] - held[WARM_UP]) / (len(held) - 1 - WARM_UP)
    largest("MB that a training adds to its process", round(grown, 3))
    largest("MB that a process of trainings held at its end", round(held[-1], 1))
    if grown > MB_A_TRAINING:
        lost(f"a training adds {grown:.2f} MB to its process, more than {MB_A_TRAINING:g}")


def searches(part: Part) -> None:
    """Small searches on Ray, which starts and ends with each."""
    held: list[float] = []
    while part.seconds_left > SEARCH_S:
        model = SmallModel(part.folder / "searches", PREFIX, 0)
        model.fit(ROWS, param_grid={"hidden": [[3], [5]], "epochs": [3]}, reset_experiment=True)
        held.append(held_mb())
        count("searches in one process", "searches on Ray")
    if len(held) > 2:
        # What the first search leaves is Ray itself.
        grown = (held[-1] - held[1]) / (len(held) - 2)
        largest("MB that a search on Ray adds to its process", round(grown, 3))
        if grown > MB_A_SEARCH:
            lost(f"a search on Ray adds {grown:.2f} MB to its process, more than {MB_A_SEARCH:g}")


def main() -> None:
    part = started_part()
    trainings(part.folder / "trainings", time.monotonic() + part.seconds_left / 2)
    searches(part)


if __name__ == "__main__":
    main()
