"""Rows of pandas objects go by position; where their index says otherwise, that is said."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raygrid.data.row_labels import check_row_labels
from raygrid.data.training_data import prepare_data
from raygrid.errors import DataError

X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}, index=[10, 11, 12, 13])
Y = pd.Series([1.0, 2.0, 3.0, 4.0], index=X.index)


def test_the_same_labels_in_another_order_are_refused_with_both_fixes() -> None:
    with pytest.raises(DataError) as caught:
        check_row_labels("X_train", X, y_train=Y.iloc[::-1])
    assert str(caught.value) == (
        "the rows of y_train have the labels of X_train in another order: row 0 is labelled 10 in X_train and 13 in "
        "y_train. Rows are taken by position. Pass y_train.loc[X_train.index], or, if they belong together as they "
        "stand, y_train.to_numpy()."
    )


def test_other_labels_are_reported_and_taken_by_position(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        data = prepare_data(X, y_train=Y.reset_index(drop=True), validation_split=0.5)
    assert "The rows of y_train have other labels than those of X_train: row 0 is labelled 10" in caplog.text
    assert data.y_train is not None
    np.testing.assert_array_equal(data.y_train, [1, 2])


@pytest.mark.parametrize("value", [Y, Y.to_numpy(), Y.to_frame(), [1, 2, 3, 4], Y.iloc[:2], None])
def test_the_same_index_none_and_another_length_are_silent(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        check_row_labels("X", X, y=value)
        check_row_labels("X", X.to_numpy(), y=value)
    assert not caplog.records


@pytest.mark.parametrize(
    ("of_x", "of_y"),
    [
        (pd.Index([1.0, np.nan, 3.0]), pd.Index([1.0, np.nan, 3.0])),
        (
            pd.date_range("2024-01-01", periods=3, tz="UTC"),
            pd.date_range("2024-01-01", periods=3, tz="UTC").tz_convert("Etc/GMT-1"),
        ),
    ],
    ids=["missing labels", "time zones"],
)
def test_labels_that_mean_the_same_are_silent(of_x: pd.Index, of_y: pd.Index, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        check_row_labels("X", X[:3].set_axis(of_x), y=Y[:3].set_axis(of_y))
    assert not caplog.records


@pytest.mark.parametrize("name", ["y_train", "sample_weight", "run_ids"])
def test_targets_weights_and_run_ids_are_looked_at(name: str) -> None:
    with pytest.raises(DataError, match=f"rows of {name} have the labels of X_train in another order"):
        prepare_data(X, **{name: Y.iloc[::-1]})


@pytest.mark.parametrize("name", ["y_val", "val_sample_weight", "val_run_ids"])
def test_those_of_the_validation_rows_too(name: str) -> None:
    partner = {"y_val": "y_train", "val_sample_weight": "sample_weight", "val_run_ids": "run_ids"}[name]
    with pytest.raises(DataError, match=f"rows of {name} have the labels of X_val in another order"):
        prepare_data(X, X, **{partner: Y, name: Y.iloc[::-1]})
