"""Files that a builder reads on nodes that have them not, or others: put there once, or told; and never replaced."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child_processes import run_script
from pretrained_models import Pretrained, write_weights
from ray_nodes import further_node, head_node, mount_namespace
from small_models import small_rows

from raygrid.errors import ClusterError
from raygrid.identity.files import depended_files, file_digest
from raygrid.tuning import carried_files as module
from raygrid.tuning import driver
from raygrid.tuning.carried_files import CarriedFile, carried_files, obstacle

pytestmark = pytest.mark.ray

ROWS = small_rows(160)
X, X_VAL = ROWS[:120], ROWS[120:]
GRID = {"hidden": [[2], [3]], "epochs": [1]}


def on_a_worker(files: tuple[CarriedFile, ...]) -> str | None:
    import ray

    found: str | None = ray.get(ray.remote(obstacle).options(num_cpus=1).remote(files))
    return found


def carried(*paths: Path, elsewhere: bool = True) -> tuple[CarriedFile, ...]:
    return carried_files(depended_files(paths), elsewhere)


@pytest.mark.parametrize("content", [b"", b"1234567", bytes(range(256)) * 40])
def test_a_file_that_a_node_has_not_is_put_there(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(module, "_PART_BYTES", 1000)
    path = tmp_path / "deep" / "weights.h5"
    path.parent.mkdir()
    path.write_bytes(content)
    (file,) = carried(path, path)
    assert len(file.parts) == max(1, -(-len(content) // 1000))
    path.unlink()
    path.parent.rmdir()
    assert on_a_worker((file,)) is None
    assert path.read_bytes() == content and list(path.parent.iterdir()) == [path]
    # What is there is read, and not written again.
    before = path.stat()
    assert on_a_worker((file,)) is None
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_file_is_left_alone_and_told_with_node_path_and_both_digests(ray_session: None, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"weights")
    files, needed = carried(path), file_digest(path)
    path.write_bytes(b"others")
    found = on_a_worker(files) or ""
    assert found.startswith(f"{path} is not on all nodes what it is where the search was started: node ")
    assert f"({socket.gethostname()}, id " in found
    there = f") has another file there, 6 bytes with the digest {file_digest(path)}"
    assert found.endswith(f"{there} instead of 7 bytes with the digest {needed}")
    assert path.read_bytes() == b"others"


def test_a_file_that_cannot_be_read_or_written_is_told(ray_session: None, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "weights.h5"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    files = carried(path)
    path.unlink()
    path.mkdir()
    assert "cannot read or write it (Is a directory)" in (on_a_worker(files) or "")
    path.rmdir()
    path.parent.rmdir()
    path.parent.write_bytes(b"")
    assert "cannot read or write it (" in (on_a_worker(files) or "")


def test_where_no_other_node_may_train_nothing_is_carried(ray_session: None, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"weights")
    files = carried(path, elsewhere=False)
    assert files[0].parts == () and on_a_worker(files) is None
    path.unlink()
    assert "does not have it any more" in (on_a_worker(files) or "")


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """``happens`` once the files of a search are in the object store, and before its workers look for them."""

    def then(files: Mapping[str, Mapping[str, Any]], elsewhere: bool) -> tuple[CarriedFile, ...]:
        found = carried_files(files, elsewhere=True)
        happens()
        return found

    monkeypatch.setattr(driver, "carried_files", then)


def test_the_workers_of_a_search_put_the_file_there_before_they_build(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    content = path.read_bytes()
    between(monkeypatch, path.unlink)
    model = Pretrained(tmp_path / "models", "part", 0, depends_on=[path])
    model.fit(X, X_VAL, param_grid=GRID)
    assert path.read_bytes() == content
    assert set(model.results.column("status").to_pylist()) == {"done"}
    assert model.best_model is not None
    assert np.all(model.best_model.get_layer("encoder").get_weights()[0] == 0.5)


def test_a_search_ends_where_a_node_has_another_file(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    needed = file_digest(path)
    between(monkeypatch, lambda: write_weights(path, 0.25))
    model = Pretrained(tmp_path / "models", "part", 0, depends_on=[path])
    with pytest.raises(ClusterError) as caught:
        model.fit(X, X_VAL, param_grid=GRID)
    message = str(caught.value)
    assert f"{path} is not on all nodes" in message and f"({socket.gethostname()}, id " in message
    assert f"with the digest {file_digest(path)} instead of" in message and f"with the digest {needed}. " in message
    assert message.endswith("what was finished is kept.")
    # No point is at fault.
    assert list((tmp_path / "models/part_runs").glob("points/*.json")) == []


_FIT = """
    from pretrained_models import Pretrained
    from small_models import small_rows

    model = Pretrained("models", "part", 0, depends_on=[{path!r}], address={address!r})
    rows = small_rows(160)
    grid = {{"hidden": [[units] for units in range(2, 10)], "epochs": [60]}}
    model.fit(rows[:120], rows[120:], param_grid=grid)
    print(set(model.results.column("status").to_pylist()), len(set(model.results.column("worker").to_pylist())))
"""


@pytest.mark.long
def test_a_node_that_does_not_see_the_file_trains_with_it(tmp_path: Path) -> None:
    if mount_namespace() is None:
        pytest.skip("a node with another view of a folder takes root, or a namespace in which a user may mount")
    path = tmp_path / "unseen" / "encoder.weights.h5"
    path.parent.mkdir()
    write_weights(path, 0.5)
    mounts = (f"mount -t tmpfs none {path.parent}",)
    with head_node(tmp_path) as address, further_node(address, tmp_path, mounts):
        output = run_script(_FIT.format(path=str(path), address=address), tmp_path, 200)
    assert output.strip().splitlines()[-1] == "{'done'} 2"
