"""Whether no worker of a search can start, so that trying the other points would take hours and show the same. Pure."""

from __future__ import annotations

from raygrid.grid.error_lines import cause_of, same_as
from raygrid.progress.remedies import remedy_of, worker_died

# Tries of different trials that ended alike. An error, such as a module that is missing, comes again each time; a
# process that was killed may have been killed by chance.
_ERRORS, _DEATHS = 2, 6

# Below the cause, which may be of several lines.
STARTUP_REMEDY = (
    "\nRemove this cause and run the same again, which trains these points. What was finished before is kept."
)


class StartupFaults:
    """Takes how the first trials end, until a worker has come as far as the user's code.

    What happens before that does not depend on a point, so what all workers have in common is true of every point.
    """

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._first: frozenset[str] = frozenset()
        self._failed: dict[str, int] = {}
        self._causes: set[str] = set()
        self._cause = ""
        self._needed = _ERRORS
        self._ready = False

    def began(self, trial: str) -> None:
        """A trial was given a worker."""
        self._begun.add(trial)

    def worker_is_ready(self) -> None:
        """A worker has come as far as the user's code."""
        self._ready = True

    def failed(self, trial: str, error: str) -> None:
        """A try of a trial ended with ``error``, or its worker died."""
        if self._ready:
            return
        if not self._failed:
            self._first = frozenset(self._begun)
        self._failed[trial] = self._failed.get(trial, 0) + 1
        self._cause = remedy_of(error, {}) or cause_of(error)
        self._causes.add("its worker died" if worker_died(error) else same_as(self._cause))
        self._needed = _DEATHS if worker_died(error) else _ERRORS

    @property
    def cause(self) -> str | None:
        """What is wrong with every worker, and what helps; None as long as one may start."""
        if self._ready or len(self._causes) != 1 or len(self._failed) < 2:
            return None
        # Others that were begun as early may be on a node where it works.
        if self._first - self._failed.keys() or sum(self._failed.values()) < self._needed:
            return None
        return self._cause

    @property
    def tries(self) -> int:
        """How many tries have failed."""
        return sum(self._failed.values())
