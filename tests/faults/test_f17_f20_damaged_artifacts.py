"""f17, f18, f19, f20: files of a published model that are damaged, cut off, missing or edited are named, never used."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from trained_models import CONFIG, OTHER, X_VAL, X, bits, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.errors import CorruptArtifactError
from raygrid.store.manifest import FileEntry
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.published import read_cached
from raygrid.store.publishing import read_manifest

LISTED = ["config.json", "model.keras", "metrics.json", "scaler.json"]
JSON = ["config.json", "metrics.json", "scaler.json", "manifest.json"]


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return trained_copy(tmp_path / "models")


@pytest.fixture
def legacy(paths: ModelArtifacts) -> ModelArtifacts:
    """The flat files alone, as another implementation leaves them: nothing says what they should be."""
    shutil.rmtree(paths.runs_dir)
    paths.manifest_path.unlink()
    return paths


def copies(paths: ModelArtifacts, name: str) -> list[Path]:
    """The export, and what raygrid itself loads from."""
    manifest = read_manifest(paths)
    assert manifest is not None
    return [paths.model_dir / f"small_{name}", paths.generations_dir / manifest.generation / f"small_{name}"]


def changed_bytes(data: bytes) -> Iterator[bytes]:
    """``data`` with a byte changed at places all over it, cut to lengths from nothing on, and with something behind."""
    for i in range(16):
        at = i * (len(data) - 1) // 15
        yield data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
    for i in range(16):
        yield data[: i * (len(data) - 1) // 15]
    yield data + b"\0"


def refused(paths: ModelArtifacts, path: Path, reason: str = "is damaged") -> None:
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} {reason}.*reset_experiment=True"):
        read_cached(paths)


def never_trained_over(paths: ModelArtifacts, path: Path) -> None:
    """No call but a reset loads, trains or changes anything."""
    before = {p: p.read_bytes() for p in paths.model_dir.rglob("*") if p.is_file()}
    model, begun = small_model(paths.model_dir)
    for call in (
        lambda: model.fit(X, X_VAL),
        lambda: model.fit(X, X_VAL, model_config=CONFIG),
        lambda: model.fit(X, X_VAL, model_config=OTHER),
        lambda: model.fit(X, X_VAL, param_grid={"hidden": [(3, 2), (5,)]}),
        lambda: GridSearchModel.load(paths.model_dir, "small", 0),
    ):
        with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} .*reset_experiment=True"):
            call()
    assert begun == []
    assert model.best_model is None
    ours = (paths.lock_path, paths.lock_path.with_name("lock.holder"))
    after = {p: p.read_bytes() for p in paths.model_dir.rglob("*") if p.is_file()}
    assert {p: data for p, data in after.items() if p not in ours} == {
        p: data for p, data in before.items() if p not in ours
    }


# f17


@pytest.mark.parametrize("copy", [0, 1])
def test_f17_a_model_file_with_any_byte_changed_or_cut_anywhere_is_refused_by_name(
    paths: ModelArtifacts, copy: int
) -> None:
    path = copies(paths, "model.keras")[copy]
    data = path.read_bytes()
    for damaged in changed_bytes(data):
        path.write_bytes(damaged)
        refused(paths, path)
    path.write_bytes(data)
    assert read_cached(paths) is not None


def test_f17_a_damaged_model_is_never_loaded_nor_trained_over_until_a_reset(paths: ModelArtifacts) -> None:
    path = paths.model_path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    never_trained_over(paths, path)
    model, begun = small_model(paths.model_dir)
    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == [(5,)]
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (5,)


@pytest.mark.parametrize("cls", ["with build_model", "without"])
def test_f17_a_damaged_model_without_a_manifest_is_refused_or_has_the_weights_that_it_had(
    legacy: ModelArtifacts, cls: str
) -> None:
    load = (small_model(legacy.model_dir)[0] if cls == "with build_model" else GridSearchModel).load
    data = legacy.model_path.read_bytes()
    expected = bits(load(legacy.model_dir, "small", 0).best_model)
    refusals: dict[int, str] = {}
    for i, damaged in enumerate(changed_bytes(data)):
        legacy.model_path.write_bytes(damaged)
        try:
            assert bits(load(legacy.model_dir, "small", 0).best_model) == expected
        except CorruptArtifactError as error:
            refusals[i] = str(error)
    # A byte of no meaning to anyone, such as one of a date, may be changed.
    assert len(refusals) > 25
    assert all(r.startswith(f"{legacy.model_path} ") and "reset_experiment=True" in r for r in refusals.values())
    # What is cut off is called damaged, with and without a builder.
    assert all(" is damaged: it is not a whole .keras file" in refusals[i] for i in range(16, 32))


# f18


@pytest.mark.parametrize(("name", "copy"), [(name, copy) for name in JSON for copy in (0, 1)][:-1])
def test_f18_json_cut_at_any_byte_is_refused_by_name(paths: ModelArtifacts, name: str, copy: int) -> None:
    # The manifest in a generation is read only after a publish that was cut short; see the next test.
    path = copies(paths, name)[copy]
    data = path.read_bytes()
    # Without the line end alone, a manifest is still whole.
    for length in range(len(data) - (name == "manifest.json")):
        path.write_bytes(data[:length])
        refused(paths, path)
    path.write_bytes(data)
    assert read_cached(paths) is not None


def test_f18_a_manifest_in_a_generation_that_is_cut_at_any_byte_vouches_for_nothing(paths: ModelArtifacts) -> None:
    manifest = read_manifest(paths)
    assert manifest is not None
    # As a publish leaves it that was cut short: a whole newer generation, and one of its files in place already.
    newer = shutil.copytree(paths.generations_dir / manifest.generation, paths.generations_dir / "newer")
    paths.config_path.write_bytes(paths.config_path.read_bytes() + b" ")
    (newer / paths.config_path.name).write_bytes(paths.config_path.read_bytes())
    value = json.loads((newer / "manifest.json").read_bytes())
    value["files"][paths.config_path.name] = vars(FileEntry.of(paths.config_path.read_bytes()))
    data = json.dumps(value).encode()
    (newer / "manifest.json").write_bytes(data)
    assert read_cached(paths) is not None
    for length in range(len(data)):
        (newer / "manifest.json").write_bytes(data[:length])
        refused(paths, paths.config_path)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "scaler.json"])
def test_f18_json_without_a_manifest_cut_at_any_byte_is_refused_by_name(legacy: ModelArtifacts, name: str) -> None:
    path = legacy.model_dir / f"small_{name}"
    data = path.read_bytes().rstrip()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        refused(legacy, path)


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_f18_damaged_json_is_never_loaded_nor_trained_over(paths: ModelArtifacts, name: str) -> None:
    path = paths.model_dir / f"small_{name}"
    path.write_bytes(path.read_bytes()[:-10])
    never_trained_over(paths, path)


def test_f18_the_record_of_a_point_cut_at_any_byte_counts_as_none_with_a_warning(
    paths: ModelArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = paths.points_dir.glob("*.json")
    data = path.read_bytes().rstrip()
    store = PointStore(paths.points_dir)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        caplog.clear()
        assert store.get(path.stem) is None
        (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
        assert warning.startswith(f"{path} is damaged") and warning.endswith("The point is trained again.")
    path.write_bytes(data)
    assert store.get(path.stem) is not None


# f19


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("copy", [0, 1])
def test_f19_a_file_that_the_manifest_declares_and_that_is_missing_is_an_error(
    paths: ModelArtifacts, name: str, copy: int
) -> None:
    path = copies(paths, name)[copy]
    path.unlink()
    refused(paths, path, "is missing, though .* names it")


def test_f19_without_its_scaler_a_model_never_predicts(paths: ModelArtifacts) -> None:
    paths.scaler_path.unlink()
    never_trained_over(paths, paths.scaler_path)


# f20


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("config.json", b"0.01", b"0.02"),
        ("config.json", b"0.01", b"0.010"),
        ("metrics.json", b'"epochs_run": 2', b'"epochs_run": 1'),
        ("scaler.json", b"standard", b"standarb"),
    ],
)
def test_f20_a_file_that_was_edited_by_hand_is_refused_by_name(
    paths: ModelArtifacts, name: str, old: bytes, new: bytes, copy: int
) -> None:
    path = copies(paths, name)[copy]
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    reason = "is damaged or was edited by hand: its SHA-256" if len(old) == len(new) else "is damaged: it has .* bytes"
    refused(paths, path, reason)


def test_f20_an_edited_config_is_never_loaded_nor_trained_over(paths: ModelArtifacts) -> None:
    paths.config_path.write_text(paths.config_path.read_text().replace("0.01", "0.02"))
    never_trained_over(paths, paths.config_path)
