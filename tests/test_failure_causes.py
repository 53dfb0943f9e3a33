"""What a failed point's error says of what helps."""

from __future__ import annotations

import pytest

from raygrid.failure_causes import MEMORY_REMEDY, with_remedy
from raygrid.records import PointRecord, Status


def record(error: str | None, status: Status = "failed") -> PointRecord:
    return PointRecord("key", "context", {}, 0, status, error=error)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("Traceback\n  x = []\nMemoryError", "MemoryError"),
        (
            "Traceback\nnumpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB for an array",
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB for an array",
        ),
        (
            "Traceback\ntensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:\n\n"
            "OOM when allocating tensor with shape[4,1000] and type float\n [Op:x]",
            "OOM when allocating tensor with shape[4,1000]",
        ),
        ("OSError: [Errno 12] Cannot allocate memory", "OSError: [Errno 12] Cannot allocate memory"),
    ],
)
def test_an_error_for_want_of_memory_ends_with_what_helps(error: str, cause: str) -> None:
    changed = with_remedy(record(error))
    assert changed.error is not None and changed.error.startswith(error)
    assert changed.cause == f"out of memory ({cause}). What helps: {MEMORY_REMEDY}."


@pytest.mark.parametrize(
    "untouched",
    [
        record("Traceback\nValueError: no MemoryError at all"),
        record(None),
        record("val_loss was not finite in any epoch", "diverged"),
        record(None, "done"),
    ],
)
def test_other_errors_stay_as_they_are(untouched: PointRecord) -> None:
    assert with_remedy(untouched) == untouched
