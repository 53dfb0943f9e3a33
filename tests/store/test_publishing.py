from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from published_sets import files_of, listing, listing_of_set, publish_set, seen, write_legacy

from raygrid.base import files
from raygrid.base.files import temporary_name
from raygrid.errors import CorruptArtifactError, VersionError
from raygrid.store import publishing
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import (
    publish,
    published_exists,
    read_manifest,
    read_manifest_or_damaged,
    read_published,
)


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return ModelArtifacts.for_prefix(tmp_path / "models", "a")


def flat(paths: ModelArtifacts, part: str) -> Path:
    return {"manifest": paths.manifest_path, "scaler": paths.scaler_path}.get(part) or next(
        path for path in paths.required if part in path.name
    )


# A whole set


@pytest.mark.parametrize("scaler", [False, True])
def test_a_published_set_comes_back_and_nothing_else_is_on_the_disk(paths: ModelArtifacts, scaler: bool) -> None:
    manifest = publish_set(paths, "one", scaler)
    published = read_published(paths)
    assert published is not None and not published.legacy
    assert published.files == files_of(paths, "one", scaler)
    assert published.manifest == manifest == read_manifest(paths)
    assert published_exists(paths)
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)
    for name, data in published.files.items():
        assert (paths.model_dir / name).read_bytes() == data


def test_nothing_is_published_in_an_empty_folder_or_none(paths: ModelArtifacts) -> None:
    assert seen(paths) == "nothing"
    paths.model_dir.mkdir()
    assert seen(paths) == "nothing"
    assert listing(paths.model_dir) == []


def test_the_second_set_replaces_the_first_with_its_scaler_and_its_generation(paths: ModelArtifacts) -> None:
    first = publish_set(paths, "one", scaler=True)
    second = publish_set(paths, "two", scaler=False)
    assert seen(paths) == "two"
    assert first.generation != second.generation
    assert listing(paths.model_dir) == listing_of_set(paths, second)


