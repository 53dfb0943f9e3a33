from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raygrid.errors import ArgumentError, CorruptArtifactError, DataError, VersionError
from raygrid.scaler import StandardScaler, make_scaler

pytestmark = pytest.mark.filterwarnings("error")


def f32(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def sample(rows: int = 500, width: int = 4) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(rows, width))
    return f32(noise * 10.0 ** np.arange(width) + 100.0 * np.arange(width))


def test_scaled_training_data_has_zero_mean_and_unit_variance() -> None:
    x = sample()
    scaled = StandardScaler.fit(x).transform(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0, dtype=np.float64), 1, atol=1e-5)


def test_the_statistics_are_those_of_the_population_in_float64() -> None:
    x = sample()
    scaler = StandardScaler.fit(x)
    np.testing.assert_array_equal(scaler.mean, x.mean(axis=0, dtype=np.float64).astype(np.float32))
    np.testing.assert_allclose(scaler.scale, x.std(axis=0, dtype=np.float64), rtol=1e-7)
    assert scaler.mean.dtype == scaler.scale.dtype == np.float32


def test_blocks_do_not_change_the_result_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sample()
    whole = StandardScaler.fit(x)
    monkeypatch.setattr("raygrid.scaler._BLOCK_VALUES", 17)
    blocks = StandardScaler.fit(x)
    np.testing.assert_allclose(blocks.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(blocks.scale, whole.scale, rtol=1e-6)
    np.testing.assert_array_equal(whole.transform(x), ((x - whole.mean.astype(float)) / whole.scale).astype("f4"))


def test_a_large_offset_does_not_hide_a_small_spread() -> None:
    x = np.array([[16777215.0], [16777216.0]] * 500, dtype=np.float32)
    assert StandardScaler.fit(x).scale[0] == 0.5


@pytest.mark.parametrize("value", [0.0, 0.1, -3.3e7, 1e-30, 3e38])
def test_a_constant_feature_gets_scale_one(value: float) -> None:
    x = np.full((1000, 2), value, dtype=np.float32)
    x[:, 1] = np.arange(1000)
    scaler = StandardScaler.fit(x)
    assert scaler.scale[0] == 1.0 and scaler.scale[1] > 1.0
    np.testing.assert_array_equal(scaler.transform(x)[:, 0], 0.0)


def test_a_feature_that_varies_by_less_than_the_rounding_of_its_sum_gets_scale_one() -> None:
    x = np.array([[1e8], [np.nextafter(1e8, np.inf)]] * 500)
    assert StandardScaler.fit(x).scale[0] == 1.0


def test_a_deviation_below_float32_counts_as_none() -> None:
    x = np.zeros((1000, 1), dtype=np.float32)
    x[0] = 1e-45
    assert StandardScaler.fit(x).scale[0] == 1.0


def test_windows_are_scaled_by_their_last_axis() -> None:
    x = sample(600, 3)
    windows = x.reshape(100, 6, 3)
    scaler = StandardScaler.fit(windows)
    assert scaler.mean.shape == (3,)
    np.testing.assert_allclose(scaler.mean, StandardScaler.fit(x).mean, rtol=1e-6)
    np.testing.assert_array_equal(scaler.transform(windows).reshape(600, 3), scaler.transform(x))


def test_the_inverse_gives_the_original_units_back() -> None:
    x = sample()
    scaler = StandardScaler.fit(x)
    back = scaler.inverse_transform(scaler.transform(x))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back / scaler.scale, x / scaler.scale, rtol=1e-6, atol=1e-6)


def test_scaling_leaves_its_input_alone() -> None:
    x = sample()
    before = x.copy()
    x.flags.writeable = False
    scaler = StandardScaler.fit(x)
    assert not np.shares_memory(scaler.transform(x), x)
    assert not np.shares_memory(scaler.inverse_transform(x), x)
    np.testing.assert_array_equal(x, before)


def test_data_of_another_width_is_refused_with_both_widths() -> None:
    scaler = StandardScaler.fit(sample(width=4))
    for method in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(DataError, match=r"5 features \(shape \(10, 5\)\).*fitted on 4"):
            method(np.zeros((10, 5), dtype=np.float32))
        with pytest.raises(DataError, match=r"shape \(4,\)"):
            method(np.zeros(4, dtype=np.float32))


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3), np.full((3, 3), np.nan)])
def test_a_scaler_is_not_fitted_on_data_that_has_no_statistics(x: np.ndarray) -> None:
    with pytest.raises(DataError, match="cannot be fitted"):
        StandardScaler.fit(x.astype(np.float32))


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=2.0**-149, width=32, allow_infinity=False)


