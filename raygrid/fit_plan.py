"""What a call of ``fit`` will do: load the published model, or train what of the points is missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from raygrid.cache import CachedModel
from raygrid.plan import Plan, Point
from raygrid.records import pick_best
from raygrid.request import Request
from raygrid.search_run import SearchRun


@dataclass(frozen=True)
class Task:
    """What a call has to do.

    Attributes:
        request: the points that are asked for, all defaults filled in.
        cached: the published model where it is what is asked for; None: something is to be trained or published.
        experiment: the experiment that records belong to.
    """

    request: Request
    cached: CachedModel | None
    experiment: str


@dataclass(frozen=True)
class FitPlan:
    """What ``fit`` with the same arguments would do.

    Attributes:
        run: the data, identity and records of the call.
        cached: the published model where ``fit`` would load it; None: it would train, or only publish anew.
    """

    run: SearchRun
    cached: CachedModel | None

    @property
    def loads(self) -> bool:
        """Whether ``fit`` would load the published model, and train nothing."""
        return self.cached is not None

    @cached_property
    def plan(self) -> Plan:
        """All points; which are done; the trials for the others, none where ``fit`` loads."""
        plan = self.run.plan()
        return Plan(plan.points, plan.done, ()) if self.loads else plan

    @property
    def retrained(self) -> Point | None:
        """The point that is trained once more for the sake of its weights, which were not kept.

        It is the best of those that are done, so a better one among those to train makes it unnecessary.
        """
        done = self.plan.done
        if self.loads or not done:
            return None
        best = pick_best((p.number, done[p.key]) for p in self.plan.points if p.key in done)
        if best is None or self.run.store.weights(best[1]) is not None:
            return None
        return self.plan.points[best[0]]
