from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest

from raygrid.base.memory import available_memory
from raygrid.data.checks import as_features, as_targets
from raygrid.data.files.tables import read_data
from raygrid.data.index_columns import _say_left_out
from raygrid.errors import ArgumentError, DataError, DataTypeError


def f32(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


TABLE = pa.table(
    {
        "a": [1.5, 2.5, 3.5],
        "b": pa.array([1, 2, 3], pa.int16()),
        "c": [True, False, True],
        "site": ["x", "y", "x"],
        "label": pa.array([0, 1, 0], pa.int8()),
    }
)
X = f32([[1.5, 1, 1], [2.5, 2, 0], [3.5, 3, 1]])


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, tuple[str, Callable[[pa.Table, Path], Any]]] = {
    "parquet": (".parquet", pq.write_table),
    "feather": (".feather", pa_feather.write_feather),
    "uncompressed feather": (
        ".arrow",
        lambda t, p: pa_feather.write_feather(t, p, compression="uncompressed"),
    ),
    "arrow stream": (".arrow", write_stream),
    "csv": (".csv", pa_csv.write_csv),
    "upper case": (".CSV", pa_csv.write_csv),
}


def write(tmp_path: Path, kind: str, table: pa.Table = TABLE) -> Path:
    suffix, writer = WRITERS[kind]
    path = tmp_path / f"data{suffix}"
    writer(table, path)
    return path


@pytest.mark.parametrize("kind", WRITERS)
def test_columns_are_read_by_name_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    data = read_data(path, features=["a", "b", "c"], target=["label"])
    np.testing.assert_array_equal(data.X, X)
    assert data.X.dtype == np.float64 and data.feature_names == ("a", "b", "c")
    assert data.y is not None and data.y.dtype == np.int32 and data.y.shape == (3,)
    np.testing.assert_array_equal(data.y, [0, 1, 0])
    assert data.X_val is None and data.y_val is None


@pytest.mark.parametrize("kind", WRITERS)
def test_numbers_of_a_file_keep_their_values_and_kind(tmp_path: Path, kind: str) -> None:
    times, ids = [1_700_000_000.25, 1_700_000_001.25], [2**53 + 1, 2**24 + 1]
    path = write(tmp_path, kind, pa.table({"time": times, "id": ids}))
    assert read_data(path, features=["time"], target=["id"]).X.tolist() == [[times[0]], [times[1]]]
    data = read_data(path, features=["id"], target=["time"])
    assert data.X.dtype == np.int64 and data.X.tolist() == [[ids[0]], [ids[1]]]
    assert data.y is not None and data.y.tolist() == times


def test_what_is_missing_in_features_and_targets_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", pa.table({"a": [1.0, None], "b": [None, None], "y": [None, 2.0], "c": [1, 2]}))
    with pytest.raises(DataError) as caught:
        read_data(path, target=["y"])
    assert "X of data.csv (shape (2, 3), " in str(caught.value) and "column 'a' (1), column 'b' (2); y of" in str(
        caught.value
    )
    assert "column 'y' (1). Drop" in str(caught.value)
    np.savez(tmp_path / "data.npz", X=np.full((2, 1), np.nan), y=np.full(2, np.inf))
    with pytest.raises(DataError, match=r"X of data\.npz .*: column 0 \(2\); y of data\.npz .*: column 0 \(2\)\."):
        read_data(tmp_path / "data.npz")


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_features_come_in_the_order_asked_and_are_all_but_the_target_by_default(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, TABLE.drop_columns(["site"]))
    assert read_data(path, features=["c", "a"]).feature_names == ("c", "a")
    np.testing.assert_array_equal(read_data(path, features=["c", "a"]).X, X[:, [2, 0]])
    data = read_data(str(path), target=["b"])
    assert data.feature_names == ("a", "c", "label")
    assert read_data(path).y is None and read_data(path).X.shape == (3, 4)


def test_several_target_columns_give_a_two_dimensional_target(tmp_path: Path) -> None:
    data = read_data(write(tmp_path, "parquet"), features=["c"], target=["b", "a"])
    np.testing.assert_array_equal(data.y, f32([[1, 1.5], [2, 2.5], [3, 3.5]]))


def test_decimals_and_dictionaries_are_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {
            "price": TABLE["b"].cast(pa.decimal128(12, 2)),
            "level": TABLE["b"].combine_chunks().dictionary_encode(),
        }
    )
    np.testing.assert_array_equal(read_data(write(tmp_path, "parquet", table)).X, X[:, [1, 1]])


