"""Ctrl-C and SIGTERM while something runs that has to end in good order.

Python lets only the main thread set handlers; elsewhere nothing here does anything.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from raygrid.base.wording import counted
from raygrid.errors import SearchInterrupted

log = logging.getLogger("raygrid")

# What a shell says of a process that SIGTERM ended.
TERMINATED = 128 + signal.SIGTERM


class HeldBack:
    """The signal that was held back.

    Attributes:
        number: the first that came; None: none did.
    """

    number: int | None = None


@contextlib.contextmanager
def signals_held_back() -> Iterator[HeldBack]:
    """Ctrl-C and SIGTERM only leave a note inside, and reach their handlers at the end; a second one does at once.

    All handlers are then as they were before, also that of SIGUSR1, which Tune takes for itself and keeps.
    """
    held = HeldBack()
    if not _may_set_handlers():
        yield held
        return
    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}

    def note(number: int, frame: FrameType | None) -> None:
        if held.number is None:
            held.number = number
        else:
            _deliver(number, before[number])

    for stop in (signal.SIGINT, signal.SIGTERM):
        # One that was set outside Python cannot be given back, and one that is ignored stays ignored.
        if before[stop] not in (None, signal.SIG_IGN):
            signal.signal(stop, note)
    try:
        yield held
    finally:
        for number, handler in before.items():
            _give_back(number, handler)
        if held.number is not None:
            _deliver(held.number, before[held.number])


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM interrupts what runs inside as Ctrl-C does. At the end it ends the process, or reaches its own handler.

    Raises:
        SystemExit: with the code 143, if SIGTERM came and the process has no handler of its own. One that it has is
            called instead.
    """
    before = signal.getsignal(signal.SIGTERM) if _may_set_handlers() else None
    if before in (None, signal.SIG_IGN):
        yield
        return
    came = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if came:
            if callable(before) and not _is_rays(before):
                _deliver(signal.SIGTERM, before)
            else:
                log.warning("SIGTERM ends this process: %s", sys.exception())
                raise SystemExit(TERMINATED)


def search_stopped(missing: int, to_train: int) -> SearchInterrupted:
    """The error for a search that was told to stop with ``missing`` of its ``to_train`` points unfinished."""
    if not missing:
        return SearchInterrupted(
            "the search was stopped when its last point was finished; all points are kept. Run the same again to "
            "publish the best of them."
        )
    return SearchInterrupted(
        f"the search was stopped with {missing} of {counted(to_train, 'point')} unfinished; the finished ones are "
        "kept. Run the same again to train only what is missing."
    )


def _may_set_handlers() -> bool:
    return threading.current_thread() is threading.main_thread()


def _deliver(number: int, handler: Any) -> None:
    """Lets ``handler`` have a signal that came before; for who counts signals it is not a second one."""
    if callable(handler):
        handler(number, None)
    else:
        _give_back(number, handler)
        signal.raise_signal(number)


def _give_back(number: int, handler: Any) -> None:
    if handler is not None:
        signal.signal(number, handler)


def _is_rays(handler: Any) -> bool:
    """Ray's own ends the process too, with another code."""
    return str(getattr(handler, "__module__", "")).partition(".")[0] == "ray"
