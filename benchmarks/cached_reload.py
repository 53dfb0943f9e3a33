"""``fit`` on data that is trained already, against loading the same model with Keras alone: whole processes in turn."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from environments import CLONE
from reporting import RESULTS, as_list, facts, table, write

from raygrid.datasets import load_tep

PAIRS = 7
TARGET = 1.15
PACKAGES = ("keras", "tensorflow", "numpy")

_DATA = "import numpy as np; arrays = np.load('data.npz'); x, x_val = arrays['x_train'], arrays['x_val']; "
_FIT = _DATA + "from raygrid import Autoencoder; Autoencoder('models', 'bench', verbose=0).fit(x, x_val{more})"
_LOAD = _DATA + "import keras; keras.models.load_model('models/bench_model.keras')"


def pairs(folder: Path, count: int) -> list[tuple[float, float]]:
    """Seconds of ``fit`` and of ``load_model``, each ``count`` times; which goes first changes from pair to pair."""
    tep = load_tep()
    np.savez(folder / "data.npz", x_train=tep.X_train, x_val=tep.X_val)
    _seconds(_FIT.format(more=", model_config={'epochs': 1}"), folder)
    fit, load = _FIT.format(more=""), _LOAD
    # The first of each also writes what later ones find cached.
    for code in (fit, load):
        _seconds(code, folder)
    times = []
    for number in range(count):
        order = (fit, load) if number % 2 else (load, fit)
        seconds = {code: _seconds(code, folder) for code in order}
        times.append((seconds[fit], seconds[load]))
    return times


def _seconds(code: str, folder: Path) -> float:
    env = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as folder:
        times = pairs(Path(folder), args.pairs)
    ratio = statistics.median(fit / load for fit, load in times)
    fit_s, load_s = (statistics.median(column) for column in zip(*times, strict=True))
    about = facts(PACKAGES)
    row = (str(len(times)), f"{fit_s:.2f}", f"{load_s:.2f}", f"{ratio:.3f}x", f"{TARGET}x")
    lines = [
        "# Cached reload",
        "",
        "Whole processes: `Autoencoder(...).fit(...)` on data that is trained already, and `keras.models.load_model` "
        "of the same file, both with the data read. Medians; the ratio is the median of those of the pairs.",
        "",
        *table(("pairs", "`fit`, s", "`load_model`, s", "ratio", "target: at most"), [row]),
        "",
        *as_list(about),
    ]
    values = {**about, "target": TARGET, "ratio": ratio, "fit_s": fit_s, "load_s": load_s, "pairs": times}
    write(args.out, "cached_reload", values, lines)


if __name__ == "__main__":
    main()
