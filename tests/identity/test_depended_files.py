"""Files that results depend on: what is in them counts, and not where they lie or when they were written."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raygrid.errors import ArgumentError, CorruptArtifactError
from raygrid.grid.request import Request
from raygrid.identity import files
from raygrid.identity.files import depended_files, digest_files, file_digest, file_patterns, remember_digests
from raygrid.identity.identity import Identity
from raygrid.store.manifest import Manifest

HOUR_NS = 3600 * 10**9


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_seen", {})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are read from now on."""
    read: list[str] = []

    def noted(path: str | Path) -> str:
        read.append(str(path))
        return file_digest(path)

    monkeypatch.setattr(files, "file_digest", noted)
    return read


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written now has long been there."""
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + HOUR_NS)


def file_of(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def in_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_seen", {})


# A changed digest makes every model stale that depends on a file.
def test_digests_are_pinned(tmp_path: Path) -> None:
    assert file_digest(file_of(tmp_path / "a")) == PINNED
    assert file_digest(file_of(tmp_path / "empty", b"")) != PINNED
    large = bytes(range(256)) * 20_000
    assert file_digest(file_of(tmp_path / "large", large)) != file_digest(file_of(tmp_path / "other", large[:-1]))


PINNED = "b67d8820057251ac013fd178fbc49e6a"


def test_what_is_in_a_file_counts_and_not_its_date_or_place(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.h5")
    before = depended_files([path])
    assert before == {"1": {"digest": file_digest(path), "size": 7, "path": str(path)}}
    os.utime(path, (1, 1))
    assert depended_files([path]) == before
    moved = path.rename(tmp_path / "b.h5")
    identity = Identity({}, {"name": "m:M", "digest": "c"}, {"seed": 0}, before)
    other = replace(identity, files=depended_files([moved]))
    assert other.context("") == identity.context("") and other.differences(identity.to_json()) == []
    moved.write_bytes(b"WEIGHTS")
    changed = replace(identity, files=depended_files([moved]))
    assert changed.context("") != identity.context("")
    (line,) = changed.differences(identity.to_json())
    new = file_digest(moved)[:12]
    assert line == f"file {moved}: was {path}, 7 bytes {before['1']['digest'][:12]}, now 7 bytes {new}"


def test_files_that_come_or_go_are_told(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.h5")
    without = Identity({}, {"name": "m:M", "digest": "c"}, {"seed": 0})
    with_one = replace(without, files=depended_files([path]))
    assert "files" not in without.to_json()
    digest = file_digest(path)[:12]
    assert with_one.differences(without.to_json()) == [f"file {path}: was absent, now 7 bytes {digest}"]
    assert without.differences(with_one.to_json()) == [f"file {path}: was 7 bytes {digest}, now absent"]
    assert with_one.context("") != without.context("")


def test_the_order_of_the_list_counts_since_a_builder_may_go_by_it(tmp_path: Path) -> None:
    a, b = file_of(tmp_path / "a", b"a"), file_of(tmp_path / "b", b"b")
    digests = [{part: entry["digest"] for part, entry in depended_files(order).items()} for order in ([a, b], [b, a])]
    assert digests[0] != digests[1]


def test_a_pattern_stands_for_its_files_by_their_names_below_its_folder(tmp_path: Path) -> None:
    paths = [file_of(tmp_path / "w" / name, name.encode()) for name in ("b.npy", "deep/a.npy", "c.txt")]
    assert list(depended_files([tmp_path / "w" / "*.npy"])) == ["1/b.npy"]
    found = depended_files([tmp_path / "w" / "**" / "*.npy", paths[2]])
    assert {part: entry["path"] for part, entry in found.items()} == {
        "1/b.npy": str(paths[0]),
        "1/deep/a.npy": str(paths[1]),
        "2": str(paths[2]),
    }
    # Swapped names are another set of files.
    before = {part: entry["digest"] for part, entry in found.items()}
    paths[0].write_bytes(b"deep/a.npy")
    paths[1].write_bytes(b"b.npy")
    assert {
        part: entry["digest"] for part, entry in depended_files([tmp_path / "w/**/*.npy", paths[2]]).items()
    } != before


def test_brackets_may_be_part_of_a_name(tmp_path: Path) -> None:
    path = file_of(tmp_path / "w[1].h5")
    assert [entry["path"] for entry in depended_files([path]).values()] == [str(path)]


@pytest.mark.parametrize(
    ("make", "named", "message"),
    [
        (
            lambda path: None,
            "gone.h5",
            r"gone\.h5, and there is no such file\. Check the path, or leave it out of depends",
        ),
        (lambda path: None, "*.h5", r"\*\.h5, and no file matches it\. Check the path"),
        (lambda path: path.mkdir(), "sub", r"sub, which is a folder\. Name the files in it, such as '.*/sub/\*\*'\."),
        (lambda path: os.mkfifo(path), "pipe", r"pipe, which is not a regular file\. Check the path"),
    ],
)
def test_what_names_no_file_is_refused(tmp_path: Path, make: Callable[[Path], Any], named: str, message: str) -> None:
    make(tmp_path / named)
    with pytest.raises(ArgumentError, match=rf"^depends_on names {tmp_path}/{message}"):
        digest_files([tmp_path / named], verify=False)
    with pytest.raises(ArgumentError, match=r"^data_files names"):
        digest_files([tmp_path / named], verify=False, name="data_files")


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path / "a")

    def meanwhile(read: str | Path) -> str:
        file_of(path, b"longer than before")
        return file_digest(read)

    monkeypatch.setattr(files, "file_digest", meanwhile)
    with pytest.raises(ArgumentError, match="which changed while it was read"):
        digest_files([path], verify=False)


@pytest.mark.parametrize("value", ["a.h5", Path("a.h5"), 3, None, {"a.h5"}])
def test_what_is_no_list_of_paths_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"and no list of paths\. Pass a list of .* such as depends_on="):
        file_patterns("depends_on", value)


def test_relative_paths_begin_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    patterns = file_patterns("depends_on", ["a.h5", Path("w/*.npy"), "/b"])
    assert patterns == (tmp_path / "a.h5", tmp_path / "w/*.npy", Path("/b"))
    # scikit-learn clones what a constructor keeps.
    assert file_patterns("depends_on", patterns) is patterns
    with pytest.raises(ArgumentError, match="an address"):
        file_patterns("depends_on", ["s3://bucket/a.h5"])


# What is remembered


def test_a_file_that_looks_the_same_is_read_once(
    tmp_path: Path, reads: list[str], an_hour_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = file_of(tmp_path / "a"), tmp_path / "digests.json"
    first = digest_files([path], False, memory)
    assert digest_files([path], False, memory) == first and reads == [str(path)]
    remember_digests(memory, first)
    in_new_process(monkeypatch)
    assert digest_files([path], False, memory) == first and reads == [str(path)]
    assert digest_files([path], True, memory) == first and reads == [str(path)] * 2
    in_new_process(monkeypatch)
    memory.unlink()
    assert digest_files([path], False, memory) == first and reads == [str(path)] * 3


@pytest.mark.parametrize("dates_set_back", [False, True])
def test_a_file_of_the_same_size_that_was_changed_is_read_again(
    tmp_path: Path, reads: list[str], an_hour_later: None, dates_set_back: bool
) -> None:
    path = file_of(tmp_path / "a", b"before")
    first = digest_files([path], False)
    was = path.stat()
    # Until the clock of the file system has moved on.
    while path.stat().st_ctime_ns == was.st_ctime_ns:
        path.write_bytes(b"after!")
        if dates_set_back:
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert digest_files([path], False) != first


def test_a_file_that_has_just_been_written_is_not_remembered(tmp_path: Path, reads: list[str]) -> None:
    path, memory = file_of(tmp_path / "a"), tmp_path / "digests.json"
    for _ in range(2):
        remember_digests(memory, digest_files([path], False, memory))
    assert reads == [str(path)] * 2 and not memory.exists()
    # A date that was set back says nothing of when it was written.
    os.utime(path, (1, 1))
    digest_files([path], False, memory)
    digest_files([path], False, memory)
    assert len(reads) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "files": {}}',
        '{"format": 1, "files": []}',
        '{"format": 1, "files": {"PATH": 1}}',
        '{"format": 1, "files": {"PATH": ["a", 1, 1, 1, "d"]}}',
        '{"format": 1, "files": {"PATH": [1, 1, 1, 1]}}',
    ],
)
def test_a_damaged_memory_costs_a_reading_and_nothing_else(tmp_path: Path, an_hour_later: None, text: str) -> None:
    path, memory = file_of(tmp_path / "a"), tmp_path / "digests.json"
    memory.write_text(text.replace("PATH", str(path)))
    found = digest_files([path], False, memory)
    assert found[str(path)]["digest"] == file_digest(path)
    remember_digests(memory, found)
    assert list(json.loads(memory.read_text())["files"]) == [str(path)]


def test_files_that_are_gone_are_forgotten(tmp_path: Path, an_hour_later: None) -> None:
    a, b, memory = file_of(tmp_path / "a"), file_of(tmp_path / "b"), tmp_path / "digests.json"
    remember_digests(memory, digest_files([a], False))
    a.unlink()
    remember_digests(memory, digest_files([b], False))
    assert list(json.loads(memory.read_text())["files"]) == [str(b)]


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path, an_hour_later: None) -> None:
    path, memory = file_of(tmp_path / "a"), tmp_path / "digests.json"
    memory.mkdir()
    remember_digests(memory, digest_files([path], False, memory))
    assert memory.is_dir() and list(tmp_path.iterdir()) in ([path, memory], [memory, path])


def test_nothing_is_made_for_a_prefix_that_has_nothing_yet(tmp_path: Path, an_hour_later: None) -> None:
    memory = tmp_path / "none" / "digests.json"
    remember_digests(memory, digest_files([file_of(tmp_path / "a")], False, memory))
    assert not memory.parent.exists()


@pytest.mark.parametrize("damage", [{"digest": 1}, {"size": "7"}, {"size": True}, {"path": None}])
def test_a_manifest_whose_files_are_damaged_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    entries = depended_files([file_of(tmp_path / "a")])
    identity = Identity({}, {"name": "m:M", "digest": "c"}, {"seed": 0}, entries)
    manifest = Manifest("g", {}, depends_on=identity.to_json(), request=Request(config={}).to_json())
    value = manifest.to_json()
    assert Manifest.from_json(value, tmp_path) == manifest
    value["depends_on"]["files"]["1"] |= damage
    with pytest.raises(CorruptArtifactError, match="the entry of the file '1' is not a digest, a size and a path"):
        Manifest.from_json(value, tmp_path)
