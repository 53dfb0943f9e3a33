"""f46: files of absurd size in place of artifacts are refused with size and limit, before they are read."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from child_processes import run_script
from trained_models import X_VAL, X, small_model

from raygrid import GridSearchModel
from raygrid.errors import CorruptArtifactError

# Sparse files: they have a size, and take no room.
ABSURD = """
    import logging, os, resource, sys, time
    from pathlib import Path
    from published_sets import files_of, publish_set, seen, write_legacy
    from raygrid.store.paths import ModelArtifacts
    from raygrid.store.published import read_cached
    from raygrid.errors import CorruptArtifactError, StorageError
    from raygrid.store.resets import begin_reset, current_experiment
    from raygrid.store.ledger import read_ledger, write_ledger
    from raygrid.store.manifest import Manifest
    from raygrid.base.memory import available_memory
    from raygrid.store.points import PointStore
    from raygrid.store.lock import prefix_locked
    from raygrid.store.publishing import publish, read_published
    from raygrid.grid.records import PointRecord
    from raygrid.base.files import MAX_JSON_BYTES, MAX_MODEL_BYTES
    import pyarrow.parquet

    logging.basicConfig(stream=sys.stdout, format="%(message)s")

    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def absurd(path, size):
        # Gives back how to undo it.
        data = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            file.truncate(size)
        return lambda: path.unlink() if data is None else path.write_bytes(data)

    def refused(what, path, size, call):
        undo = absurd(path, size)
        try:
            call()
            print(what, "READ")
        except (CorruptArtifactError, StorageError) as error:
            assert str(path) in str(error) and f"{size:,}" in str(error), error
            print(what, "refused", type(error).__name__, "limit" in str(error))
        undo()

    paths = ModelArtifacts.for_prefix(Path("models").absolute(), "a")
    legacy = ModelArtifacts.for_prefix(Path("models").absolute(), "legacy")
    published = publish_set(paths, "one", scaler=True)
    write_legacy(legacy, "old", scaler=True)
    store = PointStore(paths.points_dir)
    Path("weights").write_bytes(b"weights")
    record = store.add(PointRecord("key", "c", {}, 0, "done"), Path("weights"))
    with prefix_locked(paths, 0, print):
        pass
    seen(paths), seen(legacy), read_cached

    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, resource.RLIM_INFINITY))
    before, start = peak_mb(), time.monotonic()
    TERABYTE = 2**40

    generation = paths.generations_dir / published.generation
    for name in published.files:
        for folder in (paths.model_dir, generation):
            for size in (MAX_JSON_BYTES // 2, MAX_MODEL_BYTES // 2, TERABYTE):
                refused(f"published {name}", folder / name, size, lambda: read_published(paths))
    for size in (MAX_JSON_BYTES + 1, TERABYTE):
        refused("manifest", paths.manifest_path, size, lambda: read_published(paths))
        refused("ledger", paths.ledger_path, size, lambda: read_ledger(paths))
        for path in (legacy.config_path, legacy.metrics_path, legacy.scaler_path):
            refused(f"legacy {path.name}", path, size, lambda: read_published(legacy))
    # Below the limit, and yet more than there is memory.
    for size in (min(MAX_MODEL_BYTES, available_memory()), MAX_MODEL_BYTES + 1, TERABYTE):
        refused("legacy model", legacy.model_path, size, lambda: read_published(legacy))

    # What counts as none when it is damaged counts as none when it is absurd.
    for size in (MAX_JSON_BYTES + 1, TERABYTE):
        undo = absurd(store.folder / "key.json", size)
        assert store.get("key") is None
        undo()
        undo = absurd(store.folder / "key.npz", size)
        assert store.weights(record) is None
        undo()
        undo = absurd(paths.reset_path, size)
        assert current_experiment(paths) == "" and begin_reset(paths, "asked")
        undo()
        undo = absurd(paths.lock_path.with_name("lock.holder"), size)
        with prefix_locked(paths, 0, print):
            pass
        undo()
    assert seen(paths) == "one" and seen(legacy) == "old"
    print("grew by", round(peak_mb() - before), "MB in", round(time.monotonic() - start), "s")
"""


def test_f46_files_of_absurd_size_are_refused_with_size_and_limit_and_without_being_read(tmp_path: Path) -> None:
    lines = run_script(ABSURD, tmp_path).splitlines()
    told = [line for line in lines if "refused" in line]
    assert not [line for line in lines if line.endswith("READ")]
    assert len(told) == 4 * 2 * 3 + 2 * 5 + 3
    assert all(
        line.endswith("refused CorruptArtifactError True") for line in told if line.split()[0] in ("manifest", "ledger")
    )
    assert [line.split()[-2] for line in told if line.startswith("legacy model")][1:] == ["CorruptArtifactError"] * 2
    assert sum("The point is trained again" in line for line in lines) == 4
    grown, seconds = (int(number) for number in re.findall(r"\d+", lines[-1]))
    assert grown < 100
    assert seconds < 60


def test_f46_a_manifest_that_vouches_for_an_absurd_size_does_not_raise_the_limit(tmp_path: Path) -> None:
    script = """
        import json
        from pathlib import Path
        from published_sets import publish_set
        from raygrid.store.paths import ModelArtifacts
        from raygrid.errors import CorruptArtifactError
        from raygrid.store.publishing import read_published

        paths = ModelArtifacts.for_prefix(Path("models").absolute(), "a")
        manifest = publish_set(paths, "one", scaler=True)
        for path in (paths.config_path, paths.model_path):
            size = 2**40
            with open(paths.generations_dir / manifest.generation / path.name, "r+b") as file:
                file.truncate(size)
            value = json.loads(paths.manifest_path.read_bytes())
            value["files"][path.name]["size_bytes"] = size
            paths.manifest_path.write_text(json.dumps(value))
            try:
                read_published(paths)
            except CorruptArtifactError as error:
                print(error)
            manifest = publish_set(paths, "one", scaler=True)
    """
    first, second = run_script(script, tmp_path).splitlines()
    assert "a_config.json has 1,099,511,627,776 bytes, more than the limit of 67,108,864" in first
    assert "a_model.keras has 1,099,511,627,776 bytes, more than the limit of 17,179,869,184" in second


def test_f46_a_model_that_unpacks_to_an_absurd_size_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    model, _ = small_model(tmp_path)
    model.fit(X, X_VAL, model_config={"hidden": [3], "epochs": 1})
    (tmp_path / "small_manifest.json").unlink()
    (tmp_path / "small_runs").rename(tmp_path / "elsewhere")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            archive.writestr(f"{i}", b"")
    # The size that the directory of the archive gives for each of its files, 4 GiB less one byte.
    data = bytearray(buffer.getvalue())
    for entry in re.finditer(b"PK\x01\x02", bytes(data)):
        data[entry.start() + 24 : entry.start() + 28] = b"\xfe\xff\xff\xff"
    (tmp_path / "small_model.keras").write_bytes(data)
    with pytest.raises((CorruptArtifactError, OSError), match=r"small_model\.keras .*21,474,836,470 bytes"):
        GridSearchModel.load(tmp_path, "small", 0)
