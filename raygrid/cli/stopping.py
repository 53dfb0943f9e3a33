"""A command that is told to stop ends in good order, or it is ended: within five seconds in any case.

What is finished is on the disk by then, whole.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

# A command rarely takes that long to end: where Ray is starting, or where TensorFlow computes a long epoch here.
_GRACE_S = 4.0
_STOP = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"


@contextlib.contextmanager
def ended_in_time(last_words: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end what runs inside, at the latest after ``_GRACE_S`` seconds or with the second of them.

    The exit code is 130 for Ctrl-C and 143 for SIGTERM.

    Args:
        last_words: gives what is still to be said to the person where the process does not end by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    watch = _Watch(reader, last_words)
    # Written to the moment a signal comes, while Python's handlers wait until the main thread comes out of C code.
    fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    watch.start()
    try:
        yield
    finally:
        # The end of the interpreter takes its time too, and is watched as well.
        if not watch.told_to_stop:
            signal.set_wakeup_fd(fd_before)
            if before is not None:
                signal.signal(signal.SIGTERM, before)
            writer.close()
            watch.join()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class _Watch(threading.Thread):
    """Ends the process, should it not end by itself.

    Attributes:
        told_to_stop: whether a signal came.
    """

    def __init__(self, signals: socket.socket, last_words: Callable[[], str]) -> None:
        super().__init__(name="raygrid-stop", daemon=True)
        self.told_to_stop = False
        self._signals = signals
        self._last_words = last_words
        try:
            # The import of TensorFlow takes standard error away for a while.
            self._terminal = os.dup(2)
        except OSError:
            self._terminal = -1

    def run(self) -> None:
        first = self._next(None)
        if first is None:
            self._signals.close()
            if self._terminal >= 0:
                os.close(self._terminal)
            return
        self.told_to_stop = True
        self._next(_GRACE_S)
        with contextlib.suppress(OSError):
            if os.isatty(self._terminal):
                os.write(self._terminal, _SHOW_CURSOR)
            os.write(self._terminal, self._last_words().encode())
        # Some of Ray's would look for the others for a minute before they end.
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        os._exit(128 + first)

    def _next(self, timeout_s: float | None) -> int | None:
        """The number of the next signal to stop; None where none comes in time, or none can come any more."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._signals.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            try:
                number = self._signals.recv(1)
            except TimeoutError:
                return None
            if not number or number[0] in _STOP:
                return number[0] if number else None


def _descendants(ancestor: int) -> list[int]:
    """The processes that this one started, and those that they started, which run."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name of the program, in parentheses, may hold anything.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [ancestor]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]
