from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygrid.data.checks import as_features, as_sample_weights, as_targets, is_mapped
from raygrid.data.splitting import split_tail
from raygrid.data.training_data import prepare_data
from raygrid.errors import ArgumentError, DataError, DataTypeError


def f32(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def features(rows: int = 10, width: int = 3) -> np.ndarray:
    return np.arange(rows * width, dtype=np.float32).reshape(rows, width)


def test_the_data_modules_load_neither_pyarrow_nor_tensorflow_nor_ray() -> None:
    modules = "raygrid.data.training_data, raygrid.data.files.tables, raygrid.data.scaler, raygrid.datasets"
    code = f"import sys, {modules}; print({{'pyarrow', 'tensorflow', 'keras', 'ray'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# features


@given(
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["<f4", ">f4", "<f8", ">f8", "f2", "<i8", ">i2", "u1", "?"]),
    step=st.sampled_from([1, 2, -1]),
    writeable=st.booleans(),
)
def test_every_memory_layout_gives_the_same_values_of_a_native_dtype(
    order: Any, dtype: str, step: int, writeable: bool
) -> None:
    base = np.array(np.arange(60).reshape(12, 5) % 2, dtype=dtype, order=order)
    base.flags.writeable = writeable
    before = base.copy()
    array = as_features("X", base[::step])
    assert array.dtype.isnative and array.dtype == (np.float32 if dtype == "f2" else base.dtype.newbyteorder("="))
    assert np.shares_memory(array, base) is (base.dtype == array.dtype)
    np.testing.assert_array_equal(array, before[::step])
    np.testing.assert_array_equal(base, before)


def test_an_array_that_is_right_already_is_not_copied() -> None:
    x = features()
    assert as_features("X", x) is x
    x.flags.writeable = False
    assert np.shares_memory(as_features("X", x), x)


def test_what_is_mapped_from_a_file_and_must_be_copied_is_copied_to_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", features().astype(np.float16))
    array = as_features("X", np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert is_mapped(array) and array.dtype == np.float32
    np.testing.assert_array_equal(array, features())


def test_lists_frames_and_tables_give_the_same_array() -> None:
    expected = np.array([[1, 0.5, 1], [2, 1.5, 0]])
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    nullable = frame.astype({"a": "Int64", "b": "Float32", "c": "boolean"})
    for value in (expected.tolist(), frame, nullable, pa.Table.from_pandas(frame)):
        array = as_features("X", value)
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == np.float64


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": np.int64([1]), "b": np.float32([0.5])}, np.float64),
        ({"a": np.int16([1]), "b": np.float32([0.5])}, np.float32),
        ({"a": np.float16([1]), "b": np.float16([0.5])}, np.float32),
        ({"a": np.int64([2**60 + 1]), "b": np.uint64([7])}, np.int64),
        ({"a": np.uint8([2]), "b": np.uint64([2**64 - 1])}, np.uint64),
        ({"a": np.array([True]), "b": np.int8([-3])}, np.int8),
        ({"a": np.array([True]), "b": np.array([False])}, np.bool_),
        ({"a": np.int64([2**60]), "b": np.float64([0.5])}, np.float64),
    ],
)
def test_the_columns_of_a_table_become_the_smallest_type_that_holds_them_all(
    columns: dict[str, np.ndarray], dtype: type
) -> None:
    for value in (pd.DataFrame(columns), pa.table(columns)):
        array = as_features("X", value)
        assert array.dtype == dtype
        assert array.tolist() == [[column[0].item() for column in columns.values()]]


def test_whole_numbers_that_a_table_with_floats_would_round_are_refused_by_name() -> None:
    columns = {"id": np.int64([2**53 + 1, 5]), "n": np.int64([1, 2]), "level": np.float32([0.5, 1])}
    for value in (pd.DataFrame(columns), pa.table(columns)):
        with pytest.raises(
            DataError, match=r"X has columns of whole numbers beyond 2\*\*53 .*: 'id' \(int64\)\. "
        ) as caught:
            as_features("X", value)
        assert "'n'" not in str(caught.value) and "Subtract an offset" in str(caught.value)