@given(data=st.data(), width=st.integers(1, 6))
def test_json_gives_the_scaler_back_bit_for_bit(data: st.DataObject, width: int) -> None:
    mean = data.draw(arrays(np.float32, width, elements=finite))
    scale = data.draw(arrays(np.float32, width, elements=positive))
    written = json.dumps(StandardScaler(mean, scale).to_json(), allow_nan=False)
    back = StandardScaler.from_json(json.loads(written), "scaler.json")
    assert back.mean.tobytes() == mean.tobytes() and back.scale.tobytes() == scale.tobytes()
    assert back.mean.dtype == back.scale.dtype == np.float32


def test_the_json_form_is_pinned() -> None:
    scaler = StandardScaler(f32([0.5]), f32([2]))
    assert scaler.to_json() == {"format": 1, "inputs": {"kind": "standard", "mean": [0.5], "scale": [2.0]}}


@pytest.mark.parametrize("mean", ["mean", "mean_"])
@pytest.mark.parametrize("scale", ["scale", "scale_", "std", "std_"])
def test_the_plain_form_of_other_implementations_is_read(mean: str, scale: str) -> None:
    scaler = StandardScaler.from_json({mean: [1, 2.5], scale: [0.1, 3]}, "scaler.json")
    np.testing.assert_array_equal(scaler.mean, f32([1, 2.5]))
    np.testing.assert_array_equal(scaler.scale, f32([0.1, 3]))


def own(**changes: Any) -> dict[str, Any]:
    return {"format": 1, "inputs": {"kind": "standard", "mean": [0.0, 1.0], "scale": [1.0, 2.0], **changes}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "has nothing"),
        ([], "list"),
        ({"mean": [1.0]}, "exactly one field of scale.*has mean"),
        ({"mean": [1.0], "scale": [1.0], "std": [2.0]}, "exactly one"),
        ({"format": 1}, "no 'inputs'"),
        ({"format": "1", "inputs": own()["inputs"]}, "no 'inputs'"),
        (own(kind="minmax"), "known kind"),
        (own(mean=[1.0]), "1 value of mean and 2 of scale"),
        (own(mean=[]), "no list"),
        (own(mean=1.0), "no list"),
        (own(mean=[0.0, float("nan")]), "not finite"),
        (own(mean=[0.0, 1e39]), "not finite"),
        (own(mean=[0.0, 10**400]), "not finite"),
        (own(mean=[0.0, "1"]), "position 1"),
        (own(mean=[True, 1.0]), "position 0"),
        (own(scale=[1.0, 0.0]), "scale 0 for feature 1"),
        (own(scale=[-1.0, 1.0]), "scale -1 for feature 0"),
        (own(scale=[1.0, 1e-60]), "scale 0 for feature 1"),
    ],
)
def test_a_damaged_scaler_file_is_named_with_the_reason(data: Any, message: str) -> None:
    with pytest.raises(CorruptArtifactError, match=message) as caught:
        StandardScaler.from_json(data, "models/a_scaler.json")
    assert str(caught.value).startswith("models/a_scaler.json ")


def test_a_newer_format_asks_for_a_newer_raygrid() -> None:
    with pytest.raises(VersionError, match=r"a_scaler\.json has the scaler format 2"):
        StandardScaler.from_json({"format": 2, "inputs": {}}, "a_scaler.json")


def test_values_beyond_float32_become_infinity_without_a_warning() -> None:
    scaler = StandardScaler(f32([0]), f32([1e-20]))
    assert np.isinf(scaler.transform(f32([[1e30]]))).all()
    scaler = StandardScaler(f32([0]), f32([1e20]))
    assert np.isinf(scaler.inverse_transform(f32([[1e30]]))).all()


def test_the_kind_of_scaler_is_chosen_by_name() -> None:
    x = sample()
    assert make_scaler(None, x) is None
    scaler = make_scaler("standard", x)
    assert scaler is not None
    np.testing.assert_array_equal(scaler.mean, StandardScaler.fit(x).mean)
    with pytest.raises(ArgumentError, match=r"'robust' is unknown.*'standard', or None"):
        make_scaler("robust", x)
