"""Trials are run in waves, each with new worker processes: a worker never gives back all that it took."""

from __future__ import annotations

from ray.tune.experiment import Trial
from ray.tune.search import BasicVariantGenerator

from raygrid.tuning.worker_memory import WorkerGrowth


class Wave(BasicVariantGenerator):
    """Gives Tune the trials of its grid search in their order, until a worker has grown enough.

    What is running then ends as usual. Every trial beyond that is for a later wave.

    Args:
        growth: of the workers, kept up to date by whoever hears of it.
        concurrent: trials at the same time; None: as many as Ray takes.

    Attributes:
        given: how many trials Tune was given.
    """

    def __init__(self, growth: WorkerGrowth, concurrent: int | None) -> None:
        super().__init__(max_concurrent=concurrent or 0)
        self.given = 0
        self._growth = growth

    def next_trial(self) -> Trial | None:
        """The next trial to queue; None where there is none now, or no more in this wave."""
        if self._growth.is_enough:
            self.set_finished()
        trial = super().next_trial()
        if trial is not None:
            self.given += 1
        return trial
