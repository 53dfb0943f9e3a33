"""The names of the files of a prefix, and the manifest."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raygrid.errors import CorruptArtifactError, VersionError
from raygrid.grid.request import Request
from raygrid.store.manifest import FileEntry, Manifest
from raygrid.store.paths import ModelArtifacts

SOURCE = Path("/models/a_manifest.json")


def test_the_layout_of_the_files_is_the_one_that_users_know() -> None:
    paths = ModelArtifacts.for_prefix(Path("models"), "ae.v-1_x")
    names = {
        name: getattr(paths, name).as_posix()
        for name in dir(paths)
        if name.endswith(("_path", "_dir")) and name != "extra_path"
    }
    assert paths.extra_path("detector").as_posix() == "models/ae.v-1_x_detector.json"
    assert names == {
        "config_path": "models/ae.v-1_x_config.json",
        "model_path": "models/ae.v-1_x_model.keras",
        "metrics_path": "models/ae.v-1_x_metrics.json",
        "scaler_path": "models/ae.v-1_x_scaler.json",
        "manifest_path": "models/ae.v-1_x_manifest.json",
        "ledger_path": "models/ae.v-1_x_trials.parquet",
        "model_dir": "models",
        "runs_dir": "models/ae.v-1_x_runs",
        "points_dir": "models/ae.v-1_x_runs/points",
        "generations_dir": "models/ae.v-1_x_runs/generations",
        "tensorboard_dir": "models/ae.v-1_x_runs/tensorboard",
        "checkpoints_dir": "models/ae.v-1_x_runs/checkpoints",
        "tune_dir": "models/ae.v-1_x_runs/tune",
        "data_dir": "models/ae.v-1_x_runs/data",
        "digests_path": "models/ae.v-1_x_runs/file_digests.json",
        "lock_path": "models/ae.v-1_x_runs/lock",
        "reset_path": "models/ae.v-1_x_runs/reset.json",
    }
    assert paths.prefix == "ae.v-1_x"
    assert paths.required == (paths.config_path, paths.model_path, paths.metrics_path)


def test_the_prefix_is_read_back_even_where_it_looks_like_a_file(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a_config.json")
    assert paths.prefix == "a_config.json"
    assert paths.manifest_path.name == "a_config.json_manifest.json"


def test_names_are_made_without_touching_the_disk(tmp_path: Path) -> None:
    ModelArtifacts.for_prefix(tmp_path / "none", "a")
    assert os.listdir(tmp_path) == []


def manifest() -> Manifest:
    return Manifest(
        generation="0123456789abcdef",
        files={"a_config.json": FileEntry.of(b"{}"), "a_model.keras": FileEntry.of(b"")},
        depends_on={"data": {"x": {"digest": "d", "shape": [3, 2]}}},
        request={"config": {"units": [64, 32]}},
        experiment="e",
        context="c",
        winner={"key": "k", "point": 0},
        model_class="module:Class",
        input_shape={"image": [28, 28, 1], "text": [], "pair": [[2], [3]]},
        input_dtypes={"image": "uint8", "text": "string", "pair/[0]": "float32", "pair/[1]": "int64"},
        versions={"keras": "3.15.1"},
        created="2026-01-02T03:04:05+00:00",
    )


def as_json(**changes: Any) -> Any:
    return json.loads(json.dumps(manifest().to_json())) | changes


def test_a_manifest_comes_back_equal_from_json() -> None:
    assert Manifest.from_json(as_json(), SOURCE) == manifest()


def test_the_form_of_a_manifest_is_pinned() -> None:
    value = as_json()
    assert value["format"] == 1
    assert set(value) == {
        "format",
        "generation",
        "files",
        "depends_on",
        "request",
        "experiment",
        "context",
        "winner",
        "model_class",
        "input_shape",
        "input_dtypes",
        "versions",
        "created",
        "accepted_code",
    }
    assert value["files"]["a_model.keras"] == {
        "size_bytes": 0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }


def test_a_manifest_of_a_newer_raygrid_is_refused_with_both_formats() -> None:
    message = rf"{re.escape(str(SOURCE))} has format 2, .* up to 1\. Upgrade"
    with pytest.raises(VersionError, match=message):
        Manifest.from_json(as_json(format=2, files=None), SOURCE)


LEADING_OUT = ["../x", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "x\0", 7, None]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_manifest_that_names_a_generation_elsewhere_is_refused(name: Any) -> None:
    with pytest.raises(CorruptArtifactError, match="not a plain file name"):
        Manifest.from_json(as_json(generation=name), SOURCE)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_manifest_that_names_a_file_elsewhere_is_refused(name: Any) -> None:
    with pytest.raises(CorruptArtifactError, match="not a plain file name"):
        Manifest.from_json(as_json(files={name: {"size_bytes": 0, "sha256": ""}}), SOURCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": "1"},
        {"format": None},
        {"files": []},
        {"files": None},
        {"files": {"a": {}}},
        {"files": {"a": {"size_bytes": 1}}},
        {"files": {"a": {"size_bytes": "1", "sha256": "x"}}},
        {"files": {"a": {"size_bytes": True, "sha256": "x"}}},
        {"files": {"a": {"size_bytes": 1, "sha256": 5}}},
        {"depends_on": None},
        {"depends_on": []},
        {"request": "x"},
        {"winner": 1},
        {"versions": []},
        {"versions": {"keras": 3}},
        {"experiment": None},
        {"context": 5},
        {"model_class": []},
        {"created": 0},
        {"input_shape": 5},
        {"input_shape": "52"},
        {"input_shape": [52.0]},
        {"input_shape": {"image": 3}},
        {"input_dtypes": {"image": "unknown"}},
        {"input_dtypes": {"image": "object"}},
        {"input_dtypes": ["float32"]},
        {"accepted_code": {}},
        {"accepted_code": ["x"]},
    ],
)
def test_a_manifest_with_a_wrong_field_is_damaged(changes: dict[str, Any]) -> None:
    message = rf"^{re.escape(str(SOURCE))} is damaged: it is not a manifest.*reset_experiment=True"
    with pytest.raises(CorruptArtifactError, match=message):
        Manifest.from_json(as_json(**changes), SOURCE)


@pytest.mark.parametrize(
    "name", ["format", "generation", "files", "depends_on", "request", "experiment", "context", "winner"]
)
def test_a_manifest_without_a_field_that_decides_something_is_damaged(name: str) -> None:
    value = as_json()
    del value[name]
    with pytest.raises(CorruptArtifactError, match=f"KeyError.*{name}"):
        Manifest.from_json(value, SOURCE)


@pytest.mark.parametrize("name", ["model_class", "input_shape", "input_dtypes", "versions", "created", "accepted_code"])
def test_a_manifest_of_before_a_field_was_added_has_its_default(name: str) -> None:
    value = as_json()
    del value[name]
    default = getattr(Manifest("", {}), name)
    assert Manifest.from_json(value, SOURCE) == replace(manifest(), **{name: default})


def test_what_a_later_raygrid_adds_to_a_manifest_is_left_out() -> None:
    entry = {"size_bytes": 1, "sha256": "x", "compression": "zstd"}
    value = as_json(chosen_by="val_accuracy", files={"a": entry})
    value["request"]["chosen_by"] = {"name": "val_accuracy"}
    value["depends_on"]["data"]["x"]["names"] = ["a", "b"]
    value["depends_on"]["threads"] = 1
    read = Manifest.from_json(value, SOURCE)
    assert read.files == {"a": FileEntry(1, "x")}
    assert not hasattr(read, "chosen_by")
    assert Request.from_json(read.request) == Request(config={"units": (64, 32)})


@pytest.mark.parametrize("value", [None, 1, "text", [], {}])
def test_what_is_no_mapping_is_no_manifest(value: Any) -> None:
    with pytest.raises(CorruptArtifactError, match="not a manifest"):
        Manifest.from_json(value, SOURCE)
