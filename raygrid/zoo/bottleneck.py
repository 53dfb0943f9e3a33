"""How narrow an autoencoder should be: which widths to try, and the one after which more of it gains little. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raygrid.base.arguments import whole_number
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.errors import ArgumentError
from raygrid.store.ledger import CONFIG_PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

# A distance in units of the curve's own height: below it is rounding.
_STRAIGHT = 1e-9


def bottleneck_range(width: int, count: int = 6) -> tuple[int, ...]:
    """Numbers of latent units to try for inputs of ``width`` features, ascending and distinct.

    They run from a sixteenth of the width (at least 1) to a half, evenly spaced on a logarithmic scale: one unit more
    changes a narrow bottleneck, and hardly a wide one. A bottleneck near the width can copy its input.

    Args:
        width: features of the input, at least 2.
        count: how many numbers at most; fewer where rounding makes them equal.

    Raises:
        ArgumentError: there is no smaller width, or ``count`` is below 2.
    """
    width, count = whole_number("width", width, 2), whole_number("count", count, 2)
    spaced = np.geomspace(max(1, width // 16), width // 2, count)
    return tuple(int(units) for units in np.unique(np.rint(spaced)))


def elbow_curve(results: pa.Table, name: str = "latent_dim") -> tuple[list[int], list[float]]:
    """The lowest ``val_loss`` for each value of a hyperparameter, from the table ``results`` of a model.

    Returns:
        The values, ascending, and the losses.

    Raises:
        ArgumentError: the table has no such hyperparameter, or its values are no numbers.
    """
    column = CONFIG_PREFIX + name
    if column not in results.column_names:
        known = [c.removeprefix(CONFIG_PREFIX) for c in results.column_names if c.startswith(CONFIG_PREFIX)]
        raise ArgumentError(
            f"the results have no hyperparameter {name!r}; they have {', '.join(known) or 'none'}.",
            remedy="Name a hyperparameter of the grid whose values are numbers.",
        )
    best: dict[Any, float] = {}
    for size, loss, status in zip(*(results[c].to_pylist() for c in (column, "val_loss", "status")), strict=True):
        if status == "done":
            if isinstance(size, bool) or not isinstance(size, int | float):
                raise ArgumentError(
                    f"{name!r} has the value {size!r}, and a curve needs numbers.",
                    remedy="Name a hyperparameter whose values are numbers.",
                )
            best[size] = min(loss, best.get(size, loss))
    return sorted(best), [best[size] for size in sorted(best)]


def elbow_point(sizes: Sequence[int], losses: Sequence[float]) -> int | None:
    """The size at which a falling curve bends: where it lies farthest below the chord between its ends.

    Both axes are first brought to the range 0 to 1, so that units do not matter. This is the offline form of
    V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'Kneedle' in a haystack: detecting knee points in
    system behavior", ICDCS Workshops 2011, without its smoothing and its threshold.

    Args:
        sizes: distinct, in any order; at least 3.
        losses: finite, one for each size.

    Returns:
        One of ``sizes``, the smallest where several are as far; None where no point lies below the chord.

    Raises:
        ArgumentError: fewer than 3 sizes, repeated ones, another number of losses, or a value that is not finite.
    """
    points = checked_curve(sizes, losses)
    if len(points) < 3:
        raise ArgumentError(
            f"a curve of {counted(len(points), 'size')} has no elbow.", remedy="Pass the losses of 3 sizes or more."
        )
    x, y = (_from_0_to_1(np.array(values, dtype=np.float64)) for values in zip(*points, strict=True))
    # The distance from a straight line is this difference times a constant.
    below = y[0] + (y[-1] - y[0]) * x - y
    farthest = int(np.argmax(below))
    return points[farthest][0] if below[farthest] > _STRAIGHT else None


def checked_curve(sizes: Sequence[int], losses: Sequence[float]) -> list[tuple[int, float]]:
    """The points of a curve, sorted by size.

    Raises:
        ArgumentError: repeated sizes, another number of losses than of sizes, none, or a value that is not finite.
    """
    if len(sizes) != len(losses) or len(sizes) == 0:
        raise ArgumentError(
            f"sizes holds {counted(len(sizes), 'number')} and losses holds {len(losses)}.",
            remedy="Pass one loss for each size.",
        )
    if len(set(sizes)) < len(sizes):
        raise ArgumentError(
            f"sizes repeats a value: {list(sizes)}.", remedy="Pass each size once, with its lowest loss."
        )
    if not np.isfinite(np.array([sizes, losses], dtype=np.float64)).all():
        raise ArgumentError(
            f"sizes {list(sizes)} and losses {list(losses)} must be finite.",
            remedy="Leave out the sizes where one of the two is not.",
        )
    return sorted(zip(sizes, losses, strict=True))


def _from_0_to_1(values: Array) -> Array:
    height = np.ptp(values)
    return (values - values.min()) / height if height else np.zeros_like(values)
