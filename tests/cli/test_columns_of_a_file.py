"""``raygrid search --data FILE`` with a class that takes its columns as they are: numbers, truth values and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import Command, write
from models_of_commands import TakesColumns, mixed_columns

from raygrid.base import memory
from raygrid.data.files.tables import read_data
from raygrid.errors import DataError, DataTypeError

INPUTS = ["size", "rooms", "new", "city"]
MODEL = ["--model", "models_of_commands:TakesColumns", "--config", "c.json", "--prefix", "own"]
FEATURES = ["--features", ",".join(INPUTS)]


def frame() -> pd.DataFrame:
    return pd.DataFrame(mixed_columns())


def write_as(path: Path, table: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_feather(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".categories.parquet", ".categories.feather"])
def test_the_columns_of_a_file_keep_their_types(tmp_path: Path, suffix: str) -> None:
    table = frame()
    if "categories" in suffix:
        table["city"] = table["city"].astype("category")
    path = write_as(tmp_path / f"homes{suffix}", table)
    read = read_data(path, target=["price", "rent"], apart=True)
    assert read.feature_names == tuple(INPUTS)
    assert {name: column.dtype.kind for name, column in read.X.items()} == dict(zip(INPUTS, "fibO", strict=True))
    for name in INPUTS:
        np.testing.assert_array_equal(read.X[name], table[name])
    assert isinstance(read.y, dict)
    for name in ("price", "rent"):
        np.testing.assert_allclose(read.y[name], table[name], rtol=1e-15)
    assert read_data(path, target=["price"], features=["city"], apart=True).y.shape == (40,)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_missing_texts_of_a_file_are_counted_with_all_else_that_is_missing_or_dropped(
    tmp_path: Path, suffix: str
) -> None:
    table = frame()
    table.loc[[3, 4], "city"] = None
    table["rooms"] = table["rooms"].astype("Int64")
    table.loc[6, "rooms"] = pd.NA
    path = write_as(tmp_path / f"homes{suffix}", table)
    with pytest.raises(DataError) as error:
        read_data(path, target=["price", "rent"], apart=True)
    message = str(error.value)
    assert f"column 'city' of {path.name} (shape (40,), dtype text) holds 2 values that are missing" in message
    assert f"column 'rooms' of {path.name} (shape (40,), dtype float64) holds 1 value that is missing" in message
    assert "leaves 37 of 40 rows to train on" in message
    read = read_data(path, target=["price", "rent"], apart=True, missing="drop")
    kept = table.drop(index=[3, 4, 6])
    assert read.X["city"].tolist() == kept["city"].tolist()
    # Whole numbers beside a missing one stay whole.
    assert read.X["rooms"].dtype == np.int64 and read.X["rooms"].tolist() == kept["rooms"].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_a_column_that_is_neither_is_refused(tmp_path: Path, suffix: str) -> None:
    table = frame().assign(day=pd.date_range("2024-01-01", periods=40, freq="D"))
    path = write_as(tmp_path / f"homes{suffix}", table)
    with pytest.raises(DataTypeError, match="columns that are neither numeric nor texts: 'day'") as error:
        read_data(path, target=["price"], apart=True)
    assert "Leave them out: choose columns with features=[...]. Or write them as numbers or texts" in str(error.value)
    with pytest.raises(DataTypeError, match="columns that are not numeric: 'city'"):
        read_data(path, features=INPUTS[:2], target=["city"], apart=True)


def test_a_file_without_names_of_columns_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 2)))
    with pytest.raises(DataError, match=r"a \.npy file has no column names, and the model takes its columns by name"):
        read_data(tmp_path / "x.npy", apart=True)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_texts_that_do_not_fit_into_the_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    texts = [f"{i} " * 100_000 for i in range(10, 30)]
    path = write_as(tmp_path / f"texts{suffix}", pd.DataFrame({"text": texts}))
    assert path.stat().st_size < 2_000_000
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000_000)
    with pytest.raises(DataError, match=r"would need about .* GiB of memory"):
        read_data(path, apart=True)


def test_texts_that_stand_for_missing_numbers_stay_texts_among_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1, none \n2,?\n3,-\n4,word\n")
    assert read_data(tmp_path / "t.csv", apart=True).X["b"].tolist() == ["none", "?", "-", "word"]


# The command


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "models" / "own_manifest.json").read_text())


def test_a_class_trains_on_the_columns_of_a_file_and_python_and_the_command_mean_the_same(
    command: Command, folder: Path
) -> None:
    write(folder, "c.json", "{}")
    write_as(folder / "homes.parquet", frame())
    ended = command("search", *MODEL, *FEATURES, "--data", "homes.parquet", "--target", "price")
    assert ended.code == 0, ended.err
    manifest = manifest_of(folder)
    assert manifest["input_shape"] == {name: [] for name in INPUTS}
    assert manifest["input_dtypes"] == {"size": "float32", "rooms": "int32", "new": "bool", "city": "string"}
    model = TakesColumns(folder / "models", "own", 0)
    assert model.plan(frame()[INPUTS], y_train=frame()["price"], model_config={}).loads

    again = command("search", *MODEL, *FEATURES, "--data", "homes.parquet", "--target", "price")
    assert "Loaded from cache" in again.err
    shown = command("show", "--prefix", "own")
    assert shown.code == 0, shown.err
    assert "\n  x_train/city       32  digest " in shown.out
    listed = command("results", "--prefix", "own")
    assert listed.code == 0 and "val_loss" in listed.out

    holes = frame()
    holes.loc[[3, 4], "city"] = None
    write_as(folder / "holes.csv", holes)
    ended = command("search", *MODEL, *FEATURES, "--data", "holes.csv", "--target", "price")
    assert ended.code == 2
    assert "--missing drop drops them and leaves 38 of 40 rows to train on" in ended.err
    dropped = command("search", *MODEL, *FEATURES, "--data", "holes.csv", "--target", "price", *DROPPED)
    assert dropped.code == 0, dropped.err
    assert "Rows with missing values are left out: 2 of 40 rows of holes.csv" in dropped.err


DROPPED = ["--missing", "drop", "--prefix", "dropped", "--shuffle-split"]


def test_several_targets_are_a_dict_by_column(command: Command, folder: Path) -> None:
    write(folder, "c.json", "{}")
    write_as(folder / "homes.csv", frame())
    two = ["--model", "models_of_commands:TakesColumnsOfTwoTargets", "--config", "c.json", "--prefix", "own"]
    ended = command("search", *two, "--data", "homes.csv", "--target", "price,rent")
    assert ended.code == 0, ended.err
    data = manifest_of(folder)["depends_on"]["data"]
    assert {name for name in data if name.startswith("y_train")} == {"y_train/price", "y_train/rent"}


def test_a_model_of_arrays_names_the_class_that_takes_texts(command: Command, folder: Path) -> None:
    write_as(folder / "homes.csv", frame())
    ended = command("search", "--data", "homes.csv")
    assert ended.code == 2
    assert "'city' (string, such as " in ended.err
    assert "Or take the columns as they are in a class with TAKES_COLUMNS = True." in ended.err


def test_a_numpy_file_has_no_columns_to_take(command: Command, folder: Path) -> None:
    write(folder, "c.json", "{}")
    np.savez(folder / "a.npz", X=np.ones((8, 4)), y=np.ones(8))
    ended = command("search", *MODEL, "--data", "a.npz")
    assert ended.code == 2
    assert "a .npz file has no column names" in ended.err
