"""Kills of single trainings in a process, without Ray: at any time, and at any step towards the disk."""

from __future__ import annotations

import time
from pathlib import Path

from events import count, lost
from kill_points import killed_at
from known_results import (
    LIMIT_S,
    PREFIX,
    Asked,
    Known,
    difference,
    finished_points,
    fitted,
    learn,
    wrong_records,
)
from part import Part, ended, forked, killed, started_part

from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import read_cached
from raygrid.training.tensorflow_setup import load_tensorflow

ASKED = [Asked(3), Asked(5), Asked(8)]
KILLS_A_FOLDER = 8
STEPS = 70


def check(folder: Path, before: set[str], known: dict[Asked, Known]) -> set[str]:
    """Tells what is lost or mixed; returns what is recorded."""
    cached = read_cached(ModelArtifacts.for_prefix(folder, PREFIX))
    wrong = None if cached is None else difference(cached, known)
    if wrong is not None:
        lost(f"after a kill of a training: {wrong}")
    for text in wrong_records(folder, known):
        lost(f"after a kill of a training: {text}")
    after = finished_points(folder)
    if not before <= after:
        lost(f"{len(before - after)} of {len(before)} recorded points are gone after a kill of a training")
    return after


def one_folder(part: Part, folder: Path, known: dict[Asked, Known], usual_s: float) -> None:
    recorded: set[str] = set()
    for _ in range(KILLS_A_FOLDER):
        asked, reset = part.random.choice(ASKED), part.random.random() < 0.3
        if part.random.random() < 0.5:
            step = part.random.randint(1, STEPS)
            if killed_at(step, lambda asked=asked, reset=reset: fitted(folder, asked, reset=reset)):
                count("kills", "a training in this process, at a step towards the disk")
        else:
            pid = forked(lambda asked=asked, reset=reset: fitted(folder, asked, reset=reset))
            code = ended(pid, part.random.uniform(0, usual_s))
            if code is None:
                killed(pid)
                count("kills", "a training in this process, at any time")
            elif code != 0:
                lost(f"a training of {asked} failed with exit code {code}")
        recorded = check(folder, recorded, known)
        if part.over:
            break
    last = part.random.choice(ASKED)
    pid = forked(lambda: fitted(folder, last))
    code = ended(pid, LIMIT_S)
    if code != 0:
        killed(pid)
        lost(f"after kills a training of {last} ends with {code}")
    check(folder, recorded, known)
    cached = read_cached(ModelArtifacts.for_prefix(folder, PREFIX))
    if cached is None or tuple(cached.config["hidden"]) != (last.units,):
        lost(f"after kills {last} was asked for, and is not what is published")
    else:
        count("results equal to undisturbed ones", "a training in this process")


def main() -> None:
    part, turn = started_part(), 0
    load_tensorflow()
    known = learn(part.folder, ASKED)
    begin = time.monotonic()
    learn(part.folder / "again", ASKED[:1])
    usual_s = time.monotonic() - begin
    while True:
        one_folder(part, part.folder / str(turn), known, usual_s)
        turn += 1
        if part.over:
            break


if __name__ == "__main__":
    main()
