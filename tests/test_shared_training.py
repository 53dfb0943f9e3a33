"""Points that only stop elsewhere are trained once, and each ends as if it had been trained alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import dense_model, small_rows

from raygrid.plan import Point, make_plan
from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.watched_config import WatchedConfig

STOPS = [(12, None), (12, 1), (12, 3), (5, None), (1, 1), (5, 2)]
# Steps this large make val_loss go up and down, so that patience decides.
CONFIG = {"hidden": (8,), "learning_rate": 0.5, "activation": "relu", "batch_size": 16}


def points(config: dict[str, Any] = CONFIG) -> list[Point]:
    return [
        Point(n, {**config, "epochs": epochs, "patience": patience}, 0, f"key{n}")
        for n, (epochs, patience) in enumerate(STOPS)
    ]


def arrays() -> TrainingArrays:
    rows = small_rows()
    return TrainingArrays(rows[:150], None, rows[150:], None)


def train(asked: list[Point], build: Any = dense_model, shuffle: bool = True) -> dict[str, Any]:
    """What a training of all ``asked`` points gives, by key."""
    from raygrid.training import train_points

    finished: list[Any] = []
    train_points(build, asked, "c", arrays(), TrainSettings(shuffle), device="CPU", on_finished=finished.append)
    return {trained.record.key: trained for trained in finished}


def bits(weights: list[np.ndarray] | None) -> list[bytes] | None:
    return None if weights is None else [weight.tobytes() for weight in weights]


def test_shared_points_end_as_if_trained_alone_to_the_last_bit() -> None:
    together = train(points())
    alone = {key: trained for point in points() for key, trained in train([point]).items()}
    assert together.keys() == alone.keys()
    for key, expected in alone.items():
        found = together[key]
        assert found.record.history == expected.record.history
        assert found.record.metrics == expected.record.metrics
        assert (found.record.best_epoch, found.record.epochs_run) == (
            expected.record.best_epoch,
            expected.record.epochs_run,
        )
        assert bits(found.weights) == bits(expected.weights)
    # Otherwise the stops would not have been told apart.
    assert len({trained.record.epochs_run for trained in alone.values()}) >= 4


def test_a_record_says_whose_training_it_shared() -> None:
    asked = points()
    assert {t.record.trained_with for t in train(asked).values()} == {"key0"}
    assert train(asked[:1])["key0"].record.trained_with is None


def test_one_training_answers_all_points() -> None:
    builds = []

    def build(config: Any, shape: tuple[int, ...]) -> Any:
        builds.append(config)
        return dense_model(config, shape)

    train(points(), build)
    # One to see what the builder reads, one to train.
    assert len(builds) == 2


@pytest.mark.parametrize("reads", ["by name", "all of it", "as a dict"])
def test_a_builder_that_reads_when_to_stop_is_trained_for_each_point(reads: str) -> None:
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        if reads == "by name":
            width = config["epochs"]
        elif reads == "all of it":
            width = dict(**config)["epochs"]
        else:
            width = (config | {})["epochs"]
        return dense_model({**{name: config[name] for name in CONFIG}, "hidden": (width,)}, shape)

    asked = [points()[3], points()[4]]
    together = train(asked, build)
    assert {trained.record.trained_with for trained in together.values()} == {None}
    for point in asked:
        assert bits(together[point.key].weights) == bits(train([point], build)[point.key].weights)


def test_an_error_of_the_builder_is_recorded_for_every_point() -> None:
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        raise ZeroDivisionError("no model today")

    records = [trained.record for trained in train(points(), build).values()]
    assert len(records) == len(STOPS)
    assert all(r.status == "failed" and "no model today" in r.error for r in records)


def test_points_that_diverge_together_are_each_recorded() -> None:
    records = [t.record for t in train(points({**CONFIG, "learning_rate": 1e30})).values()]
    assert [r.status for r in records] == ["diverged"] * len(STOPS)


def test_the_plan_makes_one_trial_of_points_that_only_stop_elsewhere() -> None:
    others = points({**CONFIG, "learning_rate": 0.1})
    plan = make_plan([*points(), *others], {}, items=lambda config: 160)
    assert [len(trial.points) for trial in plan.trials] == [6, 6]
    assert [trial.steps for trial in plan.trials] == [120, 120]
    other_seed = [Point(9, points()[0].config, 1, "other seed")]
    assert len(make_plan([*points(), *other_seed], {}, items=lambda config: 160).trials) == 2


def test_points_that_are_done_are_not_trained_again_with_their_siblings() -> None:
    done = {t.record.key: t.record for t in train(points()[:2]).values()}
    plan = make_plan(points(), done, items=lambda config: 160)
    assert [point.key for point in plan.trials[0].points] == ["key2", "key3", "key4", "key5"]


def test_a_watched_config_sees_every_way_of_reading() -> None:
    assert WatchedConfig({"a": 1, "b": 2}).read == set()
    for look in (lambda c: c["a"], lambda c: c.get("a"), lambda c: {**c}, lambda c: list(c.values()), dict):
        config = WatchedConfig({"a": 1, "b": 2})
        look(config)
        assert "a" in config.read
    untouched = WatchedConfig({"a": 1, "b": 2})
    assert list(untouched) == ["a", "b"]
    assert "a" in WatchedConfig({"a": 1})