def test_whole_numbers_beyond_int64_beside_negative_ones_are_refused_by_name() -> None:
    columns = {"n": np.int64([-1]), "id": np.uint64([2**64 - 1])}
    for value in (pd.DataFrame(columns), pa.table(columns)):
        with pytest.raises(DataError, match=r"whole numbers beyond 2\*\*53 .*'id' \(uint64\)\. "):
            as_features("X", value)


def test_a_frame_of_one_nullable_type_is_numbers() -> None:
    array = as_features("X", pd.DataFrame({"a": [1, 2], "b": [3, 4]}, dtype="Int64"))
    assert array.dtype == np.int64 and array.tolist() == [[1, 3], [2, 4]]


def test_a_frame_of_one_type_is_not_copied() -> None:
    frame = pd.DataFrame(features().astype(np.float64), columns=list("abc"))
    assert np.shares_memory(as_features("X", frame), frame.to_numpy())


def test_validation_features_that_are_floats_make_floats_of_whole_numbers() -> None:
    data = prepare_data(np.arange(6).reshape(3, 2), np.array([[0.5, 1.0]]))
    assert data.x_train.dtype == data.x_val.dtype == np.float64
    with pytest.raises(DataError, match=r"X_train \(dtype int64\) holds whole numbers beyond 2\*\*53"):
        prepare_data(np.full((3, 2), 2**53 + 1), np.array([[0.5, 1.0]]))


# several arrays where one belongs


@pytest.mark.parametrize(
    ("value", "shapes"),
    [
        ([features(5), features(5)], "ndarray of shape (5, 3), ndarray of shape (5, 3)."),
        ((features(5), features(4)), "a tuple that holds ndarray of shape (5, 3), ndarray of shape (4, 3)."),
        ([pd.DataFrame(features(5))] * 5, "DataFrame of shape (5, 3) and 2 more."),
        ([pa.table({"a": [1, 2]})], "Table of shape (2, 1)."),
        ([pd.Series([1, 2])], "Series of shape (2,)."),
        ([[features(5)], [1.0]], "ndarray of shape (5, 3)."),
        ([1.0, np.zeros(3)], "ndarray of shape (3,)."),
    ],
)
def test_a_list_of_arrays_or_tables_is_not_stacked(value: Any, shapes: str) -> None:
    with pytest.raises(DataTypeError) as caught:
        as_features("X_train", value)
    message = str(caught.value)
    assert message.startswith(f"X_train is a {type(value).__name__} that holds ") and shapes in message
    assert "stacked" in message and "np.stack" in message and "np.concatenate" in message
    for read in (as_targets, as_sample_weights):
        with pytest.raises(DataTypeError, match=r"^w is a .* that holds .*stacked"):
            read("w", value, 2)


def test_a_mapping_of_arrays_is_refused_with_its_keys() -> None:
    for value in ({"a": [1], "b": [2]}, {"a": features(), "b": features()}):
        with pytest.raises(DataTypeError, match=r"X is a dict with the keys 'a', 'b', .*\. Pass one array"):
            as_features("X", value)
    with pytest.raises(DataTypeError, match="X is a list that holds dict"):
        as_features("X", [{"a": 1}, {"a": 2}])


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), [3, 4]),
        [np.float64([1, 2]).tolist(), (np.int64(3), np.float32(4))],
        [[np.array(1), 2], [3, 4]],
    ],
)
def test_nested_lists_of_numbers_are_an_array(value: Any) -> None:
    np.testing.assert_array_equal(as_features("X", value), [[1, 2], [3, 4]])


