"""f40: a trial that asks for more CPUs or GPUs than any node has, or any node that may come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Command
from repository import ROOT
from small_models import SmallModel, small_rows

from raygrid.errors import ResourceError
from raygrid.tuning.nodes import nodes_to_come
from raygrid.tuning.resources import Resources, resolve

CPU_NODE = {"CPU": 8.0, "memory": 1e9}
GPU_NODE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("asked", "nodes", "future"),
    [
        (Resources(cpus_per_trial=9), [CPU_NODE, GPU_NODE], []),
        (Resources(gpus_per_trial=1), [CPU_NODE], []),
        (Resources(gpus_per_trial=0.5), [CPU_NODE], []),
        (Resources(gpus_per_trial=3), [GPU_NODE, GPU_NODE], []),
        (Resources(cpus_per_trial=16), [CPU_NODE, CPU_NODE], [{"CPU": 8.0}]),
        (Resources(cpus_per_trial=16, gpus_per_trial=1), [{"CPU": 16.0}, {"CPU": 1.0, "GPU": 1.0}], []),
        (Resources(cpus_per_trial=16, gpus_per_trial=1), [], [{"CPU": 16.0}, {"CPU": 1.0, "GPU": 1.0}]),
        (Resources(), [], []),
    ],
)
def test_f40_what_no_node_can_give_fails_at_once(
    asked: Resources, nodes: list[dict[str, float]], future: list[dict[str, float]]
) -> None:
    with pytest.raises(ResourceError, match="no node can give that"):
        resolve(asked, nodes, future)


def test_f40_the_message_says_what_was_asked_and_what_there_is() -> None:
    with pytest.raises(ResourceError) as caught:
        resolve(Resources(cpus_per_trial=32, gpus_per_trial=0.5), [CPU_NODE], [{"CPU": 16.0, "GPU": 4.0}])
    for part in (
        "32 CPUs and 0.5 GPUs",
        "the largest has 16 CPUs",
        "no node has more than 4 GPUs",
        "Lower cpus_per_trial",
    ):
        assert part in str(caught.value)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpus_per_trial": 100}, "100 CPUs and 0 GPUs, and no node can give that: the largest has 2 CPUs"),
        ({"gpus_per_trial": 1}, "1 CPU and 1 GPU, and no node can give that: .* no node has more than 0 GPUs"),
    ],
)
def test_f40_fit_fails_at_once_and_the_data_goes_nowhere(
    ray_session: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, asked: dict[str, Any], message: str
) -> None:
    # No memory for the data: it would be written to files, and a warning would say so.
    model = SmallModel(tmp_path, "small", 0, resources=Resources(**asked, memory_gb=0))
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "raygrid"), pytest.raises(ResourceError, match=message):
        model.fit(small_rows(), param_grid={"hidden": [(4,)]})
    assert time.monotonic() - start < 10
    assert caplog.messages == []
    assert not (tmp_path / "small_runs/points").exists()
    assert not list((tmp_path / "small_runs").glob("tune/*"))
    assert not list(tmp_path.glob("small_*.json"))


@pytest.mark.ray
def test_f40_the_command_fails_at_once_as_wrong_usage(ray_session: None, command: Command) -> None:
    start = time.monotonic()
    ended = command("search", "--data", "table.csv", "--features", "a,b,c", "--gpus-per-trial", "1")
    assert time.monotonic() - start < 10
    assert ended.code == 2
    assert "a trial asks for 1 CPU and 1 GPU, and no node can give that" in ended.err
    assert "Traceback" not in ended.err


@pytest.fixture
def reported_node_types(ray_session: None) -> Iterator[Any]:
    """Writes node types to where Ray keeps what an autoscaler reports, and removes them."""
    import ray
    from ray import _raylet
    from ray.core.generated import autoscaler_pb2

    gcs = ray._private.worker.global_worker.gcs_client
    space, key = (
        name.encode() for name in (_raylet.GCS_AUTOSCALER_STATE_NAMESPACE, _raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY)
    )

    def report(*types: tuple[dict[str, int], int]) -> None:
        config = autoscaler_pb2.ClusterConfig()
        for resources, most in types:
            group = config.node_group_configs.add(max_count=most)
            group.resources.update(resources)
        gcs.internal_kv_put(key, config.SerializeToString(), True, space)

    yield report
    gcs.internal_kv_del(key, False, space)


@pytest.mark.ray
def test_f40_a_cluster_of_many_nodes_that_may_come_is_still_no_larger_node(
    reported_node_types: Any, tmp_path: Path
) -> None:
    # Together they have 32 CPUs, and no one of them more than 8.
    reported_node_types(({"CPU": 8}, 4), ({"CPU": 64}, 0))
    assert nodes_to_come() == [{"CPU": 8.0}]
    with pytest.raises(ResourceError, match="16 CPUs and 0 GPUs, and no node can give that: the largest has 8 CPUs"):
        SmallModel(tmp_path, "small", 0, resources=Resources(cpus_per_trial=16)).fit(
            small_rows(), param_grid={"hidden": [(4,)]}
        )


@pytest.mark.ray
def test_f40_the_node_types_of_ray_up_count_on_its_head_node(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert nodes_to_come() == []
    config = tmp_path / "ray_bootstrap_config.yaml"
    config.write_text(yaml.safe_dump(cluster))
    assert nodes_to_come() == [{"CPU": 8.0, "GPU": 1.0}]
    # The head of that cluster runs no trials, and no other node is up before trials wait.
    assert resolve(Resources(), [{"CPU": 0.0}], nodes_to_come()).gpus == 1.0
    with pytest.raises(ResourceError, match="9 CPUs and 1 GPU, and no node can give that: the largest has 8 CPUs"):
        SmallModel(tmp_path / "models", "small", 0, resources=Resources(cpus_per_trial=9)).fit(
            small_rows(), param_grid={"hidden": [(4,)]}
        )
    config.write_text("available_node_types: 3")
    with caplog.at_level(logging.WARNING, "raygrid"):
        assert nodes_to_come() == []
    assert "ray_bootstrap_config.yaml does not say which nodes may come" in caplog.text
