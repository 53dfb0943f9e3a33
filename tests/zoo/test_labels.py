"""Class labels, their codes and weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raygrid.errors import ArgumentError, DataError, DataTypeError
from raygrid.zoo.labels import as_labels, check_class_weight, class_labels, encode, row_weights


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (np.array(["b", "a", "b"], dtype=object), ("a", "b")),
        (np.array([[3], [1], [3]], dtype=np.int8), (1, 3)),
        (np.array([2**63, 1], dtype=np.uint64), (1, 2**63)),
        ([True, False], (False, True)),
        (np.array([np.int64(4), 2], dtype=object), (2, 4)),
        (pa.chunked_array([["x"], ["y"]]), ("x", "y")),
        (pa.array([5, 4]), (4, 5)),
    ],
)
def test_classes_are_the_sorted_labels_in_native_types(value: Any, classes: tuple[Any, ...]) -> None:
    found = class_labels(as_labels("y", value))
    assert found == classes
    assert [type(label) for label in found] == [type(label) for label in classes]


@pytest.mark.parametrize(
    "value", [[1.0, 2.0], [b"a"], [1 + 1j], np.array(["a", 1], object), np.array([1, True], object)]
)
def test_labels_of_another_type_or_several_are_refused_with_the_way_out(value: Any) -> None:
    with pytest.raises(DataTypeError, match=r"y_train.*y\.astype\(str\)"):
        as_labels("y_train", value)


def test_missing_labels_are_counted() -> None:
    for value, count in (
        (["a", None, "b"], 1),
        ([1, math.nan, float("nan")], 2),
        (np.array(["a", np.float64("nan")], dtype=object), 1),
        (np.ma.masked_array([1, 2, 3], [True, True, False]), 2),
        (pa.array(["a", None]), 1),
    ):
        with pytest.raises(DataError, match=rf"y_val has {count} missing labels?\."):
            as_labels("y_val", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.eye(3, dtype=int), r"shape \(3, 3\).*argmax"),
        ([], "holds no labels"),
        ("a", r"shape \(\)"),
        ([["a"], ["b", "c"]], "cannot be turned into an array"),
    ],
)
def test_labels_are_one_a_row(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_labels("y", value)


def test_codes_are_positions_among_the_sorted_classes() -> None:
    labels = np.array(["ok", "broken", "ok", "a long label"])
    classes = class_labels(labels)
    codes = encode("y", labels, classes)
    assert codes.dtype == np.int32
    assert [classes[code] for code in codes] == labels.tolist()
    assert encode("y", np.array(["ok"]), classes).tolist() == [2]


@pytest.mark.parametrize(
    ("labels", "classes", "unknown"),
    [
        (["c", "a", "d"], ("a", "b"), "'c', 'd'"),
        (["1"], tuple(range(20)), "'1'"),
        ([1], tuple(sorted(map(str, range(20)))), "1"),
        ([0, 9], (1, 5), "0, 9"),
    ],
)
def test_labels_that_the_training_data_has_not_are_named(labels: list[Any], classes: Any, unknown: str) -> None:
    with pytest.raises(DataError, match=rf"y_val has labels that the training data has not: {unknown}\. "):
        encode("y_val", np.array(labels), classes)


def test_of_many_unknown_labels_a_few_are_named() -> None:
    with pytest.raises(DataError, match="0, 1, 2, 3, 4 and 95 more"):
        encode("y", np.arange(100), (1000, 1001))


def test_a_class_weight_is_the_weight_of_its_rows_and_1_where_it_is_left_out() -> None:
    weight = check_class_weight({np.str_("b"): 3, "a": np.float32(0.5)})
    weights = row_weights(weight, np.array([0, 1, 2, 1]), ("a", "b", "c"))
    assert weights is not None
    assert weights.dtype == np.float32
    assert weights.tolist() == [0.5, 3.0, 1.0, 3.0]


def test_balanced_classes_weigh_the_same_in_sum() -> None:
    codes = np.array([0] * 6 + [1] * 2 + [2])
    weights = row_weights(check_class_weight("balanced"), codes, ("a", "b", "c"))
    assert weights is not None
    np.testing.assert_allclose([weights[codes == code].sum() for code in range(3)], [3, 3, 3], rtol=1e-6)


def test_without_class_weights_there_are_none() -> None:
    assert row_weights(check_class_weight(None), np.array([0, 1]), ("a", "b")) is None


@pytest.mark.parametrize("value", ["balance", 1.0, {}, {"a": -1}, {"a": math.inf}, {"a": math.nan}, {"a": True}, ["a"]])
def test_class_weights_that_cannot_be_are_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="class_weight"):
        check_class_weight(value)


def test_a_class_weight_for_an_unknown_label_names_it_and_those_there_are() -> None:
    with pytest.raises(ArgumentError, match=r"class_weight has labels that y_train has not: '1'\. It has 1, 2\."):
        row_weights({1: 2.0, "1": 2.0}, np.array([0, 1]), (1, 2))
