"""What a model is fed where nothing is scaled, and which columns lose values on the way."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from raygrid.data.precision import Unscaled, are_whole, check_unscaled, lost_columns, require_float32, unscaled_dtype
from raygrid.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([0.5]), np.float32),
        (np.array([True]), np.int32),
        (np.array([255], np.uint8), np.int32),
        (np.array([2**31 - 1, -(2**31)]), np.int32),
        (np.array([2**31]), np.int64),
        (np.array([2**32 - 1], np.uint32), np.int64),
        (np.array([2**63 - 1], np.uint64), np.int64),
    ],
)
def test_floats_become_float32_and_integers_stay_integers(array: np.ndarray, dtype: type) -> None:
    assert unscaled_dtype("X", array) == dtype


def test_integers_beyond_int64_are_refused() -> None:
    with pytest.raises(DataError, match=r"ids \(dtype uint64\) holds 9223372036854775808, which is beyond int64"):
        unscaled_dtype("ids", np.array([0, 2**63], np.uint64))


def days(seconds: float) -> np.ndarray:
    return 1.7e9 + np.arange(300) * seconds


@pytest.mark.parametrize(
    ("column", "how"),
    [
        (days(1), "300 distinct values become 3"),
        (days(1).astype(np.int64), "300 distinct values become 3"),
        (days(0.25), "300 distinct values become 2"),
        (RNG.permutation(days(0.25)), "300 distinct values become 2"),
        (1e9 + RNG.normal(size=300), "300 distinct values become 1"),
        (RNG.normal(1e6, 1, size=30), "30 distinct values become 20"),
        (2.0**16 + np.linspace(0, 2, 300), "300 distinct values become 257"),
        (np.repeat(np.array([2**24, 2**24 + 1]), 150), "2 distinct values become 1"),
        (np.repeat(np.array([2**24, 2**24 + 1], np.int32), 150), "2 distinct values become 1"),
        (np.array([2**24 + 1, 5, 7]), "its values are rounded"),
        (np.array([2**24 + 1.0, 5, 7]), "its values are rounded"),
        (np.array([2**63 - 1, 5, 7]), "its values are rounded"),
        (np.array([-(2**62) - 1, 5, 7]), "its values are rounded"),
    ],
)
def test_columns_whose_values_float32_merges_are_found(column: np.ndarray, how: str) -> None:
    assert lost_columns(column) == {0: how}
    # Beside other columns, and among zeros that stand for what was not measured.
    beside = np.zeros((len(column), 2, 3), column.dtype)
    beside[:, 1, 2] = column
    assert list(lost_columns(beside)) == [2]


@pytest.mark.parametrize(
    "column",
    [
        RNG.normal(size=100_000),
        RNG.normal(1e4, 1, size=1000),
        # One whole number among others makes no ids of them.
        np.append(1e4 + np.linspace(0.001, 3, 999), 5.0),
        RNG.lognormal(0, 5, size=1000),
        RNG.choice([0.1, 0.2, 0.3], 1000),
        np.full(1000, 0.1),
        np.full(1000, 1e9 + 0.1),
        days(86400.0) // 128 * 128,
        days(86400.0) + 0.5,
        np.arange(2**24 - 100, 2**24 + 1),
        np.array([2**40, 2**41, 2**62]),
        np.array([0, 255], np.uint8),
        np.array([True, False]),
        days(1).astype(np.float32),
    ],
)
def test_columns_that_float32_holds_well_enough_are_not(column: np.ndarray) -> None:
    assert lost_columns(column) == {}


def test_values_are_looked_at_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raygrid.base.row_blocks._BLOCK_BYTES", 64)
    x = np.zeros((100, 3))
    x[0, 0] = x[99, 1] = 2**24 + 1
    assert list(lost_columns(x)) == [0, 1]
    x[0, 2] = x[99, 2] = 1e39
    with pytest.raises(DataError, match=r"too large for float32, which ends at 3\.4e38: column 2 \(2\)\."):
        require_float32("X", x)
    with pytest.raises(DataError, match=r"2 values that are finite.*: column 'a' \(2\)\."):
        require_float32("y", np.array([1e39, -1e40, 1]), ["a"])
    require_float32("X", np.full((3, 1), 3e38))


def test_what_a_column_spreads_over_is_estimated_from_all_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raygrid.data.precision._SAMPLE_ROWS", 20)
    begin, rest = 1e6 + np.linspace(0, 1, 20), np.linspace(0, 1e6, 80)
    assert list(lost_columns(begin)) == [0]
    assert lost_columns(np.append(begin, rest)) == {}


@pytest.mark.parametrize(
    ("values", "whole"), [([1.0, -2.0], True), ([1.0, 0.5], False), ([1e19], False), ([9e18], True)]
)
def test_whole_floats_are_known(values: list[float], whole: bool) -> None:
    assert are_whole(np.array(values)) is whole


def warnings_of(caplog: pytest.LogCaptureFixture, *fed: Any) -> list[str]:
    with caplog.at_level(logging.WARNING, "raygrid"):
        check_unscaled([Unscaled(*values) for values in fed])
    return [record.getMessage() for record in caplog.records]


def test_what_float32_cannot_hold_is_refused_before_a_training(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"^X_val .*too large for float32.*: column 'level' \(1\)\."):
        warnings_of(
            caplog,
            ("X_train", days(1), np.dtype(np.float32), "scaler"),
            ("X_val", np.array([[1e39]]), np.dtype(np.float32), "scaler", ["level"]),
        )
    assert not caplog.records


def test_a_warning_names_array_columns_and_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    x = np.column_stack([RNG.normal(size=300), days(1)])
    y = days(1).astype(np.int64)
    lines = warnings_of(
        caplog,
        ("X_train", x, np.dtype(np.float32), "scaler", ["level", "time"]),
        ("X_val", x, np.dtype(np.float32), "scaler"),
        ("y_train", y, np.dtype(np.int32), "target_scaler"),
    )
    assert lines == [
        "X_train (dtype float64) is not scaled, and float32, in which models compute, does not hold its values: column "
        "'time' (300 distinct values become 3). Pass scaler=\"standard\", which scales before the cast to float32, or "
        "subtract an offset from these columns.",
        "y_train (dtype int64) is not scaled and stays whole numbers (int32), some of which float32 does not hold: "
        "column 0 (300 distinct values become 3). What computes in float32 rounds them: a loss, most layers, and a "
        'keras.Input without dtype="int32". An Embedding after keras.Input(..., dtype="int32") tells them apart; for '
        'other layers pass target_scaler="standard", or subtract an offset from these columns.',
    ]
