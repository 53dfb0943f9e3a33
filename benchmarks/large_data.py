"""The memory of a search on large data, in copies of the data, over all its processes.

A search is a process of its own. Its proportional set size and that of all its descendants is read every 0.2 s: a page
that several processes share counts once. The peak of the same search on next to no data is subtracted.
"""

from __future__ import annotations

import argparse
import contextlib
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

WIDTH = 200
WORKERS = 2
TRIALS = 4
BATCH_SIZE = 1024
TARGET_COPIES = 5.0
INTERVAL_S = 0.2
PACKAGES = ("keras", "tensorflow", "ray", "numpy")


@dataclass(frozen=True)
class Sample:
    """Bytes of all processes at one moment.

    Attributes:
        driver: anonymous memory of the process that calls ``fit``.
        workers: that of Ray's workers.
        others: that of Ray's own processes.
        shared: the object store.
        files: pages of files, which the kernel can drop: libraries, and data that is streamed.
    """

    driver: int = 0
    workers: int = 0
    others: int = 0
    shared: int = 0
    files: int = 0

    @property
    def total(self) -> int:
        return self.driver + self.workers + self.others + self.shared + self.files


@dataclass(frozen=True)
class Result:
    """Of one way to search; all but the first three in copies of the data, with what no data takes subtracted."""

    way: str
    data_bytes: int
    seconds: float
    peak: float
    driver: float
    workers: float
    shared: float
    files: float
    peak_without_files: float


def search(rows: int, memory_gb: float | None, folder: str) -> None:
    """What the measured process does."""
    import numpy as np

    from raygrid import Autoencoder, Resources

    x = np.random.default_rng(0).standard_normal((rows, WIDTH), dtype=np.float32)
    grid: dict[str, Any] = {
        "encoder_layers": [(8,)],
        "latent_dim": [4],
        "activation": ["relu"],
        "learning_rate": [1e-3 / 2**i for i in range(TRIALS)],
        "batch_size": [BATCH_SIZE],
        "epochs": [1],
    }
    resources = Resources(gpus_per_trial=0, max_concurrent=WORKERS, memory_gb=memory_gb)
    Autoencoder(folder, "large", 0, resources=resources).fit(x, param_grid=grid)


def measured(rows: int, memory_gb: float | None) -> tuple[list[Sample], float]:
    """The samples of a search, and its seconds."""
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        arguments = ["--search", str(rows), folder, *([] if memory_gb is None else [str(memory_gb)])]
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, __file__, *arguments], env=os.environ | {"PYTHONPATH": str(CLONE)})
        samples = []
        while process.poll() is None:
            samples.append(_sample(process.pid))
            time.sleep(INTERVAL_S)
        if process.returncode:
            raise SystemExit(f"the search on {rows} rows ended with exit code {process.returncode}")
        return samples, time.perf_counter() - begin


def _sample(driver: int) -> Sample:
    found = dict.fromkeys(("driver", "workers", "others", "shared", "files"), 0)
    for pid in [driver, *descendants(driver)]:
        # It may have ended by now.
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/cmdline").read_bytes()
            memory = memory_bytes(pid)
            owner = "driver" if pid == driver else "workers" if name.startswith(b"ray::") else "others"
            found[owner] += memory.get("Pss_Anon", 0)
            found["shared"] += memory.get("Pss_Shmem", 0)
            found["files"] += memory.get("Pss_File", 0)
    return Sample(**found)


def result(way: str, rows: int, memory_gb: float | None, empty: list[Sample]) -> Result:
    samples, seconds = measured(rows, memory_gb)
    data = rows * WIDTH * 4
    at_peak, at_empty_peak = (max(of, key=lambda sample: sample.total) for of in (samples, empty))

    def copies(most: int, without: int) -> float:
        return round((most - without) / data, 2)

    return Result(
        way=way,
        data_bytes=data,
        seconds=round(seconds, 1),
        peak=copies(at_peak.total, at_empty_peak.total),
        **{
            name: copies(getattr(at_peak, name), getattr(at_empty_peak, name))
            for name in ("driver", "workers", "shared", "files")
        },
        peak_without_files=copies(*(max(sample.total - sample.files for sample in of) for of in (samples, empty))),
    )


def as_markdown(results: list[Result]) -> list[str]:
    header = (
        "data",
        "peak",
        "of it driver",
        "workers",
        "object store",
        "pages of files",
        "peak without these",
        "seconds",
    )
    rows = [
        (
            r.way,
            f"{r.peak:.2f}",
            f"{r.driver:.2f}",
            f"{r.workers:.2f}",
            f"{r.shared:.2f}",
            f"{r.files:.2f}",
            f"{r.peak_without_files:.2f}",
            f"{r.seconds:.0f}",
        )
        for r in results
    ]
    return [
        "# Large data",
        "",
        f"Memory of a search of {TRIALS} trials on {WORKERS} workers over {results[0].data_bytes / 1e9:g} GB of "
        "float32, in copies of the data, over all processes at the moment of the peak (proportional set size, every "
        f"{INTERVAL_S:g} s, less that of the same search without data). The target is at most {TARGET_COPIES:g} "
        "copies. Pages of files are those that the kernel can drop.",
        "",
        *table(header, rows),
    ]


def main() -> None:
    if sys.argv[1:2] == ["--search"]:
        rows, folder, *memory_gb = sys.argv[2:]
        search(int(rows), float(memory_gb[0]) if memory_gb else None, folder)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--rows", type=int, default=1_250_000, help=f"rows of {WIDTH} columns")
    parser.add_argument("--only", choices=("in memory", "streamed"), help="only this way")
    args = parser.parse_args()
    empty, _ = measured(10, None)
    ways = {"in memory": None, "streamed": 0.0}
    results = [result(way, args.rows, gb, empty) for way, gb in ways.items() if args.only in (None, way)]
    about = facts(PACKAGES)
    values = {**about, "target": TARGET_COPIES, "ways": [asdict(result) for result in results]}
    write(args.out, "large_data", values, [*as_markdown(results), "", *as_list(about)])


if __name__ == "__main__":
    main()
