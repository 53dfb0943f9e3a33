"""How close predictions come to targets. numpy only."""

from __future__ import annotations

import numpy as np

from raygrid.base.types import Array
from raygrid.errors import DataError


def regression_scores(y: Array, predicted: Array) -> dict[str, float]:
    """Mean absolute error, root of the mean squared error, and coefficient of determination.

    Of several targets each has its own numbers, and the means of these are given. A target that is constant in ``y``
    has an r2 of 1 where it is predicted without error, otherwise 0, as in scikit-learn.

    Args:
        y: targets, shape (rows,) or (rows, targets).
        predicted: of the same shape.

    Returns:
        ``mae`` and ``rmse`` in the units of ``y``, and ``r2``: 1 is perfect, 0 is no better than the mean of ``y``.

    Raises:
        DataError: the shapes differ, or there are no rows.
    """
    if y.shape != predicted.shape or y.size == 0:
        raise DataError(
            f"y has shape {y.shape} and the predictions {predicted.shape}; they must be alike, with rows.",
            remedy="Pass the true targets of the rows that are predicted, one per prediction.",
        )
    truth = y.reshape(len(y), -1).astype(np.float64)
    error = predicted.reshape(len(y), -1).astype(np.float64) - truth
    squared = np.square(error).sum(axis=0)
    spread = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    unexplained = np.divide(squared, spread, out=(squared > 0).astype(np.float64), where=spread > 0)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(squared / len(y)).mean()),
        "r2": float((1.0 - unexplained).mean()),
    }
