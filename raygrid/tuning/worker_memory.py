"""How much memory a worker holds, and when it holds enough. Pure, but for one look at ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

# A process keeps some 8 MB of every model that it traced, whatever is collected. With TensorFlow's own share a worker
# that grew by this much holds less than 1.5 GB beyond its data.
GROWTH_LIMIT_BYTES = 900 * 2**20

_STATM = Path("/proc/self/statm")


def private_bytes() -> int | None:
    """Resident memory of this process without what it shares, such as data in Ray's object store; None if unknown."""
    try:
        _, resident, shared = _STATM.read_text().split()[:3]
    except OSError:
        # No Linux.
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


class WorkerGrowth:
    """How much the workers of a wave have grown since each reported for the first time.

    The first report comes with a worker's first point, when TensorFlow, the data and a model are there already.

    Args:
        limit_bytes: a worker that grew by more should train no further point.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._first: dict[str, int] = {}
        self._largest = 0
        self._most_growth = 0

    def add(self, worker: str, held_bytes: int) -> None:
        """Takes what ``worker`` holds now."""
        first = self._first.setdefault(worker, held_bytes)
        self._largest = max(self._largest, held_bytes)
        self._most_growth = max(self._most_growth, held_bytes - first)

    @property
    def is_enough(self) -> bool:
        """Whether a worker grew beyond the limit."""
        return self._most_growth > self._limit_bytes

    @property
    def workers(self) -> int:
        """How many workers have reported."""
        return len(self._first)

    @property
    def largest_bytes(self) -> int:
        """The most that a worker held."""
        return self._largest
