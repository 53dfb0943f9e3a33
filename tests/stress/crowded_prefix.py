"""Eight processes train under one prefix at once, and some are killed: one trains, the others wait and then load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from events import count, lost
from known_results import (
    PREFIX,
    Asked,
    Known,
    difference,
    finished_points,
    fitted,
    learn,
    metrics_of,
    wrong_records,
)
from part import Part, ended, forked, killed, started_part

from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import read_cached
from raygrid.training.tensorflow_setup import load_tensorflow

ASKED = [Asked(3), Asked(5), Asked(8)]
PROCESSES = 8
MOST_KILLS = 3
LIMIT_S = 240.0


class Diary(SearchListener):
    """A line for each training that begins or ends, in a file that all processes share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def point_started(self, point: Point) -> None:
        self._write("begin", point.key)

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self._write("end", point.key)

    def _write(self, what: str, key: str) -> None:
        with open(self.path, "a") as file:
            file.write(f"{what} {key} {os.getpid()}\n")


def train_all(folder: Path, diary: Path, all_asked: list[Asked], known: dict[Asked, Known]) -> None:
    for asked in all_asked:
        model = fitted(folder, asked, progress=Diary(diary))
        assert model.best_config is not None and model.best_metrics is not None
        if tuple(model.best_config["hidden"]) != (asked.units,):
            lost(f"of {PROCESSES} processes one asked for {asked} and got {model.best_config}")
        if metrics_of(model.best_metrics) != known[asked].metrics:
            lost(f"of {PROCESSES} processes one got other metrics of {asked} than an undisturbed training gives")


def check_diary(lines: list[str], killed_pids: set[int], same: bool) -> None:
    """One training at a time, and none again of what is recorded, but where its process was killed."""
    begun: tuple[str, int] | None = None
    begins = ends = 0
    for what, key, text in map(str.split, lines):
        pid = int(text)
        if what == "begin":
            if begun is not None and begun[1] not in killed_pids:
                lost("two processes trained under one prefix at the same time")
            begins, begun = begins + 1, (key, pid)
        else:
            if begun != (key, pid):
                lost("a training ended under one prefix that another process had begun")
            ends, begun = ends + 1, None
    if begins - ends > len(killed_pids):
        lost(f"{begins} trainings began under one prefix and {ends} ended, with {len(killed_pids)} processes killed")
    if same and ends > 1:
        lost(f"{PROCESSES} processes asked for the same point, and it was trained {ends} times")
    count("trainings of processes on one prefix", "the same point" if same else "growing requests", ends)


def kill_some(part: Part, pids: list[int], seconds: float) -> set[int]:
    """Kills up to three of the processes, each at a random time; the ids of those that still ran."""
    begin, victims = time.monotonic(), part.random.sample(pids, part.random.randint(0, MOST_KILLS))
    times = sorted(part.random.uniform(0, seconds) for _ in victims)
    died = set()
    for pid, at in zip(victims, times, strict=True):
        code = ended(pid, max(0.0, begin + at - time.monotonic()))
        if code is None:
            killed(pid)
            died.add(pid)
        elif code != 0:
            lost(f"of {PROCESSES} processes on one prefix one ended with {code}")
        pids.remove(pid)
    return died


def one_round(part: Part, folder: Path, known: dict[Asked, Known], same: bool, usual_s: float) -> None:
    diary = folder.with_suffix(".diary")
    diary.touch()
    asked = [part.random.choice(ASKED)] if same else ASKED
    pids = [forked(lambda: train_all(folder, diary, asked, known)) for _ in range(PROCESSES)]
    died = kill_some(part, pids, usual_s)
    for pid in pids:
        code = ended(pid, LIMIT_S)
        if code != 0:
            killed(pid)
            lost(f"of {PROCESSES} processes on one prefix one ended with {code}")
    count("kills", f"one of {PROCESSES} processes on one prefix", len(died))
    count("rounds of processes on one prefix", "the same point" if same else "growing requests")
    check_diary(diary.read_text().splitlines(), died, same)
    cached = read_cached(ModelArtifacts.for_prefix(folder, PREFIX))
    wrong = "nothing is published" if cached is None else difference(cached, known)
    problems = ([wrong] if wrong else []) + wrong_records(folder, known)
    if len(finished_points(folder)) != len(asked):
        problems.append(f"{len(finished_points(folder))} points are recorded, {len(asked)} were asked for")
    for problem in problems:
        lost(f"after {PROCESSES} processes trained under one prefix: {problem}")


def seconds_of(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def main() -> None:
    part, turn = started_part(), 0
    load_tensorflow()
    known = learn(part.folder, ASKED)
    usual_s = 10.0
    while True:
        same = turn % 2 == 0
        folder = part.folder / str(turn)
        usual_s = seconds_of(lambda: one_round(part, folder, known, same, usual_s))  # noqa: B023 - called at once
        turn += 1
        if part.over:
            break


if __name__ == "__main__":
    main()
