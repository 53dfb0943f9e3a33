"""What a failed point's error says of what helps."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from raygrid.grid.records import PointRecord, Status
from raygrid.progress.remedies import MEMORY_REMEDY, NOT_STARTED, with_remedy


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
        ("torch.OutOfMemoryError: CUDA out of memory", "torch.OutOfMemoryError: CUDA out of memory"),
        ("RuntimeError: std::bad_alloc", "RuntimeError: std::bad_alloc"),
        # Not a module that is missing.
        (f"{NOT_STARTED}:\nModuleNotFoundError: No module named 'a'\nMemoryError", "MemoryError"),
    ],
)
def test_an_error_for_want_of_memory_ends_with_what_helps(error: str, cause: str) -> None:
    changed = with_remedy(record(error))
    assert changed.error is not None and changed.error.startswith(error)
    assert changed.cause == f"out of memory ({cause}). What helps: {MEMORY_REMEDY}."


def test_a_worker_that_died_without_a_word_may_have_had_no_memory() -> None:
    error = (
        f"{NOT_STARTED}: The actor died.\nWorker exit type: SYSTEM_ERROR Worker exit detail: killed by the OOM killer"
    )
    assert with_remedy(record(error)).cause == (
        f"its worker died each time, which may be for want of memory. What helps then: {MEMORY_REMEDY}."
    )


@pytest.mark.parametrize(
    "error",
    [
        f"{NOT_STARTED}: The actor died.\nWorker exit type: USER_ERROR",
        f"{NOT_STARTED}: Worker exit type: SYSTEM_ERROR\nThe actor with name X failed to import on the worker.",
        # What the user's own code says, as of a process that it has started itself.
        "Traceback\nRuntimeError: Worker exit type: SYSTEM_ERROR",
    ],
)
def test_a_worker_that_ended_with_a_word_has_not_died_of_memory(error: str) -> None:
    assert with_remedy(record(error)) == record(error)


def test_a_module_that_only_the_driver_can_import_is_named_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = f"{NOT_STARTED}: ...\n  ModuleNotFoundError: No module named 'only_here'\nAn unexpected internal error"
    assert with_remedy(record(error)).cause == (
        "the workers cannot import 'only_here'. What helps: install it wherever they run."
    )
    (tmp_path / "only_here.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("only_here")
    assert f"PYTHONPATH={tmp_path} " in with_remedy(record(error)).cause
    package = tmp_path / "only_package"
    package.mkdir()
    (package / "__init__.py").touch()
    importlib.import_module("only_package")
    of_package = f"{error}\n  ModuleNotFoundError: No module named 'only_package.inner'"
    changed = with_remedy(record(of_package)).cause
    assert "cannot import 'only_package.inner'" in changed and f"PYTHONPATH={tmp_path} " in changed
    # What a builder itself cannot import says so in its traceback.
    own = record("Traceback\nModuleNotFoundError: No module named 'only_here'")
    assert with_remedy(own) == own


@pytest.mark.parametrize(
    "untouched",
    [
        record("Traceback\nValueError: no MemoryError at all"),
        record(None),
        record("val_loss was not finite in any epoch", "diverged"),
        record("MemoryError", "diverged"),
        record(None, "done"),
    ],
)
def test_other_errors_stay_as_they_are(untouched: PointRecord) -> None:
    assert with_remedy(untouched) == untouched
