"""How much memory there is, and whether the data of a training fits into it."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from raygrid.errors import DataError

# Of what is available. The rest is for TensorFlow, models and the page cache; Dask's workers begin to spill at the
# same share.
DATA_SHARE = 0.6

# For each version of control groups: the limit, what is used of it, and how the statistics call cached pages.
_CONTAINERS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Shortage:
    """Why data is not held in memory.

    Attributes:
        data_bytes: one copy.
        copies: how many would be held at once.
        allowed_bytes: what they may take together.
    """

    data_bytes: int
    copies: int
    allowed_bytes: float

    def __str__(self) -> str:
        return (
            f"the data takes {self.data_bytes / 1e9:.3g} GB, {self.copies} copies of it would be in memory at once "
            f"({self.copies * self.data_bytes / 1e9:.3g} GB), and {self.allowed_bytes / 1e9:.3g} GB may be used"
        )


def data_shortage(
    data_bytes: int, copies: int, available_bytes: float | None, limit_gb: float | None
) -> Shortage | None:
    """Whether copies of the data take more than they may; None where they fit, or nothing says what is available.

    Args:
        data_bytes: one copy.
        copies: how many are held at once.
        available_bytes: memory that is not in use; ``DATA_SHARE`` of it may be used. None: not known.
        limit_gb: what may be used instead, in GB of 10**9 bytes.
    """
    if limit_gb is not None:
        allowed = limit_gb * 1e9
    elif available_bytes is not None:
        allowed = DATA_SHARE * available_bytes
    else:
        return None
    return Shortage(data_bytes, copies, allowed) if data_bytes * copies > allowed else None


def require_memory(file: Path, needed_bytes: int) -> None:
    """Refuses a data file that needs more memory than there is.

    Raises:
        DataError: names the file, what it needs and what is available.
    """
    available = available_memory()
    if available is not None and needed_bytes > available:
        raise DataError(
            f"{file} would need about {needed_bytes / 2**30:,.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are available.",
            remedy="Write a file with fewer rows or columns. From a Parquet file, $features reads only the columns "
            "that it names.",
        )


def available_memory() -> int | None:
    """Return the bytes this process can still take, by ``/proc/meminfo``, the limit of its container and its own.

    None where the system does not say.
    """
    limits = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    for left in (left_in_container(Path("/sys/fs/cgroup")), _left_of_address_space()):
        if left is not None:
            limits.append(left)
    return min(limits, default=None)


def _left_of_address_space() -> int | None:
    """The bytes that ``ulimit -v`` leaves this process; None without a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return limit
    return max(0, limit - pages * resource.getpagesize())


def left_in_container(folder: Path) -> int | None:
    """The bytes that the control group at ``folder`` leaves; None where it sets no limit.

    Cached pages of files count as left: the kernel gives them back first.
    """
    for limit_name, used_name, cached_name in _CONTAINERS:
        limit = folder / limit_name
        try:
            if not (text := limit.read_text().strip()).isdigit():
                continue
            used = int((folder / used_name).read_text())
            statistics = dict(line.split() for line in (limit.parent / "memory.stat").read_text().splitlines())
            return max(0, int(text) - used + int(statistics.get(cached_name, 0)))
        except (OSError, ValueError):
            continue
    return None
