"""Several searches on one cluster, and a cluster whose head dies: real nodes, trials that train nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from child_processes import started
from ray_nodes import further_node, head_node

pytestmark = pytest.mark.ray

# Each trial takes a while and reports a point; the file of a point is written when it is recorded.
_SEARCH = """
    import sys, time
    from pathlib import Path
    from raygrid.store.checkpoints import Checkpoints
    from raygrid.errors import ClusterError
    from raygrid.grid.plan import Point, make_plan
    from raygrid.store.points import PointStore
    from raygrid.progress.listeners import LogProgress, set_verbosity
    from raygrid.grid.records import PointRecord
    from raygrid.data.training_arrays import TrainSettings
    from raygrid.tuning import head_watch, neighbours
    from raygrid.tuning.driver import run_trials
    from raygrid.tuning.resources import TrialResources
    from raygrid.tuning.session import RaySession
    from raygrid.tuning.trial import TrainingJob, TrialJob, decode_points

    def trial(config, *, job, data):
        from ray import tune

        for point in decode_points(config["points"]):
            time.sleep({seconds})
            record = PointRecord(point.key, "c", point.config, 0, "diverged", epochs_run=1)
            tune.report({{"keys": [], "first_epoch": 1, "epochs": [], "record": record.to_json()}})

    class Begun(LogProgress):
        def point_started(self, point):
            print("began", point.number, file=sys.stderr)

    head_watch.lost_after_s = lambda: 4.0
    neighbours.LOOK_EVERY_S = {look_every_s}
    set_verbosity(1)
    config = {{"epochs": 1, "batch_size": 1}}
    points = [Point(n, {{**config, "x": n}}, 0, f"{name}{{n}}") for n in range({points})]
    plan, folder, listener = make_plan(points, {{}}, lambda config: 1), Path({name!r}).absolute(), Begun()
    with RaySession({address!r}, (), False) as session:
        session.wait()
        store = PointStore(folder / "points")
        training = TrainingJob(None, "c", TrainSettings(), store, Checkpoints(folder / "checkpoints"))
        job = TrialJob({name!r}, training, 1, 0)
        listener.search_started(plan)
        records = run_trials(plan, job, None, TrialResources(1, 0.0, 2), folder / "tune", listener, trial)
    print("finished", len(records))
"""


@pytest.fixture(scope="module")
def two_cpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nodes")
    with head_node(folder) as address, further_node(address, folder):
        yield address


@pytest.mark.long
def test_a_second_search_says_that_it_waits_and_gets_a_cpu_before_the_first_is_over(
    two_cpus: str, tmp_path: Path
) -> None:
    first = _SEARCH.format(address=two_cpus, name="first", points=14, seconds=3, look_every_s=5.0)
    # It looks at once, so that the first has not given way to it before it says that it waits.
    second = _SEARCH.format(address=two_cpus, name="second", points=2, seconds=0.1, look_every_s=0.1)
    with started(first, tmp_path) as one:
        one.wait_until(lambda: "began 1\n" in one.text())
        with started(second, tmp_path) as two:
            assert two.process.wait(150) == 0, two.text()
            assert one.process.poll() is None, one.text()
        assert one.process.wait(150) == 0, one.text()
    waits = "Waiting for 1 CPU per trial: 2 of 2 CPUs of the cluster are in use by another job."
    assert waits in two.text()
    assert two.text().index(waits) < two.text().index("began 0")
    assert "1 instead of 2 trials at the same time from now on: another job waits." in one.text()
    assert "2 instead of 1 trials at the same time from now on: no other job waits any more." in one.text()
    assert "finished 2" in two.text() and "finished 14" in one.text()
    assert "another job" not in two.text().replace(waits, "")


# Last: it kills the head.
@pytest.mark.long
def test_the_head_dies_and_the_search_says_that_finished_points_are_kept_and_what_to_run(
    two_cpus: str, tmp_path: Path
) -> None:
    search = _SEARCH.format(address=two_cpus, name="lost", points=40, seconds=1, look_every_s=5.0)
    port = two_cpus.rpartition(":")[2]
    with started(search, tmp_path) as child:
        child.wait_until(lambda: "began 3\n" in child.text())
        for pid in _gcs_of(port):
            os.kill(pid, signal.SIGKILL)
        child.wait_until(lambda: "the head of the Ray cluster" in child.text(), 30)
        text = child.text()
    assert f":{port} has not answered for 4 s: its node, or Ray on it, has died. Finished points are kept." in text
    assert "run the same again" in text
    # Not one of Ray's words before that.
    assert "GCS" not in text and "Traceback" not in text
    assert len(list((tmp_path / "lost/points").glob("*.json"))) >= 2


def _gcs_of(port: str) -> list[int]:
    """The processes of the head that listens on ``port``."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[0].endswith(b"gcs_server") and f"--gcs_server_port={port}".encode() in command:
            found.append(int(path.name))
    assert found
    return found