def test_flat_files_are_replaced_scaler_first_metrics_last_and_the_manifest_after_them(
    paths: ModelArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = files.write_bytes

    def recorded(path: Path, data: bytes) -> None:
        written.append(path.name)
        write(path, data)

    monkeypatch.setattr(publishing, "write_bytes", recorded)
    publish_set(paths, "one", scaler=True)
    assert written == ["a_scaler.json", "a_config.json", "a_model.keras", "a_metrics.json", "a_manifest.json"]


def test_two_prefixes_of_which_one_begins_the_other_never_touch_each_other(tmp_path: Path) -> None:
    short, long, odd = (ModelArtifacts.for_prefix(tmp_path, prefix) for prefix in ("a", "a_b", "a_config.json-7"))
    listed = []
    for paths in (short, long, odd):
        listed += listing_of_set(paths, publish_set(paths, paths.prefix, scaler=True))
    # As a writer that is at work leaves them for a moment.
    working = [temporary_name(p.config_path.name) for p in (long, odd)]
    for name in working:
        (tmp_path / name).touch()
    replaced = publish_set(short, "again", scaler=False)
    assert [seen(paths) for paths in (short, long, odd)] == ["again", "a_b", "a_config.json-7"]
    of_others = [name for name in listed if name.startswith(("a_b_", "a_config.json-7_"))]
    assert listing(tmp_path) == sorted([*of_others, *working, *listing_of_set(short, replaced)])


def test_a_prefix_without_files_is_not_taken_for_a_longer_one(tmp_path: Path) -> None:
    publish_set(ModelArtifacts.for_prefix(tmp_path, "a_b"), "other", scaler=True)
    assert seen(ModelArtifacts.for_prefix(tmp_path, "a")) == "nothing"


def test_publish_returns_the_manifest_that_it_committed_in_both_places(paths: ModelArtifacts) -> None:
    manifest = publish(paths, files_of(paths, "one", scaler=True), Manifest("ignored", {}))
    assert manifest == read_manifest(paths)
    assert manifest.generation != "ignored" and len(manifest.files) == 4
    committed = paths.generations_dir / manifest.generation / "manifest.json"
    assert committed.read_bytes() == paths.manifest_path.read_bytes()


# Damage

FILES = ["config", "model", "metrics", "scaler"]


def test_a_scaler_that_the_manifest_does_not_list_is_no_part_of_the_set(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=False)
    paths.scaler_path.write_text('{"mean": [9.0], "scale": [9.0]}')
    published = read_published(paths)
    assert published is not None and paths.scaler_path.name not in published.files


def test_a_manifest_that_leads_out_of_the_folder_is_refused(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=False)
    value = json.loads(paths.manifest_path.read_text())
    outside = paths.model_dir.parent / "x"
    outside.write_bytes(b"")
    entry = {"size_bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    for change in ({"files": value["files"] | {"../x": entry}}, {"generation": "../../../models"}):
        paths.manifest_path.write_text(json.dumps(value | change))
        with pytest.raises(CorruptArtifactError, match="not a plain file name"):
            read_published(paths)


def test_a_manifest_copied_from_another_prefix_is_refused(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=True)
    other = ModelArtifacts.for_prefix(paths.model_dir, "b")
    shutil.copytree(paths.runs_dir, other.runs_dir)
    for part in [*FILES, "manifest"]:
        shutil.copy(flat(paths, part), flat(other, part))
    with pytest.raises(CorruptArtifactError, match=r"b_manifest\.json is not the manifest of the prefix 'b'.*a_config"):
        read_published(other)
    assert seen(paths) == "one"


@pytest.mark.parametrize("left_out", ["config", "model", "metrics"])
def test_a_manifest_without_a_required_file_is_refused(paths: ModelArtifacts, left_out: str) -> None:
    publish_set(paths, "one", scaler=False)
    value = json.loads(paths.manifest_path.read_text())
    del value["files"][flat(paths, left_out).name]
    paths.manifest_path.write_text(json.dumps(value))
    with pytest.raises(CorruptArtifactError, match="not the manifest of the prefix"):
        read_published(paths)


def test_a_damaged_manifest_is_handed_over_for_a_reset_and_replaced_by_it(paths: ModelArtifacts) -> None:
    assert read_manifest_or_damaged(paths) is None
    publish_set(paths, "one", scaler=True)
    paths.manifest_path.write_bytes(b"{")
    assert isinstance(read_manifest_or_damaged(paths), CorruptArtifactError)
    manifest = publish_set(paths, "two", scaler=False)
    assert seen(paths) == "two"
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


def test_a_set_of_a_newer_raygrid_is_never_replaced(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=False)
    value = json.loads(paths.manifest_path.read_text())
    paths.manifest_path.write_text(json.dumps(value | {"format": 2}))
    before = listing(paths.model_dir)
    for call in (read_published, read_manifest_or_damaged, lambda p: publish_set(p, "two", scaler=False)):
        with pytest.raises(VersionError):
            call(paths)
    assert listing(paths.model_dir) == before


# A set of another implementation


@pytest.mark.parametrize("scaler", [False, True])
def test_flat_files_without_manifest_and_generations_are_a_legacy_set(paths: ModelArtifacts, scaler: bool) -> None:
    write_legacy(paths, "legacy", scaler)
    before = listing(paths.model_dir)
    assert seen(paths) == "legacy"
    published = read_published(paths)
    assert published is not None and published.legacy
    assert set(published.files) == set(files_of(paths, "legacy", scaler))
    assert listing(paths.model_dir) == before


@pytest.mark.parametrize("part", ["config", "model", "metrics"])
def test_a_legacy_set_without_one_of_its_files_is_nothing(paths: ModelArtifacts, part: str) -> None:
    write_legacy(paths, "legacy", scaler=True)
    flat(paths, part).unlink()
    assert seen(paths) == "nothing"


@pytest.mark.parametrize("part", FILES)
def test_a_link_in_a_legacy_set_is_refused(paths: ModelArtifacts, part: str) -> None:
    write_legacy(paths, "legacy", scaler=True)
    flat(paths, part).rename(paths.model_dir / "moved")
    flat(paths, part).symlink_to("moved" if part != "scaler" else "missing")
    with pytest.raises(CorruptArtifactError, match="symbolic link"):
        read_published(paths)


def test_flat_files_of_a_first_publish_that_was_cut_short_are_no_legacy_set(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=False)
    paths.manifest_path.unlink()
    assert seen(paths) == "nothing"


def test_the_first_writer_replaces_a_legacy_set_and_its_scaler(paths: ModelArtifacts) -> None:
    write_legacy(paths, "legacy", scaler=True)
    manifest = publish_set(paths, "one", scaler=False)
    assert seen(paths) == "one"
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


def test_a_legacy_set_is_adopted_before_anything_of_it_is_replaced(
    paths: ModelArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_legacy(paths, "legacy", scaler=True)

    def refuse(*arguments: Any) -> list[str]:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_scaler_first_metrics_last", refuse)
        with pytest.raises(OSError, match="full"):
            publish_set(paths, "one", scaler=False)
    adopted = read_published(paths)
    assert adopted is not None and adopted.legacy
    assert adopted.manifest.generation.startswith("adopted-")
    assert seen(paths) == "legacy"
    manifest = publish_set(paths, "two", scaler=True)
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


def test_a_further_file_that_the_new_set_no_longer_has_is_removed(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    extra = paths.extra_path("detector")
    files = {path.name: b"{}" for path in paths.required}
    publish(paths, {**files, extra.name: b"{}"}, Manifest("", {}))
    assert extra.name in read_published(paths).files
    (tmp_path / temporary_name(extra.name)).write_bytes(b"cut short")
    publish(paths, files, Manifest("", {}))
    assert not extra.exists()
    assert not list(tmp_path.glob(".tmp-*"))
