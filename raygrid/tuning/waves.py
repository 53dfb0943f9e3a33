"""How Tune is given the trials: in waves, each with new worker processes, and in order.

A worker never gives back all the memory that it took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import BasicVariantGenerator

from raygrid.tuning.worker_memory import WorkerGrowth


class Wave(BasicVariantGenerator):
    """Gives Tune the trials of its grid search in their order, until a worker has grown enough.

    What is running then ends as usual. Every trial beyond that is for a later wave.

    Args:
        growth: of the workers, kept up to date by whoever hears of it.
        concurrent: trials at the same time; None: as many as Ray takes.
        retries: how often Tune tries a trial again whose worker died.

    Attributes:
        given: how many trials Tune was given.
    """

    def __init__(self, growth: WorkerGrowth, concurrent: int | None, retries: Callable[[Trial], int]) -> None:
        super().__init__(max_concurrent=concurrent or 0)
        self.given = 0
        self._growth = growth
        self._retries = retries

    @property
    def at_most(self) -> int:
        """How many trials run at the same time; 0 leaves that to Ray."""
        return int(self.max_concurrent)

    def run_at_most(self, trials: int) -> None:
        """Changes how many trials run at the same time; those that run beyond that end as usual."""
        self.max_concurrent = trials

    def next_trial(self) -> Trial | None:
        """The next trial to queue; None where there is none now, or no more in this wave."""
        if self._growth.is_enough:
            self.set_finished()
        trial = super().next_trial()
        if trial is not None:
            self.given += 1
            trial.max_failures = self._retries(trial)
        return trial


class InOrder(FIFOScheduler):
    """Leaves it to Tune to start trials in the order in which they came.

    Tune's own choice is the first trial that waits, even while a worker starts for it; a free worker is then given that
    trial and the one that starts is thrown away, so that short trials all run on one worker.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None: no trial before its turn."""
        return None
