from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from child_processes import run_script, started
from published_sets import files_of, listing, listing_of_set, publish_set, seen, write_legacy

from raygrid import publishing
from raygrid.artifacts import ModelArtifacts
from raygrid.errors import CorruptArtifactError, RaygridError, VersionError
from raygrid.publishing import (
    publish,
    published_exists,
    read_manifest,
    read_manifest_or_damaged,
    read_published,
    remove_superseded,
)
from raygrid.storage import temporary_name


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return ModelArtifacts.for_prefix(tmp_path / "models", "a")


def flat(paths: ModelArtifacts, part: str) -> Path:
    return {"manifest": paths.manifest_path, "scaler": paths.scaler_path}.get(part) or next(
        path for path in paths.required if part in path.name
    )


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
    write = publishing.write_bytes

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


# Damage

FILES = ["config", "model", "metrics", "scaler"]


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("copy", ["flat", "generation"])
def test_f17_f20_a_file_that_was_changed_is_refused_by_name(paths: ModelArtifacts, part: str, copy: str) -> None:
    manifest = publish_set(paths, "one", scaler=True)
    path = flat(paths, part)
    if copy == "generation":
        path = paths.generations_dir / manifest.generation / path.name
    data = path.read_bytes()
    path.write_bytes(data.replace(b"one", b"two", 1))
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} .*SHA-256.*reset_experiment=True"):
        read_published(paths)
    path.write_bytes(data + b" ")
    message = rf"^{re.escape(str(path))} is damaged: it has {len(data) + 1:,} bytes, the manifest says {len(data):,}"
    with pytest.raises(CorruptArtifactError, match=message):
        read_published(paths)


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("copy", ["flat", "generation"])
def test_f19_a_file_that_the_manifest_declares_and_that_is_missing_is_an_error(
    paths: ModelArtifacts, part: str, copy: str
) -> None:
    manifest = publish_set(paths, "one", scaler=True)
    path = flat(paths, part)
    if copy == "generation":
        path = paths.generations_dir / manifest.generation / path.name
    path.unlink()
    assert published_exists(paths) == (copy == "generation")
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} is missing.*reset_experiment=True"):
        read_published(paths)


@pytest.mark.parametrize("part", ["config", "manifest"])
def test_f18_json_cut_at_any_byte_is_refused_by_name(paths: ModelArtifacts, part: str) -> None:
    publish_set(paths, "one", scaler=False)
    path = flat(paths, part)
    data = path.read_bytes()
    # The last byte is the line end, without which JSON is still whole; no manifest of ours is without it, though.
    for length in range(len(data) - (part == "manifest")):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} is damaged"):
            read_published(paths)


@pytest.mark.parametrize("part", [*FILES, "manifest"])
def test_f35_a_link_in_place_of_a_file_is_refused_even_to_the_same_bytes(paths: ModelArtifacts, part: str) -> None:
    publish_set(paths, "one", scaler=True)
    path = flat(paths, part)
    path.rename(paths.model_dir / "moved")
    path.symlink_to(paths.model_dir / "moved")
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} is a symbolic link"):
        read_published(paths)


def test_f35_a_link_in_a_generation_is_refused(paths: ModelArtifacts) -> None:
    path = paths.generations_dir / publish_set(paths, "one", scaler=False).generation / paths.model_path.name
    path.rename(paths.model_dir / "moved")
    path.symlink_to(paths.model_dir / "moved")
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} is a symbolic link"):
        read_published(paths)


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


def test_f42_leftover_temporary_files_are_ignored_and_removed_by_the_next_writer(paths: ModelArtifacts) -> None:
    publish_set(paths, "one", scaler=False)
    for path in (*paths.required, paths.scaler_path, paths.manifest_path, paths.ledger_path):
        (paths.model_dir / temporary_name(path.name)).write_bytes(b"half")
    (paths.runs_dir / temporary_name("reset.json")).touch()
    half = paths.generations_dir / temporary_name()
    half.mkdir()
    (half / "a_config.json").touch()
    before = listing(paths.model_dir)
    assert seen(paths) == "one"
    assert listing(paths.model_dir) == before
    manifest = publish_set(paths, "two", scaler=False)
    assert listing(paths.model_dir) == listing_of_set(paths, manifest)


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
    assert len(results) == 14
    assert seen(paths) == "two"


