from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raygrid.base import files
from raygrid.base.files import (
    decode_json,
    encode_json,
    leftovers,
    make_folder,
    read_bytes,
    sha256,
    temporary_name,
    write_bytes,
    write_json,
    write_new,
)
from raygrid.errors import CorruptArtifactError


def failing(code: int) -> Callable[..., None]:
    def fail(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fail


# Writing


def test_written_bytes_come_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    write_bytes(path, b"new\0\xff")
    assert read_bytes(path) == b"new\0\xff"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, step, failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_bytes(path, b"new")
    assert read_bytes(path) == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_bytes_are_on_the_disk_before_they_get_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name.partition('-')[0]}")
        fsync(descriptor)

    def seen_replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write_bytes(tmp_path / "file", b"data")
    assert steps == ["fsync .tmp", "replace", f"fsync {tmp_path.name.partition('-')[0]}"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_an_error_that_names_the_folder_and_the_bytes_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(OSError, match=re.escape(f"no room for 12,345 bytes in {tmp_path}. Free some space")) as caught:
        write_bytes(tmp_path / "file", bytes(12_345))
    assert caught.value.errno == code


def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


def test_writing_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "file").symlink_to(outside)
    write_bytes(tmp_path / "file", b"data")
    assert outside.read_bytes() == b"precious"
    assert read_bytes(tmp_path / "file") == b"data"


def test_every_new_folder_is_synced_in_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3


def test_a_folder_is_not_made_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a" / "b")


# Temporary names


def test_temporary_names_differ_and_are_found_again_for_their_file_only(tmp_path: Path) -> None:
    # The prefix `a_config.json-7` is unusual, but allowed.
    names = ["a_config.json", "a_b_config.json", "b_a_config.json", "a_config.json-7_config.json"]
    for name in names:
        (tmp_path / temporary_name(name)).touch()
        (tmp_path / temporary_name(name)).touch()
        (tmp_path / name).touch()
    for name in names:
        found = leftovers(tmp_path, name)
        assert len(found) == 2
        assert all(re.fullmatch(rf"\.tmp-{re.escape(name)}-\d+-[0-9a-f]{{8}}", path.name) for path in found)
    assert len(leftovers(tmp_path)) == 8


# Reading


def test_a_file_that_is_not_there_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "file")


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_link_is_refused_by_name(tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_bytes(b"data")
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(CorruptArtifactError, match=re.escape(f"{tmp_path / 'link'} is a symbolic link")):
        read_bytes(tmp_path / "link")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "thing"
    make(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CorruptArtifactError, match=re.escape(f"{path} is not a regular file")):
        read_bytes(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_beyond_the_limit_is_refused_with_its_size_and_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.truncate(files.MAX_JSON_BYTES + 1)
    with pytest.raises(CorruptArtifactError, match=r"67,108,865 bytes, more than the limit of 67,108,864"):
        read_bytes(path)
    path.write_bytes(b"1234")
    assert read_bytes(path, 4) == b"1234"
    with pytest.raises(CorruptArtifactError, match=r"4 bytes, more than the limit of 3"):
        read_bytes(path, 3)


# JSON


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_never_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / "file"
    write_json(path, {"value": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"value": [value]})
    assert json.loads(path.read_text()) == {"value": 1.0}
    assert os.listdir(tmp_path) == ["file"]


def test_json_is_readable_text_in_utf_8_with_a_line_end() -> None:
    assert encode_json({"b": [1, None], "a": "Grüße"}).decode() == (
        '{\n  "b": [\n    1,\n    null\n  ],\n  "a": "Grüße"\n}\n'
    )


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 2**70, "\n\u2028\0", [], {}, None])
def test_json_gives_values_back_to_the_last_bit(value: Any) -> None:
    back = decode_json(encode_json(value), Path("file"))
    assert repr(back) == repr(value)


def test_json_cut_at_any_byte_is_damaged_and_the_message_names_file_and_fix() -> None:
    data = encode_json({"name": "Grüße", "values": [1, 2.5, None, True], "nested": {"key": "text"}}).rstrip()
    for length in range(len(data)):
        with pytest.raises(CorruptArtifactError, match=r"^/folder/x\.json is damaged.*reset_experiment=True"):
            decode_json(data[:length], Path("/folder/x.json"))
    assert decode_json(data, Path("x"))["name"] == "Grüße"


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b"\x00", b"{'a': 1}"])
def test_what_is_no_json_is_damaged(data: bytes) -> None:
    with pytest.raises(CorruptArtifactError, match="not valid JSON"):
        decode_json(data, Path("file"))


def test_the_digest_is_sha_256_in_hex() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
