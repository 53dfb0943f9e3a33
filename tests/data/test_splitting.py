"""Validation rows that are drawn: as many as the last ones would be, the same for one seed, of every class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygrid.data.checks import is_mapped
from raygrid.data.splitting import split_shuffled, split_tail
from raygrid.errors import DataError


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_row_is_on_one_side_and_each_class_gives_its_share(sizes: list[int], fraction: float, seed: int) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    x = np.arange(len(classes))
    try:
        [(_, tail)] = split_tail(fraction, x)
        [(train, val)] = split_shuffled(fraction, seed, classes, x)
    except DataError:
        return
    assert sorted([*train, *val]) == list(x)
    assert list(train) == sorted(train)
    assert list(val) == sorted(val)
    # One row of each class is kept for training, so there may be fewer for validation, and never more.
    assert len(val) == min(len(tail), sum(size - 1 for size in sizes))
    assert set(classes[train]) == set(classes)
    if min(sizes) > 1 / min(fraction, 1 - fraction):
        given_by_class = np.bincount(classes[val], minlength=len(sizes))
        assert np.abs(given_by_class - np.array(sizes) * len(tail) / len(x)).max() <= 1


def test_the_rows_that_a_seed_draws_are_pinned() -> None:
    x = np.arange(10)
    [(_, val)] = split_shuffled(0.3, 0, None, x)
    assert val.tolist() == [2, 4, 8]
    [(_, val)] = split_shuffled(0.3, 1, None, x)
    assert val.tolist() == [2, 6, 9]
    [(_, val)] = split_shuffled(0.4, 0, np.repeat([0, 1], 5), x)
    assert val.tolist() == [2, 4, 8, 9]


def test_what_rounding_leaves_over_goes_to_the_class_that_lost_most_by_it() -> None:
    classes = np.repeat([0, 1], [3, 7])
    # Of 1.2 and 2.8 rows.
    [(_, val)] = split_shuffled(0.4, 0, classes, np.arange(10))
    assert np.bincount(classes[val]).tolist() == [1, 3]


def test_arrays_stay_together_and_one_array_stays_one() -> None:
    x = np.arange(20.0).reshape(10, 2)
    (x_parts, again) = split_tail(0.2, x, x)
    assert x_parts[0] is again[0] and x_parts[1] is again[1]
    (x_parts, again, y_parts) = split_shuffled(0.2, 0, None, x, x, x[:, 0] * 2)
    assert x_parts is again
    for part, targets in zip(x_parts, y_parts, strict=True):
        np.testing.assert_array_equal(part[:, 0] * 2, targets)


def test_rows_that_are_mapped_from_a_file_stay_in_one(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3_000_000, dtype=np.float32).reshape(-1, 3))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    [(train, val)] = split_shuffled(0.2, 0, None, x)
    [(expected_train, expected_val)] = split_shuffled(0.2, 0, None, np.array(x))
    assert is_mapped(train)
    assert is_mapped(val)
    np.testing.assert_array_equal(train, expected_train)
    np.testing.assert_array_equal(val, expected_val)


def test_classes_of_single_rows_leave_nothing_to_validate_with() -> None:
    with pytest.raises(DataError, match=r"every class has a single row.*Pass X_val and y_val"):
        split_shuffled(0.5, 0, np.arange(6), np.arange(6))
