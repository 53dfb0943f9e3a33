"""Scripts and commands in processes of their own, with everything that they start."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_MARK = "RAYGRID_TEST_CHILD"


class Child:
    """A started command. Its processes are known by a mark in their environment, which children inherit."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str | None]) -> None:
        self.mark = uuid.uuid4().hex
        variables = {**os.environ, **environment, _MARK: self.mark}
        self.output = folder / f"output_{self.mark[:8]}.txt"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, as a shell gives to a command.
                start_new_session=True,
            )

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def processes(self) -> list[int]:
        """Ids of all processes with the mark that run."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if folder.name.isdigit() and f"{_MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = 120) -> None:
        """Waits until ``reached`` while the command runs."""
        end = time.monotonic() + timeout_s
        while not reached():
            assert self.process.poll() is None, f"it ended:\n{self.text()}"
            assert time.monotonic() < end, f"not reached in {timeout_s} s:\n{self.text()}"
            time.sleep(0.05)

    def wait_until_all_ended(self, timeout_s: float) -> list[int]:
        """The processes that still run after ``timeout_s``."""
        end = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace")


@contextlib.contextmanager
def started_command(command: Sequence[str], folder: Path, **environment: str | None) -> Iterator[Child]:
    """Runs ``command``; at the end nothing of it is left.

    Args:
        command: program and arguments.
        folder: its working folder.
        environment: variables to set, or to take away with None.
    """
    child = Child(command, folder, environment)
    try:
        yield child
    finally:
        for pid in {child.process.pid, *child.processes()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.process.wait()


@contextlib.contextmanager
def started(script: str, folder: Path, **environment: str | None) -> Iterator[Child]:
    """Runs a Python script, which can import the modules beside this file; see ``started_command``."""
    path = folder / f"script_{uuid.uuid4().hex[:8]}.py"
    path.write_text(textwrap.dedent(script))
    with started_command([sys.executable, str(path)], folder, **environment) as child:
        yield child


def run_script(script: str, folder: Path, timeout_s: float = 120, **environment: str | None) -> str:
    """What a script prints; it must end without an error."""
    with started(script, folder, **environment) as child:
        code = child.process.wait(timeout_s)
        assert code == 0, f"exit code {code}:\n{child.text()}"
        return child.text()
