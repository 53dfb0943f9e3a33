"""Trials that train nothing: what Ray Tune and the recording of a point cost by themselves.

Each number of points is a search in a process of its own, on two workers. A trial reports at once; its record is
written as always, with fsync, but there are no weights. The rate is from the start of the first trial to the end of
the last.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import reporting

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Plan, Point, make_plan
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.points import PointStore
from raygrid.tuning.driver import run_trials
from raygrid.tuning.resources import TrialResources
from raygrid.tuning.session import RaySession
from raygrid.tuning.trial import TrainingJob, TrialJob, decode_points
from raygrid.tuning.worker_memory import private_bytes

DEFAULT_POINTS = (10, 100, 1_000)
WORKERS = 2
TARGET_PER_S = 15.0
CONTEXT = "noop"
PACKAGES = ("ray", "numpy")


@dataclass(frozen=True)
class Result:
    """Memory is resident and not shared. The driver's growth is from the first recorded point to the last."""

    points: int
    trials_per_s: float
    first_hundred_per_s: float
    last_hundred_per_s: float
    seconds_before_first: float
    driver_mb: float
    driver_growth_kb_per_trial: float
    largest_worker_mb: float
    worker_processes: int


def report_at_once(config: dict[str, Any], *, job: TrialJob, data: TrainingArrays) -> None:
    """What a trial does instead of training: the reports of a point that diverged in its only epoch."""
    from ray import tune

    for point in decode_points(config["points"]):
        held = private_bytes()
        record = PointRecord(
            key=point.key,
            context=job.training.context,
            config=point.config,
            seed=point.seed,
            status="diverged",
            # Where a trained point has its metrics; the driver's side reads it there.
            metrics={"val_loss": None, "held_bytes": held},
            epochs_run=1,
            worker=str(os.getpid()),
        )
        epochs = {"keys": [point.key], "first_epoch": 1, "epochs": [{"loss": 1.0, "val_loss": None}]}
        tune.report({**epochs, "record": record.to_json(), "held_bytes": held})


class Watch(SearchListener):
    """Notes when points start and end, and what the processes hold then."""

    def __init__(self) -> None:
        self.start: float | None = None
        self.ends: list[float] = []
        self.driver_bytes: list[int] = []
        self.worker_bytes: dict[str, float] = {}

    def point_started(self, point: Point) -> None:
        if self.start is None:
            self.start = time.perf_counter()

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self.ends.append(time.perf_counter())
        self.driver_bytes.append(private_bytes() or 0)
        held = record.metrics["held_bytes"] or 0.0
        self.worker_bytes[record.worker] = max(held, self.worker_bytes.get(record.worker, 0.0))


def plan_of(points: int) -> Plan:
    configs = [{"units": number, "learning_rate": 1e-3, "epochs": 1, "batch_size": 32} for number in range(points)]
    keys = [hashlib.sha256(json.dumps(config).encode()).hexdigest() for config in configs]
    return make_plan(
        (Point(number, config, 0, key) for number, (config, key) in enumerate(zip(configs, keys, strict=True))),
        {},
        lambda config: 1_000,
    )


def measure(points: int) -> Result:
    plan, watch = plan_of(points), Watch()
    rows = np.zeros((10, 4), np.float32)
    with tempfile.TemporaryDirectory(prefix="noop-") as folder, RaySession(None, (), False) as session:
        session.wait()
        begin, store = time.perf_counter(), PointStore(Path(folder, "points"))
        training = TrainingJob(None, CONTEXT, TrainSettings(), store, Checkpoints(Path(folder, "checkpoints")))
        run_trials(
            plan,
            TrialJob("noop", training, 1, 0),
            TrainingArrays(rows, None, rows, None),
            TrialResources(1, 0.0, WORKERS),
            Path(folder, "tune"),
            watch,
            run_trial=report_at_once,
        )
        written = len(list(Path(folder, "points").glob("*.json")))
    if written != points:
        raise RuntimeError(f"{written} of {points} records were written")
    assert watch.start is not None
    return Result(
        points=points,
        trials_per_s=points / (watch.ends[-1] - watch.start),
        first_hundred_per_s=_rate(watch.ends[:101]),
        last_hundred_per_s=_rate(watch.ends[-101:]),
        seconds_before_first=watch.start - begin,
        driver_mb=max(watch.driver_bytes) / 1e6,
        driver_growth_kb_per_trial=(watch.driver_bytes[-1] - watch.driver_bytes[0]) / 1e3 / max(1, points - 1),
        largest_worker_mb=max(watch.worker_bytes.values()) / 1e6,
        worker_processes=len(watch.worker_bytes),
    )


def _rate(ends: list[float]) -> float:
    return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else 0.0


def as_markdown(results: list[Result], found: dict[str, str]) -> list[str]:
    header = [
        "points",
        "trials/s",
        "first / last hundred",
        "before the first",
        "driver",
        "its growth a trial",
        "largest worker",
        "worker processes",
    ]
    rows = [
        [
            f"{r.points:,}",
            f"{r.trials_per_s:.1f}",
            f"{r.first_hundred_per_s:.1f} / {r.last_hundred_per_s:.1f}",
            f"{r.seconds_before_first:.1f} s",
            f"{r.driver_mb:.0f} MB",
            f"{r.driver_growth_kb_per_trial:.0f} kB",
            f"{r.largest_worker_mb:.0f} MB",
            f"{r.worker_processes}",
        ]
        for r in results
    ]
    return [
        "# No-op trials",
        "",
        f"Trials that report at once, on {WORKERS} workers; each record is written with fsync. Target: at least "
        f"{TARGET_PER_S:.0f} a second.",
        "",
        *reporting.table(header, rows),
        "",
        *reporting.as_list(found),
    ]


def _measure_in_a_new_process(points: int) -> Result:
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(points)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Result(**json.loads(output.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=reporting.RESULTS, help="folder of the results")
    parser.add_argument("--points", type=int, action="append", help="only so many points; may be repeated")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(asdict(measure(args.measure)), allow_nan=False))
        return
    results = [_measure_in_a_new_process(points) for points in args.points or DEFAULT_POINTS]
    found = reporting.facts(PACKAGES)
    values = {**found, "cases": [asdict(result) for result in results]}
    reporting.write(args.out, "noop_trials", values, as_markdown(results, found))


if __name__ == "__main__":
    main()
