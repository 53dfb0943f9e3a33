"""What a call of ``fit`` will do: load the published model, or train what of the points is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord, pick_best
from raygrid.grid.request import Request
from raygrid.search.run import SearchRun
from raygrid.store.published import CachedModel


@dataclass(frozen=True)
class Task:
    """What a call has to do.

    Attributes:
        request: the points that are asked for, all defaults filled in.
        cached: the published model where it is what is asked for; None: something is to be trained or published.
        experiment: the experiment that records belong to.
        failed: the points, by key, that are tried again although there is a published model.
    """

    request: Request
    cached: CachedModel | None
    experiment: str
    failed: Mapping[str, PointRecord] = field(default_factory=dict)

    @property
    def loads(self) -> bool:
        """Whether the published model is all there is to it."""
        return self.cached is not None and not self.failed


@dataclass(frozen=True)
class FitPlan:
    """What ``fit`` with the same arguments would do, as things stand.

    Attributes:
        run: the data, identity and records of the call.
        loads: whether ``fit`` would load the published model, and train nothing.
        plan: all points; which are done; the trials for the others, none where ``fit`` loads.
        retrained: the point that is trained once more for the sake of its weights, which were not kept. It is the best
            of those that are done, so a better one among those to train makes that unnecessary. None: there is none.
    """

    run: SearchRun
    loads: bool
    plan: Plan
    retrained: Point | None

    @classmethod
    def of(cls, run: SearchRun, loads: bool) -> Self:
        """Looks at the records of ``run``."""
        plan = run.plan()
        if loads:
            return cls(run, loads, Plan(plan.points, plan.done, ()), None)
        return cls(run, loads, plan, _without_weights(run, plan))


def _without_weights(run: SearchRun, plan: Plan) -> Point | None:
    """The best point that is done, if its weights are gone."""
    if not plan.done:
        return None
    best = pick_best((point.number, plan.done[point.key]) for point in plan.points if point.key in plan.done)
    if best is None or run.keeps_weights(best[1]):
        return None
    return plan.points[best[0]]
