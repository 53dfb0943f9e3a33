"""Runs a command and measures it as a whole: its time, and the peak memory of it and all its descendants together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Reading the memory of 20 processes takes 20 ms of a core; once a second that is 1 % of two.
_SAMPLE_INTERVAL_S = 1.0
_LEFTOVERS_LIMIT_S = 20.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Measured:
    """One run of a command.

    Attributes:
        begin: when it was started, in seconds since the epoch.
        seconds: until it ended; what it left running is not waited for.
        peak_pss_mb: the largest sum of PSS (memory that several processes share is divided among them), in MB.
        exit_code: 0 is success; negative: the signal that ended it.
        timed_out: whether it was ended because it ran too long.
    """

    begin: float
    seconds: float
    peak_pss_mb: float
    exit_code: int
    timed_out: bool


def run_measured(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, limit_s: float) -> Measured:
    """Runs ``command`` to its end, and ends what it leaves running. Only one at a time in a process."""
    # Daemons whose parent ended become children of this process, and are still found.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begin, begin_counter, peak = time.time(), time.perf_counter(), 0
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=output, stderr=subprocess.STDOUT)
    ended = os.pidfd_open(process.pid)
    timed_out = False
    try:
        while not select.select([ended], [], [], _SAMPLE_INTERVAL_S)[0]:
            peak = max(peak, sum(pss_bytes(pid) for pid in descendants(os.getpid())))
            timed_out = time.perf_counter() - begin_counter > limit_s
            if timed_out:
                break
        seconds = time.perf_counter() - begin_counter
    finally:
        os.close(ended)
        if process.poll() is None:
            process.kill()
        exit_code = process.wait()
        _end_leftovers()
    return Measured(begin, seconds, peak / 1e6, exit_code, timed_out)


def descendants(root: int) -> list[int]:
    """The ids of all processes below ``root``."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold spaces and parentheses of its own.
                parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def pss_bytes(pid: int) -> int:
    """The proportional set size of a process; 0 if it has ended."""
    return memory_bytes(pid).get("Pss", 0)


def memory_bytes(pid: int) -> dict[str, int]:
    """What the kernel says of a process' memory, by its own names such as ``Pss_Anon``; nothing if it has ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        return {name.removesuffix(":"): int(value) * 1024 for name, value, _ in map(str.split, lines)}
    return {}


def _end_leftovers() -> None:
    begin = time.perf_counter()
    while left := descendants(os.getpid()):
        if time.perf_counter() - begin > _LEFTOVERS_LIMIT_S:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.1)
