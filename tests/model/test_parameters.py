"""scikit-learn's convention: parameters are read, set and cloned, and a fitted model stands in a pipeline."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from small_models import SmallModel, small_rows

from raygrid import AutoencoderResidualRegressor, GridSearchModel, MLPClassifier, Resources
from raygrid.errors import ArgumentError
from raygrid.zoo import MODELS

X = small_rows(60)


def built_in(name: str) -> Any:
    module, _, attribute = MODELS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def a_builder(config: Any, input_shape: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize("name", MODELS)
def test_a_built_in_model_is_cloned_with_all_its_arguments(name: str, tmp_path: Path) -> None:
    resources = Resources(2, 0.0, 1)
    model = built_in(name)(
        tmp_path / "models", "m", 0, seed=np.int64(7), scaler=None, resources=resources, max_points=9
    )
    params = model.get_params()
    assert params["model_dir"] == tmp_path / "models" and params["cache_prefix"] == "m"
    assert (params["seed"], params["scaler"], params["max_points"]) == (7, None, 9)
    cloned = clone(model)
    assert type(cloned) is type(model) and cloned is not model
    assert cloned.get_params() == params
    assert built_in(name)().get_params()["model_dir"] == Path("models").absolute()


def test_weights_of_classes_are_cloned(tmp_path: Path) -> None:
    for given in (None, "balanced", {"a": 2.0}, {np.int64(1): np.float32(2)}):
        assert clone(MLPClassifier(tmp_path, class_weight=given)).class_weight in (given, {1: 2.0})


def test_arguments_are_kept_as_they_were_given(tmp_path: Path) -> None:
    model = GridSearchModel(tmp_path, build_model=a_builder, target_scaler="standard")
    params = clone(model).get_params()
    assert (params["build_model"], params["scaler"], params["target_scaler"]) == (a_builder, "default", "standard")
    assert (model.scaler, model.scaler_kind, model.target_scaler_kind) == ("default", None, "standard")


def test_what_is_set_is_checked_and_what_was_fitted_stays(tmp_path: Path) -> None:
    model = SmallModel(tmp_path / "models", "small", 0)
    model.fit(X, model_config={"epochs": 1})
    fitted = model.best_model
    assert model.set_params(seed=3, scaler="standard") is model
    assert (model.seed, model.scaler, model.scaler_kind, model.cache_prefix) == (3, "standard", "standard", "small")
    assert model.best_model is fitted
    model.best_model = other = object()
    assert model.published.keras_model is other
    model.best_model = fitted
    with pytest.raises(ArgumentError, match="seed is 'x'"):
        model.set_params(max_points=5, seed="x")
    with pytest.raises(ArgumentError, match=r"SmallModel has no argument 'sed'\. Use one of .*Did you mean 'seed'"):
        model.set_params(max_points=5, sed=1)
    assert (model.seed, model.max_points) == (3, 10_000)
    # Another seed is another search, of which nothing is published.
    assert model.plan(X, param_grid={"epochs": [1]}, reset_experiment=True).plan.to_train == 1


def test_what_teacher_and_student_have_fitted_stays(tmp_path: Path) -> None:
    model = AutoencoderResidualRegressor(tmp_path, "pair", 0)
    model.train_autoencoder(X, autoencoder_config={"encoder_layers": [3], "latent_dim": 2, "epochs": 1})
    model.fit(X, model_config={"hidden_layers": [3], "epochs": 1})
    before = model.predict(X)
    model.set_params(max_points=7, seed=3)
    assert (model.autoencoder.max_points, model.regressor.seed, model.get_params()["seed"]) == (7, 3, 3)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.autoencoder_residuals(X).shape == (len(X),)
    with pytest.raises(ArgumentError, match="seed is 'x'"):
        model.set_params(seed="x")
    np.testing.assert_array_equal(model.predict(X), before)


def test_an_argument_that_a_subclass_does_not_keep_is_named(tmp_path: Path) -> None:
    class Forgetful(GridSearchModel):
        def __init__(self, *args: Any, alpha: float = 1.0, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.a = alpha

    with pytest.raises(ArgumentError, match=r"has the argument 'alpha' and keeps no .*self\.alpha = alpha"):
        Forgetful(tmp_path).get_params()


def test_a_fitted_model_predicts_at_the_end_of_a_pipeline(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    model = SmallModel(tmp_path / "models", "small", 0)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    model.fit(scaler.transform(X), model_config={"epochs": 1})
    check_is_fitted(model)
    pipeline = Pipeline([("scale", scaler), ("model", model)])
    np.testing.assert_array_equal(pipeline.predict(X), model.predict(scaler.transform(X)))
    assert pipeline.get_params()["model__seed"] == 0
    assert pipeline.set_params(model__verbose=1).get_params()["model__verbose"] == 1
