"""f42: temporary files that a killed writer left are ignored, and removed by who holds the lock, by nobody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from child_processes import started
from published_sets import listing, listing_of_set, publish_set, seen
from trained_models import CONFIG, OTHER, X_VAL, X, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.base.files import temporary_name
from raygrid.errors import LockTimeoutError
from raygrid.grid.records import PointRecord
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore


def plant(paths: ModelArtifacts) -> list[Path]:
    """What killed writers may leave in every folder."""
    exports = (*paths.required, paths.scaler_path, paths.manifest_path, paths.ledger_path)
    planted = [paths.model_dir / temporary_name(path.name) for path in exports]
    planted += [paths.runs_dir / temporary_name(name) for name in ("reset.json", "lock.holder")]
    planted += [paths.points_dir / temporary_name(f"key{end}") for end in (".json", ".npz")]
    for path in planted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    half = paths.generations_dir / temporary_name()
    half.mkdir(parents=True)
    (half / paths.config_path.name).write_bytes(b"{}")
    return [*planted, half]


def test_f42_leftover_temporary_files_of_a_publish_are_ignored_and_removed_by_the_next_writer(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path / "models", "a")
    publish_set(paths, "one", scaler=False)
    plant(paths)
    shutil.rmtree(paths.points_dir)
    before = listing(paths.model_dir)
    assert seen(paths) == "one"
    assert listing(paths.model_dir) == before
    manifest = publish_set(paths, "two", scaler=False)
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


def test_f42_leftover_temporary_files_are_no_records(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    store = PointStore(paths.points_dir)
    record = store.add(PointRecord("key", "context", {}, 0, "done"))
    for path in plant(paths):
        if path.parent == store.folder:
            shutil.copy(store.folder / "key.json", path)
    assert list(store.all()) == [record]


HOLDS = """
    import time
    from pathlib import Path
    from raygrid.store.paths import ModelArtifacts
    from raygrid.store.lock import prefix_locked

    with prefix_locked(ModelArtifacts.for_prefix(Path("models"), "small"), None, print):
        Path("held").touch()
        time.sleep(600)
"""


def test_f42_leftovers_stay_until_somebody_with_the_lock_publishes(tmp_path: Path) -> None:
    paths = trained_copy(tmp_path / "models")
    planted = plant(paths)
    other = paths.model_dir / temporary_name("another_config.json")
    other.touch()
    model, begun = small_model(paths.model_dir, lock_timeout_s=0.0)
    model.fit(X, X_VAL, model_config=CONFIG)
    GridSearchModel.load(paths.model_dir, "small", 0)
    assert begun == []
    assert all(path.exists() for path in planted)

    with started(HOLDS, tmp_path) as child:
        child.wait_until((tmp_path / "held").exists)
        with pytest.raises(LockTimeoutError, match=f"process {child.process.pid} "):
            model.fit(X, X_VAL, model_config=OTHER)
        assert all(path.exists() for path in planted)

    model.fit(X, X_VAL, model_config=OTHER)
    assert begun == [(5,)]
    # That of another prefix is none of its business.
    assert sorted(paths.model_dir.rglob(".tmp-*")) == [other]
