"""What a trained model of windows says about a whole series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from raygrid.base.types import Array
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.data.windows import check_window, window_starts
from raygrid.training.tensorflow_setup import quiet_tensorflow

if TYPE_CHECKING:
    import keras


# Only a block of windows is ever copied out of the series.
_BLOCK_WINDOWS = 1024
_BLOCK_BYTES = 16 * 2**20


@quiet_tensorflow()
def reproduce_rows(model: keras.Model, x: Array, runs: Array | None, window: int) -> Array:
    """Each row as the model reproduces it: the mean over all windows, one row apart, that hold the row.

    Args:
        model: gives back windows of shape (windows, window, ...).
        x: the series in the units that the model sees, rows first.
        runs: number of each row's run, which windows do not cross; None: one run.
        window: rows of a window.

    Returns:
        float32, of the shape of ``x``.

    Raises:
        DataError: the window is longer than a run.
    """
    check_window("X", runs, len(x), window)
    starts = window_starts(runs, len(x), window, 1)
    within = np.arange(window)
    sums = np.zeros(x.shape, np.float64)
    counts = np.zeros(len(x), np.int64)
    step = max(1, min(_BLOCK_WINDOWS, _BLOCK_BYTES // (window * x[0].nbytes)))
    for first in range(0, len(starts), step):
        block = starts[first : first + step]
        output = np.asarray(model.predict_on_batch(x[block[:, None] + within]), np.float32)
        for offset in range(window):
            # No row occurs twice in ``rows``, or the sum would keep only one of them.
            rows = block + offset
            sums[rows] += output[:, offset]
            counts[rows] += 1
    return (sums / counts.reshape(-1, *[1] * (x.ndim - 1))).astype(np.float32)


@quiet_tensorflow()
def evaluate_windows(model: keras.Model, x: Array, runs: Array | None, config: Mapping[str, Any]) -> dict[str, float]:
    """Loss and metrics over the windows of a series, ``config["stride"]`` rows apart, as ``val_loss`` is measured.

    Raises:
        DataError: the window is longer than a run.
    """
    from raygrid.training.batches import val_items

    check_window("X", runs, len(x), config["window"])
    arrays = TrainingArrays(x_train=x, y_train=None, x_val=x, y_val=None, runs_val=runs)
    batches = val_items(arrays, config, TrainSettings(windowed=True)).in_order(config["batch_size"])
    metrics = model.evaluate(batches, verbose=0, return_dict=True)
    return {name: float(value) for name, value in metrics.items()}
