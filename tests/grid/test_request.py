"""Requests: what is asked for, the same after JSON, and the configs in the order of their numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raygrid.grid.request import Request

GRID: dict[str, tuple[Any, ...]] = {"layers": ((64, 32), (8,)), "units": (1, 2)}
DEFAULTS: dict[str, Any] = {"units": 16, "rate": 0.5, "epochs": 10}


def saved(request: Request) -> dict[str, Any]:
    """As a manifest gives it back."""
    value: dict[str, Any] = json.loads(json.dumps(request.to_json()))
    return value


def test_the_defaults_fill_in_what_the_grid_leaves_out() -> None:
    request = Request.for_grid(GRID, DEFAULTS)
    assert request.defaults == {"rate": 0.5, "epochs": 10}
    assert [list(config) for config in request.configs()] == [["epochs", "layers", "rate", "units"]] * 4


def test_the_number_of_a_point_is_its_position_in_the_grid() -> None:
    configs = list(Request.for_grid(GRID, DEFAULTS).configs())
    assert [(c["layers"], c["units"]) for c in configs] == [((64, 32), 1), ((64, 32), 2), ((8,), 1), ((8,), 2)]


def test_a_single_config_is_one_point() -> None:
    request = Request(config={"units": 3})
    assert list(request.configs()) == [{"units": 3}]
    assert request.varying == ()


def test_a_point_belongs_to_whoever_asked_for_it() -> None:
    request = Request(config={"units": 3})
    next(request.configs())["units"] = 99
    assert list(request.configs()) == [{"units": 3}]


@pytest.mark.parametrize(
    "request_",
    [Request.for_grid(GRID, DEFAULTS), Request(config={"layers": (64, (1,)), "x": None}), Request.for_grid(GRID, {})],
)
def test_a_request_comes_back_equal_from_json(request_: Request) -> None:
    back = Request.from_json(saved(request_))
    assert back == request_
    assert list(back.configs()) == list(request_.configs())
    assert request_.same_as(saved(request_))


def test_numbers_are_compared_by_value_and_booleans_are_no_numbers() -> None:
    assert Request(config={"x": 1}).same_as({"config": {"x": 1.0}})
    assert not Request(config={"x": 1}).same_as({"config": {"x": True}})


@pytest.mark.parametrize(
    "other",
    [
        Request.for_grid({**GRID, "units": (1, 2, 3)}, DEFAULTS),
        Request.for_grid(GRID, {**DEFAULTS, "rate": 0.25}),
        Request.for_grid({"units": (1, 2)}, DEFAULTS),
        Request(config={"units": 1}),
    ],
)
def test_another_grid_or_other_defaults_are_another_request(other: Request) -> None:
    assert not Request.for_grid(GRID, DEFAULTS).same_as(saved(other))
    assert not other.same_as(saved(Request.for_grid(GRID, DEFAULTS)))


def test_nothing_is_the_same_as_an_empty_manifest() -> None:
    assert not Request.for_grid(GRID, DEFAULTS).same_as({})
    assert not Request(config={}).same_as({})


def test_what_varies_names_the_runs() -> None:
    assert Request.for_grid({**GRID, "rate": (0.5,)}, {}).varying == ("layers", "units")
