"""Digests of settings and arrays: equal for equal values, different for different ones, the same for ever."""

from __future__ import annotations

import hashlib
import math
import tracemalloc
from types import MappingProxyType

import numpy as np
import pytest

from raygrid.base import fingerprint
from raygrid.base.fingerprint import canonical_json, digest_array, digest_json, digest_values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"\\u00e9"],"b":1}'),
        ((1, (2, 3)), "[1,[2,3]]"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (np.float64(2.0), "2"),
        (np.float32(0.5), "0.5"),
        (np.int32(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("relu"), '"relu"'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
    ],
)
def test_a_value_has_one_canonical_text(value: object, text: str) -> None:
    assert canonical_json(value) == text


def test_numbers_count_by_value_and_booleans_are_no_numbers() -> None:
    assert digest_json({"units": 1}) == digest_json({"units": 1.0})
    assert digest_json({"units": 1}) != digest_json({"units": True})
    assert digest_json({"units": 0}) != digest_json({"units": False})


def test_the_order_of_keys_makes_no_difference_and_the_order_of_a_list_does() -> None:
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])


@pytest.mark.parametrize("value", [{1, 2}, b"x", 1j, object(), {1: 2}, [np.datetime64("2020-01-01")], np.longdouble(1)])
def test_a_value_that_json_cannot_carry_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])


def test_the_digest_of_settings_is_the_start_of_the_sha256_of_their_text() -> None:
    value = {"units": (64, 32), "rate": 0.001}
    assert digest_json(value) == hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


# These values may never change: a changed digest makes saved results look foreign and costs users
# a retraining. Whoever means to change a format raises its version and says so in the changelog.
def test_the_digests_are_pinned() -> None:
    config = {"units": (256, 128), "rate": 0.001, "batch": 128, "dropout": None, "bias": True, "act": "relu"}
    assert digest_json(config) == "0f1892277b289f2a1ab9e51842fb3bdc"
    assert digest_array(np.arange(12, dtype=np.float32).reshape(3, 4)) == "4743f41c9ad19828d6cf355570d4423f"
    assert digest_array(np.array([True, False])) == "4eaded16adecd568130594a8b791cd4e"
    assert digest_array(np.array(7, dtype=np.int32)) == "d8721dff6f080e85b9debc6e611b7618"
    assert digest_array(np.empty((0, 52), dtype=np.float32)) == "2816f9ce5a170a3e2a2ced5e87e0d5a6"


def _orders(array: np.ndarray) -> dict[str, np.ndarray]:
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
    wide[..., ::2] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "fortran": np.asfortranarray(array),
        "strided": wide[..., ::2],
        "reversed": array[::-1].copy()[::-1],
        "transposed": np.ascontiguousarray(array.T).T,
        "read-only": read_only,
    }


@pytest.mark.parametrize("shape", [(7,), (1,), (5, 3), (1, 9), (9, 1), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("block_bytes", [16, 100, 2**24])
def test_the_memory_order_of_an_array_makes_no_difference(
    shape: tuple[int, ...], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = digest_array(array)
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", block_bytes)
    assert digest_array(array) == expected
    for name, other in _orders(array).items():
        assert digest_array(other) == expected, name


def test_one_changed_value_changes_the_digest_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", 64)
    array = np.zeros((10, 7), dtype=np.float32)
    digests = {digest_array(array)}
    for position in np.ndindex(array.shape):
        changed = array.copy()
        changed[position] = np.float32(1e-30)
        digests.add(digest_array(np.asfortranarray(changed)))
    assert len(digests) == 71


def test_shape_and_dtype_are_part_of_the_digest() -> None:
    array = np.zeros(12, dtype=np.float32)
    arrays: list[np.ndarray] = [
        array,
        array.reshape(3, 4),
        array.reshape(4, 3),
        array.astype(np.int32),
        array.astype(np.float64)[:6],
        np.array(0, dtype=np.float32),
        np.zeros(1, dtype=np.float32),
        np.empty((0, 3), dtype=np.float32),
        np.empty((3, 0), dtype=np.float32),
    ]
    assert len({digest_array(item) for item in arrays}) == len(arrays)


def test_dates_and_texts_of_fixed_length_have_digests() -> None:
    assert digest_array(np.array(["2020-01-01"], "M8[D]")) != digest_array(np.array(["2020-01-02"], "M8[D]"))
    assert digest_array(np.array(["a", "b"])) != digest_array(np.array(["a", "c"]))


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["a"], dtype=np.dtypes.StringDType())])
def test_an_array_of_references_is_a_type_error(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="references"):
        digest_array(array)


@pytest.mark.parametrize("shape", [(2**16, 256), (256, 2**16), (1, 2**24), (1, 2**12, 2**12)])
def test_a_fortran_array_is_never_copied_whole(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", 2**20)
    base = np.zeros((*shape[:-1], 2 * shape[-1]), dtype=np.bool_)
    array = np.asfortranarray(base)[..., ::2]
    tracemalloc.start()
    try:
        digest_array(array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < array.nbytes / 4


# Of values


def test_the_digests_of_values_are_pinned() -> None:
    # That of float32, for what float32 holds: it is what earlier versions recorded.
    assert digest_values(np.arange(12).reshape(3, 4)) == "4743f41c9ad19828d6cf355570d4423f"
    assert (
        digest_values(np.array([0.1, 0.2])) == digest_array(np.array([0.1, 0.2])) == "5cdb488d4cd914f33ad49197acfbb744"
    )
    assert (
        digest_values(np.array([2**53 + 1]))
        == digest_array(np.array([2**53 + 1]))
        == "cf91890b984c7e69c714ff55d9982f3e"
    )
    assert digest_values(np.array([2**64 - 1], np.uint64)) == "f65820e27c5b570235b02b03e56bba6f"


@pytest.mark.parametrize("values", [[0, 1, 100], [0, -3, 127], [2**24, 5, 6], [2**24 + 1, 5, 6], [2**53, -(2**40), 1]])
def test_equal_values_have_one_digest_in_every_dtype_and_layout(values: list[int]) -> None:
    array = np.array([values, values[::-1]])
    expected = digest_values(array)
    kinds = [kind for kind in ("i1", "<i4", ">i8", "<f4", "<f8", ">f8") if (array.astype(kind) == array).all()]
    assert "<f8" in kinds
    for kind in kinds:
        other = array.astype(kind)
        layouts = (other, np.asfortranarray(other), np.repeat(other, 2, axis=1)[:, ::2], other[::-1].copy()[::-1])
        assert {digest_values(layout) for layout in layouts} == {expected}


@pytest.mark.parametrize("last", [0.1, 2.0**60 + 1024, 1e300, float(2**24 + 1)])
def test_a_last_value_that_float32_cannot_hold_counts(last: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", 64)
    array = np.arange(1000.0).reshape(100, 10)
    array[-1, -1] = last
    assert digest_values(array) == digest_array(array)
    near = array.copy()
    near[-1, -1] = np.nextafter(last, 0)
    assert digest_values(near) != digest_values(array)


def test_whole_numbers_beyond_float64_are_told_apart() -> None:
    digests = {
        digest_values(np.array([value], dtype))
        for value, dtype in (
            (2**53 + 1, np.int64),
            (2**53, np.int64),
            (2**53 + 2, np.int64),
            (-(2**53) - 1, np.int64),
            (2**63 - 1, np.int64),
            (2**63, np.uint64),
            (2**64 - 1, np.uint64),
        )
    }
    assert len(digests) == 7
    assert digest_values(np.array([2**60 + 1], np.uint64)) == digest_values(np.array([2**60 + 1], np.int64))
