"""The other jobs on the cluster: a search that waits for them says so, and one for which they wait gives way."""

from __future__ import annotations

import logging
import threading
import time

import ray

from raygrid.tuning.nodes import demands_by_job
from raygrid.tuning.resources import TrialResources
from raygrid.tuning.sharing import JobDemand, trials_to_keep, waiting_text
from raygrid.tuning.waves import Wave

log = logging.getLogger("raygrid")

# A look at the cluster takes a few milliseconds.
LOOK_EVERY_S = 5.0
_SAY_EVERY_S = 60.0


class NeighbourWatch:
    """Looks at what other jobs ask for, and has a wave run fewer trials at a time where one of them is starved.

    Tune gives up a worker for which it has no trial, and with it the worker's CPUs. The watch has a thread of its own,
    for the length of the ``with`` block, since Ray does not answer where the head of the cluster has died.

    Args:
        wave: of this search.
        granted: what each of its trials gets.
    """

    def __init__(self, wave: Wave, granted: TrialResources) -> None:
        self._wave = wave
        self._granted = granted
        self._slots = wave.at_most
        self._said = -_SAY_EVERY_S
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="raygrid-neighbours", daemon=True)

    def __enter__(self) -> NeighbourWatch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        own_job = ray.get_runtime_context().get_job_id()
        while not self._over.wait(LOOK_EVERY_S):
            try:
                others = demands_by_job()
                own = others.pop(own_job, JobDemand())
                if own.waiting and not own.given:
                    self._say_that_it_waits(sum(1 for job in others.values() if job.given))
                if self._slots:
                    self._share(list(others.values()))
            except Exception:
                # A search is not ended for it, and shares no more.
                log.debug("The other jobs of the cluster are not known.", exc_info=True)
                return

    def _say_that_it_waits(self, other_jobs: int) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_S:
            self._said = now
            total, free = ray.cluster_resources(), ray.available_resources()
            log.warning("%s", waiting_text(self._granted.cpus, self._granted.gpus, total, free, other_jobs))

    def _share(self, others: list[JobDemand]) -> None:
        now = self._wave.at_most
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        keep = trials_to_keep(self._slots, now, others, nodes, self._granted.gpus)
        if keep != now:
            self._wave.run_at_most(keep)
            why = "another job waits" if keep < now else "no other job waits any more"
            log.info("%d instead of %d trials at the same time from now on: %s.", keep, now, why)
