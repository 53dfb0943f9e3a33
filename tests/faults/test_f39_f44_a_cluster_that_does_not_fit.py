"""A cluster that runs already, started with ``ray start``: a search that joins it, and what does not fit.

f39: a cluster of other versions. f44: a node that does not share the model folder. And one with another token.

One cluster of two nodes serves all tests that need no second environment. Its second node has mounts of its own: it
sees an empty folder where the first has its models, and one that it cannot write to.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from child_processes import run_script
from ray_nodes import further_node, head_node, mount_namespace

pytestmark = pytest.mark.ray

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5eed" * 16}
# The id of the second node.
SECOND = "b11d" * 14
LONG = pytest.mark.skipif(not os.environ.get("RAYGRID_LONG"), reason="takes minutes; RAYGRID_LONG=1 runs it")


class TwoNodes(NamedTuple):
    address: str
    unseen: Path
    unwritable: Path


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """A cluster that asks for a token, whose second node has another view of two folders."""
    folder = tmp_path_factory.mktemp("nodes")
    unseen, unwritable = folder / "unseen", folder / "unwritable"
    unseen.mkdir()
    unwritable.mkdir()
    mounts: tuple[str, ...] = (
        f"mount -t tmpfs none {unseen}",
        f"mount --bind {unwritable} {unwritable}",
        f"mount -o remount,bind,ro {unwritable}",
    )
    if mount_namespace() is None:
        mounts = ()
    second = {**TOKEN, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": SECOND}
    with head_node(folder, **TOKEN) as address, further_node(address, folder, mounts, **second):
        yield TwoNodes(address, unseen, unwritable)


_FIT = """
    from raygrid.errors import ClusterError
    from small_models import LoggedModel, small_rows

    for folder in {folders!r}:
        try:
            LoggedModel(folder, "small", 0, build_log={build_log!r}, address={address!r}).fit(
                small_rows(), param_grid={{"hidden": [(4,), (5,)]}})
        except ClusterError as error:
            print("refused:", error)
"""


def test_f44_a_node_that_sees_another_folder_or_cannot_write_to_it_is_named_before_the_first_trial(
    two_nodes: TwoNodes, tmp_path: Path
) -> None:
    if mount_namespace() is None:
        pytest.skip("a node with another view of a folder takes root, or a namespace in which a user may mount")
    build_log = tmp_path / "builds.txt"
    folders = [str(two_nodes.unseen), str(two_nodes.unwritable)]
    script = _FIT.format(folders=folders, build_log=str(build_log), address=two_nodes.address)
    unseen, unwritable = run_script(script, tmp_path, 200, **TOKEN).splitlines()
    for line, folder, obstacle in (
        (unseen, two_nodes.unseen, "does not see it"),
        (unwritable, two_nodes.unwritable, "cannot write to it (Read-only file system)"),
    ):
        assert line.startswith(f"refused: not all nodes share the folder {folder}/small_runs/tune: node ")
        # The second node alone, and not both.
        assert line.count(", id ") == 1
        assert f"({socket.gethostname()}, id {SECOND[:8]}) {obstacle}. All nodes need it at the same path" in line
        assert not (folder / "small_runs/points").exists()
        assert not list((folder / "small_runs/tune").iterdir())
    assert not build_log.exists()


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
_CARRIED = """
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


def test_a_search_joins_a_running_cluster_and_takes_its_code_to_both_nodes(two_nodes: TwoNodes, tmp_path: Path) -> None:
    folder, seen = tmp_path / "user", tmp_path / "seen"
    folder.mkdir()
    seen.mkdir()
    (folder / "users_module.py").write_text(textwrap.dedent(_USERS_MODULE))
    script = _CARRIED.format(
        module=str(folder / "users_module.py"),
        models=str(tmp_path / "models"),
        seen=str(seen),
        address=two_nodes.address,
    )
    output = run_script(script, tmp_path, timeout_s=200, **TOKEN)
    assert "still connected: False" in output
    rows = pq.read_table(tmp_path / "models/joined_trials.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done"] * 3
    builders = [json.loads(path.read_text()) for path in seen.iterdir()]
    assert {row["worker"] for row in rows} == {f"{socket.gethostname()}:{builder['pid']}" for builder in builders}
    assert len({builder["node"] for builder in builders}) == 2
    assert not any(builder["module"].startswith(str(folder)) for builder in builders)
    assert (tmp_path / "models/joined_model.keras").exists()


