"""Ends a process with a real SIGKILL at the k-th step that it takes towards the disk.

A step is a file that is created, each half of what `raygrid.base.files` writes, an fsync, a rename, a link, a removal,
and a folder that is made or removed. They are counted from outside, so one that is new is counted, too.

In a forked process, for a loop over all steps: `killed_at`. In a process of its own, which runs any script or module:

    RAYGRID_TEST_KILL_UNDER=models RAYGRID_TEST_KILL_AT=17 python tests/kill_points.py script.py ARGUMENTS...
    RAYGRID_TEST_KILL_UNDER=models RAYGRID_TEST_KILL_AT=17 python tests/kill_points.py -m raygrid.cli ARGUMENTS...

    RAYGRID_TEST_KILL_UNDER   the folder whose steps count; not set: all folders
    RAYGRID_TEST_KILL_AT      which step, from 1, is never taken; 0 or not set: the process ends by itself
    RAYGRID_TEST_KILL_STEPS   a file for the number of steps, written when the process ends by itself: what a random
                              step can be drawn from

These variables are read here and nowhere in raygrid. What the process starts (Ray's workers) is neither counted nor
killed.
"""

from __future__ import annotations

import atexit
import builtins
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raygrid.base import files

KILL_AT, KILL_UNDER, KILL_STEPS = (f"RAYGRID_TEST_KILL_{name}" for name in ("AT", "UNDER", "STEPS"))

# Each with the positions of its path and of the descriptor of the folder that the path begins in.
_STEPS = {"os.rename": (0, 2), "os.remove": (0, 1), "os.mkdir": (0, 2), "os.rmdir": (0, 1), "os.link": (1, 3)}


class _KillPoints:
    """Counts steps from when it is made, and kills at the one numbered ``at`` (from 1).

    Args:
        at: the step; 0 kills never.
        under: the folder whose steps count; None: all folders.
    """

    def __init__(self, at: int, under: Path | None = None) -> None:
        self.at = at
        self.steps = 0
        self._under = None if under is None else os.path.realpath(under)
        sys.addaudithook(self._audit)
        fsync = os.fsync

        def counted(descriptor: Any) -> None:
            self._step(_path_of(descriptor))
            fsync(descriptor)

        os.fsync = counted  # type: ignore[assignment]
        files.open = self._open  # type: ignore[attr-defined]

    def _step(self, path: str) -> None:
        if self._under is not None and not f"{path}/".startswith(f"{self._under}/"):
            return
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STEPS:
            path, folder = (arguments[position] for position in _STEPS[event])
            self._step(_absolute(path, folder))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC):
            self._step(_absolute(arguments[0]))

    def _open(self, *arguments: Any, **keywords: Any) -> Any:
        file = builtins.open(*arguments, **keywords)  # noqa: SIM115 - the caller closes it
        return _HalfWritten(file, self._step) if file.writable() else file


class _HalfWritten:
    """A file whose writes reach the disk in two halves, with a step between them."""

    def __init__(self, file: Any, step: Callable[[str], None]) -> None:
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
        self._step(_path_of(self._file.fileno()))
        self._file.write(data[len(data) // 2 :])


def _absolute(path: Any, folder: int = -1) -> str:
    start = os.getcwd() if folder == -1 else _path_of(folder)
    return os.path.normpath(os.path.join(start, os.fsdecode(path)))


def _path_of(descriptor: Any) -> str:
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    return os.readlink(f"/proc/self/fd/{number}")


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
    assert os.WEXITSTATUS(status) == 0, "it failed by itself"
    return False


def _write_steps(points: _KillPoints, path: str) -> None:
    Path(path).write_text(str(points.steps))


def _main() -> None:
    under = os.environ.get(KILL_UNDER)
    points = _KillPoints(int(os.environ.get(KILL_AT, "0")), None if under is None else Path(under))
    if KILL_STEPS in os.environ:
        atexit.register(_write_steps, points, os.environ[KILL_STEPS])
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
