"""Joining a Ray cluster that runs: what its nodes are given, beside what a Ray job has given them already."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from raygrid.errors import ClusterError
from raygrid.tuning.cluster_address import check_cluster
from raygrid.tuning.environment import environment, variables_for_workers

log = logging.getLogger("raygrid")

# In the driver of a job that was submitted: its runtime environment, as JSON.
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
# Ray refuses a runtime environment that shares a field with the job's, unless it is told to take the union.
_UNION_WITH_JOB = {"RAY_OVERRIDE_JOB_RUNTIME_ENV": "1"}


def join_cluster(address: str, user_modules: tuple[ModuleType, ...], verbose: bool) -> None:
    """Connects this process to the cluster at ``address``, whose nodes get raygrid and the user's modules.

    Args:
        address: ``HOST:PORT`` or ``auto``.
        user_modules: modules that unpickling the user's builder takes.
        verbose: whether what Ray says is shown.

    Raises:
        ClusterError: there is none, or it cannot be used.
    """
    import ray

    check_cluster(address if address != "auto" else _cluster_of_this_machine())
    variables = {k: v for k, v in variables_for_workers(verbose).items() if not k.startswith("RAY_USAGE")}
    runtime_env, left = beside_job(_environment_of_job(), variables, _code_to_carry(user_modules))
    if left:
        log.info("This Ray job sets %s for its workers; raygrid leaves that as it is.", ", ".join(left))
    try:
        with environment(_UNION_WITH_JOB):
            ray.init(
                address=address,
                runtime_env=runtime_env,
                log_to_driver=verbose,
                logging_level=logging.INFO if verbose else logging.CRITICAL,
            )
    except Exception as error:
        log.debug("The cluster cannot be joined.", exc_info=True)
        raise ClusterError(
            f"the Ray cluster at {address} cannot be joined: {error} (this process: Ray {ray.__version__}, Python "
            f"{sys.version.split()[0]}).",
            remedy="Check with 'ray status' that the cluster runs, and that all nodes have the same versions of Ray "
            "and Python.",
        ) from None


def _environment_of_job() -> dict[str, Any]:
    text = os.environ.get(_JOB)
    return (json.loads(text).get("runtime_env") or {}) if text else {}


def beside_job(
    job: Mapping[str, Any], variables: Mapping[str, str], code: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """The runtime environment to ask for where the job has set some of it. Pure.

    Args:
        job: what the job has set; empty where there is no job.
        variables: environment variables for the workers.
        code: folders and files that the workers can import.

    Returns:
        What to ask for, which replaces whatever the job has under the same name; and the names of the variables that
        the job sets to other values.
    """
    own = job.get("env_vars") or {}
    left = sorted(name for name, value in variables.items() if own.get(name, value) != value)
    return {
        "env_vars": {name: value for name, value in variables.items() if name not in own},
        "py_modules": [*(job.get("py_modules") or ()), *code],
    }, left


def _cluster_of_this_machine() -> str:
    """What ``auto`` stands for: the address of the cluster that this machine is a node of."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return str(canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError as error:
        raise ClusterError(
            "address 'auto' stands for the Ray cluster that this machine is a node of, and it is a node of none.",
            remedy="Start one with 'ray start', name the cluster as 'HOST:6379', or leave the address out to search on "
            "this machine.",
        ) from error


def _code_to_carry(user_modules: tuple[ModuleType, ...]) -> list[str]:
    """raygrid itself and the top-level packages or files of the user's modules."""
    import raygrid

    carried = [Path(raygrid.__file__).parent]
    for module in user_modules:
        top = sys.modules.get(module.__name__.partition(".")[0], module)
        file = getattr(top, "__file__", None)
        if file is None or top.__name__ in ("__main__", "raygrid"):
            # Ray pickles what is defined in __main__ by value.
            continue
        path = Path(file)
        carried.append(path.parent if path.name == "__init__.py" else path)
    return [str(path.resolve()) for path in dict.fromkeys(carried)]
