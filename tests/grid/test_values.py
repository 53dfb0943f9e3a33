"""What a grid and a config may hold, what is said of the rest, and in which order points come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_values import same

from raygrid.errors import GridError, GridTypeError
from raygrid.grid.values import iter_param_grid, normalize_config, normalize_grid, varying_names

DEFAULTS: dict[str, Any] = {
    "units": 16,
    "learning_rate": 1e-3,
    "layers": (64, 32),
    "activation": "relu",
    "bias": True,
    "dropout": None,
    "batch_size": 32,
    "epochs": 10,
    "patience": None,
}


def grid_of(**grid: Any) -> dict[str, Any]:
    return normalize_grid(grid, {}, None)


def config_of(**config: Any) -> dict[str, Any]:
    return normalize_config(config, DEFAULTS, None)


# Values that people write


def test_a_grid_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(GridTypeError, match="param_grid is a list"):
        normalize_grid([("units", [1])], {}, None)  # type: ignore[arg-type]
    with pytest.raises(GridTypeError, match="model_config is a list"):
        normalize_config([("units", 1)], {}, None)  # type: ignore[arg-type]


def test_numpy_arrays_and_ranges_are_lists_of_native_values() -> None:
    grid = grid_of(units=np.array([16, 32]), rate=np.array([0.5, 0.25], dtype=np.float32), seed=range(3))
    assert same(grid, {"rate": (0.5, 0.25), "seed": (0, 1, 2), "units": (16, 32)})


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["units", "learning_rate"])
def test_text_for_a_number_that_is_not_finite_is_refused(name: str, text: str) -> None:
    with pytest.raises(GridError, match=rf"config\['{name}'\] is '{text}'\. Give a finite number"):
        config_of(**{name: text})


def test_an_integer_beyond_every_float_is_refused_for_a_float() -> None:
    with pytest.raises(GridError, match="Give a finite number"):
        config_of(learning_rate=10**400)


def test_a_large_integer_keeps_its_last_digit() -> None:
    assert config_of(units=2**53 + 1)["units"] == 2**53 + 1


def test_a_key_that_is_no_string_is_refused() -> None:
    with pytest.raises(GridTypeError, match="param_grid has the key 3 of type int"):
        normalize_grid({3: [1]}, {}, None)  # type: ignore[dict-item]
    with pytest.raises(GridTypeError, match="has the key 3 of type int"):
        config_of(x=[{3: 1}])


# Names


def test_all_unknown_names_and_bad_values_come_in_one_message() -> None:
    with pytest.raises(GridError) as caught:
        normalize_grid({"unit": [1], "rate": [1], "layers": 3, "epochs": [0]}, DEFAULTS, set(DEFAULTS))
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("'unit' is not a hyperparameter of this model. Did you mean 'units'? Known: activation")
    assert lines[1].startswith("'rate' is not a hyperparameter of this model.")
    assert "param_grid['epochs'][0] is 0" in lines[2]
    assert "param_grid['layers'] is 3" in lines[3]
    assert isinstance(caught.value, GridTypeError)


def test_a_config_gathers_its_faults_too() -> None:
    with pytest.raises(GridError) as caught:
        normalize_config({"unit": 1, "learning_rate": "fast", "patience": -1}, DEFAULTS, set(DEFAULTS))
    text = str(caught.value)
    assert "'units'" in text
    assert "config['learning_rate'] is 'fast', text. Give a number" in text
    assert "config['patience'] is -1" in text


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(GridError) as caught:
        normalize_config({"zzz": 1}, DEFAULTS, set(DEFAULTS))
    assert "Did you mean" not in str(caught.value)
    assert "Known: activation, batch_size" in str(caught.value)


def test_without_known_names_every_name_is_allowed() -> None:
    assert grid_of(anything=[1]) == {"anything": (1,)}


# Types as in the defaults


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("learning_rate", "1e-3", 0.001),  # YAML reads 1e-3 as text
        ("learning_rate", 1, 1.0),
        ("units", 32.0, 32),
        ("units", "32", 32),
        ("units", 0.5, 0.5),
        ("units", None, None),
        ("units", True, True),
        ("learning_rate", False, False),
        ("layers", [128.0, "64"], (128, 64)),
        ("layers", np.array([8, 4]), (8, 4)),
        ("layers", [], ()),
        ("activation", "tanh", "tanh"),
        ("activation", 3, 3),
        ("bias", False, False),
        ("dropout", 0.5, 0.5),
        ("dropout", "0.5", "0.5"),
    ],
)
def test_a_value_takes_the_type_of_its_default(name: str, given: Any, taken: Any) -> None:
    assert same(config_of(**{name: given})[name], taken)
    assert same(normalize_grid({name: [given]}, DEFAULTS, None)[name], (taken,))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("units", "many", r"text\. Give a number, like 16"),
        ("units", [1, 2], "Give a single number, like 16"),
        ("learning_rate", {"start": 1}, "Give a single number, like 0.001"),
        ("layers", 64, r"Give a sequence, like \[64, 32\]: \[64\]"),
        ("layers", "64", "Give a sequence"),
        ("layers", [64, "x"], r"config\['layers'\]\[1\] is 'x', text"),
    ],
)
def test_a_value_of_another_kind_than_its_default_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(GridTypeError, match=message):
        config_of(**{name: value})


@pytest.mark.parametrize(
    ("default", "given", "taken"),
    [
        ((64, "relu"), [128, "selu"], (128, "selu")),
        ((64, 0.5), [128.0, 0.25], (128, 0.25)),
        ((0.5, 64), [0.25, 128.0], (0.25, 128)),
        (((1,), ("a",)), [["b"]], (("b",),)),
        ((0.5, 0.25), [1, "1e-3"], (1.0, 0.001)),
        (((3, "same"), (5, "valid")), [[7, "same"]], ((7, "same"),)),
        (((3, 3), (5, 5)), [[7.0, 7]], ((7, 7),)),
        ((True, 1), ["a", 2], ("a", 2)),
        ((), ["a", 2], ("a", 2)),
    ],
)
def test_the_items_of_a_sequence_take_the_type_of_the_default_items(default: Any, given: Any, taken: Any) -> None:
    assert same(normalize_config({"x": given}, {"x": default}, None)["x"], taken)
    assert normalize_config({}, {"x": default}, None)["x"] == default


# What raygrid itself reads


@pytest.mark.parametrize("name", ["batch_size", "epochs"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "x", [1]])
def test_batches_and_epochs_are_whole_numbers_from_one(name: str, value: Any) -> None:
    with pytest.raises(GridError, match=rf"config\['{name}'\]"):
        config_of(**{name: value})
    assert config_of(**{name: 1})[name] == 1


@pytest.mark.parametrize("value", [-1, 1.5, True, "x"])
def test_patience_is_a_whole_number_or_none(value: Any) -> None:
    with pytest.raises(GridError, match=r"config\['patience'\] is .* Give a whole number of epochs as patience"):
        config_of(patience=value)
    assert [config_of(patience=good)["patience"] for good in (None, 0, 3)] == [None, 0, 3]


# Order


def test_a_config_is_whole_and_sorted() -> None:
    assert list(config_of(units=8)) == sorted(DEFAULTS)
    assert config_of(units=8) == {**DEFAULTS, "units": 8}


def test_points_come_with_names_sorted_and_the_last_one_varying_fastest() -> None:
    grid = grid_of(b=[1, 2], a=["x", "y"])
    assert list(grid) == ["a", "b"]
    assert list(iter_param_grid({"b": [1, 2], "a": ["x", "y"]})) == list(iter_param_grid(grid))
    assert list(iter_param_grid(grid)) == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2},
        {"a": "y", "b": 1},
        {"a": "y", "b": 2},
    ]


def test_what_varies_is_what_has_two_values() -> None:
    assert varying_names({"c": (1, 2), "b": (1,), "a": ("x", "y")}) == ("a", "c")


def test_what_was_given_is_not_changed() -> None:
    grid: dict[str, Any] = {"x": [[1, 2], {"a": [1]}]}
    config: dict[str, Any] = {"layers": [1, "2"]}
    grid_of(**grid)
    config_of(**config)
    assert grid == {"x": [[1, 2], {"a": [1]}]}
    assert config == {"layers": [1, "2"]}
