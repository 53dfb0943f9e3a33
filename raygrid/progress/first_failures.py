"""Says early that the first points of a search all fail alike, which most often is no fault of their values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from raygrid.grid.error_lines import same_as
from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener

log = logging.getLogger("raygrid")

_ALIKE = 5


class FirstFailures(SearchListener):
    """Warns once, when the first points have all failed before their first epoch for the same cause.

    The search goes on: it may be a value, or two values together, that only these points have.
    """

    def __init__(self) -> None:
        self._left = 0
        self._causes: set[str] = set()

    def search_started(self, plan: Plan) -> None:
        # Where one of the grid is done, its builder works. Of a few points, the end comes soon enough.
        self._left = 0 if plan.done or plan.to_train <= _ALIKE else _ALIKE
        self._causes = set()

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        self._left = 0

    def point_finished(self, point: Point, record: PointRecord) -> None:
        self._causes.add(same_as(record.cause))
        if not self._left or record.status != "failed" or record.epochs_run or len(self._causes) > 1:
            self._left = 0
            return
        self._left -= 1
        if not self._left:
            log.warning(
                "The first %d points have all failed before their first epoch, with the same cause: %s\n"
                "The search goes on, since other values may work. If this is no fault of the values, stop it (Ctrl-C), "
                "mend the cause and run the same again.",
                _ALIKE,
                record.cause,
            )
