"""Publishing that is interrupted: cut short, failing, killed, or watched by a reader."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from published_sets import files_of, listing, listing_of_set, publish_set, seen, write_legacy

from raygrid.base import files
from raygrid.errors import CorruptArtifactError
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import (
    read_published,
    remove_superseded,
)


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return ModelArtifacts.for_prefix(tmp_path / "models", "a")


def cut_short(paths: ModelArtifacts, replaced: int) -> None:
    """The state after a publish of the set ``cut`` that ended after so many of its flat files."""
    before = {path: path.read_bytes() for path in (*paths.required, paths.scaler_path, paths.manifest_path)}
    generation = paths.generations_dir / json.loads(before[paths.manifest_path])["generation"]
    shutil.copytree(generation, paths.model_dir / "kept")
    publish_set(paths, "cut", scaler=True)
    (paths.model_dir / "kept").rename(generation)
    order = [paths.scaler_path, paths.config_path, paths.model_path, paths.metrics_path, paths.manifest_path]
    for path in order[replaced:]:
        path.write_bytes(before[path])


# A publish that was cut short


@pytest.mark.parametrize("replaced", range(5))
def test_flat_files_of_a_newer_whole_generation_are_ignored(paths: ModelArtifacts, replaced: int) -> None:
    publish_set(paths, "one", scaler=True)
    cut_short(paths, replaced)
    assert seen(paths) == "one"
    manifest = publish_set(paths, "two", scaler=False)
    assert seen(paths) == "two"
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


def test_a_flat_file_of_a_generation_without_a_manifest_is_damage(paths: ModelArtifacts) -> None:
    old = publish_set(paths, "one", scaler=True)
    cut_short(paths, 2)
    (newer,) = (p for p in paths.generations_dir.iterdir() if p.name != old.generation)
    (newer / "manifest.json").unlink()
    with pytest.raises(CorruptArtifactError, match=re.escape(str(paths.config_path))):
        read_published(paths)


def test_a_hand_edit_is_found_beside_a_publish_that_was_cut_short(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=True)
    cut_short(paths, 2)
    paths.metrics_path.write_text("{}")
    with pytest.raises(CorruptArtifactError, match=re.escape(str(paths.metrics_path))):
        read_published(paths)


def test_a_stray_file_among_the_generations_changes_nothing(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=True)
    (paths.generations_dir / ".DS_Store").touch()
    cut_short(paths, 2)
    assert seen(paths) == "one"


def test_what_a_set_no_longer_has_is_removed_again_and_again(paths: ModelArtifacts) -> None:
    manifest = publish_set(paths, "one", scaler=False)
    paths.scaler_path.touch()
    (paths.generations_dir / "older").mkdir()
    for _ in range(2):
        remove_superseded(paths, manifest)
        assert listing(paths.model_dir) == listing_of_set(paths, manifest)


# Errors while publishing


def test_a_write_that_fails_at_any_step_raises_and_leaves_one_whole_set(
    paths: ModelArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_set(paths, "one", scaler=True)
    fsync = os.fsync
    results = []
    for step in range(1, 100):
        left = iter(range(step, 0, -1))

        def counted(descriptor: int, left: Iterator[int] = left) -> None:
            if next(left, 0) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", counted)
        try:
            publish_set(paths, "two", scaler=False)
        except OSError:
            results.append(seen(paths))
            assert not [name for name in listing(paths.model_dir) if ".tmp-" in name]
        else:
            break
    assert "one" in results
    # Only the fsync of the folder after the commit can fail with the new set in place.
    assert set(results[:-1]) == {"one"}
    assert len(results) == 15
    assert seen(paths) == "two"


# Readers beside a writer


@pytest.mark.parametrize("before", ["legacy", "published"])
@pytest.mark.parametrize("scaler", [False, True])
def test_a_publish_between_any_two_reads_of_a_reader_shows_it_one_whole_set(
    paths: ModelArtifacts, monkeypatch: pytest.MonkeyPatch, before: str, scaler: bool
) -> None:
    open_file = files.regular_file
    for at in range(1, 30):
        shutil.rmtree(paths.model_dir, ignore_errors=True)
        if before == "legacy":
            write_legacy(paths, "old", not scaler)
        else:
            publish_set(paths, "old", not scaler)
        reads = 0

        def reading(path: Path, at: int = at) -> Any:
            nonlocal reads
            reads += 1
            if reads == at:
                with monkeypatch.context() as patched:
                    patched.setattr(files, "regular_file", open_file)
                    publish_set(paths, "between", scaler)
                    publish_set(paths, "new", scaler)
            return open_file(path)

        with monkeypatch.context() as patched:
            patched.setattr(files, "regular_file", reading)
            found = read_published(paths)
        assert found is not None
        label = json.loads(found.files[paths.config_path.name])["set"]
        assert label in ("old", "new")
        assert found.files == files_of(paths, label, paths.scaler_path.name in found.files)
        if reads < at:
            assert label == "old"
            break
    else:
        raise AssertionError("the reader never ended before the publish")
