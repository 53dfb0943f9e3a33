"""A search on a cluster that runs already: two nodes on this machine, started with ``ray start``."""

from __future__ import annotations

import json
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from child_processes import run_script
from ray_nodes import further_node, head_node

pytestmark = pytest.mark.ray


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of two nodes with a CPU each."""
    with head_node(tmp_path) as address, further_node(address, tmp_path):
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
