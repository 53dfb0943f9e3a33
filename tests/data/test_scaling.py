"""The scaling of inputs and targets, and the file that keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raygrid.data.scaler import StandardScaler
from raygrid.data.scaling import Scaling, fitted_scalers, scaled_leaves
from raygrid.errors import ArgumentError, CorruptArtifactError, VersionError

X = np.random.default_rng(0).normal(5, 3, size=(40, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(100, 20, size=40).astype(np.float32)
INPUTS, TARGETS = StandardScaler.fit(X), StandardScaler.fit(Y[:, None])
BOTH = Scaling({"": INPUTS}, {"": TARGETS})
# As the first version fitted them.
EARLIER = Scaling(
    *({"": StandardScaler(s.mean.astype(np.float32), s.scale.astype(np.float32))} for s in (INPUTS, TARGETS))
)
BY_LEAF = Scaling({"sensor": INPUTS, "deep/[0]": TARGETS}, {"": TARGETS})


@pytest.mark.parametrize("scaling", [Scaling({"": INPUTS}), Scaling({}, {"": TARGETS}), BOTH, EARLIER, BY_LEAF])
def test_a_scaling_comes_back_from_its_file_to_the_last_bit(scaling: Scaling) -> None:
    read = Scaling.from_json(json.loads(json.dumps(scaling.to_json())), "s.json")
    assert bool(read)
    for before, after in ((scaling.inputs, read.inputs), (scaling.targets, read.targets)):
        assert before.keys() == after.keys()
        for path, scaler in before.items():
            assert scaler.mean.tobytes() == after[path].mean.tobytes()
            assert scaler.scale.tobytes() == after[path].scale.tobytes()


def test_a_single_target_keeps_its_shape_both_ways() -> None:
    scaling = BOTH
    scaled = scaling.scale_targets(Y)
    assert scaled.shape == Y.shape
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(scaling.unscale_targets(scaled), Y, rtol=1e-5)
    assert scaling.scale_targets(Y[:, None]).shape == (40, 1)


def test_inputs_come_back_in_their_own_units() -> None:
    scaling = BOTH
    np.testing.assert_allclose(scaling.unscale_inputs(scaling.scale_inputs(X)), X, rtol=1e-4, atol=1e-5)


def test_what_is_not_scaled_is_left_as_it_is() -> None:
    nothing = Scaling()
    assert not nothing
    assert nothing.scale_inputs(X) is X
    assert nothing.unscale_inputs(X) is X
    assert nothing.scale_targets(Y) is Y
    assert nothing.unscale_targets(Y) is Y


def test_the_plain_form_of_other_implementations_scales_inputs() -> None:
    read = Scaling.from_json({"mean": [1.0, 2.0, 3.0], "std": [1.0, 1.0, 2.0]}, "s.json")
    assert not read.targets
    np.testing.assert_array_equal(read.scale_inputs(np.array([[1, 2, 5]], np.float32)), [[0, 0, 1]])


@pytest.mark.parametrize("value", [[], 3, {"format": 1}, {"format": 1, "targets": {"kind": "standard", "mean": [1]}}])
def test_damage_names_the_file(value: object) -> None:
    with pytest.raises(CorruptArtifactError, match=r"s\.json"):
        Scaling.from_json(value, "s.json")


def test_a_newer_format_is_told_apart_from_damage() -> None:
    with pytest.raises(VersionError, match=r"s\.json"):
        Scaling.from_json({"format": 99}, "s.json")


def test_only_the_floats_of_a_structure_are_scaled_and_a_setting_may_choose() -> None:
    tree = {"sensor": X, "ids": np.arange(40)[:, None], "name": np.array(["a"] * 40, object), "age": Y}
    assert scaled_leaves("standard", tree) == {"sensor", "age"}
    assert scaled_leaves({"ids": "standard", "sensor": None}, tree) == {"ids"}
    assert scaled_leaves(None, tree) == set()
    # A single array is scaled whatever numbers it holds.
    assert scaled_leaves("standard", np.arange(4)[:, None]) == {""}
    scaling = Scaling(fitted_scalers(tree, {"sensor", "age"}))
    scaled = scaling.scale_inputs(tree)
    np.testing.assert_array_equal(scaled["sensor"], INPUTS.transform(X))
    assert scaled["ids"] is tree["ids"]
    assert scaled["age"].shape == Y.shape
    np.testing.assert_allclose(scaling.unscale_inputs(scaled)["age"], Y, rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"sensr": "standard"},
            r"scaler names 'sensr', and X_train has no such part\. Its parts are: 'name', 'sensor'",
        ),
        ({"name": "standard"}, r'scaler names X_train\["name"\], which holds texts'),
    ],
)
def test_a_setting_for_what_cannot_be_scaled_is_refused(setting: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        scaled_leaves(setting, {"sensor": X, "name": np.array(["a"] * 40, object)})
