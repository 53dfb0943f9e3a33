"""``plan`` says what ``fit`` with the same arguments does, whatever is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SmallModel
from trained_models import CONFIG, OTHER, X_VAL, X, small_model, trained_copy

from raygrid import AutoencoderDetector, AutoencoderResidualRegressor
from raygrid.cli.reports import print_plan
from raygrid.errors import CorruptArtifactError, GridError, NotFittedError, StaleCacheError
from raygrid.store.resets import begin_reset


class OtherCode(SmallModel):
    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = super().build_model(config, input_shape)
        model.optimizer.learning_rate = 0.5
        return model


# What is asked, whether it is loaded, and how many points are to train.
CASES: list[tuple[dict[str, Any], bool, int]] = [
    ({}, True, 0),
    ({"model_config": CONFIG}, True, 0),
    ({"model_config": CONFIG, "reset_experiment": True}, False, 1),
]


@pytest.mark.parametrize(("asked", "loads", "to_train"), CASES, ids=str)
def test_a_plan_is_what_a_fit_then_does(
    asked: dict[str, Any], loads: bool, to_train: int, tmp_path: Path, recorded: list[str]
) -> None:
    trained_copy(tmp_path / "models")
    # The first copy of all is trained.
    recorded.clear()
    model, _ = small_model(tmp_path / "models")
    planned = model.plan(X, X_VAL, **asked)
    assert (planned.loads, planned.plan.to_train, planned.retrained) == (loads, to_train, None)
    assert recorded == []
    model.fit(X, X_VAL, **asked)
    assert len(recorded) == to_train
    assert model.plan(X, X_VAL, **{**asked, "reset_experiment": False}).loads


def test_another_point_is_trained_and_the_first_once_more_since_its_weights_are_gone(
    tmp_path: Path, recorded: list[str]
) -> None:
    trained_copy(tmp_path / "models")
    model, _ = small_model(tmp_path / "models")
    recorded.clear()
    planned = model.plan(X, X_VAL, model_config=OTHER)
    assert (planned.loads, planned.plan.to_train, planned.retrained) == (False, 1, None)
    assert recorded == []
    model.fit(X, X_VAL, model_config=OTHER)
    assert recorded == [point.key for point in planned.plan.points]
    assert model.plan(X, X_VAL, model_config=OTHER).loads
    recorded.clear()
    planned = model.plan(X, X_VAL, model_config=CONFIG)
    assert (planned.loads, planned.plan.to_train) == (False, 0)
    assert planned.retrained == planned.plan.points[0]
    model.fit(X, X_VAL, model_config=CONFIG)
    assert recorded == [planned.retrained.key]


@pytest.mark.parametrize(
    ("cls", "settings", "data", "what"),
    [
        (OtherCode, {}, X, "code: was"),
        (SmallModel, {"seed": 1}, X, "setting seed: was 0, now 1"),
        (SmallModel, {}, X[:-1], "data x_train: was"),
    ],
)
def test_what_is_stale_for_a_fit_is_stale_for_a_plan(
    cls: type[SmallModel], settings: dict[str, Any], data: Any, what: str, tmp_path: Path
) -> None:
    trained_copy(tmp_path / "models")
    model, _ = small_model(tmp_path / "models", cls, **settings)
    errors = []
    for call in (model.plan, model.fit):
        with pytest.raises(StaleCacheError, match=what) as caught:
            call(data, X_VAL, model_config=CONFIG)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert model.plan(data, X_VAL, model_config=CONFIG, reset_experiment=True).plan.to_train == 1


def test_what_is_damaged_for_a_fit_is_damaged_for_a_plan(tmp_path: Path) -> None:
    trained_copy(tmp_path / "models").model_path.write_bytes(b"no model")
    model, _ = small_model(tmp_path / "models")
    for call in (model.plan, model.fit):
        with pytest.raises(CorruptArtifactError, match=r"small_model\.keras is damaged"):
            call(X, X_VAL)


def test_a_reset_that_was_killed_is_planned_as_it_goes_on(tmp_path: Path) -> None:
    trained_copy(tmp_path / "models")
    model, _ = small_model(tmp_path / "models")
    asked: dict[str, Any] = {"model_config": CONFIG, "reset_experiment": True}
    first = model.plan(X, X_VAL, **asked)
    assert first.plan.to_train == 1
    assert not (tmp_path / "models/small_runs/reset.json").exists()

    from raygrid.model.fit_call import asked_digest

    experiment = begin_reset(first.run.paths, asked_digest(first.run.identity, first.run.request))
    assert model.plan(X, X_VAL, **asked).run.experiment == experiment
    asked["model_config"] = OTHER
    assert model.plan(X, X_VAL, **asked).run.experiment != experiment


def test_a_plan_without_a_default_grid_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="'epoch' is not a hyperparameter"):
        SmallModel(tmp_path, "small", 0).plan(X, param_grid={"epoch": [1]})


def test_another_quantile_publishes_anew_without_training(tmp_path: Path, recorded: list[str]) -> None:
    config = {"encoder_layers": [3], "latent_dim": 2, "epochs": 1}
    AutoencoderDetector(tmp_path, "small", 0, quantile=0.9).fit(X, X_VAL, model_config=config)
    recorded.clear()
    other = AutoencoderDetector(tmp_path, "small", 0, quantile=0.8)
    planned = other.plan(X, X_VAL)
    assert (planned.loads, planned.plan.to_train, planned.retrained) == (False, 0, None)
    other.fit(X, X_VAL)
    assert recorded == []
    assert other.plan(X, X_VAL).loads


def test_a_student_is_planned_on_the_residuals_of_its_teacher(tmp_path: Path) -> None:
    teacher = {"encoder_layers": [3], "latent_dim": 2, "epochs": 1}
    student = {"hidden_layers": [3], "epochs": 1}
    both = AutoencoderResidualRegressor(tmp_path, "both", 0)
    with pytest.raises(NotFittedError, match="there is no autoencoder yet"):
        both.plan(X, X_VAL, model_config=student)
    both.train_autoencoder(X, X_VAL, autoencoder_config=teacher)
    assert both.plan(X, X_VAL, model_config=student).plan.to_train == 1
    both.fit(X, X_VAL, model_config=student)

    fresh = AutoencoderResidualRegressor(tmp_path, "both", 0)
    assert fresh.autoencoder.plan(X, X_VAL).loads
    assert fresh.plan(X, X_VAL).loads
    fresh.train_autoencoder(X, X_VAL, autoencoder_config={**teacher, "latent_dim": 1})
    with pytest.raises(StaleCacheError, match="the teacher 'both_autoencoder' is another one than the saved student"):
        fresh.plan(X, X_VAL)


# What --plan prints


def test_a_plan_in_words_says_what_is_loaded_and_what_is_trained_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = trained_copy(tmp_path / "models")
    model, _ = small_model(tmp_path / "models")
    print_plan(model.plan(X, X_VAL), 2)
    counts = "points          1\nalready done    1\nto train        0\n"
    assert capsys.readouterr().out == f"{counts}nothing to do   {paths.model_path} is what is asked for; it is loaded\n"

    more = {"hidden": [(3, 2), (5,)], "epochs": [2]}
    assert model.plan(X, X_VAL, param_grid=more).retrained is None
    for weights in paths.points_dir.glob("*.npz"):
        weights.unlink()
    print_plan(model.plan(X, X_VAL, param_grid={"hidden": [(3, 2)], "epochs": [2]}), 2)
    again = "once more       point 0, the best so far: its weights were not kept\n"
    assert capsys.readouterr().out == counts + again
    print_plan(model.plan(X, X_VAL, param_grid=more), 1)
    assert re_printed(capsys.readouterr().out) == [
        "points          2",
        "already done    1",
        "to train        1",
        "once more       point 0, the best so far: its weights were not kept, unless a new point is better",
    ]


def re_printed(text: str) -> list[str]:
    """The lines of a plan without the estimate, which depends on the machine."""
    *lines, last = text.splitlines()
    assert last.startswith("estimated time  at most ") and " on 1 worker (" in last
    return lines


def test_a_plan_of_rows_counts_as_a_fit_of_the_same_table_does(tmp_path: Path) -> None:
    model = SmallModel(tmp_path / "models", "small", 0)
    assert model.plan(X.astype(np.float64), model_config=CONFIG).plan.to_train == 1
