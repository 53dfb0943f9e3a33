"""A search on a cluster that runs already: two nodes on this machine, started with ``ray start``."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from child_processes import run_script, started_command

pytestmark = pytest.mark.ray


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of two nodes with a CPU each."""
    port, *agents = free_ports(3)
    address = f"127.0.0.1:{port}"
    common = [
        *("--node-ip-address=127.0.0.1", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=200000000"),
        *("--disable-usage-stats", "--block"),
    ]
    ray = str(Path(sys.executable).with_name("ray"))
    # Short, since Ray's sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="rg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = [ray, "start", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}", *common]
        node = [ray, "start", f"--address={address}", *common]
        with started_command([*head, f"--dashboard-agent-listen-port={agents[0]}"], tmp_path) as first:
            first.wait_until(lambda: "Ray runtime started" in first.text(), 60)
            with started_command([*node, f"--dashboard-agent-listen-port={agents[1]}"], tmp_path) as second:
                second.wait_until(lambda: "Ray runtime started" in second.text(), 60)
                yield address


# Each of the first two builders waits for the other, so both nodes have a trial.
_USERS_MODULE = """
    import json, os, time
    from pathlib import Path
    import ray
    from raygrid import GridSearchModel

    class Carried(GridSearchModel):
        def __init__(self, *args, seen, **settings):
            super().__init__(*args, **settings)
            self.seen = seen

        def build_model(self, config, input_shape):
            import keras

            # The driver builds the winner once the search has left the cluster.
            if ray.is_initialized():
                where = {"node": ray.get_runtime_context().get_node_id(), "module": __file__, "pid": os.getpid()}
                Path(self.seen, f"{os.getpid()}.json").write_text(json.dumps(where))
                end = time.monotonic() + 90
                while len(os.listdir(self.seen)) < 2 and time.monotonic() < end:
                    time.sleep(0.05)
            model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(config["units"]),
                                      keras.layers.Dense(input_shape[0])])
            model.compile("adam", "mse")
            return model
"""

# The module is loaded from its file: its folder is not on the path, which workers on the same machine would inherit.
_SEARCH = """
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location("users_module", {module!r})
    module = importlib.util.module_from_spec(spec)
    sys.modules["users_module"] = module
    spec.loader.exec_module(module)

    from small_models import small_rows

    model = module.Carried({models!r}, "joined", 0, seen={seen!r}, address={address!r})
    model.fit(small_rows(), param_grid={{"units": [2, 3, 4], "epochs": [1]}})
    import ray
    print("still connected:", ray.is_initialized())
"""


def test_a_search_joins_a_running_cluster_and_takes_its_code_to_both_nodes(two_nodes: str, tmp_path: Path) -> None:
    folder, seen = tmp_path / "user", tmp_path / "seen"
    folder.mkdir()
    seen.mkdir()
    (folder / "users_module.py").write_text(textwrap.dedent(_USERS_MODULE))
    script = _SEARCH.format(
        module=str(folder / "users_module.py"), models=str(tmp_path / "models"), seen=str(seen), address=two_nodes
    )
    output = run_script(script, tmp_path, timeout_s=200)
    assert "still connected: False" in output
    rows = pq.read_table(tmp_path / "models/joined_trials.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done"] * 3
    builders = [json.loads(path.read_text()) for path in seen.iterdir()]
    assert {row["worker"] for row in rows} == {f"{socket.gethostname()}:{builder['pid']}" for builder in builders}
    assert len({builder["node"] for builder in builders}) == 2
    assert not any(builder["module"].startswith(str(folder)) for builder in builders)
    assert (tmp_path / "models/joined_model.keras").exists()


_REFUSED = """
    import socket, time
    import ray
    from raygrid.errors import ClusterError
    from small_models import SmallModel, small_rows

    listener = socket.create_server(("127.0.0.1", 0))
    silent = "127.0.0.1:%d" % listener.getsockname()[1]
    for address in ({dead!r}, silent, "ray://127.0.0.1:10001", "nonsense"):
        start = time.monotonic()
        try:
            SmallModel("models", "small", 0, address=address).fit(small_rows(), param_grid={{"hidden": [(4,)]}})
        except ClusterError as error:
            named = address in str(error)
            print("refused", named, time.monotonic() - start < 30, ray.is_initialized(), str(error)[:60])
"""


def test_an_address_without_a_cluster_is_refused_by_name_within_30_seconds_and_no_ray_is_started(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    output = run_script(_REFUSED.format(dead=f"127.0.0.1:{port}"), tmp_path)
    # Ray itself writes a line about the address that is silent.
    refused = [line for line in output.splitlines() if line.startswith("refused")]
    assert [line.split()[:4] for line in refused] == [["refused", "True", "True", "False"]] * 4
    assert "there is no Ray cluster at" in refused[0]
    assert "what listens at" in refused[1]
    assert "is a Ray Client address" in refused[2]
    assert "is not of the form HOST:PORT" in refused[3]
    assert not list((tmp_path / "models").glob("small_*.json"))
