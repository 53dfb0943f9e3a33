"""How long a search will still take, from the epochs that it has trained. Pure: the clock is given."""

from __future__ import annotations

# Less tells little: the first epochs of a training come in a burst.
_MEASURED_FOR_S = 1.0


class TimeLeft:
    """Measures from the first epochs on, so that the start of Ray, and waiting for other jobs, do not count.

    Points that stop early make the others likely to: those that are not finished are expected to train that part of
    their epochs which the finished ones needed.

    Args:
        epochs: the most that all points together can train.
    """

    def __init__(self, epochs: int) -> None:
        self._unfinished = epochs
        self._under_way = 0
        self._finished_planned = self._finished_run = 0
        self._measured = 0
        self._begin: float | None = None

    def trained(self, epochs: int, now: float) -> None:
        """Points trained that many epochs more, at the time ``now`` in seconds."""
        self._under_way += epochs
        if self._begin is None:
            # How long these took is not known.
            self._begin = now
        else:
            self._measured += epochs

    def begun_again(self, epochs: int) -> None:
        """A point begins anew that had trained so many epochs."""
        self._under_way -= epochs

    def finished(self, planned: int, run: int, trained: int) -> None:
        """A point is finished.

        Args:
            planned: the most epochs that it could train.
            run: how many it did.
            trained: how many of those ``trained`` was told of.
        """
        self._unfinished -= planned
        self._under_way -= trained
        if run:
            self._finished_planned += planned
            self._finished_run += min(run, planned)

    def text(self, now: float) -> str:
        """For people, such as ``about 20 s left``; empty where nothing is known yet, or nothing is left."""
        if self._begin is None or not self._measured or now - self._begin < _MEASURED_FOR_S or not self._unfinished:
            return ""
        part = self._finished_run / self._finished_planned if self._finished_planned else 1.0
        expected = max(0.0, self._unfinished * part - self._under_way)
        seconds = expected * (now - self._begin) / self._measured
        return f"{'about' if self._finished_planned else 'at most'} {duration(seconds)} left"


def duration(seconds: float) -> str:
    """``20 s``, ``5 min 3 s``, ``3 h 12 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
