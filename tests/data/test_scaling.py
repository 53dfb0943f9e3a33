"""The scaling of inputs and targets, and the file that keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raygrid.data.scaler import StandardScaler
from raygrid.data.scaling import Scaling
from raygrid.errors import CorruptArtifactError, VersionError

X = np.random.default_rng(0).normal(5, 3, size=(40, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(100, 20, size=40).astype(np.float32)
INPUTS, TARGETS = StandardScaler.fit(X), StandardScaler.fit(Y[:, None])
# As the first version fitted them.
EARLIER = Scaling(*(StandardScaler(s.mean.astype(np.float32), s.scale.astype(np.float32)) for s in (INPUTS, TARGETS)))


@pytest.mark.parametrize("scaling", [Scaling(INPUTS), Scaling(None, TARGETS), Scaling(INPUTS, TARGETS), EARLIER])
def test_a_scaling_comes_back_from_its_file_to_the_last_bit(scaling: Scaling) -> None:
    read = Scaling.from_json(json.loads(json.dumps(scaling.to_json())), "s.json")
    assert bool(read)
    for before, after in ((scaling.inputs, read.inputs), (scaling.targets, read.targets)):
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert before.mean.tobytes() == after.mean.tobytes()
            assert before.scale.tobytes() == after.scale.tobytes()


def test_a_single_target_keeps_its_shape_both_ways() -> None:
    scaling = Scaling(INPUTS, TARGETS)
    scaled = scaling.scale_targets(Y)
    assert scaled.shape == Y.shape
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(scaling.unscale_targets(scaled), Y, rtol=1e-5)
    assert scaling.scale_targets(Y[:, None]).shape == (40, 1)


def test_inputs_come_back_in_their_own_units() -> None:
    scaling = Scaling(INPUTS, TARGETS)
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
    assert read.targets is None
    np.testing.assert_array_equal(read.scale_inputs(np.array([[1, 2, 5]], np.float32)), [[0, 0, 1]])


@pytest.mark.parametrize("value", [[], 3, {"format": 1}, {"format": 1, "targets": {"kind": "standard", "mean": [1]}}])
def test_damage_names_the_file(value: object) -> None:
    with pytest.raises(CorruptArtifactError, match=r"s\.json"):
        Scaling.from_json(value, "s.json")


def test_a_newer_format_is_told_apart_from_damage() -> None:
    with pytest.raises(VersionError, match=r"s\.json"):
        Scaling.from_json({"format": 99}, "s.json")
