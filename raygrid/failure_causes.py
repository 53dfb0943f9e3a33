"""What the error of a failed point says to the person who has to do something about it. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from raygrid.records import PointRecord

MEMORY_REMEDY = (
    "a smaller batch_size or model, fewer trials at the same time (Resources(max_concurrent=...)), or a node with more "
    "memory"
)

# Of Python and numpy, of TensorFlow, of C++ and of the operating system, at the begin of a traceback's last part.
_OUT_OF_MEMORY = re.compile(
    r"^(?:[\w.]+\.)?(?:_?Array)?(?:MemoryError|ResourceExhaustedError|OutOfMemoryError)\b.*|^.*\bstd::bad_alloc\b.*"
    r"|^OSError: \[Errno 12\].*",
    re.MULTILINE,
)
# TensorFlow's line with the shape of what had no room.
_NO_ROOM = re.compile(r"OOM when allocating tensor with shape\[[\d,]*\]")


def with_remedy(record: PointRecord) -> PointRecord:
    """``record``, whose error ends with what to do about it, where that is known."""
    if record.status != "failed" or record.error is None:
        return record
    raised = _OUT_OF_MEMORY.findall(record.error)
    if not raised:
        return record
    room = _NO_ROOM.search(record.error)
    cause = raised[-1].strip() if room is None else room.group()
    return replace(record, error=f"{record.error.rstrip()}\nout of memory ({cause}). What helps: {MEMORY_REMEDY}.")


def out_of_memory_alone(cause: str) -> str:
    """The error of a point whose worker Ray ended for its memory, also with nothing beside it.

    Args:
        cause: what Ray says of it.
    """
    return (
        f"{cause}\nout of memory: Ray ended its worker twice, since its node was short of memory, the second time with "
        "no other trial of the search beside it. What helps: a smaller batch_size or model, or a node with more memory."
    ).lstrip()
