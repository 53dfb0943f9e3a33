"""Whether every node of a cluster sees the model folder: found out before the first trial."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from raygrid.errors import ClusterError

log = logging.getLogger("raygrid")

_TIMEOUT_S = 120.0


def check_shared_folder(folder: Path) -> None:
    """Asks each node for a file that is written here; one node alone needs no asking.

    Raises:
        ClusterError: a node does not see the folder; names the node and the folder.
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
        is_file = ray.remote(_is_file)
        asked = {
            is_file.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(marker)): node
            for node in nodes
        }
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)
        if silent:
            log.warning("%d nodes did not say within %g s whether they see %s.", len(silent), _TIMEOUT_S, folder)
        blind = [asked[answer]["NodeManagerAddress"] for answer in answered if not ray.get(answer)]
    finally:
        marker.unlink(missing_ok=True)
    if blind:
        raise ClusterError(
            f"node {', '.join(blind)} does not see the model folder {folder.parent}; all nodes need it at the same "
            "path: put model_dir on storage that they share, such as NFS or EFS."
        )


def _is_file(path: str) -> bool:
    return Path(path).is_file()
