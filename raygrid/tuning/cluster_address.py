"""Whether a Ray cluster of these versions answers at an address: found out before anything is started."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from raygrid.errors import ClusterError

# What reaching the address may take, and that and the answer together.
_CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 20.0

# What the process that asks says where nothing takes the connection, and where what does is no Ray cluster.
_NOTHING_THERE, _NO_ANSWER = 3, 4

# A process of its own asks: the call takes 40 s to give up and cannot be interrupted, and Ray writes to the terminal
# meanwhile.
_ASK = f"""
import json, socket, sys

host, port, address = sys.argv[1:]
try:
    socket.create_connection((host, int(port)), timeout={_CONNECT_TIMEOUT_S}).close()
except OSError as error:
    print(error)
    sys.exit({_NOTHING_THERE})
from ray._common.usage.usage_lib import get_cluster_metadata
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient

maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
try:
    # Ray puts this machine's address in place of localhost when it connects.
    print(json.dumps(get_cluster_metadata(GcsClient(address=canonicalize_bootstrap_address(address)))))
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
    sys.exit({_NO_ANSWER})
"""


def check_cluster(address: str) -> None:
    """Asks what listens at ``address``, such as ``10.0.0.5:6379``, for the versions of its cluster.

    Raises:
        ClusterError: the address is of another form, nothing answers there as a Ray cluster within
            ``ANSWER_TIMEOUT_S``, or the cluster has another version of Ray or Python.
    """
    if "://" in address:
        raise ClusterError(
            f"address {address!r} is a Ray Client address, and Tune's callbacks do not work through it.",
            remedy="Run raygrid on a node of the cluster, with 'auto' or 'HOST:6379' as the address, or submit the "
            "command as a Ray job.",
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(
            f"address {address!r} is not of the form HOST:PORT.",
            remedy="Name the head node and its port, such as '10.0.0.5:6379'; 6379 is Ray's default.",
        )
    try:
        # Safe path: a file ray.py in the working folder is not Ray.
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _ASK, host.strip("[]"), port, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise _no_answer(address, f"it said nothing for {ANSWER_TIMEOUT_S:g} s") from None
    said = asked.stdout.strip()
    if asked.returncode == _NOTHING_THERE:
        raise ClusterError(
            f"there is no Ray cluster at {address}: {said}.",
            remedy=f"Start one with 'ray start --head --port={port}', or leave the address out to search on this "
            "machine.",
        )
    if asked.returncode != 0:
        raise _no_answer(address, said or asked.stderr.strip() or f"exit code {asked.returncode}")
    _check_versions(address, json.loads(said.splitlines()[-1]))


def _no_answer(address: str, how: str) -> ClusterError:
    return ClusterError(
        f"what listens at {address} did not answer as a Ray cluster: {how}.",
        remedy="Check that this is the port of the head node's GCS (6379 by default), and that the token "
        "(RAY_AUTH_TOKEN, or ~/.ray/auth_token) is that of the cluster.",
    )


def _check_versions(address: str, cluster: dict[str, Any] | None) -> None:
    import ray
    from ray._private.utils import check_version_info

    if not cluster:
        # A cluster that has not said it yet; Ray asks again when it connects.
        return
    try:
        check_version_info(cluster, "this machine")
    except RuntimeError:
        raise ClusterError(
            f"the Ray cluster at {address} has Ray {cluster['ray_version']} and Python {cluster['python_version']}, "
            f"this process has Ray {ray.__version__} and Python {sys.version.split()[0]}; all must have the same.",
            remedy=f"Install here what runs there (pip install 'ray[tune]=={cluster['ray_version']}'), or start the "
            "cluster with the versions of this process.",
        ) from None
