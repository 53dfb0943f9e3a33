"""Searches whose driver is killed at random times, again and again, and what must hold of them all the same."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from child_processes import started
from small_models import LoggedModel, builds, small_rows

from raygrid.tuning.resources import Resources

X, X_VAL = small_rows(), small_rows(60, seed=1)
GRID = {"hidden": [(n,) for n in range(3, 10)]}
POINTS = len(GRID["hidden"])

_SEARCH = """
    from killed_searches import search

    if __name__ == "__main__":
        search({folder!r})
"""

# The longest that a start of Ray and TensorFlow is given, and a few points, before the driver is killed.
_MOST_START_S = 12.0
_MOST_POINTS_S = 1.5


@dataclass(frozen=True)
class Kills:
    """What came of a search whose driver was killed.

    Attributes:
        kills: how often it was killed; not, where it had ended before.
        finished: how many points had a result after each of these times.
        lost: how many results were gone or not the same any more after a later kill.
        trained_again: how many points were trained that had a result.
    """

    kills: int
    finished: tuple[int, ...]
    lost: int
    trained_again: int


def search(folder: Path | str, **settings: Any) -> LoggedModel:
    """The grid above, searched in ``folder``, or what is missing of it."""
    folder = Path(folder)
    settings = {"resources": Resources(max_concurrent=2), **settings}
    model = LoggedModel(folder / "models", "small", 0, build_log=str(folder / "builds.txt"), **settings)
    model.fit(X, X_VAL, param_grid=GRID)
    return model


def kill_searches(folder: Path, rounds: int, seed: int) -> Kills:
    """Begins the search ``rounds`` times in a process of its own, and kills that with a SIGKILL each time.

    Args:
        folder: of the search; what an earlier call left there goes on.
        rounds: how many kills, at most: a search that ends before it is killed is the last one.
        seed: of the times.
    """
    generator = random.Random(seed)
    kills = lost = again = 0
    finished = []
    results = _results(folder)
    for _ in range(rounds):
        built = len(_built(folder))
        with started(_SEARCH.format(folder=str(folder)), folder) as child:
            wanted = len(results) + generator.randint(0, 3)
            while child.process.poll() is None and len(_results(folder)) < wanted:
                time.sleep(0.02)
            most_s = _MOST_START_S if wanted == len(results) else _MOST_POINTS_S
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(generator.uniform(0, most_s))
            ended = child.process.poll() is not None
            child.process.kill()
            code = child.process.wait()
            assert code == (0 if ended else -signal.SIGKILL), child.text()
            # The driver builds only to publish.
            trained = [hidden for pid, hidden in _built(folder)[built:] if pid != child.process.pid]
        again += sum(hidden in results for hidden in trained)
        now = _results(folder)
        lost += sum(now.get(hidden) != data for hidden, data in results.items())
        results = now
        finished.append(len(results))
        if ended:
            break
        kills += 1
    return Kills(kills, tuple(finished), lost, again)


def same_result(model: LoggedModel, other: LoggedModel) -> bool:
    """Whether two models have the same points with the same results, and the same winner to the last bit."""
    # The file of the builds is an attribute of the model, so keys differ; what they name does not. A worker is given a
    # number of threads, and a process that trains by itself is not.
    differing = ["seconds", "worker", "key", "threads"]
    weights = zip(model.best_model.get_weights(), other.best_model.get_weights(), strict=True)
    return (
        model.results.drop(differing) == other.results.drop(differing)
        and (model.best_config, model.history) == (other.best_config, other.history)
        and all(a.tobytes() == b.tobytes() for a, b in weights)
    )


def _results(folder: Path) -> dict[tuple[int, ...], bytes]:
    """Each record as it stands on the disk, by what it is of."""
    records = (path.read_bytes() for path in (folder / "models/small_runs/points").glob("[!.]*.json"))
    return {tuple(json.loads(data)["config"]["hidden"]): data for data in records}


def _built(folder: Path) -> list[tuple[int, tuple[int, ...]]]:
    return builds(folder / "builds.txt")
