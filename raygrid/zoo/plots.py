"""Pictures, as Matplotlib figures: save one with ``figure.savefig("name.png")``. Needs the extra ``raygrid[plot]``.

Figures are made without ``pyplot``: no window opens, no display is needed, and nothing has to be closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import as_targets
from raygrid.errors import DataError, MissingExtraError
from raygrid.zoo.bottleneck import checked_curve, elbow_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Told apart by people who do not see all colours, and in grey: blue and orange of Okabe and Ito's palette.
_ACTUAL = "#0072B2"
_PREDICTED = "#D55E00"
_GUIDE = "#7f7f7f"


def plot_elbow_curve(sizes: Sequence[int], losses: Sequence[float], xlabel: str = "latent units") -> Figure:
    """The loss by size, the chord between the ends of the curve, and the elbow where there is one.

    Args:
        sizes: distinct, in any order; ``raygrid.zoo.bottleneck.elbow_curve`` gives both from a model's results.
        losses: finite, one for each size.
        xlabel: what the sizes are.

    Raises:
        ArgumentError: see ``raygrid.zoo.bottleneck.elbow_point``.
        MissingExtraError: Matplotlib is not installed.
    """
    points = checked_curve(sizes, losses)
    elbow = elbow_point(sizes, losses)
    figure, axes = _figure("Loss by size of the bottleneck", xlabel, "val_loss")
    x, y = zip(*points, strict=True)
    axes.plot(x, y, "o-", color=_ACTUAL, label="lowest val_loss")
    axes.plot([x[0], x[-1]], [y[0], y[-1]], "--", color=_GUIDE, linewidth=1, label="chord")
    if elbow is not None:
        axes.axvline(elbow, color=_PREDICTED, linewidth=1)
        axes.plot([elbow], [dict(points)[elbow]], "o", color=_PREDICTED, markersize=9, label=f"elbow: {elbow}")
    axes.legend(frameon=False)
    return figure


def plot_residual_fit(actual: object, predicted: object) -> Figure:
    """The student's residual over the teacher's, a dot a row; on the diagonal both are equal.

    Args:
        actual: the teacher's residuals, shape (rows,).
        predicted: the student's, shape (rows,).

    Raises:
        DataError: the shapes differ, or a value is not finite.
        MissingExtraError: Matplotlib is not installed.
    """
    y, p = _series("actual", actual), _series("predicted", predicted)
    _check_lengths(y, p)
    figure, axes = _figure(
        "Residuals: student over teacher", "teacher's residual", "student's prediction", size=(5.0, 5.0)
    )
    ends = [float(min(y.min(), p.min())), float(max(y.max(), p.max()))]
    axes.plot(ends, ends, "--", color=_GUIDE, linewidth=1, label="equal")
    # As pixels even in a PDF: there may be a million rows.
    axes.plot(y, p, ".", color=_ACTUAL, markersize=4, alpha=0.4, markeredgewidth=0, rasterized=True, label="rows")
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    return figure


def plot_residual_series(actual: object, predicted: object = None) -> Figure:
    """Residuals row by row, in the order of the rows: the teacher's, and the student's where given.

    Args:
        actual: the teacher's residuals, shape (rows,).
        predicted: the student's, shape (rows,), or None.

    Raises:
        DataError: the shapes differ, or a value is not finite.
        MissingExtraError: Matplotlib is not installed.
    """
    y = _series("actual", actual)
    p = None if predicted is None else _series("predicted", predicted)
    if p is not None:
        _check_lengths(y, p)
    figure, axes = _figure("Residuals by row", "row", "residual")
    axes.plot(y, color=_ACTUAL, linewidth=0.9, label="teacher")
    if p is not None:
        axes.plot(p, color=_PREDICTED, linewidth=0.9, alpha=0.8, label="student")
    axes.margins(x=0)
    axes.legend(frameon=False)
    return figure


def _figure(title: str, xlabel: str, ylabel: str, size: tuple[float, float] = (7.0, 4.2)) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            f"Matplotlib, which draws pictures, cannot be imported ({error}).",
            remedy="Install it: pip install 'raygrid[plot]'.",
        ) from error
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _series(name: str, values: object) -> Array:
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.size != len(array):
        raise DataError(
            f"{name} has shape {array.shape}; it must hold one number per row, shape (rows,).",
            remedy="Pass one column at a time.",
        )
    return as_targets(name, array.reshape(-1), len(array))


def _check_lengths(actual: Array, predicted: Array) -> None:
    if len(actual) != len(predicted):
        raise DataError(
            f"actual has {counted(len(actual), 'row')} and predicted has {len(predicted)}.",
            remedy="Pass both of the same rows.",
        )
