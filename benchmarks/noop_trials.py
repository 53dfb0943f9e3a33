"""How many points a second pass through raygrid's own driver when their training costs nothing.

The trial function is replaced by one that reports a diverged record at once: no TensorFlow, no checkpoint. The rest is
``run_search`` as every search uses it, and each point's record is written to disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from process_tree import pss_bytes
from reporting import RESULTS, as_list, facts, table, write

from raygrid.plan import Plan, Point, make_plan
from raygrid.point_store import PointStore
from raygrid.progress import SearchListener
from raygrid.records import PointRecord
from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.tuning import driver
from raygrid.tuning.resources import Resources
from raygrid.tuning.trial import decode_points

# 10,000 take many minutes: --points 10000.
SIZES = (10, 100, 1_000)
TARGET = 15.0
CONTEXT = "no-op"
PACKAGES = ("ray",)


@dataclass(frozen=True)
class Result:
    """``run_s``: from the first point's start to the last one's record; ``whole_s``: with Ray's start.

    ``driver_growth_mb`` is the memory of this process after less that before.
    """

    points: int
    run_s: float
    whole_s: float
    points_per_s: float
    target: float | None
    driver_growth_mb: float


class Times(SearchListener):
    def __init__(self) -> None:
        self.begin: float | None = None
        self.end = 0.0

    def point_started(self, point: Point) -> None:
        self.begin = self.begin or time.perf_counter()

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self.end = time.perf_counter()


def report_diverged(config: dict[str, Any], **_: Any) -> None:
    """In place of ``run_trial``."""
    from ray import tune

    for point in decode_points(config["points"]):
        record = PointRecord(point.key, CONTEXT, point.config, point.seed, "diverged", error="it was not trained")
        tune.report({"keys": [point.key], "first_epoch": 1, "epochs": [], "record": record.to_json()})


def measure(size: int) -> Result:
    row = np.zeros((1, 1), np.float32)
    before, times, begin = pss_bytes(os.getpid()), Times(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as folder:
        store = PointStore(Path(folder, "points"))
        records = driver.run_search(
            plan_of(size),
            build=dict,
            context=CONTEXT,
            prepare=lambda: TrainingArrays(row, None, row, None),
            settings=TrainSettings(),
            store=store,
            tune_dir=Path(folder, "tune"),
            resources=Resources(gpus_per_trial=0),
            address=None,
            user_modules=(),
            listener=times,
            verbose=False,
        )
        whole = time.perf_counter() - begin
        written = len(store.get_all(records))
    if written != size:
        raise RuntimeError(f"{written} of {size} records were written")
    run = times.end - (times.begin or 0.0)
    growth = (pss_bytes(os.getpid()) - before) / 1e6
    return Result(size, run, whole, size / run, TARGET if size >= 100 else None, growth)


def plan_of(size: int) -> Plan:
    """A plan of as many trials as points: none of them can share anything."""
    points = [
        Point(number, {"number": number, "epochs": 1, "batch_size": 1, "patience": 0}, 0, f"{number:064x}")
        for number in range(size)
    ]
    return make_plan(points, {}, lambda config: 1)


def as_markdown(results: list[Result]) -> list[str]:
    rows = [
        (
            f"{r.points:,}",
            f"{r.run_s:.1f}",
            f"{r.points_per_s:.1f}",
            f"{r.target:g}" if r.target else "",
            f"{r.whole_s:.1f}",
            f"{r.driver_growth_mb:.0f}",
        )
        for r in results
    ]
    header = ("points", "s", "points a second", "target", "with Ray's start, s", "driver's growth, MB")
    return [
        "# No-op trials",
        "",
        "Points that are recorded without a training, through raygrid's driver: from the first one's start to the last "
        "one's record.",
        "",
        *table(header, rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--points", type=int, action="append", help="only so many points; may be repeated")
    args = parser.parse_args()
    driver.run_trial = report_diverged
    results = [measure(size) for size in args.points or SIZES]
    about = facts(PACKAGES)
    lines = [*as_markdown(results), "", *as_list(about)]
    write(args.out, "noop_trials", {**about, "cases": [asdict(result) for result in results]}, lines)


if __name__ == "__main__":
    main()
