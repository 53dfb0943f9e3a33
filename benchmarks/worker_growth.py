"""The memory of workers over many trials of different architectures, each of which is traced anew.

A search is a process of its own. The anonymous memory (proportional set size) of each of its workers is read once a
second; what lies in Ray's object store is no part of it, and a worker's copy of the data, of a megabyte here, is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from environments import CLONE
from process_tree import descendants, memory_bytes
from reporting import RESULTS, as_list, facts, table, write

ARCHITECTURES = 300
WORKERS = 2
TARGET_BYTES = 1.5e9
INTERVAL_S = 1.0
PACKAGES = ("keras", "tensorflow", "ray", "numpy")


@dataclass(frozen=True)
class Result:
    """Memory in MB of 10**6 bytes; ``processes``: worker processes that trained, one after the other or together."""

    trials: int
    workers: int
    processes: int
    largest_mb: float
    seconds: float


def search(architectures: int, folder: str) -> None:
    """What the measured process does."""
    from raygrid import Autoencoder, Resources
    from raygrid.datasets import load_tep

    data = load_tep()
    pairs = itertools.product(range(16, 16 + architectures), range(8, 16))
    grid: dict[str, Any] = {
        "encoder_layers": list(itertools.islice(((first, second) for first, second in pairs), architectures)),
        "latent_dim": [4],
        "activation": ["relu"],
        "learning_rate": [1e-3],
        "epochs": [1],
    }
    resources = Resources(gpus_per_trial=0, max_concurrent=WORKERS)
    Autoencoder(folder, "growth", 0, resources=resources).fit(data.X_train, data.X_val, param_grid=grid)


def measure(architectures: int) -> Result:
    peaks: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--search", str(architectures), folder],
            env=os.environ | {"PYTHONPATH": str(CLONE), "CUDA_VISIBLE_DEVICES": ""},
        )
        while process.poll() is None:
            for pid in descendants(process.pid):
                with contextlib.suppress(OSError):
                    # A worker that runs a trial is called after it; others are called ray::IDLE and the like.
                    if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        peaks[pid] = max(peaks.get(pid, 0), memory_bytes(pid).get("Pss_Anon", 0))
            time.sleep(INTERVAL_S)
        if process.returncode:
            raise SystemExit(f"the search of {architectures} architectures ended with exit code {process.returncode}")
        seconds = time.perf_counter() - begin
    return Result(architectures, WORKERS, len(peaks), round(max(peaks.values()) / 1e6), round(seconds, 1))


def as_markdown(result: Result) -> list[str]:
    header = ("trials", "at the same time", "worker processes", "largest worker, MB", "target: at most", "seconds")
    row = (
        f"{result.trials}",
        f"{result.workers}",
        f"{result.processes}",
        f"{result.largest_mb:,.0f}",
        f"{TARGET_BYTES / 1e6:,.0f}",
        f"{result.seconds:.0f}",
    )
    return [
        "# Workers over many architectures",
        "",
        "A search of one epoch a point, each point of another architecture.",
        "",
        *table(header, [row]),
    ]


def main() -> None:
    if sys.argv[1:2] == ["--search"]:
        search(int(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--trials", type=int, default=ARCHITECTURES, help="how many architectures")
    args = parser.parse_args()
    result = measure(args.trials)
    about = facts(PACKAGES)
    values = {**about, "target_mb": TARGET_BYTES / 1e6, "result": asdict(result)}
    write(args.out, "worker_growth", values, [*as_markdown(result), "", *as_list(about)])


if __name__ == "__main__":
    main()
