"""Views of consecutive rows, so that whatever reads a large array needs little memory beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from raygrid.base.types import Array

# Small enough for the cache of one core, large enough that the loop in Python costs nothing.
_BLOCK_BYTES = 4 * 2**20


def row_blocks(array: Array) -> Iterator[Array]:
    """Yield views of consecutive rows, each of a few MiB, so that temporaries stay small."""
    row_bytes = max(1, array.itemsize * math.prod(array.shape[1:]))
    step = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def by_column(array: Array) -> Array:
    """``array`` with its columns on the last axis: an array of one axis is one column."""
    return array[:, np.newaxis] if array.ndim == 1 else array
