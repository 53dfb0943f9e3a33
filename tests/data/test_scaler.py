from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raygrid.data.scaler import StandardScaler, make_scaler
from raygrid.errors import ArgumentError, CorruptArtifactError, DataError, VersionError

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
    np.testing.assert_allclose(scaler.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-14)
    np.testing.assert_allclose(scaler.scale, x.std(axis=0, dtype=np.float64), rtol=1e-14)
    assert scaler.mean.dtype == scaler.scale.dtype == np.float64


def test_blocks_do_not_change_the_result_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sample()
    whole = StandardScaler.fit(x)
    monkeypatch.setattr("raygrid.data.scaler._BLOCK_VALUES", 17)
    blocks = StandardScaler.fit(x)
    np.testing.assert_allclose(blocks.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(blocks.scale, whole.scale, rtol=1e-6)
    np.testing.assert_array_equal(whole.transform(x), ((x - whole.mean) / whole.scale).astype("f4"))


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


@pytest.mark.parametrize(
    "x", [np.arange(300.0) + 1.7e9, np.arange(300) + 1_700_000_000, np.arange(300) * 1e-60, np.arange(300) * 1e60]
)
def test_scaling_keeps_values_that_float32_cannot_tell_apart(x: np.ndarray) -> None:
    table = x.reshape(-1, 1)
    scaled = StandardScaler.fit(table).transform(table)
    expected = (np.arange(300) - 149.5) / np.arange(300).std()
    np.testing.assert_allclose(scaled[:, 0], expected, rtol=1e-6)
    assert len(np.unique(scaled)) == 300


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int64, np.uint64, np.float32, np.float64])
def test_equal_values_of_every_dtype_are_scaled_alike(dtype: type) -> None:
    x = np.array([[0, 1], [1, 1], [1, 0]])
    scaler, other = StandardScaler.fit(x), StandardScaler.fit(x.astype(dtype))
    assert scaler.to_json() == other.to_json()
    np.testing.assert_array_equal(other.transform(x.astype(dtype)), scaler.transform(x))


def test_values_whose_squares_are_beyond_float64_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 features hold values whose squares are beyond float64"):
        StandardScaler.fit(np.array([[1e200, 1.0], [-1e200, 2.0]]))


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


def test_the_inverse_is_float64_where_float32_is_too_coarse_for_the_original_units() -> None:
    times = (np.arange(300.0) + 1.7e9).reshape(-1, 1)
    scaler = StandardScaler.fit(times)
    back = scaler.inverse_transform(scaler.transform(times))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, times, rtol=0, atol=1e-4)
    # The step at 8192 is 2**-10, a little less than a thousandth of the scale of 1; at 16384 it is 2**-9.
    for mean, dtype in ((8190.0, np.float32), (16384.0, np.float64), (-16384.0, np.float64), (1e300, np.float64)):
        scaler = StandardScaler(np.array([0.0, mean]), np.array([1.0, 1.0]))
        assert scaler.inverse_transform(f32([[0, 0]])).dtype == dtype


def test_a_scaler_of_an_earlier_version_works_on_values_rounded_to_float32() -> None:
    saved = {"format": 1, "inputs": {"kind": "standard", "mean": [1.7e9], "scale": [100.0]}}
    scaler = StandardScaler.from_json(saved, "scaler.json")
    times = (np.arange(300.0) + 1.7e9).reshape(-1, 1)
    np.testing.assert_array_equal(scaler.transform(times), scaler.transform(times.astype(np.float32)))
    assert scaler.inverse_transform(scaler.transform(times)).dtype == np.float32
    assert scaler.to_json() == {
        "format": 1,
        "inputs": {"kind": "standard", "mean": [float(np.float32(1.7e9))], "scale": [100.0]},
    }
    saved["format"] = 2
    assert len(np.unique(StandardScaler.from_json(saved, "scaler.json").transform(times))) == 300


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


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.zeros((0, 3)), r"on shape \(0, 3\)"),
        (np.zeros((3, 0)), r"on shape \(3, 0\)"),
        (np.zeros(3), r"on shape \(3,\)"),
        (np.array([[1.0, np.nan], [2.0, 0.0]]), "1 of 2 features hold NaN or infinity"),
    ],
)
def test_a_scaler_is_not_fitted_on_data_that_has_no_statistics(x: np.ndarray, why: str) -> None:
    with pytest.raises(DataError, match=f"cannot be fitted.*{why}"):
        StandardScaler.fit(x.astype(np.float32))


@pytest.mark.parametrize("width", [32, 64])
@given(data=st.data(), features=st.integers(1, 6))
def test_json_gives_the_scaler_back_bit_for_bit(data: st.DataObject, features: int, width: Any) -> None:
    dtype = np.dtype(f"f{width // 8}")
    mean = data.draw(arrays(dtype, features, elements=st.floats(width=width, allow_nan=False, allow_infinity=False)))
    smallest = float(np.finfo(dtype).smallest_subnormal)
    scale = data.draw(
        arrays(dtype, features, elements=st.floats(min_value=smallest, width=width, allow_infinity=False))
    )
    written = json.dumps(StandardScaler(mean, scale).to_json(), allow_nan=False)
    back = StandardScaler.from_json(json.loads(written), "scaler.json")
    assert back.mean.tobytes() == mean.tobytes() and back.scale.tobytes() == scale.tobytes()
    assert back.mean.dtype == back.scale.dtype == dtype


def test_the_json_form_is_pinned() -> None:
    scaler = StandardScaler(np.array([0.1]), np.array([2.0]))
    assert scaler.to_json() == {"format": 2, "inputs": {"kind": "standard", "mean": [0.1], "scale": [2.0]}}


@pytest.mark.parametrize("mean", ["mean", "mean_"])
@pytest.mark.parametrize("scale", ["scale", "scale_", "std", "std_"])
def test_the_plain_form_of_other_implementations_is_read(mean: str, scale: str) -> None:
    scaler = StandardScaler.from_json({mean: [1, 2.5], scale: [0.1, 3]}, "scaler.json")
    assert scaler.mean.tolist() == [1, 2.5] and scaler.scale.tolist() == [0.1, 3]


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
        (own(mean=[0.0, 1e39]), "not finite in float32"),
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
    with pytest.raises(VersionError, match=r"a_scaler\.json has the scaler format 3"):
        StandardScaler.from_json({"format": 3, "inputs": {}}, "a_scaler.json")


def test_values_beyond_float32_once_they_are_scaled_are_refused_and_infinity_stays() -> None:
    for scaler in (StandardScaler(np.zeros(2), np.array([1.0, 1e-20])), StandardScaler(f32([0, 0]), f32([1, 1e-20]))):
        with pytest.raises(
            DataError, match=r"too large for float32 once they are scaled, first in column 1: .* 1e-20\."
        ):
            scaler.transform(np.array([[1.0, 1e30]]))
        np.testing.assert_array_equal(scaler.transform(np.array([[np.inf, np.nan]])), f32([[np.inf, np.nan]]))
    with pytest.raises(DataError, match="first in column 0"):
        StandardScaler(f32([0]), f32([1])).transform(np.array([[1e39]]))


def test_original_units_beyond_float32_become_infinity_without_a_warning() -> None:
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
