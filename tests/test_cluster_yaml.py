"""cluster.yaml is a file that Ray accepts, and keeps what a raygrid cluster relies on."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from repository import ROOT


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


@pytest.fixture(scope="module")
def ray_schema() -> dict[str, Any]:
    # Found, not imported: importing Ray takes seconds.
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    schema = json.loads((folder / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    assert isinstance(schema, dict)
    return schema


def head_of(cluster: dict[str, Any]) -> dict[str, Any]:
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert isinstance(head, dict)
    return head


def workers_of(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    types = cluster["available_node_types"]
    return {name: node for name, node in types.items() if name != cluster["head_node_type"]}


def installs_of(cluster: dict[str, Any]) -> list[str]:
    stages = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    commands = [command for stage in stages for command in cluster.get(stage, [])]
    return [command for command in commands if "pip install" in command]


def starts_of(cluster: dict[str, Any], stage: str) -> list[str]:
    return [command for command in cluster[stage] if "ray start" in command]


def test_ray_accepts_the_file(cluster: dict[str, Any], ray_schema: dict[str, Any]) -> None:
    jsonschema.validate(cluster, ray_schema)


def test_the_head_runs_no_trials(cluster: dict[str, Any]) -> None:
    resources = head_of(cluster)["resources"]
    assert resources["CPU"] == 0
    assert resources.get("GPU", 0) == 0


def test_every_worker_has_a_gpu(cluster: dict[str, Any]) -> None:
    workers = workers_of(cluster)
    assert workers
    assert [name for name, node in workers.items() if node["resources"].get("GPU", 0) < 1] == []


def test_no_worker_is_paid_for_while_nothing_runs(cluster: dict[str, Any]) -> None:
    for node in workers_of(cluster).values():
        assert node["min_workers"] == 0
        assert 0 < node["max_workers"] <= cluster["max_workers"]
    assert cluster["idle_timeout_minutes"] > 0


def test_the_nodes_get_the_ray_version_of_the_constraints(cluster: dict[str, Any]) -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^ray==(\S+)$", constraints, flags=re.MULTILINE)
    installed = re.findall(r"\bray(?:\[[^\]]*\])?==([0-9][^\s\"']*)", " ".join(cluster["setup_commands"]))
    assert len(pinned) == 1
    assert installed == pinned


def test_every_install_on_a_node_is_pinned(cluster: dict[str, Any]) -> None:
    installs = installs_of(cluster)
    assert installs
    assert [command for command in installs if "-c ~/raygrid/constraints.txt" not in command] == []


def test_every_node_asks_for_the_token(cluster: dict[str, Any]) -> None:
    exports = [command for command in cluster["initialization_commands"] if "RAY_AUTH_MODE=" in command]
    assert len(exports) == 1
    assert "export RAY_AUTH_MODE=token" in exports[0]
    assert ">> ~/.bashrc" in exports[0]
    # A node type's own list would replace the common one.
    types = cluster["available_node_types"]
    assert [name for name, node in types.items() if "initialization_commands" in node] == []


def test_every_node_gets_the_token_as_a_file_and_never_as_text(cluster: dict[str, Any]) -> None:
    token = f"/home/{cluster['auth']['ssh_user']}/.ray/auth_token"
    assert cluster["file_mounts"][token] == "~/.ray/auth_token"
    assert "RAY_AUTH_TOKEN" not in json.dumps(cluster)


def test_the_dashboard_is_reachable_from_the_head_only(cluster: dict[str, Any]) -> None:
    (start,) = starts_of(cluster, "head_start_ray_commands")
    assert re.findall(r"--dashboard-host[= ](\S+)", start) == ["127.0.0.1"]
    assert "security_group" not in cluster["provider"]


def test_every_node_mounts_the_shared_folder_before_ray_starts(cluster: dict[str, Any]) -> None:
    mounts = [command for command in cluster["setup_commands"] if "sudo mount " in command]
    assert len(mounts) == 1
    assert mounts[0].endswith(" /mnt/raygrid")


def test_the_files_to_copy_are_in_the_repository(cluster: dict[str, Any]) -> None:
    own = [local for local in cluster["file_mounts"].values() if not local.startswith("~")]
    assert own
    assert [local for local in own if not (ROOT / local).exists()] == []
