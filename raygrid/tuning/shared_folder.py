"""Whether every node of a cluster reads and writes the model folder: found out before the first trial."""

from __future__ import annotations

import logging
import secrets
import tempfile
from pathlib import Path
from typing import Any

from raygrid.errors import ClusterError

log = logging.getLogger("raygrid")

_TIMEOUT_S = 120.0


def check_shared_folder(folder: Path) -> None:
    """Asks each node for a file that is written here, and to write one itself; one node alone needs no asking.

    Raises:
        ClusterError: a node does not see the folder, or cannot write to it; names the node and the folder.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f"seen-{secrets.token_hex(8)}"
    marker.touch()
    try:
        obstacle = ray.remote(_obstacle)
        asked = {
            obstacle.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(marker)): node
            for node in nodes
        }
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)
        obstacles = {_name(asked[answer]): _answer(answer) for answer in answered}
    finally:
        marker.unlink(missing_ok=True)
    silent = len(asked) - sum(found is not None for found in obstacles.values())
    if silent:
        log.warning("%d nodes did not say within %g s whether they see %s.", silent, _TIMEOUT_S, folder)
    found = [f"node {name} {obstacle}" for name, obstacle in obstacles.items() if obstacle]
    if found:
        raise ClusterError(
            f"not all nodes share the folder {folder}: {'; '.join(found)}.",
            remedy="All nodes need it at the same path: put $model_dir on storage that they share and can write to, "
            "such as NFS or EFS.",
        )


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']}, id {node['NodeID'][:8]})"


def _answer(answer: Any) -> str | None:
    """What a node says; None where it died instead."""
    import ray

    try:
        return str(ray.get(answer))
    except ray.exceptions.RayError:
        log.debug("A node did not answer.", exc_info=True)
        return None


def _obstacle(marker: str) -> str:
    """What keeps this node from using the folder of ``marker``; empty where nothing does."""
    if not Path(marker).is_file():
        return "does not see it"
    try:
        with tempfile.TemporaryFile(dir=Path(marker).parent) as file:
            file.write(b"written")
    except OSError as error:
        return f"cannot write to it ({error.strerror})"
    return ""
