"""f06: a full disk while recording or publishing: the message says where and how much, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from child_processes import run_script
from restricted_processes import run_on_small_disk
from small_models import LoggedModel, builds
from trained_models import X_VAL, X

from raygrid import SearchListener
from raygrid.errors import StorageError
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord
from raygrid.store.points import PointStore

LIMITED = """
    import os, resource
    from pathlib import Path
    from published_sets import files_of, listing, listing_of_set, publish_set, seen
    from raygrid.store.paths import ModelArtifacts
    from raygrid.errors import StorageError
    from raygrid.store.manifest import Manifest
    from raygrid.store.points import PointStore
    from raygrid.store.publishing import publish
    from raygrid.grid.records import PointRecord
    from raygrid.base.files import write_bytes

    def full(call):
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited))
        try:
            call()
        except StorageError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
            print(error)

    path = Path("file")
    write_bytes(path, b"old")
    full(lambda: write_bytes(path, bytes(1_000_000)))
    assert path.read_bytes() == b"old"
    write_bytes(path, bytes(1_000_000))
    assert not list(Path().glob(".tmp-*"))

    store = PointStore(Path("points"))
    old = store.add(PointRecord("k", "c", {}, 0, "failed"))
    long = {"loss": (0.5,) * 2000}
    full(lambda: store.add(PointRecord("k", "c", {}, 0, "done", history=long)))
    assert store.get("k") == old and os.listdir("points") == ["k.json"]
    new = store.add(PointRecord("k", "c", {}, 0, "done", history=long))
    assert store.get("k") == new

    paths = ModelArtifacts.for_prefix(Path("models"), "a")
    old = publish_set(paths, "old", scaler=True)
    big = {**files_of(paths, "new", scaler=False), paths.model_path.name: b"new" * 1_000_000}
    full(lambda: publish(paths, big, Manifest("", {}, depends_on={"set": "new"})))
    assert seen(paths) == "old"
    assert listing(paths.model_dir) == listing_of_set(paths, old)
    new = publish(paths, big, Manifest("", {}, depends_on={"set": "new"}))
    assert listing(paths.model_dir) == listing_of_set(paths, new)
"""


def test_f06_a_file_beyond_the_limit_of_a_process_leaves_the_old_one_and_says_where_and_how_much(
    tmp_path: Path,
) -> None:
    lines = run_script(LIMITED, tmp_path).splitlines()
    expected = [
        r"no room for 1,000,000 bytes in \.\. Free some space and run it again\.",
        r"no room for [23]\d,\d\d\d bytes in points\. Free some space and run it again\.",
        r"no room for 3,000,000 bytes in models/a_runs/generations/\S+\. Free some space and run it again\.",
    ]
    assert len(lines) == 3
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected, lines, strict=True)), lines


FILLED = """
    import os, re
    from pathlib import Path
    import numpy as np
    from published_sets import listing, listing_of_set, publish_set, seen
    from raygrid.store.paths import ModelArtifacts
    from raygrid.errors import StorageError
    from raygrid.store.points import PointStore, write_weights
    from raygrid.store.publishing import read_manifest
    from raygrid.grid.records import PointRecord

    disk, filler = Path("disk").absolute(), Path("disk/filler")
    paths = ModelArtifacts.for_prefix(disk, "a")

    def leave(pages):
        # All of the disk but so many pages.
        filler.unlink(missing_ok=True)
        with open(filler, "wb") as file:
            while True:
                try:
                    os.write(file.fileno(), bytes(4096))
                except OSError:
                    break
            file.truncate(file.tell() - pages * 4096)

    def until_it_fits(act, check_old):
        for pages in range(200):
            leave(pages)
            try:
                act()
                break
            except StorageError as error:
                told = re.fullmatch(r"no room for [\\d,]+ bytes in (\\S+)\\. Free some space and .*", str(error))
                assert told and told[1].startswith(str(disk)), error
                check_old()
        filler.unlink()
        print("full", pages, "times")

    def old_set():
        assert seen(paths) == "old"
        assert not [name for name in listing(disk) if ".tmp-" in name]

    old = publish_set(paths, "old", scaler=True)
    until_it_fits(lambda: publish_set(paths, "new", scaler=False), old_set)
    assert seen(paths) == "new"
    assert [name for name in listing(disk) if name != "filler"] == listing_of_set(paths, read_manifest(paths))

    write_weights(Path("weights"), [np.zeros(5000, np.float32)])
    store = PointStore(paths.points_dir)
    first = store.add(PointRecord("first", "c", {}, 0, "done"), Path("weights"))

    def old_points():
        assert list(store.all()) == [first] and store.weights(first) is not None
        assert sorted(os.listdir(store.folder)) in (["first.json", "first.npz"], ["first.json", "first.npz", "k.npz"])

    until_it_fits(lambda: store.add(PointRecord("k", "c", {}, 0, "done"), Path("weights")), old_points)
    assert [record.key for record in store.all()] == ["first", "k"]
    assert store.weights(store.get("k")) is not None