def test_decimals_and_dictionaries_of_an_arrow_table_count_as_numbers() -> None:
    table = pa.table(
        {
            "price": pa.array([1, 2]).cast(pa.decimal128(21, 2)),
            "level": pa.array([7, 9]).dictionary_encode(),
            "half": pa.array(np.array([0.5, 1.5], dtype=np.float16)),
        }
    )
    np.testing.assert_array_equal(as_features("X", table), f32([[1, 7, 0.5], [2, 9, 1.5]]))


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (np.array([["a", "b"]]), "numbers"),
        (np.array([[1, None]], dtype=object), "numbers"),
        (np.array([[1j, 2]]), "real and the imaginary"),
        (np.array([["2020-01-01"]], dtype="datetime64[s]"), "timedelta64"),
        (np.array([[1]], dtype="timedelta64[s]"), "duration"),
    ],
)
def test_a_dtype_that_is_not_numeric_is_refused_with_its_name_and_a_fix(value: Any, fix: str) -> None:
    with pytest.raises(DataTypeError, match=fix) as caught:
        as_features("X_val", value)
    assert "X_val has dtype" in str(caught.value)
    assert str(np.asarray(value).dtype) in str(caught.value)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


def test_the_columns_of_a_table_that_are_not_numeric_are_named() -> None:
    frame = pd.DataFrame({"a": [1.0], "site": ["x"], "when": pd.to_datetime(["2020-01-01"])})
    for value in (frame, pa.Table.from_pandas(frame)):
        with pytest.raises(DataTypeError, match=r"shape \(1, 3\).*'site' \(.*'when' \(") as caught:
            as_features("X", value)
        assert "'a'" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(4), r"shape \(4,\).*float64.*reshape\(-1, 1\)"),
        (np.float32(3), r"shape \(\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\).*no rows"),
        (np.zeros((3, 0)), r"shape \(3, 0\).*no features"),
        (pd.DataFrame({"a": []}, dtype=float), r"no rows"),
        (pd.DataFrame(index=[0, 1]), r"shape \(2, 0\).*no features"),
        ([[1, 2], [3]], "list.*same shape"),
    ],
)
def test_a_shape_that_cannot_be_features_is_refused(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_features("X_train", value)


def test_masked_values_are_refused_and_an_empty_mask_is_not() -> None:
    x = np.ma.MaskedArray(features(), mask=np.zeros((10, 3), dtype=bool))
    np.testing.assert_array_equal(as_features("X", x), features())
    x[2, 1] = np.ma.masked
    with pytest.raises(
        DataError, match=r"X \(shape \(10, 3\), dtype float32\) holds 1 value that is masked: column 1 \(1\)\."
    ):
        as_features("X", x)


def test_nan_and_infinity_are_counted_by_column_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raygrid.base.row_blocks._BLOCK_BYTES", 64)
    x = features(100, 4).astype(np.float64)
    x[[3, 50, 99], 2] = np.nan
    x[7, 0] = -np.inf
    with pytest.raises(DataError, match=r"4 values.*column 0 \(1\), column 2 \(3\)\.") as caught:
        as_features("X_train", x)
    assert "X_train (shape (100, 4), dtype float64)" in str(caught.value)
    assert "too large" not in str(caught.value)


def test_a_null_among_the_values_of_a_dictionary_is_missing() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array([7, None]))
    with pytest.raises(DataError, match=r"column 'level' \(1\)"):
        as_features("X", pa.table({"level": column}))


def test_a_null_beside_a_whole_number_that_floats_round_is_missing() -> None:
    with pytest.raises(DataError, match=r"column 'id' \(1\)"):
        as_features("X", pa.table({"id": [2**53 + 1, None]}))


def test_only_the_first_columns_with_nan_are_listed() -> None:
    with pytest.raises(DataError, match=r"column 4 \(10\) and 5 more columns"):
        as_features("X", np.full((10, 10), np.nan))


def test_nan_in_the_windows_of_a_sequence_is_counted_by_feature() -> None:
    x = np.zeros((5, 4, 3))
    x[1, :2, 1] = np.nan
    with pytest.raises(DataError, match=r"2 values.*column 1 \(2\)\."):
        as_features("X", x)


