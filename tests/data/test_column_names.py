"""Names of columns: which data has them, and how other data is brought into their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raygrid.data.checks import as_features, as_targets
from raygrid.data.column_names import (
    NamedArray,
    column_order,
    in_order,
    kept_names,
    names_differ,
    names_of,
    put_back,
)
from raygrid.errors import DataError

COLUMNS = {"flow": [1.0, 2.0], "heat": [3.0, 4.0]}
ARRAY = np.array([[1, 3], [2, 4]], np.float32)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        pa.RecordBatch.from_pydict(COLUMNS),
        NamedArray(ARRAY, ("flow", "heat")),
    ],
    ids=lambda frame: f"{type(frame).__module__.partition('.')[0]}-{type(frame).__name__}",
)
def test_frames_tables_and_named_arrays_have_names_and_the_same_values(frame: Any) -> None:
    assert names_of("X", frame) == ("flow", "heat")
    np.testing.assert_array_equal(as_features("X", frame), ARRAY)
    np.testing.assert_array_equal(as_targets("y", frame, 2), ARRAY)


@pytest.mark.parametrize("value", [ARRAY, ARRAY.tolist(), NamedArray(ARRAY), pd.Series([1.0]), pl.Series([1.0]), None])
def test_what_has_no_columns_has_no_names(value: Any) -> None:
    assert names_of("X", value) is None


def test_a_named_array_is_not_copied() -> None:
    assert np.shares_memory(as_features("X", NamedArray(ARRAY, ("a", "b"))), ARRAY)


def test_missing_values_and_texts_of_a_polars_frame_are_named_by_their_column() -> None:
    with pytest.raises(DataError, match=r"column 'heat' \(1\)"):
        as_features("X", pl.DataFrame({"flow": [1, 2], "heat": [None, 1.5]}))
    with pytest.raises(DataError, match="not numeric: 'state'"):
        as_features("X", pl.DataFrame({"flow": [1, 2], "state": ["on", "off"]}))


def test_a_name_that_comes_twice_is_refused() -> None:
    for frame in (pd.DataFrame(ARRAY, columns=["a", "a"]), pd.DataFrame(ARRAY, columns=[1, "1"])):
        with pytest.raises(DataError, match=r"X has more than one column named '[a1]'"):
            names_of("X", frame)


def test_labels_that_are_no_text_count_as_text_and_the_numbers_of_a_frame_without_names_do_not() -> None:
    assert names_of("X", pd.DataFrame(ARRAY, columns=[2019, 2020])) == ("2019", "2020")
    assert kept_names(names_of("X", pd.DataFrame(ARRAY))) is None
    assert kept_names(("1", "0")) == ("1", "0")


@pytest.mark.parametrize(
    ("given", "kept", "order"),
    [
        (("b", "a", "c"), ("a", "b", "c"), [1, 0, 2]),
        (("c", "a", "b"), ("a", "b", "c"), [1, 2, 0]),
        (("a", "b", "c"), ("a", "b", "c"), None),
        (None, ("a", "b", "c"), None),
        (("a", "b", "c"), None, None),
        # A frame that was made without names: its labels are the positions.
        (("2", "0", "1"), None, [1, 2, 0]),
        (("0", "1", "2"), ("a", "b", "c"), None),
        (("0", "1", "2"), ("2", "0", "1"), [2, 0, 1]),
    ],
)
def test_columns_are_put_in_the_order_of_training(given: Any, kept: Any, order: Any) -> None:
    assert column_order("X", given, kept, "the training data", 3) == order


def test_missing_additional_and_renamed_columns_are_listed_all_at_once() -> None:
    with pytest.raises(DataError) as caught:
        column_order("X_val", ("a", "flow", "e", "f"), ("a", "b", "c", "d"), "X_train")
    assert str(caught.value) == (
        "X_val does not have the columns of X_train: 'b', 'c', 'd' are missing, 'flow', 'e', 'f' are new. Pass the "
        "columns 'a', 'b', 'c', 'd', in any order, or an array without names to go by position."
    )
    with pytest.raises(DataError, match=r"of X_train: 'c' is missing\. Pass"):
        column_order("X", ("a", "b"), ("a", "b", "c"), "X_train")


def test_an_order_is_undone() -> None:
    array = np.arange(12.0).reshape(2, 2, 3)
    order = [2, 0, 1]
    np.testing.assert_array_equal(in_order(array, order)[..., 0], array[..., 2])
    np.testing.assert_array_equal(put_back(in_order(array, order), order), array)
    assert in_order(array, None) is array
    assert put_back(array, None) is array


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (["a", "b"], ["a", "b"], ""),
        (["a", "b"], None, ""),
        (None, ["a", "b"], ""),
        (["a", "b"], ["a", "c"], " 'b' is missing, 'c' is new"),
        (["a", "b"], ["b", "a"], " its columns were 'a', 'b', now 'b', 'a'"),
    ],
)
def test_what_differs_between_names_is_said(old: Any, new: Any, text: str) -> None:
    assert names_differ(old, new) == text
