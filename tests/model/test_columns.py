"""A model with ``TAKES_COLUMNS``: it is given a table as a dict of its columns, each of its own type."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from models_of_commands import TakesColumns, TakesColumnsOfTwoTargets, mixed_columns

from raygrid import GridSearchModel
from raygrid.data.column_names import NamedArray
from raygrid.data.columns_apart import columns_apart
from raygrid.errors import DataError, DataTypeError

COLUMNS = mixed_columns()
INPUTS = ["size", "rooms", "new", "city"]
FRAME = pd.DataFrame(COLUMNS)


def arrow_with_dictionaries(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.schema.get_field_index("city")
    return pa.concat_tables(
        [part.set_column(at, "city", part.column("city").dictionary_encode()) for part in (table[:7], table[7:])]
    )


def nullable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.convert_dtypes()


def categorical(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(city=frame["city"].astype("category"))


TABLES = {
    "pandas": lambda frame: frame,
    "nullable": nullable,
    "categorical": categorical,
    "polars": lambda frame: pl.from_pandas(frame),
    "polars categories": lambda frame: pl.from_pandas(categorical(frame)),
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "arrow in two parts": arrow_with_dictionaries,
    "batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
}


@pytest.mark.parametrize("kind", TABLES)
def test_each_column_of_a_table_keeps_its_type(kind: str) -> None:
    found = columns_apart("X", TABLES[kind](FRAME[INPUTS]))
    assert isinstance(found, dict) and [*found] == INPUTS
    assert [found[name].dtype.kind for name in INPUTS] == ["f", "i", "b", "O"]
    for name in INPUTS:
        np.testing.assert_array_equal(found[name], COLUMNS[name])


def test_what_is_missing_in_texts_is_none() -> None:
    for table in (pa.table({"city": ["a", None, "a"]}), pl.DataFrame({"city": ["a", None, "a"]})):
        found = columns_apart("X", table)
        assert isinstance(found, dict)
        assert found["city"].tolist() == ["a", None, "a"]
        # A text that comes often is in memory once.
        assert found["city"][0] is found["city"][2]
    empty = columns_apart("X", pa.table({"city": pa.array([], pa.string())}))
    assert isinstance(empty, dict) and empty["city"].shape == (0,)


def test_the_columns_of_an_array_with_names() -> None:
    found = columns_apart("X", NamedArray(np.arange(6).reshape(3, 2), ("a", "b")))
    assert isinstance(found, dict)
    assert {name: column.tolist() for name, column in found.items()} == {"a": [0, 2, 4], "b": [1, 3, 5]}
    assert columns_apart("X", value := np.ones((3, 2))) is value
    assert columns_apart("X", value := {"a": np.ones(3)}) is value  # type: ignore[comparison-overlap]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TakesColumns:
    model = TakesColumns(tmp_path_factory.mktemp("models"), "columns", 0)
    model.fit(FRAME[INPUTS], y_train=FRAME["price"], model_config={})
    return model


def test_a_frame_is_trained_on_as_a_dict_of_its_columns(trained: TakesColumns) -> None:
    shapes = trained.published.manifest.input_shape
    assert shapes == {name: [] for name in INPUTS}
    dtypes = trained.published.manifest.input_dtypes
    assert dtypes == {"size": "float32", "rooms": "int32", "new": "bool", "city": "string"}
    # The same data in another form, and its columns in another order, is the same.
    for other in (FRAME[INPUTS[::-1]], pl.from_pandas(FRAME[INPUTS]), {name: COLUMNS[name] for name in INPUTS}):
        assert trained.plan(other, y_train=COLUMNS["price"], model_config={}).loads
    split = {"X_val": FRAME[INPUTS][32:], "y_val": FRAME["price"][32:]}
    assert trained.plan(FRAME[INPUTS][:32], y_train=FRAME["price"][:32], model_config={}, **split).loads
    validation = (FRAME[INPUTS][32:], FRAME["price"][32:])
    train = (FRAME[INPUTS][:32], FRAME["price"][:32])
    assert trained.plan(train, model_config={}, validation_data=validation).loads


@pytest.mark.parametrize("kind", TABLES)
def test_it_predicts_and_evaluates_tables_also_where_it_is_loaded(trained: TakesColumns, kind: str) -> None:
    x = {name: COLUMNS[name] for name in INPUTS}
    loaded = GridSearchModel.load(trained.model_dir, "columns", 0)
    for model in (trained, loaded):
        table = TABLES[kind](FRAME[INPUTS[::-1]])
        np.testing.assert_array_equal(model.predict(table), trained.predict(x))
        assert model.evaluate(table, COLUMNS["price"]) == trained.evaluate(x, COLUMNS["price"])


def test_other_columns_are_refused_by_name(trained: TakesColumns) -> None:
    with pytest.raises(DataError, match=r'X\["new"\] is missing; X\["old"\] is not in the training data'):
        trained.predict(FRAME[INPUTS].rename(columns={"new": "old"}))
    with pytest.raises(DataTypeError, match=r'X\["size"\] holds texts'):
        trained.predict(FRAME[INPUTS].assign(size="large"))


def test_data_without_names_of_columns_is_refused(tmp_path: Path) -> None:
    model = TakesColumns(tmp_path, "columns", 0)
    with pytest.raises(
        DataTypeError, match="X_train is a ndarray without names of columns, and TakesColumns takes"
    ) as e:
        model.fit(np.ones((8, 4)), y_train=np.ones(8), model_config={})
    assert str(e.value).endswith("Pass a DataFrame, a pyarrow.Table or a dict of columns.")
    with pytest.raises(DataTypeError, match="X_val is a ndarray"):
        model.fit(FRAME[INPUTS], np.ones((8, 4)), y_train=COLUMNS["price"], y_val=np.ones(8), model_config={})


def test_missing_texts_are_counted_and_dropped_as_numbers_are(tmp_path: Path) -> None:
    model = TakesColumns(tmp_path, "columns", 0)
    frame = FRAME.assign(city=FRAME["city"].where(FRAME.index > 1), size=FRAME["size"].where(FRAME.index != 5))
    with pytest.raises(DataError) as error:
        model.plan(frame[INPUTS], y_train=frame["price"], model_config={})
    assert 'X_train["city"] (shape (40,), dtype text) holds 2 values that are missing' in str(error.value)
    assert 'X_train["size"] (shape (40,), dtype float64) holds 1 value that is missing' in str(error.value)
    assert 'missing="drop") drops them and leaves 37 of 40 rows to train on' in str(error.value)
    whole = FRAME.drop(index=[0, 1, 5])
    dropped = model._checked_rows("drop", {}, X_train=frame[INPUTS], X_val=None, y_train=frame["price"])
    kept = model._checked_rows("error", {}, X_train=whole[INPUTS], X_val=None, y_train=whole["price"])
    assert dropped.digests() == kept.digests()


def test_labels_of_rows_are_compared_once_for_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = TakesColumns(tmp_path, "columns", 0)
    with pytest.raises(DataError, match="the rows of y_train have the labels of X_train in another order"):
        model.plan(FRAME[INPUTS], y_train=FRAME["price"][::-1], model_config={})
    caplog.set_level(logging.WARNING)
    model.plan(FRAME[INPUTS], y_train=FRAME["price"].rename(lambda label: label + 1), model_config={})
    assert caplog.text.count("have other labels than those of X_train") == 1


def test_targets_of_several_columns_are_a_dict_by_their_names(tmp_path: Path) -> None:
    model = TakesColumnsOfTwoTargets(tmp_path, "two", 0)
    targets = FRAME[["price", "rent"]]
    model.fit(FRAME[INPUTS], y_train=targets, model_config={})
    assert {*model.predict(FRAME[INPUTS])} == {"price", "rent"}
    as_dict = {name: COLUMNS[name] for name in ("price", "rent")}
    assert model.plan(FRAME[INPUTS], y_train=as_dict, model_config={}).loads
    assert model.evaluate(FRAME[INPUTS], targets) == model.evaluate(FRAME[INPUTS], as_dict)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice: Any = FRAME[["size", "size"]]
    with pytest.raises(DataError, match="X_train has more than one column named 'size'"):
        TakesColumns(tmp_path, "columns", 0).plan(twice, y_train=COLUMNS["price"], model_config={})
