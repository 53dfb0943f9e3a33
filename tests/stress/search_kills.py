"""Kills of searches on Ray: of the driver at any time, and of a worker now and then."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from child_processes import Child, started
from events import count, largest, lost
from known_results import PREFIX, finished_points, metrics_of
from part import Part, started_part

from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.published import read_cached

# Six architectures, so that each is traced anew, and two rates that share them.
SEARCH = """
    from pathlib import Path
    from small_models import SmallModel, small_rows

    grid = {"hidden": [[3], [4], [5], [6, 3], [7], [8, 4]], "learning_rate": [0.01, 0.003], "epochs": [40]}
    SmallModel(Path("models"), "stress", 0).fit(small_rows(2000), param_grid=grid)
"""
POINTS = 12
LIMIT_S = 300.0
OUTLIVES_S = 120.0
MOST_KILLS_A_SEARCH = 12


def result(folder: Path) -> tuple[object, ...] | None:
    """The winner's config, metrics and weights, and the val_loss of every point; None where nothing is published."""
    paths = ModelArtifacts.for_prefix(folder / "models", PREFIX)
    cached = read_cached(paths)
    if cached is None:
        return None
    store = PointStore(paths.points_dir)
    winner = store.get(cached.manifest.winner["key"])
    assert winner is not None and winner.weights is not None
    points = sorted((record.key, record.status, record.val_loss) for record in store.all())
    return cached.config, cached.manifest.winner, metrics_of(cached.metrics), winner.weights.sha256, points


def undisturbed(folder: Path) -> tuple[tuple[object, ...], float]:
    """What a search gives that nobody kills, and how many seconds it takes."""
    folder.mkdir()
    begin = time.monotonic()
    with started(SEARCH, folder) as child:
        if child.process.wait(LIMIT_S) != 0:
            raise RuntimeError(f"an undisturbed search failed:\n{child.text()}")
        wait_for_the_rest(child)
    found = result(folder)
    assert found is not None and len(finished_points(folder / "models")) == POINTS
    return found, time.monotonic() - begin


def wait_for_the_rest(child: Child) -> None:
    """Ray's processes end by themselves when their driver has ended."""
    begin = time.monotonic()
    left = child.wait_until_all_ended(OUTLIVES_S)
    largest("seconds that a process outlived its search", round(time.monotonic() - begin, 1))
    if left:
        names = ", ".join(name_of(pid) for pid in left)
        lost(f"processes of a search still ran {OUTLIVES_S:g} s after it was killed or had ended: {names}")


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80]
    except OSError:
        return "one that has just ended"


def workers(child: Child) -> list[int]:
    """The processes that train; Ray names them after what they run."""
    names = {pid: name_of(pid) for pid in child.processes()}
    return [pid for pid, name in names.items() if name.startswith("ray::") and "train" in name]


def ended_within(child: Child, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        code = child.process.poll()
        if code is not None:
            return code
        time.sleep(0.01)
    return None


def maybe_kill_a_worker(part: Part, child: Child) -> None:
    """One at most in a search, since a trial is tried again only so often."""
    if part.random.random() > 0.3:
        return
    end = time.monotonic() + 60
    while not (found := workers(child)) and child.process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    if found and ended_within(child, part.random.uniform(0, 4)) is None and (now := workers(child)):
        os.kill(part.random.choice(now), signal.SIGKILL)
        count("kills", "a search: a worker")


def phase(finished: int) -> str:
    if finished == 0:
        return "before its first point was finished"
    return "while points were trained" if finished < POINTS else "after its last point was finished"


def disturbed_once(part: Part, folder: Path, within_s: float) -> bool:
    """Runs the search until it ends, or is killed after so many seconds; whether it ended."""
    with started(SEARCH, folder) as child:
        maybe_kill_a_worker(part, child)
        code = ended_within(child, within_s)
        if code is None:
            child.process.kill()
            child.process.wait()
            count("kills", f"a search: its driver, {phase(len(finished_points(folder / 'models')))}")
        elif code != 0:
            lost(f"a search ended with exit code {code}: {child.text()[-1500:]}")
        wait_for_the_rest(child)
    return code == 0


def one_search(part: Part, folder: Path, expected: tuple[object, ...], usual_s: float) -> None:
    folder.mkdir()
    before: set[str] = set()
    for turn in range(MOST_KILLS_A_SEARCH + 1):
        undisturbed_now = turn == MOST_KILLS_A_SEARCH or part.over
        within_s = LIMIT_S if undisturbed_now else part.random.uniform(0.1, 1.0) * usual_s
        complete = disturbed_once(part, folder, within_s)
        after = finished_points(folder / "models")
        if not before <= after:
            lost(f"{len(before - after)} of {len(before)} finished points are gone after a kill of a search")
        before = after
        if complete:
            break
    found = result(folder)
    if found != expected:
        lost(f"a search that was killed {turn} times ended with {found}, an undisturbed one with {expected}")
    else:
        count("results equal to undisturbed ones", "a search")


def main() -> None:
    part, turn = started_part(), 0
    expected, usual_s = undisturbed(part.folder / "undisturbed")
    largest("seconds of an undisturbed search", round(usual_s, 1))
    while not part.over:
        one_search(part, part.folder / str(turn), expected, usual_s)
        turn += 1


if __name__ == "__main__":
    main()
