"""What the nodes of a cluster have, those that its autoscaler may start, and what is asked of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raygrid.base.memory import available_memory
from raygrid.tuning.sharing import JobDemand

log = logging.getLogger("raygrid")

# Where `ray up` puts the configuration on the head node. Its autoscaler tells nobody else which nodes it may start.
_BOOTSTRAP_CONFIG = "~/ray_bootstrap_config.yaml"


def nodes_alive() -> list[dict[str, float]]:
    """The resources of each node, such as ``{"CPU": 8.0, "GPU": 1.0}``.

    Its ``memory`` is the bytes that were free when Ray started there, and on this machine those that are free now.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    return [_with_free_memory(node["Resources"], node["NodeID"] == here) for node in ray.nodes() if node["Alive"]]


def _with_free_memory(node: dict[str, float], here: bool) -> dict[str, float]:
    at_start = node.get("memory", 0.0) + node.get("object_store_memory", 0.0)
    now = available_memory() if here else None
    return {**node, "memory": at_start if now is None else min(at_start, now)}


def nodes_to_come() -> list[dict[str, float]]:
    """The resources of one node of each type that the autoscaler may start; none where nothing says so."""
    from ray._private.state import state

    reported = state.get_cluster_config()
    if reported is not None and reported.node_group_configs:
        # Not every autoscaler reports them. -1 stands for any number.
        return _of_types((group.resources, group.max_count) for group in reported.node_group_configs)
    return _of_types(
        (node.get("resources", {}), node.get("max_workers", 0)) for node in _bootstrap_node_types().values()
    )


def demands_by_job() -> dict[str, JobDemand]:
    """What each job of the cluster has asked for in placement groups, as all trials of Tune do, by the job's id."""
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Group

    found: dict[str, JobDemand] = {}
    # Ray's own table of them does not say whose they are.
    for data in state._connect_and_get_accessor().get_placement_group_table():
        group = Group.FromString(data)
        job = group.creator_job_id.hex()
        before = found.get(job, JobDemand())
        if group.state == Group.CREATED:
            found[job] = JobDemand(before.given + 1, before.waiting)
        elif group.state != Group.REMOVED:
            bundles = [dict(bundle.unit_resources) for bundle in group.bundles]
            found[job] = JobDemand(before.given, [*before.waiting, *bundles])
    return found


def _of_types(types: Iterable[tuple[Mapping[str, Any], int]]) -> list[dict[str, float]]:
    return [
        {name: float(sys.maxsize if amount == -1 else amount) for name, amount in resources.items()}
        for resources, most in types
        if most != 0
    ]


def _bootstrap_node_types() -> dict[str, dict[str, Any]]:
    import yaml

    try:
        text = Path(_BOOTSTRAP_CONFIG).expanduser().read_text(encoding="utf-8")
    except (OSError, RuntimeError):
        # No such cluster, or no home folder.
        return {}
    try:
        config = yaml.safe_load(text)
        types: dict[str, dict[str, Any]] = {**config["available_node_types"]}
        types.pop(config["head_node_type"], None)
        return types
    except (TypeError, KeyError, ValueError, yaml.YAMLError) as error:
        log.warning("%s does not say which nodes may come (%s); those that run count.", _BOOTSTRAP_CONFIG, error)
        return {}
