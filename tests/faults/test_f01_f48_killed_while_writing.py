"""f01, f48: killed before, between and after all writes: what is read afterwards is whole, the old or the new."""

from __future__ import annotations

import signal
import sys
import textwrap
from pathlib import Path

import kill_points
import pytest
from child_processes import run_script, started_command
from kill_points import KILL_AT, KILL_STEPS, KILL_UNDER
from published_sets import publish_set, seen

from raygrid.store.paths import ModelArtifacts

PUBLISH = """
    import os, shutil
    from pathlib import Path
    from kill_points import killed_at
    from published_sets import listing, listing_of_set, publish_set, seen, write_legacy
    from raygrid.store.paths import ModelArtifacts
    from raygrid.store.lock import prefix_locked

    # before: "nothing", "legacy" or "published"; then whether the old and the new set have a scaler.
    before, old_scaler, new_scaler = os.environ["CASE"].split()

    def publish_locked(paths, label, scaler):
        with prefix_locked(paths, 0, print):
            return publish_set(paths, label, scaler)

    def case(step):
        paths = ModelArtifacts.for_prefix(Path(f"models{step}").absolute(), "a")
        paths.model_dir.mkdir()
        if before == "legacy":
            write_legacy(paths, "old", old_scaler == "yes")
        if before == "published":
            publish_locked(paths, "old", old_scaler == "yes")
        return paths

    step, second_step = 1, 1
    while True:
        paths = case(step)
        killed = killed_at(step, lambda: publish_locked(paths, "new", new_scaler == "yes"))
        found = seen(paths)
        # The writer after it is killed too, at another step each time.
        if killed_at(second_step, lambda: publish_locked(paths, "next", new_scaler == "no")):
            second_step += 7
            second = seen(paths)
            assert second in (found, "next"), (step, found, second)
        else:
            second_step = 1 + second_step % 5
            assert seen(paths) == "next"
        last = publish_locked(paths, "last", scaler=False)
        assert seen(paths) == "last"
        extra = ["a_runs/lock", "a_runs/lock.holder"]
        assert listing(paths.model_dir) == sorted(listing_of_set(paths, last) + extra), step
        shutil.rmtree(paths.model_dir)
        print(found, flush=True)
        if not killed:
            break
        step += 1
"""


@pytest.mark.parametrize(
    ("case", "old"),
    [
        ("nothing no yes", "nothing"),
        ("published yes no", "old"),
        ("published no yes", "old"),
        ("published yes yes", "old"),
        ("legacy yes no", "old"),
        ("legacy no yes", "old"),
    ],
)
def test_f01_f48_a_publish_killed_at_any_step_leaves_the_old_set_or_the_new_one_and_is_repaired(
    tmp_path: Path, case: str, old: str
) -> None:
    found = run_script(PUBLISH, tmp_path, CASE=case).split()
    changes = [label for i, label in enumerate(found) if i == 0 or label != found[i - 1]]
    assert changes == [old, "new"]
    # Four or five files twice, each opened, written, synced, renamed, and its folder synced.
    assert len(found) > 40


RECORD = """
    import os
    from pathlib import Path
    import numpy as np
    from kill_points import killed_at
    from raygrid.store.points import PointStore, write_weights
    from raygrid.grid.records import PointRecord

    # Before: no record, or that of a point that failed.
    before = os.environ["CASE"]
    write_weights(Path("w"), [np.arange(1000, dtype=np.float32)])
    done = PointRecord("k", "c", {"units": 3}, 0, "done", {"val_loss": 0.5})
    step = 1
    while True:
        store = PointStore(Path(f"points{step}"))
        old = None
        if before == "failed":
            old = store.add(PointRecord("k", "c", {"units": 3}, 0, "failed", error="x"))
        killed = killed_at(step, lambda: store.add(done, Path("w")))
        found = store.get("k")
        weights = None if found is None else store.weights(found)
        if found == old:
            assert weights is None or weights[0].tolist() == list(range(1000))
        else:
            assert found.metrics == done.metrics and weights[0].tolist() == list(range(1000)), (step, found)
        # What was cut short is recorded by the next search, and nothing else stays.
        assert store.weights(store.add(done, Path("w"))) is not None
        store.drop_weights(keep=["k"])
        assert sorted(os.listdir(store.folder)) == ["k.json", "k.npz"]
        print("old" if found == old else "new", flush=True)
        if not killed:
            break
        step += 1
"""