_JOIN = """
    import time
    import ray
    from raygrid.errors import ClusterError
    from raygrid.tuning.session import RaySession

    start = time.monotonic()
    try:
        with RaySession({address!r}, (), False) as session:
            session.wait()
            print("joined")
    except ClusterError as error:
        print("refused in time:", time.monotonic() - start < 30, "started:", ray.is_initialized())
        print(error)
"""


@pytest.mark.parametrize("token", ["0ff" * 16, None])
def test_a_cluster_that_asks_for_a_token_refuses_whoever_has_another_or_none(
    two_nodes: TwoNodes, tmp_path: Path, token: str | None
) -> None:
    output = run_script(_JOIN.format(address=two_nodes.address), tmp_path, RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=token)
    assert "refused in time: True started: False" in output
    assert f"what listens at {two_nodes.address} did not answer as a Ray cluster" in output
    assert "that the token (RAY_AUTH_TOKEN, or ~/.ray/auth_token) is that of the cluster." in output


# Replaces what a running cluster tells every process that joins it about itself.
_SAY_OTHERWISE = """
    import json
    from ray._private import ray_constants
    from ray._common.usage import usage_constants
    from ray._raylet import GcsClient

    gcs = GcsClient(address={address!r})
    where = usage_constants.CLUSTER_METADATA_KEY, ray_constants.KV_NAMESPACE_CLUSTER
    told = gcs.internal_kv_get(*where)
    gcs.internal_kv_put(where[0], json.dumps({{**json.loads(told), **{changed!r}}}).encode(), True, where[1])
    print("told", told.decode())
"""


# Last of those that join: nobody can afterwards.
@pytest.mark.parametrize(
    ("changed", "there"),
    [
        ({"ray_version": "2.59.1"}, f"has Ray 2.59.1 and Python {platform.python_version()}"),
        ({"python_version": "3.9.1"}, "has Ray 2.59.1 and Python 3.9.1"),
    ],
)
def test_f39_a_cluster_of_other_versions_is_refused_with_those_of_both_sides(
    two_nodes: TwoNodes, tmp_path: Path, changed: dict[str, str], there: str
) -> None:
    import ray

    run_script(_SAY_OTHERWISE.format(address=two_nodes.address, changed=changed), tmp_path, **TOKEN)
    output = run_script(_JOIN.format(address=two_nodes.address), tmp_path, **TOKEN)
    assert "refused in time: True started: False" in output
    assert f"the Ray cluster at {two_nodes.address} {there}" in output
    assert f"this process has Ray {ray.__version__} and Python {platform.python_version()}" in output
    assert "pip install 'ray[tune]==2.59.1'" in output


@LONG
@pytest.mark.timeout(900)
def test_f39_a_head_node_of_another_ray_is_refused_with_both_versions(tmp_path: Path) -> None:
    import ray

    other = "2.59.0"
    assert ray.__version__ != other
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    # What `ray start` needs beside Ray's own requirements lies in `default`.
    subprocess.run([str(venv / "bin/pip"), "install", "--quiet", f"ray[default]=={other}"], check=True)
    with head_node(tmp_path, str(venv / "bin/ray")) as address:
        output = run_script(_JOIN.format(address=address), tmp_path)
    assert "refused in time: True started: False" in output
    assert f"the Ray cluster at {address} has Ray {other} and Python {platform.python_version()}" in output
    assert f"this process has Ray {ray.__version__} and Python {platform.python_version()}" in output
