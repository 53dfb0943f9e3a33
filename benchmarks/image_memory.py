"""What a worker holds of uint8 images, in copies of them.

A search is a process of its own, with a worker for each of two points. The anonymous memory (proportional set size) of
each worker is read several times a second; the peak of the same search on few images is subtracted. What lies in Ray's
object store is shared, and no part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from environments import CLONE
from process_tree import descendants, memory_bytes
from reporting import RESULTS, as_list, facts, table, write

IMAGES = 24_000
FEW = 400
SHAPE = (64, 64, 3)
TARGET_COPIES = 1.3
INTERVAL_S = 0.1
PACKAGES = ("keras", "tensorflow", "ray", "numpy")


def build_model(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """A few large strides, so that little but the images is in memory."""
    import keras

    layers = keras.layers
    stack = [keras.Input(input_shape, dtype="uint8"), layers.Rescaling(1 / 255), layers.Conv2D(2, 16, strides=16)]
    model = keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.Adam(config["rate"]), "sparse_categorical_crossentropy")
    return model


def search(images: int, folder: str) -> None:
    """What the measured process does."""
    from raygrid import GridSearchModel, Resources

    class Images(GridSearchModel):
        DEFAULT_CONFIG = {"rate": 1e-3, "epochs": 2, "batch_size": 100}  # noqa: RUF012

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (images, *SHAPE), dtype=np.uint8), rng.integers(0, 2, images)
    resources = Resources(gpus_per_trial=0, max_concurrent=2)
    # In two trials, so that there are two workers.
    grid = {"rate": [1e-3, 2e-3], "batch_size": [100, 120]}
    Images(folder, "images", 0, build_model=build_model, resources=resources).fit((x, y), param_grid=grid)


def measure(images: int) -> float:
    """The most that a worker held, in bytes."""
    peaks: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, "--search", str(images), folder],
            env=os.environ | {"PYTHONPATH": str(CLONE), "CUDA_VISIBLE_DEVICES": ""},
        )
        while process.poll() is None:
            for pid in descendants(process.pid):
                with contextlib.suppress(OSError):
                    if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        peaks[pid] = max(peaks.get(pid, 0), memory_bytes(pid).get("Pss_Anon", 0))
            time.sleep(INTERVAL_S)
        if process.returncode:
            raise SystemExit(f"the search of {images} images ended with exit code {process.returncode}")
    return max(peaks.values())


def main() -> None:
    if sys.argv[1:2] == ["--search"]:
        search(int(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--images", type=int, default=IMAGES, help="how many images of 64 x 64 x 3")
    args = parser.parse_args()
    few, many = measure(FEW), measure(args.images)
    data_bytes = (args.images - FEW) * int(np.prod(SHAPE))
    copies = (many - few) / data_bytes
    about = facts(PACKAGES)
    row = (f"{args.images:,}", f"{data_bytes / 1e6:,.0f}", f"{(many - few) / 1e6:,.0f}", f"{copies:.2f}")
    header = ("images", "MB of uint8", "MB a worker holds of them", "copies")
    lines = ["# uint8 images in a worker", "", *table(header, [row]), "", f"Target: at most {TARGET_COPIES}.", ""]
    write(args.out, "image_memory", {**about, "copies": round(copies, 3)}, [*lines, *as_list(about)])


if __name__ == "__main__":
    main()
