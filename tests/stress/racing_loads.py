"""Loads beside a writer that publishes and resets without end: every load is whole, the old set or the new one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from events import count, lost
from known_results import PREFIX, ROWS, Asked, Known, asked_of, difference, fitted, learn
from part import Part, ended, forked, killed, started_part
from published_sets import files_of, publish_set
from small_models import SmallModel

from raygrid.base.files import make_folder
from raygrid.store.lock import locked
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import read_cached
from raygrid.store.publishing import read_published
from raygrid.training.tensorflow_setup import load_tensorflow

ASKED = [Asked(3), Asked(5, "standard"), Asked(8), Asked(3, "standard")]
READERS = 2
# Without one, readers take the processor from the writer, and there is little to race with.
PAUSE_S = 0.005
LAST_ROUND_S = 240.0


def publish_without_end(paths: ModelArtifacts, end: float) -> None:
    number = 1
    while time.monotonic() < end:
        with locked(paths.lock_path, None, lambda holder: None):
            publish_set(paths, f"{number:09d}", scaler=number % 2 == 0)
        count("resets and publishes beside loads", "sets without a training")
        number += 1


def load_sets(paths: ModelArtifacts, end: float) -> None:
    """Loads sets that show in every file which set it belongs to."""
    loads, last = 0, ""
    while time.monotonic() < end:
        published = read_published(paths)
        if published is None:
            lost("nothing was published for a moment, while one set replaced another")
            continue
        label = json.loads(published.files[paths.config_path.name])["set"]
        if published.files != files_of(paths, label, paths.scaler_path.name in published.files):
            lost(f"a load mixed set {label} with another")
        if label < last:
            lost(f"set {label} was loaded after set {last}")
        loads, last = loads + 1, label
        time.sleep(PAUSE_S)
    count("loads beside a writer", "of a set without a training", loads)


def reset_without_end(folder: Path, end: float, first: int) -> None:
    number = first
    while time.monotonic() < end:
        fitted(folder, ASKED[number % len(ASKED)], reset=True)
        count("resets and publishes beside loads", "resets with a training")
        number += 1


def load_results(folder: Path, end: float, known: dict[Asked, Known]) -> None:
    """Reads and verifies all files of a model, without Keras."""
    paths, loads = ModelArtifacts.for_prefix(folder, PREFIX), 0
    while time.monotonic() < end:
        cached = read_cached(paths)
        wrong = "nothing is published" if cached is None else difference(cached, known)
        if wrong is not None:
            lost(f"a load beside a reset: {wrong}")
        loads += 1
        time.sleep(PAUSE_S)
    count("loads beside a writer", "of a trained model's files, all verified", loads)


def load_models(folder: Path, end: float, known: dict[Asked, Known]) -> None:
    """Loads the model as a user does, and predicts with it: weights, config and scaler must be of one training."""
    loads = 0
    while time.monotonic() < end:
        model = SmallModel.load(folder, PREFIX, 0)
        cached = model.published.manifest
        assert cached is not None and model.best_config is not None
        asked = Asked(model.best_config["hidden"][0], "standard" if model.published.scaling else None)
        if model.predict(ROWS).tobytes() != known[asked].predicted:
            lost(f"a model of {asked} that was loaded beside a reset predicts what another would")
        loads += 1
    count("loads beside a writer", "of a Keras model that then predicted", loads)


def race(part: Part, *acts: Callable[[], object]) -> None:
    """Runs all at once, each in a process."""
    for pid in [forked(act) for act in acts]:
        code = ended(pid, part.seconds_left + LAST_ROUND_S)
        if code != 0:
            killed(pid)
            lost(f"a process that loaded or published beside others ended with {code}")


def main() -> None:
    part = started_part()
    load_tensorflow()
    known = learn(part.folder, ASKED)
    sets = ModelArtifacts.for_prefix(part.folder / "sets", PREFIX)
    make_folder(sets.runs_dir)
    publish_set(sets, f"{0:09d}", scaler=True)
    sets_end = time.monotonic() + part.seconds_left / 3
    race(
        part,
        lambda: publish_without_end(sets, sets_end),
        *[lambda: load_sets(sets, sets_end)] * READERS,
    )
    trained, first = part.folder / "trained", part.random.randrange(len(ASKED))
    if (pid := forked(lambda: fitted(trained, ASKED[first]))) and ended(pid, LAST_ROUND_S) != 0:
        killed(pid)
        raise RuntimeError("the first training failed")
    race(
        part,
        lambda: reset_without_end(trained, part.end, first + 1),
        *[lambda: load_results(trained, part.end, known)] * READERS,
        lambda: load_models(trained, part.end, known),
    )
    cached = read_cached(ModelArtifacts.for_prefix(trained, PREFIX))
    if cached is None or asked_of(cached) not in known:
        lost("after resets beside loads nothing is published")


if __name__ == "__main__":
    main()
