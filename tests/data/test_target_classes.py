"""Which targets are labels, and which classes the training rows do not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raygrid.data.target_classes import target_classes, unseen_classes

LABELS = np.repeat([3, 7, 9], 10)


@pytest.mark.parametrize(
    "y",
    [LABELS, LABELS.astype(np.float32), LABELS.reshape(-1, 1), LABELS == 3, np.eye(3, dtype=np.float32)[LABELS // 4]],
)
def test_whole_numbers_truth_values_and_one_hot_rows_are_labels(y: Any) -> None:
    assert target_classes(y) is not None


@pytest.mark.parametrize(
    "y",
    [
        np.arange(30),
        np.linspace(0, 1, 30),
        np.repeat([1.5, 2.5], 15),
        np.arange(60).reshape(30, 2) % 3,
        np.ones((30, 4, 4)),
        np.ones((30, 1, 4)),
        np.full((30, 2), 0.5),
        np.repeat([[0, 1], [1, 1]], 15, axis=0),
    ],
    ids=["counts", "reals", "halves", "several numbers", "images", "images of one row", "shares", "several labels"],
)
def test_numbers_to_predict_are_none(y: Any) -> None:
    assert target_classes(y) is None


def test_what_the_caller_knows_counts_more() -> None:
    assert target_classes(LABELS, False) is None
    classes = target_classes(np.arange(3), True)
    assert classes is not None
    assert classes.values.tolist() == [0, 1, 2]


def test_unseen_classes_are_named_with_their_rows() -> None:
    assert unseen_classes(LABELS[:20], LABELS[15:]) == "9 (10 of 15 validation rows)"
    assert unseen_classes(LABELS[:25], LABELS[20:]) == ""
    assert unseen_classes(LABELS[:20] / 1.0, LABELS[15:] / 1.0) == "9 (10 of 15 validation rows)"
    one_hot = np.eye(3)[np.repeat([0, 1, 2], 10)]
    assert unseen_classes(one_hot[:20], one_hot[20:]) == "2 (10 of 10 validation rows)"
    many = np.repeat(np.arange(20), 10)
    assert unseen_classes(many[:100], many[100:]) == "10, 11, 12, 13, 14 and 5 more (100 of 100 validation rows)"
    assert unseen_classes(LABELS[:20], LABELS[20:], are_labels=False) == ""