@pytest.mark.parametrize("before", ["nothing", "failed"])
def test_f01_a_search_killed_at_any_step_of_recording_a_point_leaves_it_recorded_whole_or_as_it_was(
    tmp_path: Path, before: str
) -> None:
    found = run_script(RECORD, tmp_path, CASE=before).split()
    changes = [label for i, label in enumerate(found) if i == 0 or label != found[i - 1]]
    assert changes == ["old", "new"]
    # Weights and record: each made, brought to the disk, renamed, and its folder brought to the disk.
    assert len(found) > 8


REPLACE = """
    import os
    from pathlib import Path
    import pyarrow as pa
    from kill_points import killed_at
    from raygrid.store.paths import ModelArtifacts
    from raygrid.store.resets import begin_reset
    from raygrid.store.ledger import write_ledger
    from raygrid.base.files import make_folder

    paths = ModelArtifacts.for_prefix(Path("models").absolute(), "a")
    make_folder(paths.runs_dir)
    if os.environ["CASE"] == "ledger":
        path = paths.ledger_path
        write = lambda rows: write_ledger(paths, pa.table({"point": pa.array(range(rows))}))
    else:
        path = paths.reset_path
        write = lambda asked: begin_reset(paths, str(asked))

    write(1000)
    old = path.read_bytes()
    step = 1
    while True:
        killed = killed_at(step, lambda: write(3))
        found = path.read_bytes()
        if found != old:
            write(3)
            assert path.read_bytes() == found
        print("old" if found == old else "new", flush=True)
        if not killed:
            break
        path.write_bytes(old)
        step += 1
"""


@pytest.mark.parametrize("case", ["ledger", "reset"])
def test_f01_the_ledger_and_the_record_of_a_reset_are_replaced_whole_or_not_at_all(tmp_path: Path, case: str) -> None:
    found = run_script(REPLACE, tmp_path, CASE=case).split()
    changes = [label for i, label in enumerate(found) if i == 0 or label != found[i - 1]]
    assert changes == ["old", "new"]
    assert len(found) > 4


PUBLISH_ONCE = """
    from pathlib import Path
    from published_sets import publish_set
    from raygrid.store.paths import ModelArtifacts

    publish_set(ModelArtifacts.for_prefix(Path("models").absolute(), "a"), "new", scaler=False)
"""


def test_f01_a_process_of_its_own_killed_while_it_publishes_leaves_the_old_set_or_the_new_one(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path / "models", "a")
    script = tmp_path / "publish.py"
    script.write_text(textwrap.dedent(PUBLISH_ONCE))

    def publish(kill_at: int) -> int:
        publish_set(paths, "old", scaler=True)
        command = [sys.executable, kill_points.__file__, str(script)]
        environment = {KILL_AT: str(kill_at), KILL_UNDER: "models", KILL_STEPS: str(tmp_path / "steps")}
        with started_command(command, tmp_path, **environment) as child:
            return child.process.wait(60)

    assert publish(0) == 0
    assert seen(paths) == "new"
    steps = int((tmp_path / "steps").read_text())
    assert steps > 40
    found = []
    for kill_at in [*range(1, steps, 6), steps]:
        assert publish(kill_at) == -signal.SIGKILL
        found.append(seen(paths))
    assert found[0] == "old" and found[-1] == "new"
    assert found == sorted(found, reverse=True)
