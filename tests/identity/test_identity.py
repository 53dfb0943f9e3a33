"""Keys of results: pinned for ever, changed by what a result depends on and by nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raygrid.identity import identity as identity_module
from raygrid.identity.identity import Identity, installed_version, installed_versions, major, point_key

IDENTITY = Identity(
    data={
        "x_train": {"digest": "aa" * 16, "shape": [100, 52], "dtype": "float32"},
        "x_val": {"digest": "bb" * 16, "shape": [25, 52], "dtype": "float32"},
    },
    code={"name": "models:Net", "digest": "cc" * 16},
    settings={"seed": 0, "scaler": "standard", "shuffle": True, "dtype_policy": "float32"},
)
CONFIG: dict[str, Any] = {"layers": (64, 32), "rate": 0.001, "dropout": None, "bias": True}


@pytest.fixture(autouse=True)
def _fixed_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "installed_version", lambda package: "3.15.1")
    monkeypatch.setattr(identity_module, "TRAINING_RULES", 1)


def saved(identity: Identity) -> dict[str, Any]:
    """As a manifest of today gives it back."""
    value: dict[str, Any] = json.loads(json.dumps(identity.to_json()))
    return value | {"rules": 3}


def changed(part: str, name: str, value: Any) -> Identity:
    """The identity with one value of one of its parts changed."""
    return replace(IDENTITY, **{part: {**getattr(IDENTITY, part), name: value}})


# These values may never change: a changed key makes every saved result look foreign, and costs a retraining.
def test_contexts_and_keys_are_pinned() -> None:
    assert IDENTITY.context("") == "6b61b109cfa203adaebcc5e496d28522"
    assert IDENTITY.context("0123456789abcdef") == "d81e853149fb8cbe318f3430c82114cf"
    assert point_key("00" * 16, CONFIG, 0) == "5d9d40ea34621ced4f6597421e74ea43"
    assert point_key("00" * 16, CONFIG, 1) == "13208c59692640a091751cf129688487"


def test_a_key_is_the_same_before_and_after_json() -> None:
    assert point_key("c", json.loads(json.dumps(CONFIG)), 0) == point_key("c", CONFIG, 0)
    assert point_key("c", {"x": 1}, 0) == point_key("c", {"x": 1.0}, 0) != point_key("c", {"x": True}, 0)
    assert point_key("c", {"a": 1, "b": 2}, 0) == point_key("c", {"b": 2, "a": 1}, 0)


def test_context_config_and_seed_each_make_another_key() -> None:
    keys = {point_key("c", {"x": 1}, 0), point_key("d", {"x": 1}, 0), point_key("c", {"x": 2}, 0)}
    assert len(keys | {point_key("c", {"x": 1}, 1)}) == 4


@pytest.mark.parametrize(
    "other",
    [
        changed("data", "x_train", {"digest": "ad" * 16, "shape": [100, 52], "dtype": "float32"}),
        changed("data", "x_train", {"digest": "aa" * 16, "shape": [50, 104], "dtype": "float32"}),
        changed("data", "y_train", {"digest": "dd" * 16, "shape": [100], "dtype": "int32"}),
        changed("code", "digest", "ce" * 16),
        changed("settings", "scaler", None),
        changed("settings", "shuffle", False),
        changed("settings", "dtype_policy", "mixed_bfloat16"),
    ],
)
def test_other_data_code_or_settings_make_another_context_and_are_told(other: Identity) -> None:
    assert other.context("") != IDENTITY.context("")
    assert len(other.differences(saved(IDENTITY))) == 1


def test_an_experiment_makes_another_context() -> None:
    assert IDENTITY.context("a") != IDENTITY.context("b")


def test_the_seed_belongs_to_the_point_and_not_to_the_context() -> None:
    other = changed("settings", "seed", 7)
    assert other.context("") == IDENTITY.context("")
    assert other.differences(saved(IDENTITY)) == ["setting seed: was 0, now 7"]


def test_a_class_that_was_only_renamed_or_moved_is_no_difference() -> None:
    other = changed("code", "name", "other.place:Renamed")
    assert other.context("") == IDENTITY.context("")
    assert other.differences(saved(IDENTITY)) == []


def test_keras_counts_by_its_major_version_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = IDENTITY.context("")
    monkeypatch.setattr(identity_module, "installed_version", lambda package: "3.99.0")
    assert IDENTITY.context("") == before
    monkeypatch.setattr(identity_module, "installed_version", lambda package: "4.0.0")
    assert IDENTITY.context("") != before


def test_other_training_rules_make_another_context(monkeypatch: pytest.MonkeyPatch) -> None:
    before = IDENTITY.context("")
    monkeypatch.setattr(identity_module, "TRAINING_RULES", 2)
    assert IDENTITY.context("") != before


def test_nothing_differs_from_what_was_saved() -> None:
    assert IDENTITY.differences(saved(IDENTITY)) == []


def test_inputs_that_are_fed_as_integers_are_other_data_than_floats_of_the_same_values() -> None:
    whole = {**IDENTITY.data["x_train"], "dtype": "int32"}
    other = changed("data", "x_train", whole)
    assert other.context("") != IDENTITY.context("")
    digest = "aa" * 6
    assert other.differences(saved(IDENTITY)) == [
        f"data x_train: was (100, 52) {digest}, now (100, 52) {digest} fed as int32"
    ]
    assert other.differences(saved(other)) == []


def test_data_that_an_earlier_raygrid_compared_as_float32_may_be_unchanged() -> None:
    before = saved(IDENTITY)
    del before["rules"]
    [line] = changed("data", "x_train", {**IDENTITY.data["x_train"], "digest": "ee" * 16}).differences(before)
    assert line.endswith(
        "(an earlier raygrid compared values as float32 rounds them; float64 values, and whole numbers "
        "beyond 16,777,216, may be unchanged)"
    )
    [line] = changed("data", "x_train", {**IDENTITY.data["x_train"], "shape": [99, 52]}).differences(before)
    assert "earlier" not in line


def test_every_difference_is_named_with_old_and_new() -> None:
    other = Identity(
        data={
            "x_train": {"digest": "ee" * 16, "shape": [101, 52], "dtype": "float32"},
            "y_train": {"digest": "dd" * 16, "shape": [101], "dtype": "int32"},
        },
        code={"name": "models:Other", "digest": "ff" * 16},
        settings={"seed": 1, "scaler": None, "shuffle": True, "dtype_policy": "float32"},
    )
    assert other.differences(saved(IDENTITY)) == [
        "data x_train: was (100, 52) aaaaaaaaaaaa, now (101, 52) eeeeeeeeeeee",
        "data x_val: was (25, 52) bbbbbbbbbbbb, now absent",
        "data y_train: was absent, now (101,) dddddddddddd",
        "code: was models:Net (cccccccccccc), now models:Other (ffffffffffff)",
        "setting scaler: was 'standard', now None",
        "setting seed: was 0, now 1",
    ]


def test_from_an_empty_manifest_everything_differs() -> None:
    assert len(IDENTITY.differences({})) == 2 + 1 + 4  # arrays, code, settings


def test_versions_are_read_without_importing_the_packages() -> None:
    assert installed_version("numpy") == np.__version__
    assert installed_version("no-such-package") == "unknown"
    assert set(installed_versions()) == {"raygrid", "keras", "tensorflow", "ray", "numpy", "python"}


@pytest.mark.parametrize(("version", "first"), [("3.15.1", "3"), ("10.0", "10"), ("unknown", "unknown")])
def test_the_major_version_is_what_stands_before_the_first_dot(version: str, first: str) -> None:
    assert major(version) == first