# refused files


def test_a_missing_file_is_named_with_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}/no.csv cannot be read: No such file"):
        read_data(tmp_path / "no.csv")


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'\.xlsx'.*\.parquet, \.arrow, \.feather, \.csv, \.npz, \.npy"):
        read_data(tmp_path / "data.xlsx")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".csv", ".npz", ".npy"])
def test_empty_and_damaged_files_are_named_with_the_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"data{suffix} is empty: 0 bytes"):
        read_data(path)
    path.write_bytes(b'a,b\n1,2\n1,2,3,"\n' + bytes(range(256)))
    with pytest.raises(DataError, match=f"data{suffix} is damaged, or not a {suffix} file: .+") as caught:
        read_data(path)
    assert "pickle" not in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="not a regular file"):
        read_data(path)


def test_an_arrow_file_whose_two_descriptions_of_its_columns_differ_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path, "feather")
    whole = path.read_bytes()
    for change in (whole.replace(b"label", b"lobel", 1), whole[::-1].replace(b"lebal", b"lebol", 1)[::-1]):
        path.write_bytes(change)
        with pytest.raises(DataError, match=r"is damaged.*contradict each other"):
            read_data(path, features=["a"])


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow stream", "npz", "npy"])
def test_a_file_that_was_cut_short_is_damaged(tmp_path: Path, kind: str) -> None:
    if kind in WRITERS:
        path = write(tmp_path, kind)
    else:
        path = tmp_path / f"data.{kind}"
        np.savez_compressed(path, X=X) if kind == "npz" else np.save(path, X)
    whole = path.read_bytes()
    for length in (8, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="is damaged"):
            read_data(path, **({"features": ["a"]} if kind in WRITERS else {}))


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_a_file_without_rows_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match="no rows"):
        read_data(write(tmp_path, kind, TABLE.slice(0, 0)), features=["a"])


def test_a_csv_without_column_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("1.5,2\n2.5,3\n")
    with pytest.raises(DataError, match=r"numbers in its first line \('1\.5', '2'\)"):
        read_data(path)


def test_the_available_memory_is_known_on_linux() -> None:
    if not Path("/proc/meminfo").exists():
        pytest.skip("no /proc/meminfo")
    available = available_memory()
    assert available is not None and 2**20 < available < 2**50


