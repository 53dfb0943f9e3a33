"""Arrays in files: what is written is what is read, a block at a time."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raygrid.data.mapped_arrays import Fed, open_array_files, write_array_files
from raygrid.data.scaler import StandardScaler
from raygrid.data.structures import map_leaves

Array = np.ndarray[Any, Any]

GENERATOR = np.random.default_rng(0)
# Several blocks of rows.
LARGE = GENERATOR.normal(3, 5, (100_000, 30)).astype(np.float32)
INT_TARGETS = np.arange(500, dtype=np.int64).reshape(100, 5) * 2**33


def as_it_is(array: Array) -> Array:
    return array


def test_arrays_come_back_to_the_last_bit_and_those_that_are_not_there_as_none(tmp_path: Path) -> None:
    written = {"x_train": LARGE, "x_val": LARGE[::-2], "y_train": INT_TARGETS, "runs_val": np.arange(7, dtype=np.int32)}
    write_array_files(tmp_path / "data", {name: Fed(array, as_it_is) for name, array in written.items()})
    found = open_array_files(tmp_path / "data")
    for name, array in written.items():
        back = getattr(found, name)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
        assert not back.flags.writeable
    assert [found.y_val, found.w_train, found.w_val, found.runs_train] == [None] * 4
    assert found.folder == tmp_path / "data"


def test_what_is_scaled_block_by_block_is_what_is_scaled_at_once(tmp_path: Path) -> None:
    scaler = StandardScaler.fit(LARGE)
    write_array_files(
        tmp_path, {"x_train": Fed(LARGE.astype(np.float64), scaler.transform), "x_val": Fed(LARGE, as_it_is)}
    )
    np.testing.assert_array_equal(open_array_files(tmp_path).x_train, scaler.transform(LARGE))


def test_what_is_opened_is_mapped_and_not_read(tmp_path: Path) -> None:
    write_array_files(tmp_path, {"x_train": Fed(LARGE, as_it_is), "x_val": Fed(LARGE[:9], as_it_is)})
    opened = open_array_files(tmp_path)
    with open(tmp_path / "x_train.npy", "r+b") as file:
        file.seek(-4, 2)
        file.write(np.float32(-7).tobytes())
    assert opened.x_train[-1, -1] == -7


def test_without_room_the_error_names_the_folder_and_the_bytes(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(OSError, match=r"no room for 12,000,000 bytes in .*data\.") as caught:
            write_array_files(tmp_path / "data", {"x_train": Fed(LARGE, as_it_is)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG


def test_a_structure_comes_back_as_it_was_its_texts_included(tmp_path: Path) -> None:
    texts = np.array([["a", "größer"], ["", "c"], ["d\n", "e" * 999]], object)
    tree = {"image": LARGE[:3], "text": texts, "pair": (INT_TARGETS[:3], LARGE[3:6])}
    fed = map_leaves(lambda array: Fed(array, as_it_is), tree)
    write_array_files(tmp_path, {"x_train": fed, "x_val": fed, "y_train": Fed(INT_TARGETS[:3], as_it_is)})
    found = open_array_files(tmp_path)
    rows = np.array([2, 0, 2])
    assert list(found.x_train) == ["image", "text", "pair"]
    np.testing.assert_array_equal(found.x_train["image"][rows], LARGE[rows])
    assert found.x_train["text"][rows].tolist() == texts[rows].tolist()
    assert found.x_val["text"][:2].tolist() == texts[:2].tolist()
    assert found.x_train["text"].shape == (3, 2)
    np.testing.assert_array_equal(found.x_train["pair"][1], LARGE[3:6])
    assert found.y_val is None
