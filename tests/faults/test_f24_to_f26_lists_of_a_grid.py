"""f24, f25, f26: repeated values, empty lists and grids, and what is no list."""

from __future__ import annotations

import collections
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_values import same
from refusals import refused_by_fit
from small_models import SmallModel, small_rows

from raygrid.errors import ArgumentError, GridError, GridTypeError
from raygrid.model.grid_search_model import GridSearchModel


class AnyNames(SmallModel):
    """Takes hyperparameters of any name and type."""

    DEFAULT_CONFIG = {}  # noqa: RUF012


def asked(folder: Path, **grid: Any) -> list[Any]:
    """The configs of the points that ``fit`` would train."""
    model = AnyNames(folder / "models", "any", 0)
    plan = model.plan(small_rows(), param_grid=grid).plan
    assert plan.to_train == len(plan.points)
    return [point.config for point in plan.points]


def test_f24_repeated_values_are_trained_once_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        configs = asked(tmp_path, units=[1, 1, 1.0, True])
    assert len(configs) == 2
    assert same(configs[0]["units"], 1) and same(configs[1]["units"], True)
    (warning,) = caplog.records
    assert "param_grid['units'] repeats 1, 1.0; each value is trained once." in warning.getMessage()


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([32, 32], 32),
        ([1.0, 1], 1.0),
        (["relu", "relu"], "relu"),
        ([None, None], None),
        ([(64, 32), [64, 32], [64.0, 32]], (64, 32)),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], {"a": 1, "b": 2}),
        ([0.5, np.float32(0.5)], 0.5),
        ([0.0, -0.0], 0.0),
    ],
)
def test_f24_the_first_of_equal_values_stays_whatever_its_type(
    tmp_path: Path, values: list[Any], kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        (config,) = asked(tmp_path, x=values)
    assert same(config["x"], kept)
    assert len(caplog.records) == 1


def test_f24_different_values_bring_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "raygrid"):
        assert len(asked(tmp_path, x=[0, False, None, "", (), "0"])) == 6
    assert not caplog.records


def test_f25_an_empty_grid_is_refused(tmp_path: Path) -> None:
    message = refused_by_fit(tmp_path, GridError, param_grid={})
    assert message == "param_grid is empty. Give at least one name with a list of values."


@pytest.mark.parametrize("empty", [[], (), range(0), np.array([])])
def test_f25_an_empty_list_is_refused_by_name(tmp_path: Path, empty: Any) -> None:
    message = refused_by_fit(tmp_path, GridError, param_grid={"hidden": empty, "epochs": [1]})
    assert message.startswith("param_grid['hidden'] is an empty list. Give it at least one value, or leave it out.")
    assert issubclass(GridError, ValueError)


def test_f25_an_empty_default_grid_is_told_to_be_filled(tmp_path: Path) -> None:
    assert "SmallModel has no DEFAULT_PARAM_GRID" in refused_by_fit(tmp_path, ArgumentError)


@pytest.mark.parametrize("value", ["relu", 3, 0.5, True, None, {"a": 1}, b"ab", np.float32(2)])
def test_f26_a_single_value_is_told_to_be_wrapped_in_a_list(tmp_path: Path, value: Any) -> None:
    message = refused_by_fit(tmp_path, GridTypeError, param_grid={"activation": value})
    assert message.startswith(f"param_grid['activation'] is {value!r} of type {type(value).__name__}. ")
    assert message.endswith(f"Wrap it in a list: [{value!r}].")
    assert issubclass(GridTypeError, TypeError)


def test_f26_an_array_of_no_dimension_is_a_single_value(tmp_path: Path) -> None:
    assert "Wrap it in a list: [3]" in refused_by_fit(tmp_path, GridTypeError, param_grid={"epochs": np.array(3)})


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset({"a"}),
        (i for i in (1, 2)),
        map(int, "12"),
        iter([1]),
        np.ones((2, 2)),
        collections.deque([1]),
        {1: 2}.keys(),
    ],
)
def test_f26_what_has_no_fixed_order_or_is_read_only_once_is_told_to_become_a_list(tmp_path: Path, value: Any) -> None:
    message = refused_by_fit(tmp_path, GridTypeError, param_grid={"activation": value})
    assert message == (
        f"param_grid['activation'] is of type {type(value).__name__}. Give a list in a fixed order: list(...)."
    )


def test_f26_the_grid_of_a_class_is_checked_as_one_that_is_passed(tmp_path: Path) -> None:
    class Mine(GridSearchModel):
        DEFAULT_CONFIG = {"units": 2}  # noqa: RUF012
        DEFAULT_PARAM_GRID = {"units": 4}  # type: ignore[dict-item] # noqa: RUF012

    assert "Wrap it in a list: [4]" in refused_by_fit(tmp_path, GridTypeError, cls=Mine)
