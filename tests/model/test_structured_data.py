"""Whatever ``model.fit`` takes in memory: several inputs and outputs, images, texts and tokens, trained as it does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structured_models import (
    CITIES,
    Config,
    image_model,
    images,
    in_a_list_model,
    several,
    several_model,
    text_model,
    texts,
    token_model,
    tokens,
    with_added_loss,
)

from raygrid import GridSearchModel
from raygrid.errors import ArgumentError, DataError, DataTypeError, StaleCacheError

CONFIG: Config = {"units": 3, "rate": 0.01, "epochs": 3, "batch_size": 32}
SEED = 5


class Structured(GridSearchModel):
    DEFAULT_CONFIG = CONFIG


def searched(folder: Path, builder: Callable[..., Any], **settings: Any) -> GridSearchModel:
    return Structured(folder, "m", 0, build_model=builder, seed=SEED, shuffle=False, **settings)


def shapes(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: part.shape[1:] for name, part in x.items()}
    return [part.shape[1:] for part in x] if isinstance(x, list) else x.shape[1:]


def plain_fit(builder: Callable[..., Any], x: Any, y: Any, x_val: Any, y_val: Any, weights: Any = None) -> Any:
    """The ``val_loss`` of each epoch of ``model.fit``, without raygrid."""
    import keras
    import tensorflow as tf

    def fed(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fed(each) for name, each in part.items()}
        if isinstance(part, list):
            return [fed(each) for each in part]
        return tf.constant(part) if part.dtype.kind == "U" else part

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    model = builder(dict(CONFIG), shapes(x))
    history = model.fit(
        fed(x),
        fed(y),
        sample_weight=weights,
        validation_data=(fed(x_val), fed(y_val)),
        batch_size=CONFIG["batch_size"],
        epochs=CONFIG["epochs"],
        shuffle=False,
        verbose=0,
    )
    return history.history["val_loss"]


def rows_of(part: Any, rows: slice) -> Any:
    if isinstance(part, dict):
        return {name: each[rows] for name, each in part.items()}
    return [each[rows] for each in part] if isinstance(part, list) else part[rows]


def in_float32(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: in_float32(each) for name, each in part.items()}
    if isinstance(part, list):
        return [in_float32(each) for each in part]
    return part.astype(np.float32) if part.dtype.kind == "f" else part


def pair() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(120, 3)), rng.normal(size=(120, 2))], [rng.normal(size=120), rng.normal(size=(120, 2))]


def plane() -> tuple[Any, Any]:
    x = np.random.default_rng(2).normal(size=(120, 4)).astype(np.float32)
    return x, x


TRAIN, VAL = slice(0, 96), slice(96, 120)
CASES = {
    "dicts": (several_model, several),
    "lists": (in_a_list_model, pair),
    "images": (image_model, images),
    "tokens": (token_model, tokens),
    "texts": (text_model, texts),
    "own train_step": (with_added_loss, plane),
}


@pytest.mark.parametrize("case", CASES)
def test_each_epoch_has_the_val_loss_of_plain_keras(case: str, tmp_path: Path) -> None:
    builder, data = CASES[case]
    x, y = data()
    model = searched(tmp_path, builder)
    model.fit(rows_of(x, TRAIN), rows_of(x, VAL), y_train=rows_of(y, TRAIN), y_val=rows_of(y, VAL), model_config={})
    expected = plain_fit(builder, *(in_float32(rows_of(part, rows)) for rows in (TRAIN, VAL) for part in (x, y)))
    np.testing.assert_allclose(model.history["val_loss"], expected, rtol=1e-6)
    again = Structured.load(tmp_path, "m", 0, build_model=builder)
    if case == "own train_step":
        # It draws anew in each evaluation and prediction.
        assert again.predict(rows_of(x, VAL)).shape == (24, 4)
        return
    for one, other in zip(*(flat(each.predict(rows_of(x, VAL))) for each in (model, again)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    found = again.evaluate(rows_of(x, VAL), rows_of(y, VAL))["loss"]
    assert found == pytest.approx(model.best_metrics["val_loss"], rel=1e-5)


def flat(output: Any) -> list[Any]:
    if isinstance(output, dict):
        return [output[name] for name in sorted(output)]
    return output if isinstance(output, list) else [output]


def test_weights_by_output_count_as_in_keras(tmp_path: Path) -> None:
    x, y = several()
    rng = np.random.default_rng(3)
    weights = {"price": rng.random(96).astype(np.float32), "kind": rng.random(96).astype(np.float32)}
    model = searched(tmp_path, several_model)
    model.fit(
        rows_of(x, TRAIN),
        rows_of(x, VAL),
        y_train=rows_of(y, TRAIN),
        y_val=rows_of(y, VAL),
        sample_weight=weights,
        model_config={},
    )
    parts = (in_float32(rows_of(part, rows)) for rows in (TRAIN, VAL) for part in (x, y))
    np.testing.assert_allclose(model.history["val_loss"], plain_fit(several_model, *parts, weights), rtol=1e-6)


def test_the_same_data_may_be_passed_as_keras_users_write_it(tmp_path: Path) -> None:
    x, y = several()
    train, val = (rows_of(x, TRAIN), rows_of(y, TRAIN)), (rows_of(x, VAL), rows_of(y, VAL))
    searched(tmp_path, several_model).fit(train, val, model_config={})
    for call in (
        lambda model: model.fit(train[0], y_train=train[1], validation_data=val),
        lambda model: model.fit(train[0], val[0], y_train=train[1], y_val=val[1]),
        lambda model: model.fit(train, validation_data=val),
    ):
        model = searched(tmp_path, several_model)
        plan = model.plan(train, val)
        assert plan.loads, plan
        call(model)


def test_floats_of_several_inputs_are_scaled_and_predictions_are_in_original_units(tmp_path: Path) -> None:
    x, y = several()
    model = searched(tmp_path, several_model, scaler="standard", target_scaler={"price": "standard"})
    model.fit((x, y), model_config={"epochs": 60, "rate": 0.05, "units": 8})
    saved = json.loads((tmp_path / "m_scaler.json").read_text())
    assert saved["format"] == 3
    assert list(saved["inputs"]) == ["sensor"]
    assert list(saved["targets"]) == ["price"]
    for each in (model, Structured.load(tmp_path, "m", 0)):
        predicted = each.predict(x)
        assert np.abs(predicted["price"][:, 0] - y["price"]).mean() < 100
        assert np.abs(y["price"] - y["price"].mean()).mean() > 100
        assert 0 <= predicted["kind"].min() <= predicted["kind"].max() <= 1


def test_what_a_worker_holds_keeps_its_dtype(tmp_path: Path) -> None:
    x, y = several()
    model = searched(tmp_path, several_model)
    model.fit((x, y), model_config={})
    data = model.published.manifest.depends_on["data"]
    assert {name: entry["dtype"] for name, entry in data.items() if "train" in name} == {
        "x_train/city": "string",
        "x_train/image": "uint8",
        "x_train/sensor": "float32",
        "y_train/kind": "int32",
        "y_train/price": "float32",
    }


@pytest.mark.parametrize("part", ["sensor", "image", "city", "price", "kind"])
def test_one_changed_value_of_any_part_is_noticed(part: str, tmp_path: Path) -> None:
    x, y = several()
    searched(tmp_path, several_model).fit((x, y), model_config={"epochs": 1})
    changed_x, changed_y = dict(x), dict(y)
    for tree in (changed_x, changed_y):
        if part in tree:
            tree[part] = tree[part].copy()
            tree[part][3] = CITIES[0] + "!" if part == "city" else tree[part][3] + 1
    role = "x" if part in x else "y"
    with pytest.raises(StaleCacheError, match=rf"data {role}_train/{part}: was"):
        searched(tmp_path, several_model).fit((changed_x, changed_y))


def test_out_of_files_they_train_to_the_same_bits(tmp_path: Path) -> None:
    from raygrid import Resources

    x, y = several()
    in_memory = searched(tmp_path / "a", several_model)
    in_memory.fit((x, y), model_config={})
    in_files = searched(tmp_path / "b", several_model, resources=Resources(memory_gb=1e-6))
    in_files.fit((x, y), model_config={})
    np.testing.assert_allclose(in_files.history["val_loss"], in_memory.history["val_loss"], rtol=1e-6)


def test_a_frame_of_mixed_columns_is_a_dict_of_its_columns(tmp_path: Path) -> None:
    import pandas as pd

    x, y = several()
    frame = pd.DataFrame({"age": x["sensor"][:, 0], "city": x["city"]})

    def builder(config: Config, input_shape: dict[str, tuple[int, ...]]) -> Any:
        import keras

        assert input_shape == {"age": (), "city": ()}
        age = keras.Input((), name="age")
        city = keras.Input((), dtype="string", name="city")
        codes = keras.layers.StringLookup(vocabulary=list(CITIES), output_mode="one_hot")(city)
        inputs = keras.layers.Concatenate()([keras.layers.Reshape((1,))(age), codes])
        model = keras.Model({"age": age, "city": city}, keras.layers.Dense(1)(inputs))
        model.compile("adam", "mse")
        return model

    model = searched(tmp_path, builder, scaler="standard")
    model.fit(dict(frame), y_train=y["price"], model_config={"epochs": 1})
    assert model.predict(dict(frame)).shape == (120, 1)


def test_rows_that_are_drawn_to_validate_are_the_same_in_all_parts() -> None:
    from raygrid.data.training_data import prepare_data

    x = {"a": np.arange(40.0)[:, None], "b": np.arange(40)}
    data = prepare_data(x, y_train={"c": np.arange(40)}, shuffle_split=True, seed=3)
    assert data.x_val["a"][:, 0].tolist() == data.x_val["b"].tolist() == data.y_val["c"].tolist()
    assert sorted([*data.x_val["b"], *data.x_train["b"]]) == list(range(40))


X, Y = several(12)


@pytest.mark.parametrize(
    ("x", "x_val", "y", "error", "message"),
    [
        ({**X, "image": X["image"][:9]}, None, Y, DataError, r'X_train\["image"\] has 9 rows, and X_train\["city"\]'),
        (X, {"sensor": X["sensor"]}, Y, DataError, r'X_val does not have the parts of X_train: X_val\["city"\], X_val'),
        (X, X["sensor"], Y, DataError, "X_val is one array, and X_train has the parts 'city', 'image', 'sensor'"),
        (
            {**X, "city": np.arange(12)},
            X,
            Y,
            DataTypeError,
            r'X_val\["city"\] holds texts, and X_train\["city"\] numbers',
        ),
        (
            {**X, "city": [None, *X["city"][1:]]},
            None,
            Y,
            DataError,
            r'X_train\["city"\] .*holds 1 value that is missing',
        ),
        (
            {**X, "sensor": X["sensor"] * np.nan},
            None,
            Y,
            DataError,
            r'X_train\["sensor"\] .*36 values that are missing',
        ),
        (X, None, {"price": Y["price"][:5]}, DataError, r'y_train\["price"\] has 5 rows'),
        (X, None, {"price": X["city"]}, DataTypeError, r'y_train\["price"\] has dtype .*not numeric'),
        ({"a/b": X["sensor"]}, None, Y, DataTypeError, "X_train has the key 'a/b'"),
        ({}, None, Y, DataError, "X_train is an empty dict"),
        ([X["sensor"], 3.0], None, Y, DataTypeError, "X_train is a list of arrays, and holds a float at 1"),
        ([X["sensor"]] * 33, None, Y, DataError, r"X_train is a list of 33 arrays.*np\.stack\(X_train\)"),
        ((X["sensor"],) * 4, None, None, ArgumentError, "X_train is a tuple of 4"),
        (
            {"mixed": np.array(["a", 3], object)},
            None,
            Y,
            DataTypeError,
            r'X_train\["mixed"\] holds texts, and a int at 1',
        ),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_starts(
    x: Any, x_val: Any, y: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    y_val = None if x_val is None or y is None else Y
    with pytest.raises(error, match=message):
        searched(tmp_path, several_model).fit(x, x_val, y_train=y, y_val=y_val, param_grid={"units": [2, 3]})
    assert not list(tmp_path.iterdir())


def test_targets_in_the_place_of_validation_inputs_are_told_by_their_parts(tmp_path: Path) -> None:
    words, labels = texts(12)
    for x, second in ((X, Y), (X, Y["price"]), (X["sensor"], Y), (words, labels), (list(words), labels.reshape(-1, 1))):
        with pytest.raises(
            ArgumentError, match=r"does not have the parts of X_train\. If it holds the targets, pass it"
        ):
            searched(tmp_path, several_model).fit(x, second, model_config={})
    assert not list(tmp_path.iterdir())
    model = searched(tmp_path, text_model)
    model.fit(words[:9], words[9:], model_config={"epochs": 1}, y_train=labels[:9], y_val=labels[9:])
    assert model.predict(list(words[:2])).shape == (2, 1)


@pytest.mark.ray
def test_workers_train_as_this_process_does_and_resume(ray_session: None, tmp_path: Path) -> None:
    x, y = several()
    grid = {"units": [2, 3], "rate": [0.01, 0.02]}
    model = searched(tmp_path / "all", several_model)
    model.fit((x, y), param_grid=grid)
    rows = model.results.to_pylist()
    assert [row["status"] for row in rows] == ["done"] * 4
    for row in rows:
        alone = searched(tmp_path / f"{row['point']}", several_model)
        alone.fit((x, y), model_config={"units": row["config.units"], "rate": row["config.rate"]})
        assert alone.best_metrics is not None
        assert alone.best_metrics["val_loss"] == pytest.approx(row["val_loss"], rel=1e-6)
    # Grown by two points: what is there is not trained again, and one worker gives the same.
    from raygrid import Resources

    grown = searched(tmp_path / "all", several_model, resources=Resources(max_concurrent=1))
    plan = grown.plan((x, y), param_grid={**grid, "units": [2, 3, 4]})
    assert (len(plan.plan.done), plan.plan.to_train) == (4, 2)


def test_a_scaler_by_name_needs_parts_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="scaler names 'sensr', and X_train has no such part"):
        searched(tmp_path, several_model, scaler={"sensr": "standard"}).fit((X, Y), model_config={})
    with pytest.raises(ArgumentError, match=re.escape("scaler[\"sensor\"]='robust' is unknown")):
        searched(tmp_path, several_model, scaler={"sensor": "robust"})


def test_what_is_predicted_must_have_the_parts_of_the_training_data(tmp_path: Path) -> None:
    model = searched(tmp_path, several_model)
    model.fit((X, Y), model_config={"epochs": 1})
    with pytest.raises(DataError, match=r'X does not have the parts of the training data: X\["city"\] is missing'):
        model.predict({name: X[name] for name in ("sensor", "image")})
    with pytest.raises(DataError, match=r'X\["sensor"\] has rows of shape \(2,\), and the model was trained on rows'):
        model.predict({**X, "sensor": X["sensor"][:, :2]})
    with pytest.raises(DataTypeError, match=r'X\["city"\] holds numbers, and the model was trained on texts'):
        model.predict({**X, "city": np.arange(12)})
    with pytest.raises(DataError, match=r"y has the parts \['price'\], and the model was trained on the targets"):
        model.evaluate(X, {"price": Y["price"]})


def test_the_built_in_models_say_that_they_take_one_array(tmp_path: Path) -> None:
    from raygrid import MLPRegressor

    with pytest.raises(DataTypeError, match="X_train is a dict with the keys 'sensor', 'image', 'city'"):
        MLPRegressor(tmp_path, "m", 0).fit(X, y_train=Y["price"], model_config={})
