"""The steady part of a search with one worker and with two: a fixed part of grid C, without the start of anything."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grids import GRIDS, Grid, points_of
from reporting import RESULTS, as_list, facts, table, write

from raygrid import Autoencoder, Resources, SearchListener
from raygrid.datasets import load_tep
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord

TARGET = 1.7
WORKERS = (1, 2)
PACKAGES = ("ray", "keras", "tensorflow", "numpy")
# 96 points in 24 trainings.
PART: Grid = {**GRIDS["C"], "latent_dim": [64]}


class Steady(SearchListener):
    """From the first training's begin to the last one's end, by what the records say of their own length."""

    def __init__(self) -> None:
        self.begins: list[float] = []
        self.ends: list[float] = []

    def point_finished(self, point: Point, record: PointRecord) -> None:
        now = time.perf_counter()
        self.begins.append(now - record.seconds)
        self.ends.append(now)

    @property
    def seconds(self) -> float:
        return max(self.ends) - min(self.begins)


def steady_s(workers: int, grid: Grid) -> float:
    """Seconds of the steady part with so many workers, in a new model folder."""
    data, steady = load_tep(), Steady()
    with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as folder:
        model = Autoencoder(
            folder, "bench", verbose=0, resources=Resources(max_concurrent=workers, gpus_per_trial=0), progress=steady
        )
        model.fit(data.X_train, data.X_val, param_grid=grid)
    return steady.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--repeat", type=int, default=1, help="how often each, in turn")
    parser.add_argument("--epochs", type=int, help="of all points, instead of those of C: for a quick try")
    args = parser.parse_args()
    grid = PART if args.epochs is None else {**PART, "epochs": [args.epochs]}
    times = [{workers: steady_s(workers, grid) for workers in WORKERS} for _ in range(args.repeat)]
    one, two = (statistics.median(pair[workers] for pair in times) for workers in WORKERS)
    ratio = statistics.median(pair[1] / pair[2] for pair in times)
    about = facts(PACKAGES)
    count = len(points_of(grid))
    lines = [
        "# From one worker to two",
        "",
        f"{count} points of grid C, from the first training's begin to the last one's end.",
        "",
        *table(
            ("points", "1 worker, s", "2 workers, s", "ratio", "target: at least"),
            [(str(count), f"{one:.1f}", f"{two:.1f}", f"{ratio:.2f}x", f"{TARGET}x")],
        ),
        "",
        *as_list(about),
    ]
    values = {**about, "points": count, "target": TARGET, "ratio": ratio, "seconds": times}
    write(args.out, "workers", values, lines)


if __name__ == "__main__":
    main()
