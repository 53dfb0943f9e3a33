"""How jobs share a cluster whose CPUs do not suffice for all: who waits, and how much a search keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raygrid.base.wording import counted


@dataclass(frozen=True)
class JobDemand:
    """What a job has asked a cluster for.

    Attributes:
        given: how many of its placement groups have their resources.
        waiting: the bundles of the others, such as ``{"CPU": 1.0}``.
    """

    given: int = 0
    waiting: Sequence[Mapping[str, float]] = ()

    def is_starved_on(self, nodes: Sequence[Mapping[str, float]]) -> bool:
        """Whether it has nothing, and waits for what these nodes could give it."""
        return self.given == 0 and any(
            all(node.get(name, 0.0) >= amount for name, amount in bundle.items())
            for bundle in self.waiting
            for node in nodes
        )


def trials_to_keep(
    slots: int, now: int, others: Sequence[JobDemand], nodes: Sequence[Mapping[str, float]], gpus: float
) -> int:
    """How many trials a search should run at the same time.

    Args:
        slots: as many as would fit if it were alone.
        now: as many as it may run now.
        others: what the other jobs ask for.
        nodes: the resources of each node.
        gpus: GPUs that a trial holds.

    Returns:
        An even share where another job has nothing at all and waits for what a trial would free; as many as fit once
        nobody waits; and otherwise as many as now.
    """
    if any(job.is_starved_on(nodes) and _is_helped(job, gpus) for job in others):
        jobs = 1 + sum(1 for job in others if job.given or job.waiting)
        return min(now, max(1, slots // jobs))
    return now if any(job.waiting for job in others) else slots


def _is_helped(job: JobDemand, gpus: float) -> bool:
    # Whether it lacks a GPU or a CPU is not known; a search without GPUs does not give up its CPUs for the first.
    return gpus > 0 or not all(bundle.get("GPU", 0.0) for bundle in job.waiting)


def waiting_text(cpus: int, gpus: float, total: Mapping[str, float], free: Mapping[str, float], other_jobs: int) -> str:
    """What a search says that has no CPU (or GPU) yet.

    Args:
        cpus, gpus: what a trial asks for.
        total: the resources of the cluster.
        free: those of them that are free.
        other_jobs: how many other jobs hold some.
    """
    needed = [counted(cpus, "CPU"), *([counted(gpus, "GPU")] if gpus else [])]
    used = " and ".join(
        f"{total.get(name, 0.0) - free.get(name, 0.0):g} of {counted(total.get(name, 0.0), name)}"
        for name in ("CPU", *(["GPU"] if gpus else []))
    )
    by = {0: "", 1: " by another job"}.get(other_jobs, f" by {other_jobs} other jobs")
    return f"Waiting for {' and '.join(needed)} per trial: {used} of the cluster are in use{by}."
