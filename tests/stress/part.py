"""What each part of the stress program begins with, and children of it that are forked."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random


@dataclass
class Part:
    """What a part is given.

    Attributes:
        folder: an empty folder of its own.
        end: when it should end, as ``time.monotonic`` counts; a round that has begun may go on.
        random: seeded.
    """

    folder: Path
    end: float
    random: Random

    @property
    def over(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.end

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.end - time.monotonic())


def started_part() -> Part:
    """From the command line: ``--folder``, ``--seconds`` and ``--seed``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    return Part(options.folder, time.monotonic() + options.seconds, Random(options.seed))


def forked(act: Callable[[], object]) -> int:
    """Runs ``act`` in a forked process that exits with 0, or with 1 and a traceback; its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(pid: int, within_s: float) -> int | None:
    """The exit code of a child (negative: the signal that ended it), or None if it still runs after so many seconds."""
    end = time.monotonic() + within_s
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.002)


def killed(pid: int) -> None:
    """Kills a child with SIGKILL and waits for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
