"""Readers of files that a person may have been sent: whatever the bytes are, they are read or refused, never more.

The long form, with a coverage-guided fuzzer beside hypothesis, is ``make stress``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzed_inputs import inputs_like
from fuzzed_readers import READERS, BrokenReaderError, Reader, open_reader, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 60


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    log = logging.getLogger("raygrid")
    level = log.level
    yield
    log.setLevel(level)


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_read_or_refused_with_an_error_of_raygrid(name: str, tmp_path: Path) -> None:
    reader = open_reader(name, tmp_path / "reader")
    assert outcome(reader, reader.samples[0]) in ("read", "StaleCacheError", "LockTimeoutError")
    inputs = inputs_like(reader.samples)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def read_or_refused(data: st.DataObject) -> None:
        outcome(reader, data.draw(inputs))

    read_or_refused()


# Inputs that once broke a reader, or that are known to break such readers

ALIASES = "\n".join(["a0: &a0 [1, 1]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))])
MERGES = "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40))])
NPY_OF = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"


# Its description of a column ended the process in C++.
PARQUET = base64.b64decode(
    "UEFSMRUEFUAVNkwVCBUAEgAAIAAABQEE8AAEQAkIJAjAAAAAAAAAEEAVABUUFRgsFQgVEBUGFQYcGAgAAAAAAAAQQBgIAAgBAgPkABUEGUw2AB"
    "gGc2NoZW1hFQYAFQolAhgEdGVtcAAVAiUAGARmbG93ABUIJQIYBGtpbmQAFggZHBk8JgAcFQoZNQAGEBkYBHRlbXAVAhYIFu4BFugBJlomCBwY"
    "CADQAAAAABBAGAgAAAAAAAAIwBYAKAgAAAAAAAAQQBgIAAAAAAAACMAREQAZLBUEFQAVAgAVABUQFQIAPCkGGSYACAAAACYAHBUCGTUABhAZGA"
    "RmbG93FQIWCBauARa2ASawAibwARwYBAQAAAAYBAEAAAAWACgEBAAAABgEAQAAABERABksFQQVABUCABUAFRAVAgA8KQYZJgAIAAAAJgAcFQgZ"
    "NQAGEBkYBGtpbmQVAhYIFq4BFrYBJuYDJqYDHBgEAACAPxgEAAAAPhYAKAQAAIA/GAQAAAA+EREAGSwVBBUAFQIAFQAVEBUCADwpBhkmAAgAAA"
    "AWygQWCCYIFtQEABkcGAxBUlJPVzpzY2hlbWEYuAIvLy8vLytBQUFBQVFBQUFBQUFBS0FBd0FCZ0FGQUFnQUNnQUFBQUFCQkFBTUFBQUFDQUFJ"
    "QUFBQUJBQUlBQUFBQkFBQUFBTUFBQUNBQUFBQU5BQUFBQVFBQUFDYy8vLy9BQUFCQXhBQUFBQVlBQUFBQkFBQUFBQUFBQUFFQUFBQWEybHVaQU"
    "FBQUFDTy8vLy9BQUFCQU1qLy8vOEFBQUVDRUFBQUFDQUFBQUFFQUFBQUFBQUFBQVFBQUFCbWJHOTNBQUFBQUFnQURBQUlBQWNBQ0FBQUFBQUFB"
    "QUVnQUFBQUVBQVVBQWdBQmdBSEFBd0FBQUFRQUJBQUFBQUFBQUVERUFBQUFCd0FBQUFFQUFBQUFBQUFBQVFBQUFCMFpXMXdBQUFHQUFnQUJnQU"
    "dBQUFBQUFBQ0FBPT0AGCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRk8HAAAHAAAHAAAANYCAABQQVIx"
)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("grid.yaml", ALIASES.encode(), "GridError"),
        ("grid.yaml", MERGES.encode(), "GridError"),
        ("grid.yaml", b"latent_dim: &a [*a]", "GridError"),
        ("grid.yaml", b"latent_dim: [!!bool x]", "GridError"),
        ("grid.yaml", b"latent_dim: [!!timestamp x]", "GridError"),
        ("grid.yaml", b"latent_dim: !!python/object/apply:os.system ['touch owned']", "GridError"),
        ("grid.json", json.dumps({"a": {"eval": "__import__('os').system('touch owned')"}}).encode(), "GridError"),
        ("config.json", b"[" * 100_000, "GridError"),
        ("config.yaml", b"[" * 100_000, "GridError"),
        ("config.toml", b"a = " + b"[" * 100_000, "GridError"),
        ("data.npy", (NPY_OF % b"10**12,").ljust(128), "DataError"),
        ("data.npy", (NPY_OF % b"999999999999999, 3").ljust(128), "DataError"),
        ("data.npy", (NPY_OF % b"(((").ljust(128), "DataError"),
        ("data.csv", b"a,b\n1,\0\n", "DataError"),
        ("data.parquet", PARQUET, "DataError"),
        ("metrics", b'{"val_loss": "\\ud800"}', "CorruptArtifactError"),
        ("detector", b'{"format": 1, "threshold": 0.5}', "CorruptArtifactError"),
        ("classes", b'{"format": 1, "classes": [1, "a"]}', "CorruptArtifactError"),
    ],
)
def test_an_input_that_is_known_to_break_readers_is_refused(
    name: str, data: bytes, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(open_reader(name, tmp_path / "reader"), data) == error
    assert not (tmp_path / "owned").exists()


def test_a_reader_that_would_run_a_program_takes_long_or_raises_another_error_is_noticed(tmp_path: Path) -> None:
    def reader(read: object) -> Reader:
        return Reader(tmp_path / "x", (b"",), read)  # type: ignore[arg-type]

    with pytest.raises(BrokenReaderError, match=r"os\.system was called"):
        outcome(reader(lambda: os.system("true")), b"")

    def hides_it() -> None:
        with contextlib.suppress(Exception):
            os.system("true")

    with pytest.raises(BrokenReaderError, match=r"os\.system was called"):
        outcome(reader(hides_it), b"")
    with pytest.raises(BrokenReaderError, match=r"more than 0\.05"):
        outcome(reader(lambda: sum(range(10_000_000))), b"", limit_s=0.05)
    with pytest.raises(KeyError):
        outcome(reader(lambda: {}["x"]), b"")