def test_everything_that_is_missing_in_a_call_is_told_at_once() -> None:
    x, x_val, y, w = features(10), pd.DataFrame(features(4), columns=["p", "q", "r"]), np.arange(10.0), np.ones(10)
    x[[1, 2], [0, 2]] = np.nan
    x_val.loc[3, "q"] = np.nan
    y[4], w[5] = np.inf, np.nan
    y_val = np.ma.MaskedArray([1.0, 2.0, 3.0, 4.0], mask=[False, True, True, False])
    with pytest.raises(DataError) as caught:
        prepare_data(x, x_val, y_train=y, y_val=y_val, sample_weight=w, val_sample_weight=[1, 1, np.nan, 1])
    assert str(caught.value) == (
        "X_train (shape (10, 3), dtype float32) holds 2 values that are missing, NaN or infinite: column 0 (1), "
        "column 2 (1); y_train (shape (10,), dtype float64) holds 1 value that is missing, NaN or infinite: "
        "column 0 (1); sample_weight (shape (10,), dtype float64) holds 1 value that is missing, NaN or infinite: "
        "column 0 (1); X_val (shape (4, 3), dtype float32) holds 1 value that is missing, NaN or infinite: "
        "column 'q' (1); y_val (shape (4,), dtype float64) holds 2 values that are masked: column 0 (2); "
        "val_sample_weight (shape (4,), dtype float64) holds 1 value that is missing, NaN or infinite: column 0 (1). "
        'Drop the rows, or fill the values, before training. fit(..., missing="drop") drops them and leaves 6 of 10 '
        "rows to train on and 1 of 4 rows to validate with."
    )


def test_what_is_missing_is_told_where_validation_rows_are_split_off_too() -> None:
    x, y = features(10), np.arange(10.0)
    x[3, 1] = y[9] = np.nan
    with pytest.raises(DataError, match=r"X_train .*: column 1 \(1\); y_train .*: column 0 \(1\)\."):
        prepare_data(x, y_train=y)


def test_missing_values_of_a_table_are_counted_by_column_name() -> None:
    table = pa.table({"a": [1, None, None], "b": [True, None, False], "c": [1.0, 2.0, 3.0]})
    nullable = pd.DataFrame({"a": [1, None, None], "b": [True, None, False], "c": [1.0, 2.0, 3.0]}).astype(
        {"a": "Int64", "b": "boolean"}
    )
    for value in (table, nullable):
        with pytest.raises(DataError, match=r"3 values.*column 'a' \(2\), column 'b' \(1\)\."):
            as_features("X", value)


# targets


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([0.5, 1.5]), np.float64),
        (np.array([0.5, 1.5], dtype=">f4"), np.float32),
        (np.array([0.5, 1.5], dtype=np.float16), np.float32),
        ([True, False], np.int32),
        (np.array([1, 2], dtype=np.int64), np.int32),
        (np.array([1, 2**31 - 1]), np.int32),
        (np.array([1, 2**31]), np.int64),
        (np.array([-(2**31) - 1, 0]), np.int64),
        (np.array([1, 2], dtype=">i2"), np.int32),
        (pd.Series([1, 2], dtype="Int64"), np.int32),
        (pd.Series([True, False], dtype="boolean"), np.int32),
    ],
)
def test_targets_keep_their_shape_and_values_as_floats_or_whole_numbers(value: Any, dtype: type) -> None:
    y = as_targets("y", value, 2)
    assert y.dtype == dtype and y.shape == (2,)
    np.testing.assert_array_equal(y, np.asarray(value).astype(dtype))


def test_targets_that_are_right_already_are_not_copied() -> None:
    y = np.array([[1], [2]], dtype=np.int32)
    assert as_targets("y", y, 2) is y


def test_decimals_of_an_arrow_table_are_targets() -> None:
    y = as_targets("y", pa.table({"price": pa.array([1, 2]).cast(pa.decimal128(21, 2))}), 2)
    assert y.dtype == np.float64 and y.tolist() == [[1.0], [2.0]]