"""


def test_f06_a_disk_that_is_full_at_any_moment_of_publishing_or_recording_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    lines = run_on_small_disk(FILLED, tmp_path, tmp_path / "disk", size_kb=400).splitlines()
    assert len(lines) == 2
    assert all(int(line.split()[1]) > 3 for line in lines)


FITTED = """
    import os
    from pathlib import Path
    from raygrid import SearchListener
    from raygrid.errors import StorageError
    from small_models import SmallModel, small_rows

    disk = Path("disk").absolute()
    X, X_val = small_rows() * 5 + 2, small_rows(60, seed=1) * 5 + 2
    OLD, NEW = {"hidden": [3], "epochs": 2}, {"hidden": [5], "epochs": 2}

    class Filling(SearchListener):
        # Fills the disk at the moment that is asked for, up to so many bytes that stay free.
        def __init__(self, moment, free):
            self.moment, self.free, self.trained = moment, free, 0

        def point_started(self, point):
            self.trained += 1
            if self.moment == "recording":
                self.fill()

        def point_finished(self, point, record):
            if self.moment == "publishing":
                self.fill()

        def fill(self):
            with open(disk / "filler", "wb") as file:
                left = os.statvfs(disk).f_bavail * 4096 - self.free
                os.posix_fallocate(file.fileno(), 0, left)

    def fit(config, moment="", free=0):
        listener = Filling(moment, free)
        model = SmallModel(disk, "small", 0, scaler="standard", progress=listener)
        try:
            model.fit(X, X_val, model_config=config)
            print("fitted", model.best_config["hidden"], "trained", listener.trained)
        except StorageError as error:
            print("refused:", error, "trained", listener.trained)
        (disk / "filler").unlink(missing_ok=True)
        saved = SmallModel.load(disk, "small", 0)
        difference = saved.evaluate(X_val)["loss"] - saved.best_metrics["val_loss"]
        print("saved", saved.best_config["hidden"], abs(difference) < 1e-6)

    fit(OLD)
    fit(NEW, "recording")
    fit(NEW, "publishing", 16384)
    fit(NEW)
"""


def test_f06_a_fit_on_a_full_disk_keeps_the_old_model_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    output = run_on_small_disk(FITTED, tmp_path, tmp_path / "disk", size_kb=2000)
    lines = [line for line in output.splitlines() if line.startswith(("fitted", "refused", "saved"))]
    disk = re.escape(str(tmp_path / "disk"))
    expected = [
        r"fitted \(3,\) trained 1",
        r"saved \(3,\) True",
        rf"refused: no room for [\d,]+ bytes in {disk}/small_runs/points\. .* trained 1",
        r"saved \(3,\) True",
        # Not recorded before, so it is trained again; now it is recorded.
        rf"refused: no room for [\d,]+ bytes in {disk}/small_runs/generations/\S+\. .* trained 1",
        r"saved \(3,\) True",
        r"fitted \(5,\) trained 0",
        r"saved \(5,\) True",
    ]
    assert len(lines) == len(expected), output
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected, lines, strict=True)), output


class FillsTheDisk(SearchListener):
    """Leaves no byte free whenever a search has recorded a point.

    Page by page until none is left: Ray's workers write to the disk meanwhile, so that how much is free is not known.
    """

    def __init__(self, disk: Path) -> None:
        self.disk = disk

    def point_finished(self, point: Point, record: PointRecord) -> None:
        with open(self.disk / "filler", "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))


@pytest.mark.long
@pytest.mark.ray
def test_f06_a_search_whose_disk_is_full_ends_with_the_reason_and_goes_on_where_it_was(
    ray_session: None, tmp_path: Path
) -> None:
    # Ray's workers were started before and see the mounts of this machine only.
    disk = tmp_path / "models"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk]).returncode != 0:
        pytest.skip("needs root to mount a small disk")
    grid = {"hidden": [(3,), (4,), (5,), (6,)]}
    build_log = tmp_path / "builds.txt"
    try:
        model = LoggedModel(disk, "small", 0, build_log=str(build_log), progress=FillsTheDisk(disk))
        with pytest.raises(StorageError, match=rf"no room for [\d,]+ bytes in {re.escape(str(disk))}/"):
            model.fit(X, X_VAL, param_grid=grid)
        assert not model._get_artifacts().manifest_path.exists()
        recorded = [record for record in PointStore(disk / "small_runs/points").all() if record.status == "done"]
        assert recorded
        (disk / "filler").unlink()
        before = len(builds(build_log))
        again = LoggedModel(disk, "small", 0, build_log=str(build_log))
        again.fit(X, X_VAL, param_grid=grid)
        trained = [hidden for _, hidden in builds(build_log)[before:]]
        assert not {record.config["hidden"] for record in recorded} & set(trained)
        assert len(trained) == 4 - len(recorded)
        assert {row["status"] for row in again.results.to_pylist()} == {"done"}
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
