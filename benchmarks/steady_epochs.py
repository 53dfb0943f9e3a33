"""A steady epoch with validation: in graph against ``model.fit``, both on one thread.

One process trains two equal models, one each way. ``model.fit`` runs all its epochs in one call, as its users run it;
after each of its epochs comes one in graph and a plain matrix product, so that all three meet the same machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np
import tensorflow as tf
from reporting import RESULTS, as_list, facts, table, write

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.training.batches import train_items, val_items
from raygrid.training.epoch_program import EpochProgram
from raygrid.training.train import begin_session
from raygrid.zoo.autoencoder import Autoencoder

WIDTH = 52
CONFIG = {"encoder_layers": (256, 128), "latent_dim": 16, "activation": "relu", "learning_rate": 1e-3}
VAL_SHARE = 0.25
PRODUCT_SIZE = 1024
PACKAGES = ("keras", "tensorflow", "numpy")


@dataclass(frozen=True)
class Case:
    rows: int
    batch_size: int
    epochs: int
    target: float | None = None


CASES = (Case(3_000, 128, 40, 6.0), Case(32_000, 256, 15, 3.0), Case(200_000, 1_024, 7))


@dataclass(frozen=True)
class Result:
    """Seconds are medians over steady epochs; the first epochs, which trace, are given apart."""

    rows: int
    val_rows: int
    batch_size: int
    epochs: int
    fit_s: float
    graph_s: float
    ratio: float
    target: float | None
    first_fit_s: float
    first_graph_s: float
    gflops: float
    product_gflops: float
    share_of_product: float


def flop_of_an_epoch(model: keras.Model, rows: int, val_rows: int) -> int:
    """Of the matrix products alone; backward is twice forward."""
    forward = 2 * sum(int(np.prod(kernel.shape)) for kernel in model.trainable_weights if len(kernel.shape) == 2)
    return forward * (3 * rows + val_rows)


def measure(case: Case) -> Result:
    generator = np.random.default_rng(0)
    val_rows = int(case.rows * VAL_SHARE)
    x, x_val = (generator.normal(size=(n, WIDTH)).astype(np.float32) for n in (case.rows, val_rows))
    arrays, settings = TrainingArrays(x, None, x_val, None), TrainSettings(shuffle=True)

    begin_session(0, "float32")
    in_graph = _model()
    begin = time.perf_counter()
    program = EpochProgram(
        in_graph, train_items(arrays, {}, settings), val_items(arrays, {}, settings), case.batch_size, shuffle=True
    )
    program.run(0, 0)
    first_graph = time.perf_counter() - begin

    matrix = tf.random.normal([PRODUCT_SIZE, PRODUCT_SIZE])
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    product()
    times = _Times(program, product)
    begin = time.perf_counter()
    _model().fit(
        x,
        x,
        batch_size=case.batch_size,
        epochs=case.epochs + 1,
        validation_data=(x_val, x_val),
        shuffle=True,
        callbacks=[times],
        verbose=0,
    )
    fit_s, graph_s, product_s = (statistics.median(column[1:]) for column in (times.fit, times.graph, times.product))
    gflops = flop_of_an_epoch(in_graph, case.rows, val_rows) / graph_s / 1e9
    product_gflops = 2 * PRODUCT_SIZE**3 / product_s / 1e9
    return Result(
        rows=case.rows,
        val_rows=val_rows,
        batch_size=case.batch_size,
        epochs=case.epochs,
        fit_s=fit_s,
        graph_s=graph_s,
        ratio=fit_s / graph_s,
        target=case.target,
        first_fit_s=times.first_fit_end - begin,
        first_graph_s=first_graph,
        gflops=gflops,
        product_gflops=product_gflops,
        share_of_product=gflops / product_gflops,
    )


def _model() -> keras.Model:
    return Autoencoder("models", "bench").build_model(CONFIG, (WIDTH,))


class _Times(keras.callbacks.Callback):
    """Times each epoch of ``model.fit``, and after it the other two; the first epoch of ``fit`` traces."""

    def __init__(self, program: EpochProgram, product: Any) -> None:
        super().__init__()
        self._program = program
        self._product = product
        self.fit: list[float] = []
        self.graph: list[float] = []
        self.product: list[float] = []
        self.first_fit_end = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        end = time.perf_counter()
        self.first_fit_end = self.first_fit_end or end
        self.fit.append(end - self._begin)
        self.graph.append(_seconds(lambda: self._program.run(0, epoch + 1)))
        self.product.append(_seconds(lambda: self._product().numpy()))


def _seconds(action: Any) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def as_markdown(results: list[Result]) -> list[str]:
    header = (
        "rows",
        "batch",
        "`model.fit`",
        "in graph",
        "ratio",
        "target",
        "first epoch: `fit` / in graph",
        "GFLOP/s",
        "of a plain matrix product",
    )
    rows = [
        (
            f"{r.rows:,}",
            f"{r.batch_size:,}",
            f"{r.fit_s * 1e3:.0f}",
            f"{r.graph_s * 1e3:.0f}",
            f"{r.ratio:.1f}x",
            f"{r.target:.0f}x" if r.target else "",
            f"{r.first_fit_s * 1e3:.0f} / {r.first_graph_s * 1e3:.0f}",
            f"{r.gflops:.0f}",
            f"{r.share_of_product:.0%} of {r.product_gflops:.0f}",
        )
        for r in results
    ]
    return [
        "# Steady epochs",
        "",
        "A training epoch with validation of the 52-256-128-16 autoencoder, one thread: medians, in milliseconds.",
        "",
        *table(header, rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--rows", type=int, action="append", help="only the case of so many rows; may be repeated")
    args = parser.parse_args()
    # What TensorFlow does only once in a process belongs to no case.
    measure(Case(256, 128, 1))
    results = [measure(case) for case in CASES if not args.rows or case.rows in args.rows]
    about = facts(PACKAGES)
    lines = [*as_markdown(results), "", *as_list(about)]
    write(args.out, "steady_epochs", {**about, "cases": [asdict(result) for result in results]}, lines)


if __name__ == "__main__":
    main()
