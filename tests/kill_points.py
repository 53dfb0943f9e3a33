"""Ends this process with a real SIGKILL at the k-th step that it takes towards the disk."""

from __future__ import annotations

import builtins
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from raygrid import storage

_STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}


class _KillPoints:
    """Counts steps from when it is made, and kills at the one numbered ``at`` (from 1)."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        sys.addaudithook(self._audit)
        fsync = os.fsync

        def counted(descriptor: Any) -> None:
            self.step()
            fsync(descriptor)

        os.fsync = counted  # type: ignore[assignment]
        storage.open = self._open  # type: ignore[attr-defined]

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        creates = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)
        if event in _STEPS or creates:
            self.step()

    def _open(self, *arguments: Any, **keywords: Any) -> Any:
        file = builtins.open(*arguments, **keywords)  # noqa: SIM115 - the caller closes it
        return _HalfWritten(file, self.step) if file.writable() else file


class _HalfWritten:
    """A file whose writes reach the disk in two halves, with a step between them."""

    def __init__(self, file: Any, step: Callable[[], None]) -> None:
        self._file = file
        self._step = step

    def __enter__(self) -> _HalfWritten:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._step()
        self._file.write(data[len(data) // 2 :])


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Runs ``act`` in a forked process that is killed before its step number ``step``; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _KillPoints(step)
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the publisher failed"
    return False
