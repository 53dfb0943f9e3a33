"""Data of several parts: how it is seen, walked and named."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raygrid.data.structures import (
    array_name,
    filled,
    given_structure,
    is_structure,
    leaf_name,
    leaves,
    map_leaves,
    row_count,
    same_structure,
)
from raygrid.errors import DataError

A, B = np.zeros((3, 2)), np.ones((3, 1))


@pytest.mark.parametrize(
    "value", [{"a": A}, {}, [A], (A, B), [A, [A, B]], [pd.Series([1.0])], [pd.DataFrame({"a": [1]})], [pa.table({})]]
)
def test_a_dict_and_a_list_or_tuple_of_arrays_are_structures(value: object) -> None:
    assert is_structure(value)


@pytest.mark.parametrize(
    "value",
    [A, [1, 2], [[1.0, 2.0]], [np.float64(1), np.float64(2)], [np.array(3.0)], ["a"], (), pd.DataFrame({"a": [1]})],
)
def test_arrays_and_lists_of_numbers_are_none(value: object) -> None:
    assert not is_structure(value)


def test_lists_become_tuples_and_mappings_dicts_whose_order_is_kept() -> None:
    tree = given_structure("X", MappingProxyType({"b": [A, B], "a": (1, 2)}))
    assert list(tree) == ["b", "a"]
    assert isinstance(tree["b"], tuple)
    # A tuple of numbers is an array.
    assert tree["a"] == [1, 2]
    assert list(leaves(tree)) == ["a", "b/[0]", "b/[1]"]


def test_what_is_changed_or_filled_stays_in_its_place() -> None:
    tree = {"z": (A, B), "a": {"b": A}}
    shapes = map_leaves(np.shape, tree)
    assert shapes == {"z": ((3, 2), (3, 1)), "a": {"b": (3, 2)}}
    back = filled(tree, {path: path for path in leaves(tree)})
    assert back == {"z": ("z/[0]", "z/[1]"), "a": {"b": "a/b"}}
    assert list(leaves(A)) == [""]
    assert row_count(tree) == 3


def test_leaves_are_named_as_they_are_written() -> None:
    assert leaf_name("X_train", "") == "X_train"
    assert leaf_name("X_train", "image") == 'X_train["image"]'
    assert leaf_name("y_val", "a/[1]") == 'y_val["a"][1]'
    assert array_name("x_train", "a/[1]") == "x_train/a/[1]"
    assert array_name("x_train", "") == "x_train"


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({"a": A}, {"a": A, "b": B}, r'X_val does not have the parts of X_train: X_val\["b"\] is missing\.'),
        ((A, B), (A,), r"X_val\[1\] is not in X_train\."),
        (A, {"a": A}, "X_val is one array, and X_train has the parts 'a'"),
        ({"a": A}, A, "X_train is one array, and X_val has the parts 'a'"),
        ((A,), {"a": A}, r'X_val\["a"\] is missing; X_val\[0\] is not in X_train'),
    ],
)
def test_what_differs_between_two_structures_is_listed(one: Any, other: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        same_structure("X_val", one, "X_train", other)


def test_equal_structures_pass_whatever_the_order_of_their_names() -> None:
    same_structure("X_val", {"a": A, "b": B}, "X_train", {"b": A, "a": B})
    same_structure("X_val", A, "X_train", B)