def test_a_frame_of_targets_stays_two_dimensional() -> None:
    y = as_targets("y", pd.DataFrame({"a": [1, 2], "b": [0.5, 1]}), 2)
    np.testing.assert_array_equal(y, f32([[1, 0.5], [2, 1]]))


@pytest.mark.parametrize(
    "value", [["a", "b"], np.array(["a", "b"], dtype=object), pd.Series(["a", "b"], dtype="category")]
)
def test_labels_that_are_strings_are_refused_with_the_line_that_encodes_them(value: Any) -> None:
    with pytest.raises(DataTypeError, match=r"np\.unique\(y, return_inverse=True\)"):
        as_targets("y_train", value, 2)


def test_columns_of_targets_that_are_strings_are_named_with_that_line() -> None:
    with pytest.raises(DataTypeError, match=r"y_train .*: 'kind' \(.*np\.unique\(y, return_inverse=True\)") as caught:
        as_targets("y_train", pd.DataFrame({"kind": ["a", "b"], "level": [1, 2]}), 2)
    assert "'level'" not in str(caught.value)


def test_targets_of_another_length_are_refused_with_both_lengths() -> None:
    with pytest.raises(DataError, match=r"y_train has 3 rows.*features have 2 rows"):
        as_targets("y_train", [1, 2, 3], 2)
    with pytest.raises(DataError, match="no rows"):
        as_targets("y_train", 1, 1)


def test_targets_that_cannot_be_learned_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 value that is.*column 0 \(1\)"):
        as_targets("y", [1.0, np.nan], 2)
    with pytest.raises(DataError, match=r"1 value that is.*column 'p' \(1\)"):
        as_targets("y", pd.DataFrame({"p": [1.0, np.nan], "q": [1.0, 2.0]}), 2)
    with pytest.raises(DataError, match=r"1 value that is"):
        as_targets("y", pd.Series([1, None], dtype="Int64"), 2)
    with pytest.raises(DataError, match="beyond int64"):
        as_targets("y", np.array([0, 2**63], dtype=np.uint64), 2)
    with pytest.raises(DataError, match="no targets"):
        as_targets("y", np.zeros((2, 0)), 2)


# sample weights


def test_sample_weights_become_float32() -> None:
    weights = as_sample_weights("w", [0, 1, 2], 3)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [0, 1, 2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((3, 1)), r"shape \(3, 1\).*one weight per row"),
        ([1, 2], "2 rows.*3 rows"),
        ([1, -2, -1], "2 negative weights, the smallest is -2"),
        ([1, np.nan, 1], "1 value that is"),
        ([1, 1e-60, 0], "too small for float32, where they are 0: 1, such as 1e-60"),
        ([1, 1e39, 1e40], "too large for float32: 2, such as 1e\\+39"),
        (np.full(3, 1e-60), "too small"),
        ([0, 0, 0], "only zeros as weights, 3 of them"),
    ],
)
def test_sample_weights_that_make_no_sense_are_refused(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_sample_weights("w", value, 3)


# the split


@given(rows=st.integers(1, 1000), fraction=st.floats(0.001, 0.999))
def test_the_split_follows_the_rule_of_keras(rows: int, fraction: float) -> None:
    x = np.arange(rows)
    expected = math.floor(rows * (1.0 - fraction))
    if expected in (0, rows):
        with pytest.raises(DataError, match=f"of {rows} row"):
            split_tail(fraction, x)
        return
    [(head, tail)] = split_tail(fraction, x)
    assert len(head) == expected
    np.testing.assert_array_equal(np.concatenate([head, tail]), x)
    assert np.shares_memory(head, x) and np.shares_memory(tail, x)


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, -0.1, 1.5, math.nan, True, "0.2", None])
def test_a_fraction_outside_zero_and_one_is_refused(fraction: Any) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        split_tail(fraction, features())


