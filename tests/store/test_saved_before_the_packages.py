"""A model folder of the commit before the modules moved: it loads, goes on and grows, and no key has changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repository import ROOT
from small_models import SmallModel, small_rows

from raygrid import GridSearchModel, MLPRegressor
from raygrid.errors import StaleCacheError
from raygrid.model import grid_search_model
from raygrid.search.winner import train_config

X, X_VAL = small_rows(), small_rows(60, seed=1)
Y = {"y_train": X[:, 0] * 3 + 1, "y_val": X_VAL[:, 0] * 3 + 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Here, without workers: what is looked at is which points are trained.
    monkeypatch.setattr(grid_search_model, "search_grid", train_config)
    return Path(shutil.copytree(ROOT / "tests/data/saved_before_the_packages", tmp_path / "models"))


def small(folder: Path, prefix: str = "small", **settings: Any) -> GridSearchModel:
    return SmallModel(folder, prefix, 0, **settings)


def test_the_same_grid_loads(folder: Path) -> None:
    grid = {"hidden": [[3], [2]], "epochs": [2]}
    assert small(folder, scaler="standard").plan(X, X_VAL, param_grid=grid).loads


def test_the_points_of_a_built_in_model_whose_methods_changed_are_taken_over(folder: Path) -> None:
    grid = {"hidden_layers": [[3], [2]], "epochs": [2], "dropout": [0.0]}
    asked: dict[str, Any] = {"param_grid": grid, **Y}
    model = MLPRegressor(folder, "built_in", 0)
    with pytest.raises(StaleCacheError, match=r"code: was raygrid\.zoo\.mlp_regressor:MLPRegressor"):
        model.plan(X, X_VAL, **asked)
    assert model.plan(X, X_VAL, **asked, accept_code_change=True).plan.to_train == 0
    model.fit(X, X_VAL, **asked, accept_code_change=True)
    assert np.isfinite(model.predict(X_VAL)).all()
    assert model.plan(X, X_VAL, **asked).loads


def test_a_grid_that_grows_trains_only_what_is_new(folder: Path) -> None:
    grown = {"hidden": [[3], [2], [5]], "epochs": [2]}
    model = small(folder, scaler="standard")
    assert model.plan(X, X_VAL, param_grid=grown).plan.to_train == 1
    before = {path.name for path in (folder / "small_runs/points").glob("*.json")}
    model.fit(X, X_VAL, param_grid=grown)
    after = {path.name for path in (folder / "small_runs/points").glob("*.json")}
    assert before < after and len(after) == 3


def test_a_search_that_was_killed_goes_on(folder: Path) -> None:
    grid = {"hidden": [[3], [2], [4]], "epochs": [2]}
    model = small(folder, "killed")
    assert model.plan(X, X_VAL, param_grid=grid).plan.to_train == 1
    model.fit(X, X_VAL, param_grid=grid)
    assert len(model.results) == 3
    assert small(folder, "killed").plan(X, X_VAL, param_grid=grid).loads
