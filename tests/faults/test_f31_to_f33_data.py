"""f31, f32, f33: data that cannot be trained on is refused by name; every layout of equal values is the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused_by_fit
from small_models import WIDTH, SmallModel, small_rows

from raygrid.data.training_data import prepare_data
from raygrid.errors import ArgumentError, DataError, DataTypeError, StaleCacheError

X = small_rows(60)
Y = X[:, 0] * 2
VAL = {"X_val": small_rows(20, seed=1), "y_val": small_rows(20, seed=1)[:, 0]}
CONFIG = {"model_config": {"epochs": 1}}


def holed(array: np.ndarray[Any, Any], *holes: tuple[Any, ...], value: float = np.nan) -> np.ndarray[Any, Any]:
    """A copy with ``value`` at each of ``holes``."""
    copy = np.array(array, np.float64)
    for hole in holes:
        copy[hole] = value
    return copy


# f31


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "data", "columns"),
    [
        ("X_train", {"X_train": ((3, 1), (59, 1), (7, 3))}, "column 1 (2), column 3 (1)"),
        ("X_val", {"X_val": ((0, 0), (19, 2))}, "column 0 (1), column 2 (1)"),
        ("y_train", {"y_train": ((5,), (6,))}, "column 0 (2)"),
        ("y_val", {"y_val": ((5,),)}, "column 0 (1)"),
        ("sample_weight", {"sample_weight": ((5,), (9,), (11,))}, "column 0 (3)"),
        ("val_sample_weight", {"val_sample_weight": ((5,),)}, "column 0 (1)"),
    ],
)
def test_f31_what_is_not_finite_is_counted_by_column(
    tmp_path: Path, name: str, data: dict[str, Any], columns: str, value: float
) -> None:
    right = {"X_train": X, "y_train": Y, "sample_weight": np.ones(60), "val_sample_weight": np.ones(20), **VAL}
    given_ = right | {key: holed(right[key], *holes, value=value) for key, holes in data.items()}
    count = len(next(iter(data.values())))
    for asked in (CONFIG, {"param_grid": {"hidden": [[2], [3]]}}):
        message = refused_by_fit(tmp_path, DataError, **given_, **asked)
        shape = given_[name].shape
        values = "1 value that is" if count == 1 else f"{count} values that are"
        rows = shape[0]
        left = f"{rows - count} of {rows} rows to {'validate with' if 'val' in name else 'train on'}"
        assert message == (
            f"{name} (shape {shape}, dtype float64) holds {values} missing, NaN or infinite: {columns}. "
            f'Drop the rows, or fill the values, before training. fit(..., missing="drop") drops them and leaves '
            f"{left}."
        )
    assert issubclass(DataError, ValueError)


def test_f31_what_is_missing_in_several_arrays_is_told_at_once(tmp_path: Path) -> None:
    given_ = {"X_train": holed(X, (3, 1)), "y_train": holed(Y, (5,)), **VAL, "y_val": holed(VAL["y_val"], (1,), (2,))}
    message = refused_by_fit(tmp_path, DataError, **given_, **CONFIG)
    assert message.count("; ") == 2
    for name, column in (("X_train", "column 1 (1)"), ("; y_train", "column 0 (1)"), ("; y_val", "column 0 (2)")):
        assert f"{name} (shape" in message and column in message


def test_f31_only_the_first_columns_are_named(tmp_path: Path) -> None:
    message = refused_by_fit(tmp_path, DataError, np.full((10, 9), np.nan), **CONFIG)
    assert "holds 90 values" in message
    assert "column 4 (10) and 4 more columns" in message and "column 5" not in message


def test_f31_the_columns_of_a_table_have_their_names(tmp_path: Path) -> None:
    frame = pd.DataFrame(holed(X, (3, 1), (4, 1)), columns=["temp", "flow", "p", "q"])
    for table in (frame, pa.Table.from_pandas(frame)):
        assert "'flow' (2)." in refused_by_fit(tmp_path, DataError, table, **CONFIG)


def test_f31_a_value_too_large_for_float32_is_refused_where_it_is_not_scaled(tmp_path: Path) -> None:
    large = holed(X, (3, 1), value=1e39)
    message = refused_by_fit(tmp_path, DataError, large, **CONFIG)
    assert message == (
        "X_train (shape (48, 4), dtype float64) holds 1 value that is finite, but too large for float32, which ends at "
        "3.4e38: column 1 (1). Divide these columns by a constant."
    )
    message = refused_by_fit(tmp_path, DataError, X, y_train=holed(Y, (3,), value=1e39), **CONFIG)
    assert message.startswith("y_train (shape (48,), dtype float64) holds 1 value")
    assert SmallModel(tmp_path / "models", "small", 0, scaler="standard").plan(large, **CONFIG).plan.to_train == 1


# f32


@pytest.mark.parametrize(
    ("bad", "error", "parts"),
    [
        (X.astype(object), DataTypeError, ("dtype object", "(60, 4)", "Convert the values to numbers")),
        (X.astype(str), DataTypeError, ("holds texts, and ",)),
        (X.astype(complex), DataTypeError, ("dtype complex128", "(60, 4)", "real and the imaginary part")),
        (X.astype("datetime64[s]"), DataTypeError, ("dtype datetime64[s]", "(60, 4)", "timedelta64")),
        ("plant.csv", DataTypeError, ("the text 'plant.csv'", "pandas.read_csv")),
        (X[:, 0], DataError, ("shape (60,)", "float32", ".reshape(-1, 1)")),
        (X[:0], DataError, ("shape (0, 4)", "float32", "no rows")),
        (X[:, :0], DataError, ("shape (60, 0)", "float32", "no features")),
        (np.float32(1), DataError, ("shape ()", "float32")),
        ([[1.0, 2.0], [3.0]], DataError, ("list", "rows all have the same shape")),
        (np.ma.MaskedArray(X, mask=X > 1), DataError, ("(60, 4)", "float32", "values that are masked: column")),
        ([X, 3.0], DataTypeError, ("is a list of arrays, and holds a float at 1",)),
    ],
)
def test_f32_features_that_cannot_be_are_named_with_shape_and_dtype(
    tmp_path: Path, bad: Any, error: type[DataError], parts: tuple[str, ...]
) -> None:
    for name, data in (("X_train", {"X_train": bad}), ("X_val", {"X_train": X, "X_val": bad})):
        message = refused_by_fit(tmp_path, error, **data, **CONFIG)
        assert message.startswith(name)
        assert all(part in message for part in parts)
    assert issubclass(DataTypeError, TypeError)


def test_f32_another_width_of_the_validation_data_is_named_with_both(tmp_path: Path) -> None:
    message = refused_by_fit(tmp_path, DataError, X, X[:, :3], **CONFIG)
    assert "X_train has rows of shape (4,) and X_val of (3,)" in message


@pytest.mark.parametrize(
    ("y", "error", "parts"),
    [
        (np.array(["a", "b"] * 30), DataTypeError, ("dtype <U1", "(60,)", "np.unique(y, return_inverse=True)")),
        (Y.astype(object), DataTypeError, ("dtype object", "(60,)")),
        (Y.astype(complex), DataTypeError, ("dtype complex", "(60,)")),
        (Y[:-1], DataError, ("59 rows", "(59,)", "float32", "60 rows")),
        (Y[:0], DataError, ("0 rows", "(0,)")),
        (np.zeros((60, 0)), DataError, ("(60, 0)", "no targets")),
        (np.full(60, 2**63, np.uint64), DataError, ("uint64", "beyond int64")),
    ],
)
def test_f32_targets_that_cannot_be_are_named_with_shape_and_dtype(
    tmp_path: Path, y: Any, error: type[DataError], parts: tuple[str, ...]
) -> None:
    message = refused_by_fit(tmp_path, error, X, y_train=y, **CONFIG)
    assert message.startswith("y_train")
    assert all(part in message for part in parts)


@pytest.mark.parametrize("labels", [["low", "high"] * 30, np.array(["low", "high"] * 30)])
def test_f32_class_labels_may_be_text(tmp_path: Path, labels: Any) -> None:
    from raygrid import MLPClassifier

    plan = MLPClassifier(tmp_path / "models", "c", 0).plan(X, y_train=labels, model_config={"epochs": 1}).plan
    assert plan.to_train == 1


def test_f32_arguments_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    for asked in ({"y_val": Y}, {"X_val": X, "y_train": Y}, {"X_val": X, "y_val": Y}, {"validation_split": 1.5}):
        refused_by_fit(tmp_path, ArgumentError, X, **asked, **CONFIG)


# f33


KINDS = ["<f4", ">f4", "<f8", ">f8", "<f2", "<i8", ">i8", "<i4", ">i2", "<u2", "u1", "i1"]


def laid_out(values: np.ndarray[Any, Any], kind: str, layout: str, writeable: bool) -> np.ndarray[Any, Any]:
    """The same values in another layout in memory."""
    if layout == "fortran":
        array = np.asfortranarray(values.astype(kind))
    elif layout in ("every second row", "every second column"):
        axis = layout.endswith("column")
        array = np.repeat(values.astype(kind), 2, axis=int(axis))
        array = array[:, ::2] if axis else array[::2]
    elif layout == "backwards":
        array = values[::-1, ::-1].astype(kind).copy()[::-1, ::-1]
    elif layout == "unaligned":
        dtype = np.dtype(kind)
        buffer = np.zeros(values.size * dtype.itemsize + 1, np.uint8)
        array = buffer[1:].view(dtype).reshape(values.shape)
        array[...] = values
    elif layout == "field of records":
        records = np.zeros(values.shape, [("other", "u1"), ("value", kind)])
        records["value"] = values
        array = records["value"]
    else:
        array = values.astype(kind)
    array.flags.writeable = writeable
    return array


LAYOUTS = ["plain", "fortran", "every second row", "every second column", "backwards", "unaligned", "field of records"]


@settings(deadline=None)  # the machine may be busy
@given(
    values=st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=4, max_size=12),
    kind=st.sampled_from(KINDS),
    layout=st.sampled_from(LAYOUTS),
    writeable=st.booleans(),
)
def test_f33_every_layout_of_the_same_values_is_the_same_data(
    values: list[list[int]], kind: str, layout: str, writeable: bool
) -> None:
    plain = np.array(values, np.float32)
    array = laid_out(plain, kind, layout, writeable)
    targets = laid_out(plain[:, :1], kind, layout, writeable)[:, 0]
    weights = plain[:, 1] + 1
    before = array.tobytes(), targets.tobytes()

    weighted = laid_out(weights.reshape(-1, 1), kind, layout, writeable)[:, 0]
    data = prepare_data(array, y_train=targets, sample_weight=weighted)
    cut = len(data.x_train)
    for found, expected in (
        (data.x_train, plain[:cut]),
        (data.x_val, plain[cut:]),
        (data.w_train, weights[:cut]),
        (data.y_train, plain[:cut, 0]),
    ):
        assert found is not None
        np.testing.assert_array_equal(found, expected)
        assert found.dtype.isnative
    # Whole numbers stay whole where they are targets, since they may be classes.
    whole = np.dtype(kind).kind != "f"
    same = prepare_data(plain, y_train=plain[:, 0].astype(np.int32) if whole else plain[:, 0], sample_weight=weights)
    assert data.digests(scaler="standard") == same.digests(scaler="standard")
    assert (array.tobytes(), targets.tobytes()) == before
    assert array.flags.writeable is writeable


@pytest.mark.parametrize("kind", [kind for kind in KINDS if np.dtype(kind).isnative and kind != "<f2"])
@pytest.mark.parametrize("layout", ["plain", "fortran", "every second row", "backwards"])
def test_f33_what_is_of_a_native_dtype_is_taken_as_it_is(kind: str, layout: str) -> None:
    train, val = (laid_out(np.round(x * 10), kind, layout, False) for x in (X + 10, small_rows(20, seed=1) + 10))
    data = prepare_data(train, val)
    assert data.x_train is train and data.x_val is val
    data = prepare_data(train)
    # The split is two views of it.
    assert np.shares_memory(data.x_train, train) and np.shares_memory(data.x_val, train)


def test_f33_fit_trains_the_same_model_of_every_layout_and_changes_no_data(tmp_path: Path) -> None:
    # Whole numbers have no negative zero, which floats tell apart from zero.
    values = np.round(X * 10) + 0.0
    assert values.shape == (60, WIDTH)
    model = SmallModel(tmp_path / "models", "small", 0, scaler="standard")
    model.fit(values, model_config={"epochs": 1})
    for kind, layout in (("<f8", "fortran"), (">i8", "every second row"), ("<f4", "backwards"), (">f4", "unaligned")):
        array = laid_out(values, kind, layout, writeable=False)
        before = array.tobytes()
        again = SmallModel(tmp_path / "models", "small", 0, scaler="standard")
        again.fit(array, model_config={"epochs": 1})
        # Loaded, not trained: it is the same data.
        assert again.published.manifest.generation == model.published.manifest.generation
        assert array.tobytes() == before
    for changed in (values.astype(np.float64), values.astype(np.int64) * 2**40 + 1):
        changed[7, 1] += 1e-9 if changed.dtype == np.float64 else 1
        with pytest.raises(StaleCacheError, match="data x_train: was"):
            SmallModel(tmp_path / "models", "small", 0, scaler="standard").fit(changed, model_config={"epochs": 1})