def test_f06_a_full_disk_leaves_the_old_set_and_is_no_hindrance_later(tmp_path: Path) -> None:
    script = """
        import resource
        from pathlib import Path
        from published_sets import files_of, listing, listing_of_set, publish_set, seen
        from raygrid.artifacts import ModelArtifacts
        from raygrid.manifest import Manifest
        from raygrid.publishing import publish

        paths = ModelArtifacts.for_prefix(Path("models"), "a")
        old = publish_set(paths, "old", scaler=True)
        big = {**files_of(paths, "new", scaler=False), paths.model_path.name: b"new" * 1_000_000}
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited))
        try:
            publish(paths, big, Manifest("", {}, depends_on={"set": "new"}))
        except OSError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
            print(error)
        assert seen(paths) == "old"
        assert listing(paths.model_dir) == listing_of_set(paths, old)
        new = publish(paths, big, Manifest("", {}, depends_on={"set": "new"}))
        assert listing(paths.model_dir) == listing_of_set(paths, new)
    """
    assert re.search(r"no room for 3,000,000 bytes in models/a_runs/generations/", run_script(script, tmp_path))


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


# Kills

KILLS = """
    import os, shutil
    from pathlib import Path
    from kill_points import killed_at
    from published_sets import listing, listing_of_set, publish_set, seen, write_legacy
    from raygrid.artifacts import ModelArtifacts
    from raygrid.storage import locked, make_folder

    # before: "nothing", "legacy" or "published"; then whether the old and the new set have a scaler.
    before, old_scaler, new_scaler = os.environ["CASE"].split()

    def publish_locked(paths, label, scaler):
        make_folder(paths.runs_dir)
        with locked(paths.lock_path, 0, print):
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
        with locked(paths.lock_path, 0, print):
            last = publish_set(paths, "last", scaler=False)
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
    found = run_script(KILLS, tmp_path, CASE=case).split()
    changes = [label for i, label in enumerate(found) if i == 0 or label != found[i - 1]]
    assert changes == [old, "new"]
    # Four or five files twice, each opened, written, synced, renamed, and its folder synced.
    assert len(found) > 40


# Readers beside a writer


@pytest.mark.parametrize("before", ["legacy", "published"])
@pytest.mark.parametrize("scaler", [False, True])
def test_a_publish_between_any_two_reads_of_a_reader_shows_it_one_whole_set(
    paths: ModelArtifacts, monkeypatch: pytest.MonkeyPatch, before: str, scaler: bool
) -> None:
    read = publishing.read_bytes
    for at in range(1, 30):
        shutil.rmtree(paths.model_dir, ignore_errors=True)
        if before == "legacy":
            write_legacy(paths, "old", not scaler)
        else:
            publish_set(paths, "old", not scaler)
        reads = 0

        def reading(*arguments: Any, at: int = at) -> bytes:
            nonlocal reads
            reads += 1
            if reads == at:
                with monkeypatch.context() as patched:
                    patched.setattr(publishing, "read_bytes", read)
                    publish_set(paths, "between", scaler)
                    publish_set(paths, "new", scaler)
            return read(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(publishing, "read_bytes", reading)
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


def test_f09_a_reader_beside_a_writer_only_ever_sees_whole_sets(paths: ModelArtifacts) -> None:
    script = """
        from pathlib import Path
        from published_sets import publish_set
        from raygrid.artifacts import ModelArtifacts

        paths = ModelArtifacts.for_prefix(Path("models").absolute(), "a")
        for i in range(300):
            publish_set(paths, f"{i:03d}", scaler=i % 2 == 0)
    """
    write_legacy(paths, "legacy", scaler=True)
    labels = [seen(paths)]
    with started(script, paths.model_dir.parent) as writer:
        while writer.process.poll() is None:
            published = read_published(paths)
            assert published is not None
            label = json.loads(published.files[paths.config_path.name])["set"]
            assert published.files == files_of(paths, label, paths.scaler_path.name in published.files)
            labels.append(label)
            time.sleep(0)
        assert writer.process.returncode == 0, writer.text()
    labels.append(seen(paths))
    assert labels[0] == "legacy" and labels[-1] == "299"
    numbers = labels[labels.count("legacy") :]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 10


def test_every_error_of_reading_is_one_of_raygrids_own() -> None:
    assert issubclass(CorruptArtifactError, RaygridError) and issubclass(CorruptArtifactError, ValueError)


def test_publish_returns_the_manifest_that_it_committed(paths: ModelArtifacts) -> None:
    manifest = publish(paths, files_of(paths, "one", scaler=True), read_manifest(paths) or _empty())
    assert manifest == read_manifest(paths)
    assert (paths.generations_dir / manifest.generation / "manifest.json").read_bytes() == (
        paths.manifest_path.read_bytes()
    )


def _empty() -> Any:
    from raygrid.manifest import Manifest

    return Manifest("ignored", {})
