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
DEEP_ARCHITECTURES = 30
DEEP_BLOCKS = 60
TARGET_BYTES = 1.5e9
INTERVAL_S = 1.0
PACKAGES = ("keras", "tensorflow", "ray", "numpy")


@dataclass(frozen=True)
class Result:
    """Memory in MB of 10**6 bytes; ``processes``: worker processes that trained, one after the other or together.

    ``first_mb`` is the memory of the worker that grew most when its first point was recorded, ``layers`` how many
    blocks of three layers each model has; 0: the autoencoder.
    """

    trials: int
    layers: int
    workers: int
    processes: int
    first_mb: float
    largest_mb: float
    seconds: float


def deep_model(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """Blocks of a dense layer, batch normalisation and dropout."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input(input_shape)
    for _ in range(config["layers"]):
        x = layers.Dropout(0.1)(layers.BatchNormalization()(layers.Dense(config["encoder_layers"][0], "relu")(x)))
    model = keras.Model(inputs, layers.Dense(input_shape[0])(x))
    model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse")
    return model


def search(architectures: int, layers: int, workers: int, folder: str) -> None:
    """What the measured process does."""
    from raygrid import Autoencoder, GridSearchModel, Resources
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
    resources = Resources(gpus_per_trial=0, max_concurrent=workers)
    if not layers:
        Autoencoder(folder, "growth", 0, resources=resources).fit(data.X_train, data.X_val, param_grid=grid)
        return

    class Deep(GridSearchModel):
        DEFAULT_CONFIG = {"encoder_layers": (8,), "learning_rate": 1e-3, "layers": layers, "batch_size": 1000}  # noqa: RUF012

    grid = {"encoder_layers": [(width,) for width in range(16, 16 + architectures)], "epochs": [1]}
    model = Deep(folder, "growth", 0, build_model=deep_model, resources=resources, scaler="standard")
    model.fit(data.X_train, data.X_val, param_grid=grid)


def measure(architectures: int, layers: int, workers: int) -> Result:
    peaks: dict[int, int] = {}
    first: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--search", str(architectures), str(layers), str(workers), folder],
            env=os.environ | {"PYTHONPATH": str(CLONE), "CUDA_VISIBLE_DEVICES": ""},
        )
        while process.poll() is None:
            for pid in descendants(process.pid):
                with contextlib.suppress(OSError):
                    # A worker that runs a trial is called after it; others are called ray::IDLE and the like.
                    if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        held = memory_bytes(pid).get("Pss_Anon", 0)
                        peaks[pid] = max(peaks.get(pid, 0), held)
                        if any(Path(folder, "growth_runs/points").glob("*.json")):
                            first.setdefault(pid, held)
            time.sleep(INTERVAL_S)
        if process.returncode:
            raise SystemExit(f"the search of {architectures} architectures ended with exit code {process.returncode}")
        seconds = time.perf_counter() - begin
    grown = max(first, key=lambda pid: peaks[pid] - first[pid])
    return Result(
        architectures,
        layers,
        workers,
        len(peaks),
        round(first[grown] / 1e6),
        round(max(peaks.values()) / 1e6),
        round(seconds, 1),
    )


def as_markdown(results: list[Result]) -> list[str]:
    header = (
        *("trials", "blocks of a model", "at the same time", "worker processes"),
        *("MB after the first point", "largest worker, MB", "target: at most", "seconds"),
    )
    rows = [
        (
            f"{result.trials}",
            f"{result.layers or 'autoencoder'}",
            f"{result.workers}",
            f"{result.processes}",
            f"{result.first_mb:,.0f}",
            f"{result.largest_mb:,.0f}",
            f"{TARGET_BYTES / 1e6:,.0f}",
            f"{result.seconds:.0f}",
        )
        for result in results
    ]
    return [
        "# Workers over many architectures",
        "",
        "A search of one epoch a point, each point of another architecture.",
        "",
        *table(header, rows),
    ]


def main() -> None:
    if sys.argv[1:2] == ["--search"]:
        search(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--trials", type=int, default=ARCHITECTURES, help="how many architectures of the autoencoder")
    parser.add_argument("--deep-trials", type=int, default=DEEP_ARCHITECTURES, help="how many of the deep model")
    args = parser.parse_args()
    results = [measure(args.trials, 0, 2), measure(args.deep_trials, DEEP_BLOCKS, 1)]
    about = facts(PACKAGES)
    values = {**about, "target_mb": TARGET_BYTES / 1e6, "results": [asdict(result) for result in results]}
    write(args.out, "worker_growth", values, [*as_markdown(results), "", *as_list(about)])


if __name__ == "__main__":
    main()
