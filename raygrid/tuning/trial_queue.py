"""Which trials come next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import replace

from raygrid.grid.plan import PlannedTrial, single_trainings


class TrialQueue:
    """The trials that wait, in waves.

    A trial of several trainings whose worker dies comes back at the end, as one trial for each training without a
    result, since only one of them is at fault. So does one whose worker was killed for its memory, one at a time.

    Args:
        trials: in the order in which they come.
        per_wave: the most trials of a wave.
    """

    def __init__(self, trials: Sequence[PlannedTrial], per_wave: int) -> None:
        self._waiting = trials
        self._alone: list[PlannedTrial] = []
        self._per_wave = per_wave

    @property
    def alone(self) -> bool:
        """Whether the next wave is a trial that was killed before."""
        return not self._waiting

    def next_wave(self) -> Sequence[PlannedTrial]:
        """The trials to run next, all of which may be begun at the same time; none: all have had their turn."""
        return self._waiting[: self._per_wave] or self._alone[:1]

    def ended(
        self, given: int, finished: Container[str], killed: Collection[str] = (), lost: Collection[str] = ()
    ) -> list[PlannedTrial]:
        """Takes how a wave ended.

        Args:
            given: how many of its trials were begun.
            finished: the keys of all points that have a result.
            killed: the keys of the points whose worker was killed for its memory.
            lost: the keys of the points that were in one trial with others when its worker died.

        Returns:
            The trials that were begun and not finished, with the points that they still have to train; those with
            points in ``lost`` are none of them. They come back, but for one that was killed alone.
        """
        open_points = (
            (trial, tuple(point for point in trial.points if point.key not in finished))
            for trial in self.next_wave()[:given]
        )
        left = [replace(trial, points=points) for trial, points in open_points if points]
        if self.alone:
            del self._alone[0]
            return left
        hit = _with_points_in(killed, left)
        apart = [trial for trial in _with_points_in(lost, left) if trial not in hit]
        left = [trial for trial in left if trial not in apart]
        self._waiting = [
            *(trial for trial in left if trial not in hit),
            *self._waiting[given:],
            *single_trainings(apart),
        ]
        self._alone += single_trainings(hit)
        return left


def _with_points_in(keys: Collection[str], trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    return [trial for trial in trials if any(point.key in keys for point in trial.points)]