def test_a_fraction_that_leaves_one_side_without_rows_is_refused() -> None:
    for fraction, sides in ((1e-17, "5 for training and 0 for validation"), (0.9, "0 for training and 5 for")):
        with pytest.raises(DataError, match=f"of 5 rows leaves {sides}"):
            split_tail(fraction, features(5))


def test_arrays_of_different_length_are_not_split() -> None:
    with pytest.raises(DataError, match=r"\[2, 3\]"):
        split_tail(0.5, np.zeros(3), np.zeros(2))


# all together


def test_without_validation_data_the_last_rows_of_all_arrays_are_taken() -> None:
    x, y, w = features(10), np.arange(10), np.arange(10) + 1.0
    data = prepare_data(x, y_train=y, sample_weight=w, validation_split=0.3)
    np.testing.assert_array_equal(data.x_train, x[:7])
    np.testing.assert_array_equal(data.x_val, x[7:])
    np.testing.assert_array_equal(data.y_train, y[:7])
    np.testing.assert_array_equal(data.y_val, y[7:])
    np.testing.assert_array_equal(data.w_train, w[:7])
    np.testing.assert_array_equal(data.w_val, w[7:])
    assert data.supervised


def test_without_targets_the_inputs_are_the_targets() -> None:
    data = prepare_data(np.zeros((8, 4, 2)), np.zeros((3, 4, 2)))
    assert not data.supervised and data.y_train is None and data.y_val is None
    assert len(data.x_train) == 8 and len(data.x_val) == 3


