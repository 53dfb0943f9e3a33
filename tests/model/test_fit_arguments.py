"""Calls that other libraries' users write: refused before anything starts, with the call that does what was meant."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_models import SmallModel, small_rows

from raygrid import (
    Autoencoder,
    AutoencoderDetector,
    AutoencoderResidualRegressor,
    GridSearchModel,
    MLPClassifier,
    MLPRegressor,
)
from raygrid.errors import ArgumentError, DataError

X = small_rows(60)
Y = X @ np.array([1, 2, 3, 4], np.float32)


def refused(model: Any, *args: Any, method: str = "fit", **kwargs: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        getattr(model, method)(*args, **kwargs)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    yield tmp_path / "models"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("objective", "the point with the lowest val_loss is chosen."),
        ("monitor", "look at model.results"),
        ("scoring", "fit(..., model_config={...})"),
        ("epochs", "belongs in the grid, such as {'epochs': [...]}, or in the single config, such as {'epochs': ...}"),
        ("hidden", "belongs in the grid, such as {'hidden': [...]}"),
        ("patience", "belongs in the grid, such as {'patience': [...]}"),
        ("seed", "it is a setting of the model: SmallModel(..., seed=...)"),
        ("verbose", "it is a setting of the model: SmallModel(..., verbose=...)"),
        ("y", "pass the targets as y_train=..."),
        ("x_train", "pass the inputs as X_train=..., or first"),
        ("y_trian", "y_train, y_val. Did you mean 'y_train'?"),
        ("colour", "its arguments are X_train, X_val, "),
    ],
)
def test_an_unknown_keyword_is_answered_with_what_to_do(folder: Path, name: str, advice: str) -> None:
    message = refused(SmallModel(folder), X, **{name: None})
    assert message.startswith(f"fit has no argument {name}: ")
    assert advice in message
    assert ", self" not in message


def test_all_unknown_keywords_are_named_at_once_and_by_every_method(folder: Path) -> None:
    for method in ("fit", "plan", "confirm"):
        message = refused(SmallModel(folder), X, method=method, initial_epoch=3, validation_data=(X, Y))
        assert [line.partition(":")[0] for line in message.splitlines()] == [
            f"{method} has no argument initial_epoch",
        ]
    assert "plan(..., model_config={...})" in refused(SmallModel(folder), X, method="plan", scoring="r2")
    # What other methods pass to the checks of the data is no argument of theirs.
    for name in ("seed", "kept"):
        message = refused(SmallModel(folder), X, method="plan", **{name: 1})
        assert message.startswith(f"plan has no argument {name}: it")
    assert "setting of the model: AutoencoderDetector(..., quantile=...)" in refused(
        AutoencoderDetector(folder), X, quantile=0.9
    )
    message = refused(AutoencoderResidualRegressor(folder), X, method="train_autoencoder", callbacks=[])
    assert message.startswith("train_autoencoder has no argument callbacks: it trains two models")
    assert "setting of the model: AutoencoderResidualRegressor(..., seed=...)" in refused(
        AutoencoderResidualRegressor(folder), X, seed=1
    )


def test_the_signature_stays_that_of_the_pattern() -> None:
    names = list(inspect.signature(GridSearchModel.fit).parameters)
    assert names[:6] == ["self", "X_train", "X_val", "param_grid", "model_config", "reset_experiment"]


@pytest.mark.parametrize(
    "y", [Y, Y.tolist(), pd.Series(Y), ["low", "high"] * 30], ids=["array", "list", "series", "text"]
)
def test_targets_in_second_place_are_answered_with_the_call_to_write(folder: Path, y: Any) -> None:
    for model in (MLPRegressor(folder), MLPClassifier(folder), SmallModel(folder)):
        message = refused(model, X, y)
        assert "is X_val, the inputs for validation; it is of shape (60,), which has no features." in message
        assert "If it holds the targets, pass it by name: fit(X_train, y_train=...)." in message


def test_one_feature_and_its_targets_are_not_taken_for_validation_rows(folder: Path) -> None:
    for model in (MLPRegressor(folder), SmallModel(folder)):
        for y in (Y.reshape(-1, 1), pd.DataFrame({"y": Y}), Y.reshape(-1, 1).tolist()):
            message = refused(model, X[:, :1], y)
            assert "of shape (60, 1), the shape of X_train, so it may be meant as targets" in message
            assert "fit(X_train, y_train=...)" in message
            assert "fit(X_train, X_val=...)" in message


def test_several_targets_in_second_place_are_refused_too(folder: Path) -> None:
    message = refused(SmallModel(folder), X, X[:, :2], method="plan")
    assert "second argument of plan is X_val" in message
    assert "of shape (60, 2), with as many rows as X_train, which has shape (60, 4), but not its features" in message


def test_clean_rows_for_noisy_ones_are_not_taken_for_validation_rows(folder: Path) -> None:
    noisy = X + np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    assert "so it may be meant as targets" in refused(SmallModel(folder), noisy, X)
    for model in (Autoencoder(folder), AutoencoderResidualRegressor(folder)):
        message = refused(model, noisy, X)
        assert "its rows follow those of X_train one by one (correlation 0." in message
        assert f"{type(model).__name__} learns to reproduce X_train and takes no targets" in message
        assert "fit(X_train, X_val=...)" in message
    assert "one by one (correlation 1.00)" in refused(Autoencoder(folder), X, X)


def test_data_in_the_place_of_the_grid_is_refused(folder: Path) -> None:
    message = refused(SmallModel(folder), X, Y, X[:20], Y[:20])
    assert message == (
        "the third argument of fit is the grid, and a ndarray is given. Pass data by name: "
        "fit(X_train, X_val=..., y_train=..., y_val=...)."
    )


def test_real_validation_rows_go_second(folder: Path) -> None:
    config = {"epochs": 1}
    for X_val in (small_rows(20, 1), small_rows(61, 1)):
        assert SmallModel(folder).plan(X, X_val, None, config).plan.to_train == 1
    # As many rows, of a model that takes no targets, in rows that have nothing to do with each other.
    assert Autoencoder(folder).plan(X, small_rows(60, 1), None, config).plan.to_train == 1
    # What is constant, or of two rows, says nothing of what follows what.
    for rows in (np.ones((5, 4)), np.arange(8.0).reshape(2, 4)):
        assert Autoencoder(folder).plan(rows, rows + 100, None, config).plan.to_train == 1
    # With targets given by name, or by name itself, it can only be meant so.
    assert SmallModel(folder).plan(X, X, None, config, y_train=Y, y_val=Y).plan.to_train == 1
    assert SmallModel(folder).plan(X, X_val=X, model_config=config).plan.to_train == 1


def test_what_is_no_array_of_numbers_in_second_place_is_left_to_the_checks_of_the_data(folder: Path) -> None:
    with pytest.raises(DataError, match="X_val is a list that numpy cannot turn into an array"):
        Autoencoder(folder).plan(X, [[1, 2], [3]])
    with pytest.raises(DataError, match="X_val has dtype <U1"):
        Autoencoder(folder).plan(X, np.full(X.shape, "a"))


def test_a_model_with_targets_says_how_to_pass_them(folder: Path) -> None:
    assert "Pass them as y_train: fit(X, y_train=y)" in refused(MLPRegressor(folder), X)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"callbacks": []}, "Autoencoder has no setting callbacks: it is an argument of fit: fit(..., callbacks=...)."),
        (
            {"latent_dim": 8},
            "latent_dim: it is a hyperparameter, which belongs in the grid, such as {'latent_dim'",
        ),
        ({"y_train": [1]}, r"y_train: it is an argument of fit: fit(..., y_train=...)."),
        ({"sed": 1}, "Did you mean 'seed'?"),
        ({"sed": 1, "epochs": 3}, "epochs: it is a hyperparameter"),
    ],
)
def test_an_unknown_setting_is_answered_with_what_would_be_meant(
    tmp_path: Path, settings: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(advice)):
        Autoencoder(tmp_path, **settings)


# Callbacks


def a_callback() -> Any:
    import keras

    return keras.callbacks.ReduceLROnPlateau()


class WithList(SmallModel):
    callbacks = [1]  # type: ignore[assignment]  # noqa: RUF012


FIX = "Pass a function that makes new ones for each point: callbacks=lambda config: [...]."


@pytest.mark.parametrize("method", ["fit", "plan", "confirm"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: a_callback(), "callbacks holds instances (ReduceLROnPlateau), which the points of a grid"),
        (
            lambda: [a_callback()],
            "callbacks holds instances (ReduceLROnPlateau), which the points of a grid",
        ),
        (lambda: type(a_callback()), "callbacks is the class ReduceLROnPlateau, not a function of a config."),
        (list, "callbacks is [], not a function of a config."),
        (lambda: "plateau", "callbacks is 'plateau', not a function of a config."),
        (lambda: list.append, "callbacks takes (self, object, /), and is called with one argument"),
        (lambda: lambda: [], "callbacks takes (), and is called with one argument, the config of a point"),
    ],
)
def test_callbacks_that_are_no_function_of_a_config_are_refused(
    folder: Path, method: str, given: Any, told: str
) -> None:
    message = refused(SmallModel(folder), X, method=method, callbacks=given())
    assert message.startswith(told)
    assert message.endswith(FIX)


def test_callbacks_of_a_class_must_be_a_method(folder: Path) -> None:
    for method in ("fit", "plan", "confirm"):
        assert refused(WithList(folder), X, method=method) == (
            "WithList.callbacks is [1], not a function of a config. Define a method in its place: "
            "def callbacks(self, config): return [...]."
        )


def test_the_teacher_and_student_say_where_callbacks_go(folder: Path) -> None:
    for method in ("fit", "plan", "confirm", "train_autoencoder"):
        message = refused(AutoencoderResidualRegressor(folder), X, method=method, callbacks=lambda config: [])
        assert message.startswith(f"{method} has no argument callbacks: it trains two models, without callbacks.")