# refused columns


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_unknown_columns_are_all_named_with_the_nearest_and_the_known_ones(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        read_data(write(tmp_path, kind), features=["a", "lable", "q"])
    message = str(caught.value)
    assert "no column 'lable', 'q'" in message and "Did you mean 'label' for 'lable'?" in message
    assert "Its columns are 'a', 'b', 'c', 'site', 'label'" in message


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_a_column_that_is_not_numeric_is_named_with_the_argument_that_leaves_it_out(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataTypeError, match=r"'site' \((large_)?string.*features=\[\.\.\.\]") as caught:
        read_data(write(tmp_path, kind))
    assert "np.unique" not in str(caught.value)


def test_the_first_values_of_a_csv_that_are_no_numbers_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,when\n" + "1,2020-01-01\n" * 3 + "n/k,2020-01-02\n2,2020-01-03\noff,2020-01-04\n")
    with pytest.raises(DataTypeError) as caught:
        read_data(path)
    assert "'a' (string, such as 'n/k', 'off')" in str(caught.value)
    assert "'when' (date32[day], such as '2020-01-01'" in str(caught.value)


def test_a_text_far_down_a_csv_is_found(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    # Arrow reads a file in blocks of 1 MiB.
    path.write_text("a\n" + f"1{' ' * 50}\n" * 30_000 + "oops\n")
    with pytest.raises(DataTypeError, match="such as 'oops'"):
        read_data(path)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_target_of_strings_is_refused_with_the_line_that_encodes_it(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataTypeError, match=r"'site'.*np\.unique\(y, return_inverse=True\)") as caught:
        read_data(write(tmp_path, kind), features=["a"], target=["site"])
    assert "features=" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_missing_values_are_counted_by_column(tmp_path: Path, kind: str) -> None:
    table = pa.table({"a": [1.0, None, None], "b": [1, 2, None], "c": [1, 2, 3], "d": pa.nulls(3)})
    path = write(tmp_path, kind, table)
    with pytest.raises(DataError, match=r"data.* holds 6 values.*column 'a' \(2\), column 'b' \(1\), column 'd' \(3\)"):
        read_data(path)
    with pytest.raises(DataError, match=r"y of data.* column 'b' \(1\)"):
        read_data(path, features=["c"], target=["b"])


def test_a_column_is_not_used_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet")
    with pytest.raises(DataError, match="'a' is both a feature and the target"):
        read_data(path, features=["a", "b"], target=["a"])
    with pytest.raises(DataError, match="features names 'a' more than once"):
        read_data(path, features=["a", "b", "a"])
    with pytest.raises(DataError, match="no columns left"):
        read_data(path, target=TABLE.column_names)


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
def test_columns_of_the_same_name_are_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, TABLE.rename_columns(["a", "b", "a", "site", "label"])) if kind != "feather" else None
    if path is None:
        path = tmp_path / "data.arrow"
        write_stream(TABLE.rename_columns(["a", "b", "a", "site", "label"]), path)
    with pytest.raises(DataError, match="more than one column named 'a'"):
        read_data(path, features=["b"])


def test_column_lists_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet")
    with pytest.raises(DataTypeError, match=r"target=\['label'\]"):
        read_data(path, target="label")
    with pytest.raises(DataError, match="features is an empty list"):
        read_data(path, features=[])


# Columns that pandas uses as an index

FRAME = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": [4, 1, 3, 2]})
INDEXED: dict[str, tuple[pd.DataFrame, list[str]]] = {
    "that counts": (FRAME, []),
    "after a filter": (FRAME[FRAME.b > 1], ["__index_level_0__"]),
    "after a shuffle": (FRAME.iloc[[2, 0, 3, 1]], ["__index_level_0__"]),
    "with a name": (FRAME.set_index(pd.Index([10, 20, 30, 50], name="time")), ["time"]),
    "of texts": (FRAME.set_index(pd.Index(list("wxyz"), name="tag")), ["tag"]),
    "of two": (FRAME.set_index([pd.Index([1, 1, 2, 2], name="run"), [1, 2, 1, 2]]), ["run", "__index_level_1__"]),
}  # fmt: skip


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".feather":
        pa_feather.write_feather(table, path)
    else:
        write_stream(table, path)


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow"])
@pytest.mark.parametrize("kind", INDEXED)
def test_the_index_of_a_frame_is_no_feature_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, kind: str
) -> None:
    frame, index = INDEXED[kind]
    path = tmp_path / f"data{suffix}"
    write_frame(path, frame)
    data = read_data(path)
    assert data.feature_names == ("a", "b")
    np.testing.assert_array_equal(data.X, frame.to_numpy(np.float32))
    assert len(caplog.records) == bool(index)
    assert not index or f"{', '.join(map(repr, index))} is the index of the pandas frame" in caplog.text


def test_an_index_that_is_asked_for_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "data.parquet"
    frame, _ = INDEXED["with a name"]
    frame.to_parquet(path)
    assert read_data(path, features=["time", "a"]).X[:, 0].tolist() == [10, 20, 30, 50]
    data = read_data(path, features=["b", "a"], target=["time"])
    assert data.feature_names == ("b", "a") and data.y is not None and data.y.tolist() == [10, 20, 30, 50]
    data = read_data(path, labels=["time"])
    assert data.feature_names == ("a", "b") and data.labels["time"].tolist() == [10, 20, 30, 50]
    FRAME[FRAME.b > 1].to_parquet(path)
    assert read_data(path, features=["__index_level_0__"]).X.tolist() == [[0], [2], [3]]
    assert not caplog.records


def test_an_unnamed_index_is_known_by_its_name_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pa.Table.from_pandas(FRAME[FRAME.b > 1]).replace_schema_metadata()
    for path in (tmp_path / "data.parquet", tmp_path / "data.csv"):
        (pq.write_table if path.suffix == ".parquet" else pa_csv.write_csv)(table, path)
        assert read_data(path).feature_names == ("a", "b")
        assert f"{path.name}: '__index_level_0__' is the index" in caplog.text


@pytest.mark.parametrize(
    "described", [b"", b"{", b"[]", b"{}", b'{"index_columns": 3}', b'{"index_columns": [1]}', b"\xff"]
)
def test_a_damaged_description_of_the_frame_says_nothing(tmp_path: Path, described: bytes) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(TABLE.select(["a", "b"]).replace_schema_metadata({b"pandas": described}), path)
    assert read_data(path).feature_names == ("a", "b")


