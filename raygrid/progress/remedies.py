"""What the error of a failed point says to the person who has to do something about it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raygrid.grid.error_lines import WHAT_HELPS, what_happened
from raygrid.grid.records import PointRecord
from raygrid.progress.common_mistakes import mistake_remedy

MEMORY_REMEDY = (
    "a smaller batch_size or model, fewer trials at the same time (Resources(max_concurrent=...), --max-concurrent), "
    "or a node with more memory"
)

# Of Python and numpy, of TensorFlow, of C++ and of the operating system, at the begin of a traceback's last part.
_OUT_OF_MEMORY = re.compile(
    r"^(?:[\w.]+\.)?(?:_?Array)?(?:MemoryError|ResourceExhaustedError|OutOfMemoryError)\b.*|^.*\bstd::bad_alloc\b.*"
    r"|^OSError: \[Errno 12\].*",
    re.MULTILINE,
)
# TensorFlow's line with the shape of what had no room.
_NO_ROOM = re.compile(r"OOM when allocating tensor with shape\[[\d,]*\]")
_NO_MODULE = re.compile(r"^\s*ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)

# Ray, of a worker that ended without a word: killed by the kernel, or aborted by C++ code that had no memory.
_WORKER_DIED = "Worker exit type: SYSTEM_ERROR"

# Ray, of a worker that could not unpickle what it has to run; it ends the worker after that.
_NOT_LOADED = "failed to import on the worker"

# What the error of a point begins with that never reached the code of raygrid in a worker.
NOT_STARTED = "its worker died or could not start"


def with_remedy(record: PointRecord) -> PointRecord:
    """``record``, whose error ends with what to do about it, where that is known."""
    if record.status != "failed" or record.error is None:
        return record
    remedy = remedy_of(record.error, record.config)
    return record if remedy is None else replace(record, error=f"{record.error.rstrip()}\n{remedy}")


def remedy_of(error: str, config: Mapping[str, Any]) -> str | None:
    """A line that says what happened and what to do about it; None where that is not known."""
    return _memory_remedy(error) or _import_remedy(error) or _death_remedy(error) or _remedy_of_a_mistake(error, config)


def _remedy_of_a_mistake(error: str, config: Mapping[str, Any]) -> str | None:
    cause = what_happened(error)
    remedy = mistake_remedy(cause, error, config)
    return None if remedy is None else f"{cause.removesuffix('.')}. {WHAT_HELPS}: {remedy}."


def _memory_remedy(error: str) -> str | None:
    raised = _OUT_OF_MEMORY.findall(error)
    if not raised:
        return None
    room = _NO_ROOM.search(error)
    return f"out of memory ({raised[-1].strip() if room is None else room.group()}). What helps: {MEMORY_REMEDY}."


def _import_remedy(error: str) -> str | None:
    missing = _NO_MODULE.findall(error)
    if not missing or not error.startswith(NOT_STARTED):
        return None
    name = missing[-1]
    file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    if file is None:
        return f"the workers cannot import {name!r}. What helps: install it wherever they run."
    folder = Path(file).parent.parent if Path(file).stem == "__init__" else Path(file).parent
    return (
        f"the workers cannot import {name!r}, which this process has from {folder}: they see what is installed and "
        "what PYTHONPATH names, not what was added to sys.path. What helps: "
        f"set PYTHONPATH={folder} before Ray starts, or install it."
    )


def worker_died(error: str) -> bool:
    """Whether a worker ended without a word, rather than with an error."""
    return error.startswith(NOT_STARTED) and _WORKER_DIED in error and _NOT_LOADED not in error


def _death_remedy(error: str) -> str | None:
    if not worker_died(error):
        return None
    return f"its worker died each time, which may be for want of memory. What helps then: {MEMORY_REMEDY}."


def out_of_memory_alone(cause: str) -> str:
    """The error of a point whose worker Ray ended for its memory, also with nothing beside it.

    Args:
        cause: what Ray says of it.
    """
    return (
        f"{cause}\nout of memory: Ray ended its worker twice, since its node was short of memory, the second time with "
        "no other trial of the search beside it. What helps: a smaller batch_size or model, or a node with more memory."
    ).lstrip()
