"""Ray's memory monitor ends workers, since the node that they are on is short of memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from child_processes import run_script

from raygrid.store.points import PointStore

# Trials without TensorFlow: what is looked at is what becomes of them when Ray ends their workers.
_SEARCH = """
    import os, time
    from pathlib import Path
    import numpy as np
    from ray import tune
    from raygrid.grid.plan import PlannedTrial, Plan, Point
    from raygrid.data.training_arrays import TrainSettings
    from raygrid.store.checkpoints import Checkpoints
    from raygrid.store.points import PointStore
    from raygrid.progress.listeners import LogProgress, set_verbosity
    from raygrid.grid.records import PointRecord
    from raygrid.tuning.driver import run_trials
    from raygrid.tuning.resources import TrialResources
    from raygrid.tuning.session import RaySession
    from raygrid.tuning.trial import TrainingJob, TrialJob, decode_points

    HERE = Path.cwd()

    def take(share):
        # Until Ray ends this process, or this share of what is available now is taken.
        available = {line.split()[0]: int(line.split()[1]) * 1024 for line in open("/proc/meminfo")}["MemAvailable:"]
        taken = []
        for _ in range(int(available * share / 2**26)):
            taken.append(np.ones(2**26, np.uint8))
            time.sleep(0.005)
        time.sleep(1)

    def trial(config, *, job, data):
        for point in decode_points(config["points"]):
            name = point.config["name"]
            with open(HERE / "trials.txt", "a") as log:
                log.write(f"{name}\\n")
            if name == "always too large" or name == "once too large" and not (HERE / "was killed").exists():
                if name == "once too large":
                    (HERE / "was killed").touch()
                take(0.7)
            record = PointRecord(point.key, job.training.context, point.config, 0, "diverged", worker=str(os.getpid()))
            tune.report({"keys": [point.key], "first_epoch": 1, "epochs": [], "record": record.to_json()})

    if __name__ == "__main__":
        set_verbosity(1)
        names = ["always too large", "once too large", "a", "b"]
        points = tuple(Point(n, {"name": name, "epochs": 1}, 0, f"{n:032x}") for n, name in enumerate(names))
        plan = Plan(points, {}, tuple(PlannedTrial((point,), 1) for point in points))
        store, checkpoints = PointStore(HERE / "points"), Checkpoints(HERE / "checkpoints")
        training = TrainingJob(None, "c", TrainSettings(), store, checkpoints)
        with RaySession(None, (), False) as session:
            session.wait()
            run_trials(
                plan, TrialJob("s", training, 1, 0), None, TrialResources(1, 0.0, 2),
                HERE / "tune", LogProgress(), run_trial=trial,
            )
        print("ended")
"""


def used_and_total() -> tuple[int, int]:
    """Memory of this machine in use, and all of it, in bytes."""
    found = {line.split()[0]: int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines()}
    return found["MemTotal:"] - found["MemAvailable:"], found["MemTotal:"]


@pytest.mark.long
@pytest.mark.ray
def test_f04_a_point_whose_worker_ray_ends_for_its_memory_is_tried_alone_and_then_says_so(tmp_path: Path) -> None:
    used, total = used_and_total()
    # In use by others now, and a good part of what is free.
    threshold = (used + 0.25 * (total - used)) / total
    text = run_script(
        _SEARCH,
        tmp_path,
        RAY_memory_usage_threshold=f"{threshold:.3f}",
        RAY_memory_monitor_refresh_ms="50",
        timeout_s=200,
    )
    assert text.rstrip().endswith("ended")
    records = {record.config["name"]: record for record in PointStore(tmp_path / "points").all()}
    assert records.keys() == {"always too large", "once too large", "a", "b"}
    failed = records.pop("always too large")
    assert failed.status == "failed"
    assert failed.cause.startswith("out of memory: Ray ended its worker twice, since its node was short of memory")
    assert "What helps: a smaller batch_size or model, or a node with more memory." in failed.cause
    # What Ray says: how much memory, of which process.
    assert failed.error is not None and "GB" in failed.error
    assert {record.status for record in records.values()} == {"diverged"}

    tried = (tmp_path / "trials.txt").read_text().splitlines()
    # Beside another, alone, and once more where its neighbour was hit first.
    assert 2 <= tried.count("always too large") <= 3
    assert tried.count("once too large") == 2
    assert re.search(
        r"^Ray ended a worker, since its node was short of memory\. .* beside it: .*point 0[,.]", text, re.M
    )
    assert "Resources(max_concurrent=...)" in text
    assert not list((tmp_path / "tune").iterdir())
