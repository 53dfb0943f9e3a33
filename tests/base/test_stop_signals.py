"""Signals that are held back, and SIGTERM that interrupts as Ctrl-C does; handlers come back as they were."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from raygrid.base.stop_signals import TERMINATED, search_stopped, signals_held_back, sigterm_as_interrupt
from raygrid.errors import SearchInterrupted

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As in a new process, and back as they were."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handled(number: signal.Signals) -> list[int]:
    """Sets a handler that only counts; what it counts."""
    counted: list[int] = []

    def count(number: int, frame: FrameType | None) -> None:
        counted.append(number)

    signal.signal(number, count)
    return counted


def test_a_signal_is_held_back_until_the_end_and_then_reaches_its_handler() -> None:
    counted = handled(signal.SIGTERM)
    own = signal.getsignal(signal.SIGTERM)
    with signals_held_back() as held:
        assert held.number is None
        signal.raise_signal(signal.SIGTERM)
        assert (held.number, counted) == (signal.SIGTERM, [])
    assert counted == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is own


def interrupted(times: int) -> int:
    """Presses Ctrl-C ``times`` times while signals are held back; returns how often it came so far."""
    reached = 0

    def press() -> None:
        nonlocal reached
        with signals_held_back():
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
                reached += 1

    with pytest.raises(KeyboardInterrupt):
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return reached


def test_ctrl_c_that_is_held_back_interrupts_at_the_end() -> None:
    assert interrupted(1) == 1


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    assert interrupted(2) == 1


def test_handlers_that_were_set_inside_are_gone_afterwards() -> None:
    handled(signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    with signals_held_back():
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)
    assert {number: signal.getsignal(number) for number in NUMBERS} == before


@pytest.mark.parametrize("guarded", [signals_held_back, sigterm_as_interrupt])
def test_a_signal_that_the_process_ignores_stays_ignored(guarded: Callable[[], object]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with guarded() as held:  # type: ignore[attr-defined]
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    # A search ends when a signal was held back.
    assert held is None or held.number is None


@pytest.mark.parametrize("guarded", [signals_held_back, sigterm_as_interrupt])
def test_other_threads_than_the_main_one_set_no_handlers(guarded: Callable[[], object]) -> None:
    seen = []

    def run() -> None:
        with guarded():  # type: ignore[attr-defined]
            seen.append([signal.getsignal(number) for number in NUMBERS])

    before = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def terminated_search() -> None:
    """A search to which SIGTERM comes."""
    with sigterm_as_interrupt():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise search_stopped(2, 3) from error


def test_sigterm_unwinds_what_runs_and_then_ends_the_process_with_143(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"), pytest.raises(SystemExit) as ended:
        terminated_search()
    assert ended.value.code == TERMINATED == 143
    assert isinstance(ended.value.__context__, SearchInterrupted)
    assert "SIGTERM ends this process: the search was stopped with 2 of 3 points unfinished" in caplog.text
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_process_with_a_handler_of_its_own_for_sigterm_has_it_called_in_the_end() -> None:
    counted = handled(signal.SIGTERM)
    with pytest.raises(SearchInterrupted):
        terminated_search()
    assert counted == [signal.SIGTERM]


def test_the_handler_that_ray_sets_counts_as_none() -> None:
    def rays(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it would end the process with the code 15")

    rays.__module__ = "ray._private.worker"
    signal.signal(signal.SIGTERM, rays)
    with pytest.raises(SystemExit) as ended, sigterm_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == TERMINATED
    assert signal.getsignal(signal.SIGTERM) is rays


def test_sigterm_during_trials_stops_them_and_then_ends_the_process() -> None:
    noted = []

    def search() -> None:
        with sigterm_as_interrupt(), signals_held_back() as held:
            signal.raise_signal(signal.SIGTERM)
            noted.append(held.number)

    with pytest.raises(SystemExit) as ended:
        search()
    assert noted == [signal.SIGTERM]
    assert ended.value.code == TERMINATED


def test_the_error_says_what_is_missing_and_what_to_do() -> None:
    assert "2 of 3 points unfinished; the finished ones are kept" in str(search_stopped(2, 3))
    assert "when its last point was finished; all points are kept" in str(search_stopped(0, 3))
    assert "1 of 1 point unfinished" in str(search_stopped(1, 1))
    assert "Run the same again" in str(search_stopped(0, 3))
