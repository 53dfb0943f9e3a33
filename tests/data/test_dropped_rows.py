"""Rows with missing values, dropped: out of all that belongs to them, and as if they had never been there."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raygrid.data.checks import is_mapped
from raygrid.data.column_names import NamedArray
from raygrid.data.dropped_rows import check_missing, drop_missing
from raygrid.data.files.tables import read_data
from raygrid.data.training_data import prepare_data
from raygrid.errors import ArgumentError, DataError, DataTypeError

NAN, INF = np.nan, np.inf
X = np.array([[0.0, 1], [2, NAN], [4, 5], [6, 7], [INF, 9], [10, 11]])
# Of the rows of X, these have all their values.
WHOLE = [0, 2, 3, 5]


def write(table: pd.DataFrame, path: Path) -> None:
    {".csv": lambda: table.to_csv(path, index=False), ".parquet": lambda: table.to_parquet(path)}.get(
        path.suffix, lambda: table.to_feather(path)
    )()


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], **columns})


@pytest.mark.parametrize(
    "value",
    [
        X,
        X.astype(np.float32),
        np.asfortranarray(X),
        X.tolist(),
        frame(),
        frame().astype("Float64"),
        pl.DataFrame({"a": X[:, 0], "b": X[:, 1]}),
        pl.DataFrame({"a": X[:, 0], "b": [1, None, 5, 7, 9, 11]}),
        pa.table({"a": X[:, 0], "b": X[:, 1]}),
        pa.table({"a": pa.array(X[:, 0]), "b": pa.array([1, None, 5, 7, 9, 11])}),
        pa.RecordBatch.from_pydict({"a": X[:, 0], "b": X[:, 1]}),
        NamedArray(X, ("a", "b")),
        np.ma.MaskedArray(np.nan_to_num(X, posinf=0), mask=~np.isfinite(X)),
        np.repeat(X[:, np.newaxis], 3, axis=1),
    ],
    ids=lambda value: type(value).__module__.partition(".")[0] + " " + type(value).__name__,
)
def test_whatever_holds_rows_loses_those_with_a_missing_value(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    kept = drop_missing({"X_train": value, "validation_split": 0.25})
    rows = X[WHOLE] if getattr(value, "ndim", 2) == 2 else np.repeat(X[WHOLE][:, np.newaxis], 3, axis=1)
    np.testing.assert_array_equal(prepare_data(**kept).x_train, rows[:3])
    assert kept["validation_split"] == 0.25
    assert "Rows with missing values are left out: 2 of 6 rows for training. Missing: " in caplog.text
    assert len(caplog.records) == 1 and "of X_train (" in caplog.text
    assert np.isnan(X[1, 1]) and len(value) == 6


def test_what_belongs_to_a_row_goes_with_it_in_training_and_in_validation(caplog: pytest.LogCaptureFixture) -> None:
    given = {
        "X_train": frame(),
        "y_train": [1, 2, 3, None, 5, 6],
        "sample_weight": np.array([1, 1, NAN, 1, 1, 1]),
        "X_val": np.array([[1.0, 2], [3, 4], [5, 6]]),
        "y_val": pd.Series([1, 2, 3]),
        "val_sample_weight": np.ma.MaskedArray([1.0, 1, 1], mask=[True, False, False]),
    }
    kept = drop_missing(given)
    assert kept["X_train"].index.tolist() == [0, 5]
    assert kept["y_train"] == [1, 6] and kept["sample_weight"].tolist() == [1, 1]
    assert kept["X_val"].tolist() == [[3, 4], [5, 6]] and kept["y_val"].tolist() == [2, 3]
    data = prepare_data(**kept)
    assert data.y_train is not None and data.y_train.dtype == np.int32
    assert caplog.messages == [
        "Rows with missing values are left out: 4 of 6 rows for training and 1 of 3 rows for validation. Missing: "
        "column 'a' of X_train (1), column 'b' of X_train (1), column 0 of y_train (1), column 0 of sample_weight (1), "
        "column 0 of val_sample_weight (1)."
    ]


@pytest.mark.parametrize(
    "labels",
    [
        ["on", None, "off", "on", "off", NAN],
        np.array(["on", None, "off", "on", "off", NAN], object),
        pd.Series(["on", None, "off", "on", "off", pd.NA]),
        pd.Series(["on", None, "off", "on", "off", None], dtype="category"),
        pa.array(["on", None, "off", "on", "off", None]),
        pa.chunked_array([["on", None], ["off", "on", "off", None]]),
        pl.Series(["on", None, "off", "on", "off", None]),
    ],
    ids=lambda value: type(value).__module__.partition(".")[0] + " " + type(value).__name__,
)
def test_labels_may_be_missing_too(labels: Any) -> None:
    kept = drop_missing({"X_train": np.ones((6, 1)), "y_train": labels})
    assert list(np.asarray(kept["y_train"])) == ["on", "off", "on", "off"] and len(kept["X_train"]) == 4


def test_times_may_be_missing_too() -> None:
    ids = np.array(["2020-01-01", "NaT", "2020-01-02"], "datetime64[D]")
    kept = drop_missing({"X_train": np.ones((3, 1)), "run_ids": ids})
    assert kept["run_ids"].tolist() == ids[[0, 2]].tolist()


def test_the_data_is_what_it_would_be_if_the_rows_had_not_been_there() -> None:
    whole = pd.DataFrame({"id": [1, 2, 3, 4], "v": [1.5, 2, 3, 4]})
    holed = pd.DataFrame({"id": pd.array([1, None, 2, 3, 4], "Int64"), "v": [1.5, 9, 2, 3, 4]})
    y, y_holed = pd.Series([0, 1, 0, 1]), pd.Series(pd.array([0, 1, 1, 0, 1], "Int64"))
    for columns in (["id", "v"], ["id"]):
        kept = drop_missing({"X_train": holed[columns], "y_train": y_holed})
        assert prepare_data(**kept).digests() == prepare_data(whole[columns], y_train=y).digests()


def test_where_nothing_is_missing_everything_is_the_very_same(caplog: pytest.LogCaptureFixture) -> None:
    given = {"X_train": X[WHOLE], "y_train": ["a", "b", "a", "b"], "X_val": None, "seed": 3}
    kept = drop_missing(given)
    assert all(kept[name] is value for name, value in given.items()) and caplog.messages == []


@pytest.mark.parametrize(
    "given",
    [
        {"X_train": X, "y_train": np.zeros(5)},
        {"X_train": [[1.0, NAN], [2.0]]},
        {"X_train": iter([NAN])},
        {"X_train": "table.csv"},
        {"X_train": np.empty((0, 2))},
        {"X_train": 3.0},
    ],
)
def test_what_the_checks_refuse_is_left_to_them(given: dict[str, Any]) -> None:
    kept = drop_missing(given)
    assert all(kept[name] is value for name, value in given.items())
    with pytest.raises(DataError):
        prepare_data(**kept)


def test_an_array_in_a_file_stays_in_one(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    kept = drop_missing({"X_train": np.load(tmp_path / "x.npy", mmap_mode="r")})
    assert is_mapped(kept["X_train"])
    np.testing.assert_array_equal(kept["X_train"], X[WHOLE])


def test_it_is_refused_where_no_row_would_be_left() -> None:
    with pytest.raises(DataError) as caught:
        drop_missing({"X_train": frame(c=NAN), "X_val": X})
    assert str(caught.value) == (
        "the training data has a missing value in each of its 6 rows, so that none would be left: column 'a' of "
        "X_train (1), column 'b' of X_train (1), column 'c' of X_train (6). Leave columns out that are mostly empty, "
        "or fill the values."
    )
    with pytest.raises(DataError, match=r"^the validation data has a missing value in each of its 6 rows"):
        drop_missing({"X_train": X, "X_val": np.full((6, 1), INF)})


# Rows that follow each other


def holed(*rows: int) -> np.ndarray[Any, Any]:
    x = np.arange(12.0).reshape(6, 2)
    x[list(rows), 0] = NAN
    return x


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ((0, 1), None),
        ((5,), None),
        ((0, 5), None),
        ((0, 2, 3, 5), [1, 1, 1, 2, 2, 2]),
        ((2, 3), ["a", "a", "b", "b", "c", "c"]),
        ((2,), ["a", "a", None, "b", "b", "b"]),
    ],
)
def test_rows_at_the_ends_of_runs_are_dropped_and_so_are_whole_runs(rows: tuple[int, ...], ids: Any) -> None:
    given = {"X_train": holed(*rows)} | ({} if ids is None else {"run_ids": ids})
    assert len(drop_missing(given, in_series=True)["X_train"]) == 6 - len(rows)


@pytest.mark.parametrize(
    ("rows", "ids", "first"),
    [
        ((2,), None, 2),
        ((2, 3), None, 2),
        ((0, 4), [1, 1, 1, 2, 2, 2], 4),
        # The runs at its sides have the same id, and would become one.
        ((2, 3), ["a", "a", "b", "b", "a", "a"], 2),
        ((), ["a", "a", None, "a", "a", "a"], 2),
    ],
)
def test_a_row_within_a_run_is_never_dropped(rows: tuple[int, ...], ids: Any, first: int) -> None:
    given = {"X_train": holed(*rows)} | ({} if ids is None else {"run_ids": ids})
    with pytest.raises(
        DataError, match=rf"^the training data has missing values in row {first}, within a run: without"
    ):
        drop_missing(given, in_series=True)
    of_validation = {"X_train": holed(), "X_val": given["X_train"], "val_run_ids": given.get("run_ids")}
    with pytest.raises(DataError, match=r"^the validation data has missing values in row .*Fill the values, or give"):
        drop_missing(of_validation, in_series=True)
    if ids is None:
        assert len(drop_missing(given)["X_train"]) == 6 - len(rows)


# What the error says of it


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"X_train": X}, "drops them and leaves 4 of 6 rows to train on."),
        ({"X_train": X[:, 1:], "y_train": [1, 2, 3, 4, NAN, 6]}, "drops them and leaves 4 of 6 rows to train on."),
        ({"X_train": X[WHOLE], "X_val": X}, "drops them and leaves 4 of 6 rows to validate with."),
        ({"X_train": frame(c=NAN)}, "would leave no row to train on."),
        (
            {"X_train": X, "run_ids": list("aaabbb")},
            "drops them, unless they lie within a run, and leaves 4 of 6 rows to t",
        ),
    ],
)
def test_the_error_says_what_would_be_left(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare_data(**given)
    assert f'fit(..., missing="drop") {said}' in str(caught.value)


@pytest.mark.parametrize("value", ["fill", None, True, 0])
def test_any_other_way_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"missing is .* Pass 'error' to refuse them, or 'drop'"):
        check_missing(value)


# Files

CSV = "a,b,kind,run\n1,2,on,r\n3,,off,r\n5,6,,r\n7,8,on,r\n,10,on,s\n"


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_rows_of_a_file_are_dropped_as_they_are_read(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"plant_val.{kind}"
    write(pd.read_csv(io.StringIO(CSV)).astype({"a": "Int64", "b": "Int64"}), path)
    left = r"column 'a' \(1\), column 'b' \(1\)\. .*read_data\(.*\) drops them and leaves 3 of 5"
    with pytest.raises(DataError, match=left):
        read_data(path, features=["a", "b"])
    with pytest.raises(DataError, match=r"'a' \(1\)|column 'kind' has 1 missing value\. .*; read_data\(.*\) does\."):
        read_data(path, features=["a"], labels=["kind"])
    data = read_data(path, features=["a"], target=["b"], labels=["kind"], missing="drop")
    assert data.X.tolist() == [[1], [7]] and data.X.dtype == np.int64
    assert data.y is not None and data.y.tolist() == [2, 8] and data.y.dtype == np.int32
    assert data.labels["kind"].tolist() == ["on", "on"]
    assert caplog.messages[-1] == (
        f"Rows with missing values are left out: 3 of 5 rows of {path}. Missing: column 'a' of {path.name} (1), "
        f"column 'b' of {path.name} (1), column 'kind' of {path.name} (1)."
    )
    with pytest.raises(DataError, match=rf"^{path} has missing values in row 1, within a run"):
        read_data(path, features=["a", "b"], labels=["run"], missing="drop", in_series=["run"])
    assert len(read_data(path, features=["a"], labels=["run"], missing="drop", in_series=["run"]).X) == 4
    assert len(read_data(path, features=["a"], missing="drop", in_series=[]).X) == 4


def test_rows_of_numpy_files_are_dropped_from_training_and_validation_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.savez(tmp_path / "d.npz", X=X, y=[1, 2, 3, NAN, 5, 6], X_val=X[WHOLE], y_val=[1, 2, NAN, 4])
    data = read_data(tmp_path / "d.npz", missing="drop")
    assert data.X.tolist() == X[[0, 2, 5]].tolist() and data.y is not None and data.y.tolist() == [1, 3, 6]
    assert data.X_val is not None and len(data.X_val) == 3
    assert [message.partition(". Missing")[0] for message in caplog.messages] == [
        f"Rows with missing values are left out: 3 of 6 rows of {tmp_path / 'd.npz'}",
        f"Rows with missing values are left out: 1 of 4 rows of the validation data of {tmp_path / 'd.npz'}",
    ]
    with pytest.raises(DataError, match="leaves 3 of 6 rows to train on and 3 of 4 rows to validate with"):
        read_data(tmp_path / "d.npz")
    np.save(tmp_path / "x.npy", X)
    assert len(read_data(tmp_path / "x.npy", missing="drop").X) == 4
    with pytest.raises(DataError, match="leaves 4 of 6 rows"):
        read_data(tmp_path / "x.npy")


# Columns that are no numbers


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "frame", "polars", "category"])
def test_a_column_of_texts_is_named_with_three_of_its_values_and_what_to_do(tmp_path: Path, kind: str) -> None:
    texts = ["low", None, "low", "mid", "high", "top"]
    table = pd.DataFrame({"a": range(6), "level": texts})
    path = tmp_path / f"t.{kind}"
    frames = {"frame": table, "category": table.astype({"level": "category"})}
    frames["polars"] = pl.DataFrame({"a": range(6), "level": texts})
    if kind not in frames:
        write(table, path)
    with pytest.raises(DataTypeError) as caught:
        prepare_data(frames[kind]) if kind in frames else read_data(path)
    message = str(caught.value)
    assert "columns that are not numeric: 'level' (" in message
    assert ", such as 'low', 'mid', 'high'). Leave the" in message
    assert "ncode them" in message and "TAKES_COLUMNS = True" in message


def test_nothing_is_said_at_the_level_of_progress(caplog: pytest.LogCaptureFixture) -> None:
    drop_missing({"X_train": X})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
