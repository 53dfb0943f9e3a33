"""Kills of a process that does nothing but publish and record: what it said is done must be there, whole."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from events import count, lost
from part import Part, forked, killed, started_part
from published_sets import publish_set, seen

from raygrid.base.files import make_folder
from raygrid.grid.records import PointRecord
from raygrid.store.lock import locked
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore, write_weights

KILLS_A_FOLDER = 40
LONGEST_S = 0.06


def write_on(paths: ModelArtifacts, first: int, pipe: int) -> None:
    """Publishes and records for ever, and says after each that it is done."""
    store = PointStore(paths.points_dir)
    for number in range(first, first + 10**9):
        with locked(paths.lock_path, 0, lambda holder: None):
            publish_set(paths, f"{number:09d}", scaler=number % 3 == 0)
            os.write(pipe, b"set %d\n" % number)
            # A file for each point, as trials have: the store takes it by a link.
            weights = paths.model_dir / f"weights-{number}.npz"
            write_weights(weights, [np.full(100, number, np.float32)])
            store.add(PointRecord(f"{number:064d}", "stress", {"units": number}, 0, "done"), weights)
            os.write(pipe, b"point %d\n" % number)


def kill_one(paths: ModelArtifacts, first: int, after_s: float) -> tuple[int, int]:
    """Kills a writer after so many seconds; the last set and the last point that it said were done."""
    reading, writing = os.pipe()
    pid = forked(lambda: write_on(paths, first, writing))
    os.close(writing)
    time.sleep(after_s)
    killed(pid)
    with open(reading, "rb") as said:
        lines = [line.split() for line in said.read().splitlines()]
    done = {what: int(number) for what, number in lines}
    return done.get(b"set", first - 1), done.get(b"point", first - 1)


def check(paths: ModelArtifacts, last_set: int, last_point: int, first: int) -> int:
    """Tells what is lost; returns the number of the published set."""
    label = seen(paths)
    number = -1 if label == "nothing" else int(label)
    if number not in (last_set, last_set + 1):
        lost(f"set {last_set} was published, and after a kill {label} is")
    store = PointStore(paths.points_dir)
    for point in range(first, last_point + 1):
        record = store.get(f"{point:064d}")
        weights = None if record is None else store.weights(record)
        if weights is None or not (weights[0] == point).all():
            lost(f"point {point} was recorded, and after a kill it is not there with its weights")
    return number


def one_folder(part: Part, folder: Path) -> None:
    paths = ModelArtifacts.for_prefix(folder, "stress")
    make_folder(paths.runs_dir)
    number = -1
    for _ in range(KILLS_A_FOLDER):
        first = number + 1
        last_set, last_point = kill_one(paths, first, part.random.uniform(0, LONGEST_S))
        number = check(paths, last_set, last_point, first)
        count("kills", "publishing and recording alone")
        if part.over:
            break
    store, present = PointStore(paths.points_dir), {path.stem for path in paths.points_dir.glob("[!.]*.json")}
    if len(list(store.all())) != len(present):
        lost(f"records in {paths.points_dir} cannot be read after kills")


def main() -> None:
    part, turn = started_part(), 0
    while not part.over:
        one_folder(part, part.folder / str(turn))
        turn += 1


if __name__ == "__main__":
    main()
