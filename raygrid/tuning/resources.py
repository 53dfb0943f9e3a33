"""What a trial asks for, and what there is. No import of Ray: arguments are checked before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raygrid.base.arguments import number_from_0, whole_number
from raygrid.base.memory import Shortage, data_shortage
from raygrid.base.wording import counted
from raygrid.errors import ResourceError


@dataclass(frozen=True)
class Resources:
    """What each trial is granted.

    Attributes:
        cpus_per_trial: CPUs, and intra-op threads of TensorFlow; a whole number of at least 1.
        gpus_per_trial: GPUs; a fraction below 1 shares one GPU, with a real cap on its memory. None: one where any
            node has one, otherwise none.
        max_concurrent: trials at the same time; None: as many as fit.
        memory_gb: what all copies of the data may take on a node (one in Ray's object store, one in each worker), in
            GB of 10**9 bytes; above it, the data is read from files, batch by batch. None: 60 % of what is available.
    """

    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None
    max_concurrent: int | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        checked: dict[str, float] = {
            "cpus_per_trial": whole_number("cpus_per_trial", self.cpus_per_trial, 1, error=ResourceError)
        }
        if self.gpus_per_trial is not None:
            checked["gpus_per_trial"] = _gpus(self.gpus_per_trial)
        if self.max_concurrent is not None:
            checked["max_concurrent"] = whole_number("max_concurrent", self.max_concurrent, 1, error=ResourceError)
        if self.memory_gb is not None:
            allowed = "a number of GB, 0 or more, or None"
            checked["memory_gb"] = number_from_0("memory_gb", self.memory_gb, allowed, ResourceError)
        # numpy's numbers become Python's, which travel and compare as such.
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def _gpus(value: float) -> float:
    allowed = "0, a fraction below 1 (to share a GPU) or a whole number"
    gpus = number_from_0("gpus_per_trial", value, allowed, ResourceError)
    if gpus >= 1 and not float(gpus).is_integer():
        raise ResourceError(
            f"gpus_per_trial is {value!r}.",
            remedy=f"It must be {allowed}. Ask for whole GPUs, such as {int(gpus)}.",
        )
    return gpus


@dataclass(frozen=True)
class TrialResources:
    """What each trial is granted, and how many run at once; None leaves that to Ray, on a cluster that can grow."""

    cpus: int
    gpus: float
    concurrent: int | None


def resolve(
    asked: Resources, nodes: Sequence[Mapping[str, float]], future: Sequence[Mapping[str, float]]
) -> TrialResources:
    """What each trial gets on these nodes.

    Args:
        asked: what the user asked for.
        nodes: resources of each node that is alive, such as ``{"CPU": 8.0, "GPU": 1.0}``.
        future: resources of a node of each type that the autoscaler may start.

    Raises:
        ResourceError: no node, now or later, can hold one trial.
    """
    all_nodes = [*nodes, *future]
    most_gpus = max((node.get("GPU", 0.0) for node in all_nodes), default=0.0)
    gpus = asked.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most_gpus >= 1 else 0.0
    cpus = asked.cpus_per_trial
    fits = [node for node in all_nodes if node.get("CPU", 0.0) >= cpus and node.get("GPU", 0.0) >= gpus]
    if not fits:
        most_cpus = max((node.get("CPU", 0.0) for node in all_nodes), default=0.0)
        raise ResourceError(
            f"a trial asks for {counted(cpus, 'CPU')} and {counted(gpus, 'GPU')}, and no node can give that: the "
            f"largest has {counted(most_cpus, 'CPU')}, and no node has more than {counted(most_gpus, 'GPU')}.",
            remedy="Lower $cpus_per_trial or $gpus_per_trial, or connect to a larger cluster with $address.",
        )
    concurrent = asked.max_concurrent
    if concurrent is None and not future:
        # Where nodes may come, trials that wait are what makes the autoscaler start them.
        concurrent = max(1, sum(_slots(node, cpus, gpus) for node in fits))
    return TrialResources(cpus, float(gpus), concurrent)


def shortage_on_a_node(
    asked: Resources, granted: TrialResources, nodes: Sequence[Mapping[str, float]], data_bytes: int
) -> Shortage | None:
    """Why the data is not held in memory: the first node on which its copies take more than they may.

    Args:
        asked: what the user asked for.
        granted: what each trial gets.
        nodes: as for ``resolve``, with the bytes of ``memory`` that are free.
        data_bytes: one copy of the data.
    """
    for node in nodes:
        trials = _slots(node, granted.cpus, granted.gpus)
        if granted.concurrent is not None:
            trials = min(trials, granted.concurrent)
        if trials:
            # One in the object store, one in each worker.
            found = data_shortage(data_bytes, 1 + trials, node.get("memory"), asked.memory_gb)
            if found is not None:
                return found
    return None


def _slots(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    slots = int(node.get("CPU", 0.0) // cpus)
    if gpus == 0:
        return slots
    node_gpus = node.get("GPU", 0.0)
    if gpus < 1:
        # A fraction lies within one GPU: two GPUs hold four trials of 0.4 and not five.
        return min(slots, int(node_gpus) * int(1 / gpus + 1e-9))
    return min(slots, int(node_gpus // gpus))
