"""``callbacks`` of a class or of ``fit``: they train, and their code is part of what a model depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_models import CallbackModel, SmallModel, dense_model, falling_rate, noted_rates, small_rows
from trained_models import small_model

from raygrid import GridSearchModel, MLPRegressor
from raygrid.errors import ArgumentError, StaleCacheError
from raygrid.identity.code_digest import builder_digest, with_callbacks

X, X_VAL = small_rows(60), small_rows(20, seed=1)
CONFIG = {"hidden": (2,), "epochs": 3}


def rising_rate(config: Any) -> list[Any]:
    import keras

    return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 2)]


def digest(model: GridSearchModel, **given: Any) -> str:
    """The digest of the code of a call."""
    from raygrid.base.types import FitFunctions
    from raygrid.model.grid_search_model import _call_options

    options = _call_options(False, True, False, FitFunctions(given.get("callbacks")))
    return model._call(options, None, CONFIG, X, X_VAL).identity.code["digest"]


def test_the_method_of_a_class_trains_and_what_it_adds_is_in_the_history(tmp_path: Path) -> None:
    model = CallbackModel(tmp_path, "m", 0)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert model.history["learning_rate"] == pytest.approx([0.01, 0.005, 0.0025])
    assert model.best_metrics is not None
    assert model.best_metrics["learning_rate"] == pytest.approx(0.01 * 0.5 ** (model.best_metrics["best_epoch"] - 1))


def test_the_function_of_fit_takes_the_place_of_the_method(tmp_path: Path) -> None:
    for model in (CallbackModel(tmp_path, "m", 0), SmallModel(tmp_path, "s", 0)):
        model.fit(X, X_VAL, model_config=CONFIG, callbacks=rising_rate)
        assert model.history["learning_rate"] == pytest.approx([0.02, 0.04, 0.08])


def test_other_callbacks_make_a_saved_model_stale_and_the_same_ones_load_it(tmp_path: Path) -> None:
    model, begun = small_model(tmp_path)
    model.fit(X, X_VAL, model_config=CONFIG, callbacks=falling_rate)
    model.fit(X, X_VAL, model_config=CONFIG, callbacks=falling_rate)
    assert model.plan(X, X_VAL, callbacks=falling_rate).loads
    assert len(begun) == 1
    for other in ({"callbacks": rising_rate}, {}):
        with pytest.raises(StaleCacheError, match=r"code: was small_models:SmallModel \(\w+\), now small_models:Small"):
            model.plan(X, X_VAL, **other)
    with pytest.raises(StaleCacheError, match="code: was"):
        model.confirm(X, X_VAL)
    # Who knows that the change alters nothing says so.
    model.fit(X, X_VAL, accept_code_change=True)
    assert model.plan(X, X_VAL).loads
    assert len(begun) == 1


def test_the_code_of_callbacks_counts_wherever_they_are_given(tmp_path: Path) -> None:
    small, own = SmallModel(tmp_path, "a", 0), CallbackModel(tmp_path, "b", 0)
    function = GridSearchModel(tmp_path, "c", 0, build_model=dense_model)
    of_both = CallbackModel(tmp_path, "d", 0, build_model=dense_model)
    given = [None, falling_rate, rising_rate, lambda config: []]
    found = [digest(model, callbacks=callbacks) for model in (small, own, function, of_both) for callbacks in given]
    assert len(set(found)) == len(found)


def test_without_callbacks_the_digest_is_that_of_the_builder_alone(tmp_path: Path) -> None:
    assert digest(SmallModel(tmp_path, "a", 0)) == builder_digest(SmallModel)
    assert digest(GridSearchModel(tmp_path, "c", 0, build_model=dense_model)) == builder_digest(dense_model)


def test_a_built_in_model_that_has_callbacks_would_have_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    def callbacks(self: Any, config: Any) -> list[Any]:
        return [1]

    def others(self: Any, config: Any) -> list[Any]:
        return [2]

    # Where the code of a function is, its globals say.
    import types

    from raygrid.zoo import mlp_regressor

    digests = [builder_digest(MLPRegressor)]
    for function in (callbacks, others):
        moved = types.FunctionType(function.__code__, vars(mlp_regressor), "callbacks")
        monkeypatch.setattr(MLPRegressor, "callbacks", moved)
        digests.append(builder_digest(MLPRegressor))
    assert len(set(digests)) == 3


def test_a_digest_with_callbacks_is_pinned() -> None:
    # A changed digest costs users a training of all points. Of a function that Ray does not replace, as it does print.
    assert with_callbacks("0" * 32, len) == "afbb962a54a3c6db0b75c7f7a40a4a7d"


def test_a_method_of_the_model_itself_can_be_given(tmp_path: Path) -> None:
    model = CallbackModel(tmp_path, "m", 0)
    model.fit(X, X_VAL, model_config=CONFIG, callbacks=model.twice_as_fast)
    assert model.history["learning_rate"] == pytest.approx([0.01, 0.0025, 0.000625])
    from raygrid.base.types import FitFunctions

    definition = model._bare_definition(FitFunctions(model.twice_as_fast))
    assert definition.callbacks is not None
    assert definition.callbacks.__self__._published is None  # type: ignore[attr-defined]


def test_instances_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="would share"):
        SmallModel(tmp_path / "new", "m", 0).fit(X, X_VAL, model_config=CONFIG, callbacks=falling_rate(CONFIG))
    assert not (tmp_path / "new").exists()


@pytest.mark.ray
def test_on_ray_each_point_has_callbacks_of_its_own_and_ends_as_if_trained_here(
    ray_session: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from raygrid.progress.listeners import tell_left_out

    tell_left_out.cache_clear()
    grid = {"hidden": [(2,), (3,)], "epochs": [5], "learning_rate": [0.5]}
    searched = SmallModel(tmp_path, "searched", 1)
    searched.fit(X, X_VAL, param_grid=grid, callbacks=noted_rates)
    assert len(searched.results) == 2
    assert caplog.text.count("Callbacks that do not run: EarlyStopping (") == 1
    for row in searched.results.to_pylist():
        alone = SmallModel(tmp_path, f"alone_{row['point']}", 0)
        config = {"hidden": tuple(row["config.hidden"]), "epochs": 5, "learning_rate": 0.5}
        alone.fit(X, X_VAL, model_config=config, callbacks=noted_rates)
        assert alone.best_metrics is not None
        assert alone.best_metrics["val_loss"] == row["val_loss"]
        assert alone.history["rate_now"] == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.03125])
    best = searched.history["rate_now"]
    assert best == alone.history["rate_now"]
