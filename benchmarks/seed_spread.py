"""How far the ``val_loss`` of one config moves with the seed: what shuffling and initial weights alone explain.

Six of the twelve points of grid C that the comparison samples, trained one after the other with three seeds. Nothing is
timed, so the machine may do other things meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grids import sample_of_c
from reporting import RESULTS, as_list, facts, table, write

from raygrid import Autoencoder
from raygrid.datasets import load_tep

SEEDS = (0, 1, 2)
PACKAGES = ("keras", "tensorflow", "numpy")


def val_losses(number: int) -> list[float]:
    """Of one point of the sample, a value for each seed."""
    data, config = load_tep(), sample_of_c()[number]
    losses = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as folder:
            model = Autoencoder(folder, "bench", verbose=0, seed=seed)
            model.fit(data.X_train, data.X_val, model_config=config)
            losses.append(model.best_metrics["val_loss"])
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--points", type=int, default=6, help="how many points of the sample")
    args = parser.parse_args()
    numbers = range(0, len(sample_of_c()), max(1, len(sample_of_c()) // args.points))
    losses = {number: val_losses(number) for number in numbers}
    apart = [abs(loss / first - 1) for first, *others in losses.values() for loss in others]
    rows = [
        (str(number), *(f"{loss:.5f}" for loss in values), f"{max(values) / min(values) - 1:.0%}")
        for number, values in losses.items()
    ]
    about = facts(PACKAGES)
    lines = [
        "# Seeds",
        "",
        "The `val_loss` of points of grid C with three seeds, all else equal. Two seeds of a point are "
        f"{statistics.median(apart):.0%} apart (median; largest {max(apart):.0%}).",
        "",
        *table(("point of the sample", *(f"seed {seed}" for seed in SEEDS), "largest above smallest"), rows),
        "",
        *as_list(about),
    ]
    write(args.out, "seed_spread", {**about, "median": statistics.median(apart), "val_losses": losses}, lines)


if __name__ == "__main__":
    main()