def test_weights_of_the_validation_data_are_optional() -> None:
    data = prepare_data(features(4), features(2), sample_weight=np.ones(4))
    assert data.w_train is not None and data.w_val is None
    data = prepare_data(features(4), features(2), sample_weight=np.ones(4), val_sample_weight=[1, 2])
    np.testing.assert_array_equal(data.w_val, [1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_val": [1]}, "y_val is given without X_val"),
        ({"val_sample_weight": [1]}, "val_sample_weight is given without X_val"),
        ({"val_run_ids": [1]}, "val_run_ids is given without X_val"),
        ({"X_val": features(2), "run_ids": np.ones(4)}, "run_ids and val_run_ids go together"),
        ({"X_val": features(2), "y_train": np.zeros(4)}, "not y_val"),
        ({"X_val": features(2), "y_val": np.zeros(2)}, "y_val is given without y_train"),
        ({"X_val": features(2), "val_sample_weight": np.ones(2)}, "without sample_weight"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        prepare_data(features(4), **arguments)


def test_training_and_validation_features_of_different_width_are_refused() -> None:
    with pytest.raises(DataError, match=r"X_train.*\(3,\).*X_val.*\(5,\)"):
        prepare_data(features(4, 3), features(2, 5))


def test_targets_that_do_not_match_each_other_are_refused() -> None:
    x, x_val = features(4), features(2)
    with pytest.raises(DataError, match=r"\(4, 2\).*\(2, 3\)"):
        prepare_data(x, x_val, y_train=np.zeros((4, 2)), y_val=np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"\(4,\).*\(2, 1\)"):
        prepare_data(x, x_val, y_train=np.zeros(4), y_val=np.zeros((2, 1)))
    with pytest.raises(DataTypeError, match=r"int32.*float64"):
        prepare_data(x, x_val, y_train=[0, 1, 0, 1], y_val=[0.0, 1.0])


def test_large_and_small_whole_number_targets_get_one_dtype() -> None:
    data = prepare_data(features(2), features(2), y_train=[1, 2], y_val=[1, 2**40])
    assert data.y_train is not None and data.y_val is not None
    assert data.y_train.dtype == data.y_val.dtype == np.int64


def test_a_side_of_the_split_whose_weights_are_all_zero_is_refused() -> None:
    with pytest.raises(DataError, match="validation part of sample_weight"):
        prepare_data(features(4), sample_weight=[1, 1, 1, 0])
    with pytest.raises(DataError, match="training part of sample_weight"):
        prepare_data(features(4), sample_weight=[0, 0, 0, 1])


def test_digests_name_each_array_and_depend_on_the_values_only() -> None:
    x, y = features(10), np.arange(10)
    digests = prepare_data(x, y_train=y).digests()
    assert set(digests) == {"x_train", "y_train", "x_val", "y_val"}
    assert digests["x_train"]["shape"] == [8, 3] and digests["x_train"]["dtype"] == "float32"
    assert digests["y_val"]["shape"] == [2] and digests["y_val"]["dtype"] == "int32"
    assert prepare_data(np.asfortranarray(x.astype(np.float64)), y_train=y).digests() == digests
    scaled = prepare_data(x, y_train=y).digests(scaler="standard")
    assert prepare_data(x.astype(np.int64), y_train=y).digests(scaler="standard") == scaled == digests
    x[9, 0] += 1
    changed = prepare_data(x, y_train=y).digests()
    assert {name for name in digests if digests[name] != changed[name]} == {"x_val"}


def test_unscaled_whole_numbers_are_other_data_than_floats_and_so_are_targets() -> None:
    x, y = features(10), np.arange(10)
    floats = prepare_data(x, y_train=y).digests()
    whole = prepare_data(x.astype(np.uint8), y_train=y).digests()
    assert whole["x_train"]["digest"] == floats["x_train"]["digest"]
    assert (whole["x_train"]["dtype"], floats["x_train"]["dtype"]) == ("uint8", "float32")
    assert prepare_data(x, y_train=y.astype(float)).digests()["y_train"]["digest"] != floats["y_train"]["digest"]


@pytest.mark.parametrize("values", [np.arange(300.0) + 1.7e9, np.arange(300) + 1_700_000_000, np.linspace(0, 1, 300)])
def test_values_below_the_resolution_of_float32_count(values: np.ndarray) -> None:
    changed = values.copy()
    changed[7] += 1 if values.dtype == np.int64 or values[0] > 1 else 1e-12
    assert changed[7].astype(np.float32) == values[7].astype(np.float32)
    for before, after in (
        (prepare_data(values[:, None]), prepare_data(changed[:, None])),
        (prepare_data(features(300), y_train=values), prepare_data(features(300), y_train=changed)),
    ):
        old, new = before.digests(), after.digests()
        assert {name[2:] for name in old if old[name] != new[name]} == {"train"}


def test_what_a_model_is_fed_has_one_dtype_in_training_and_validation() -> None:
    data = prepare_data(np.full((4, 2), 7, np.uint8), np.full((4, 2), 2**40), y_train=np.ones(4), y_val=np.ones(4))
    fed = data.fed_dtypes(scaler=None, target_scaler=None)
    assert {name: str(dtype) for name, dtype in fed.items()} == {
        "x_train": "int64",
        "x_val": "int64",
        "y_train": "float32",
        "y_val": "float32",
    }
    assert set(map(str, data.fed_dtypes(scaler="standard", target_scaler="standard").values())) == {"float32"}
    whole = prepare_data(features(4), features(2), y_train=[0, 1, 2, 3], y_val=[0, 1])
    for target_scaler, dtype in ((None, "int32"), ("standard", "float32")):
        fed = whole.fed_dtypes(scaler=None, target_scaler=target_scaler)
        assert str(fed["y_train"]) == str(fed["y_val"]) == dtype
    with pytest.raises(DataError, match=r"X_val \(dtype uint64\) holds 18446744073709551615, which is beyond int64"):
        prepare_data(np.zeros((4, 2), int), np.full((4, 2), 2**64 - 1, np.uint64)).digests()


def test_the_arrays_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def digest(array: np.ndarray) -> str:
        calls.append(len(array))
        return "digest"

    monkeypatch.setattr("raygrid.data.training_data.digest_values", digest)
    data = prepare_data(features(10))
    data.digests()["x_train"]["digest"] = "edited"
    assert data.digests()["x_train"]["digest"] == "digest"
    assert calls == [8, 2]
