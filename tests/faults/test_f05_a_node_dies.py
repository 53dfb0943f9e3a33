"""f05: a node of the cluster dies while it trains. Its trials run on the nodes that are left."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from child_processes import run_script

pytestmark = pytest.mark.ray

# Two nodes with a CPU each, so with a trial each. The second is killed once one of its points has told of epochs.
_SEARCH = """
    import json, os, threading, time
    from pathlib import Path

    import ray
    from ray.cluster_utils import Cluster
    from raygrid.progress.listeners import SearchListener
    from small_models import SmallModel, dense_model, small_rows

    class Located(SmallModel):
        # Says on which node it trains which point. A file of its own for every build: nodes write at the same time.
        def build_model(self, config, input_shape):
            if ray.is_initialized():
                context = ray.get_runtime_context()
                where = [config["hidden"][0], context.get_node_id(), os.getpid()]
                Path("builds", f"{time.monotonic_ns()}.json").write_text(json.dumps(where))
            return dense_model(config, input_shape)

    class KillsANode(SearchListener):
        def __init__(self):
            self.victim = None

        def point_epochs(self, point, first_epoch, rows):
            builds = [json.loads(path.read_text()) for path in sorted(Path("builds").iterdir())]
            node = {hidden: node for hidden, node, _ in builds}[point.config["hidden"][0]]
            if self.victim is None and node == second.node_id and first_epoch + len(rows) < 80:
                self.victim = point.config["hidden"][0], node
                cluster.remove_node(second, allow_graceful=False)

    if __name__ == "__main__":
        os.mkdir("builds")
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        node = {"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False}
        # A raylet that is gone is missed after 3 s, and not after 15.
        noticed = {"initial_delay_ms": 0, "period_ms": 1000, "failure_threshold": 3}
        noticed = {f"health_check_{name}": value for name, value in noticed.items()}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "_system_config": noticed})
        second = cluster.add_node(**node)
        killer = KillsANode()
        X, X_val = small_rows(4000), small_rows(1000, seed=1)
        grid = {"hidden": [(3,), (4,)], "epochs": [100]}
        located = Located("models", "small", 0, address=cluster.address, progress=killer)
        best = located.fit(X, X_val, param_grid=grid)
        builds = [json.loads(path.read_text()) for path in sorted(Path("builds").iterdir())]
        alone = []
        for hidden in grid["hidden"]:
            undisturbed = SmallModel("alone", f"small-{hidden[0]}", 0)
            model = undisturbed.fit(X, X_val, model_config={"hidden": hidden, "epochs": 100})
            alone.append(undisturbed.best_metrics)
            if hidden == located.best_config["hidden"]:
                pairs = zip(best.get_weights(), model.get_weights(), strict=True)
                print("same weights", all(a.tobytes() == b.tobytes() for a, b in pairs))
        print("told", json.dumps([killer.victim, builds, alone]))
        cluster.shutdown()
"""


def test_f05_the_trials_of_a_node_that_dies_run_elsewhere_and_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    output = run_script(_SEARCH, tmp_path, 240, RAY_AUTH_MODE="disabled")
    assert "same weights True" in output.splitlines()
    (line,) = (line for line in output.splitlines() if line.startswith("told "))
    (victim, dead), builds, alone = json.loads(line.removeprefix("told "))
    # It was trained on the node that died, and then on one that did not.
    nodes = [node for hidden, node, _ in builds if hidden == victim]
    assert nodes[0] == dead
    assert nodes[-1] != dead
    rows = pq.read_table(tmp_path / "models/small_trials.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done"] * 2
    (worker,) = (row["worker"] for row in rows if row["config.hidden"] == [victim])
    assert int(worker.rpartition(":")[2]) in {pid for _, node, pid in builds if node != dead}
    for row, undisturbed in zip(rows, alone, strict=True):
        found = {name.removeprefix("metric."): value for name, value in row.items()}
        assert {name: found[name] for name in undisturbed if name != "seconds"} == {
            name: value for name, value in undisturbed.items() if name != "seconds"
        }
