"""f35: a link in place of a file or folder of raygrid is refused, and nothing is written or removed where it leads."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from trained_models import CONFIG, OTHER, X_VAL, X, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.errors import CorruptArtifactError
from raygrid.store.cleaning import clean_prefix
from raygrid.store.ledger import read_ledger
from raygrid.store.lock import prefix_locked
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest

EXPORTS = ["config.json", "model.keras", "metrics.json", "scaler.json", "manifest.json"]
FOLDERS = ["", "points", "generations", "tensorboard", "checkpoints", "tune", "data"]


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return trained_copy(tmp_path / "models")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that links lead to. At the end it is as it was when the link was made."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.npz").write_bytes(b"precious")
    yield folder
    assert contents(folder) == LINKED.pop(folder, {"precious.npz": b"precious"})


LINKED: dict[Path, dict[str, bytes]] = {}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def move_out(path: Path, outside: Path) -> None:
    """Puts a link in place of ``path`` to the same bytes outside."""
    target = outside / path.name
    if path.exists():
        path.rename(target)
    path.symlink_to(target)
    LINKED[outside] = contents(outside)


def no_call_uses(paths: ModelArtifacts, link: Path, *, load: bool = True) -> None:
    model, begun = small_model(paths.model_dir)
    calls = [lambda: model.fit(X, X_VAL, model_config=OTHER)]
    if load:
        calls += [lambda: model.fit(X, X_VAL), lambda: GridSearchModel.load(paths.model_dir, "small", 0)]
    for call in calls:
        with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(link))} is a symbolic link"):
            call()
    assert begun == []


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("dangling", [False, True])
def test_f35_a_link_in_place_of_an_artifact_is_refused_even_to_the_same_bytes(
    paths: ModelArtifacts, outside: Path, name: str, dangling: bool
) -> None:
    link = paths.model_dir / f"small_{name}"
    if dangling:
        link.unlink()
    move_out(link, outside)
    no_call_uses(paths, link)


@pytest.mark.parametrize("name", EXPORTS[:-1])
def test_f35_a_link_in_a_generation_is_refused(paths: ModelArtifacts, outside: Path, name: str) -> None:
    manifest = read_manifest(paths)
    assert manifest is not None
    link = paths.generations_dir / manifest.generation / f"small_{name}"
    move_out(link, outside)
    no_call_uses(paths, link)


@pytest.mark.parametrize("name", EXPORTS[:3])
def test_f35_a_dangling_link_in_a_set_without_a_manifest_is_no_empty_place(
    paths: ModelArtifacts, outside: Path, name: str
) -> None:
    paths.manifest_path.unlink()
    paths.runs_dir.rename(paths.model_dir / "other_runs")
    link = paths.model_dir / f"small_{name}"
    link.unlink()
    move_out(link, outside)
    no_call_uses(paths, link)


def test_f35_a_reset_puts_files_in_place_of_links_and_leaves_alone_where_they_led(
    paths: ModelArtifacts, outside: Path
) -> None:
    links = [paths.model_dir / f"small_{name}" for name in EXPORTS]
    links += [paths.ledger_path, paths.reset_path, paths.lock_path.with_name("lock.holder")]
    for link in links:
        move_out(link, outside)
    model, begun = small_model(paths.model_dir)
    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == [(5,)]
    assert not any(link.is_symlink() for link in links)
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (5,)


@pytest.mark.parametrize("name", FOLDERS)
def test_f35_a_link_in_place_of_a_folder_is_refused_by_all_that_would_write_there(
    paths: ModelArtifacts, outside: Path, name: str
) -> None:
    link = paths.runs_dir / name
    move_out(link, outside)
    no_call_uses(paths, link, load=name in ("", "generations"))
    for write in (
        lambda: small_model(paths.model_dir)[0].fit(X, X_VAL, model_config=CONFIG, reset_experiment=True),
        lambda: clean_prefix(paths),
    ):
        with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(link))} is a symbolic link"):
            write()


def test_f35_a_generation_that_is_a_link_is_refused(paths: ModelArtifacts, outside: Path) -> None:
    manifest = read_manifest(paths)
    assert manifest is not None
    link = paths.generations_dir / manifest.generation
    move_out(link, outside)
    no_call_uses(paths, link)


def test_f35_points_behind_a_link_are_not_read(paths: ModelArtifacts, outside: Path) -> None:
    move_out(paths.points_dir, outside)
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(paths.points_dir))} is a symbolic link"):
        list(PointStore(paths.points_dir).all())


@pytest.mark.parametrize("dangling", [False, True])
def test_f35_a_lock_file_that_is_a_link_is_refused_and_no_file_is_made_where_it_leads(
    paths: ModelArtifacts, outside: Path, dangling: bool
) -> None:
    paths.lock_path.unlink(missing_ok=True)
    if not dangling:
        paths.lock_path.touch()
    move_out(paths.lock_path, outside)
    no_call_uses(paths, paths.lock_path, load=False)
    with (
        pytest.raises(CorruptArtifactError, match="is a symbolic link"),
        prefix_locked(paths, 0, lambda holder: None),
    ):
        raise AssertionError("the lock was taken through a link")


def test_f35_a_link_in_place_of_a_points_files_counts_as_none_with_a_warning_and_is_replaced(
    paths: ModelArtifacts, outside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = paths.points_dir.glob("*.json")
    links = [record, record.with_suffix(".npz")]
    for link in links:
        move_out(link, outside)
    store = PointStore(paths.points_dir)
    assert store.get(record.stem) is None
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert warning.startswith(f"{record} is a symbolic link") and warning.endswith("The point is trained again.")
    # Another config is published, and then this one, which is trained again.
    model, begun = small_model(paths.model_dir)
    model.fit(X, X_VAL, model_config=OTHER)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert begun == [(5,), (3, 2)]
    assert all(link.is_file() and not link.is_symlink() for link in links)


def test_f35_a_ledger_that_is_a_link_is_not_read(paths: ModelArtifacts, outside: Path) -> None:
    move_out(paths.ledger_path, outside)
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(paths.ledger_path))} is a symbolic link"):
        read_ledger(paths)


def test_f35_the_model_folder_itself_may_be_a_link(paths: ModelArtifacts, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(paths.model_dir)
    model, begun = small_model(tmp_path / "link")
    model.fit(X, X_VAL, model_config=OTHER)
    assert begun == [(5,)]
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (5,)