def test_a_file_of_nothing_but_an_index_has_no_features(tmp_path: Path) -> None:
    FRAME.set_index("b")[[]].to_parquet(tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r"no columns left for features: .* an index \('b'\)"):
        read_data(tmp_path / "data.parquet")


def test_row_numbers_that_became_a_column_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    FRAME.reset_index().to_parquet(path)
    with pytest.raises(DataError, match=r"'index' counts up by one.*features=\[\.\.\.\]; name it there"):
        read_data(path)
    assert read_data(path, features=["index"]).X.shape == (4, 1)


def test_a_table_that_was_made_of_a_frame_has_no_index_either(caplog: pytest.LogCaptureFixture) -> None:
    _say_left_out.cache_clear()
    frame = FRAME[FRAME.b > 1]
    table = pa.Table.from_pandas(frame)
    for value in (table, table.combine_chunks().to_batches()[0]):
        np.testing.assert_array_equal(as_features("X", value), frame.to_numpy(np.float32))
    targets = as_targets("y", table.select(["b", "__index_level_0__"]), 3)
    np.testing.assert_array_equal(targets.reshape(-1), frame.b)
    assert len(caplog.records) == 1
    assert "'__index_level_0__' of a pyarrow.Table is the index of the pandas frame" in caplog.text


# numpy files


@pytest.mark.parametrize("array", [X, np.asfortranarray(X.astype(np.float64))])
def test_an_npy_file_is_x(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "data.npy"
    np.save(path, array)
    data = read_data(path)
    np.testing.assert_array_equal(data.X, X)
    assert data.y is None and data.feature_names == ()


def test_the_array_does_not_change_with_its_npy_file(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, X)
    data = read_data(path)
    with path.open("r+b") as stream:
        stream.seek(-X.nbytes, os.SEEK_END)
        stream.write(bytes(X.nbytes))
    np.testing.assert_array_equal(data.X, X)


@pytest.mark.parametrize(("x", "y"), [("X", "y"), ("x", "y"), ("X_train", "y_train"), ("x_train", "y_train")])
def test_an_npz_file_holds_features_and_targets_by_name(tmp_path: Path, x: str, y: str) -> None:
    path = tmp_path / "data.npz"
    arrays: dict[str, Any] = {x: X, y: [0, 1, 0]}
    np.savez(path, **arrays)
    data = read_data(path)
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, [0, 1, 0])


def test_an_npz_file_may_hold_validation_data(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X_train=X, y_train=[0, 1, 0], X_val=X[:2], y_val=[1, 1])
    data = read_data(path)
    np.testing.assert_array_equal(data.X_val, X[:2])
    np.testing.assert_array_equal(data.y_val, [1, 1])


def test_a_single_array_of_any_name_is_x(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, sensors=X)
    np.testing.assert_array_equal(read_data(path).X, X)


def test_arrays_that_are_not_used_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=X, labels=[0, 1, 0])
    assert read_data(path).y is None
    assert "arrays 'labels' are not used" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [1]}, "none is named 'X'"),
        ({"a": X, "b": X}, "'a', 'b', and none is named 'X'"),
        ({"X": X, "X_train": X}, "both 'X' and 'X_train'"),
        ({"X": X, "y_val": [1]}, "'y_val' but no 'X_val'"),
        ({"X": X, "y": [1]}, r"y of data\.npz has 1 row "),
        ({"X": X[0]}, r"X of data\.npz has shape \(3,\)"),
        ({"X": np.array([["a"]])}, r"X of data\.npz has dtype <U1"),
    ],
)
def test_an_npz_file_that_is_not_data_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        read_data(path)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_python_objects_in_a_numpy_file_are_not_loaded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    objects = np.array([[{}]], dtype=object)
    np.savez(path, X=objects) if suffix == ".npz" else np.save(path, objects)
    with pytest.raises(DataTypeError, match="Python objects"):
        read_data(path)


def test_an_npz_file_named_npy_is_refused_with_the_right_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", X=X)
    (tmp_path / "data.npz").rename(tmp_path / "data.npy")
    with pytest.raises(DataError, match=r"Rename it to data\.npz"):
        read_data(tmp_path / "data.npy")


def test_columns_of_a_numpy_file_cannot_be_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=X)
    for chosen in ({"features": ["a"]}, {"target": ["a"]}):
        with pytest.raises(ArgumentError, match="no column names"):
            read_data(path, **chosen)
