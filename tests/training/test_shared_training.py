"""Points that only stop elsewhere are trained once, and each ends as if it had been trained alone."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from architectures import falling_by_epochs
from small_models import WIDTH, dense_model, small_rows

from raygrid.base.types import ModelDefinition
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point, make_plan

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


def train(asked: list[Point], build: Any = dense_model, programs: Any = None) -> dict[str, Any]:
    """What a training of all ``asked`` points gives, by key."""
    from raygrid.training.train import train_points

    finished: list[Any] = []
    train_points(
        ModelDefinition(build),
        asked,
        "c",
        arrays(),
        TrainSettings(),
        device="CPU",
        on_finished=finished.append,
        programs=programs,
    )
    return {trained.record.key: trained for trained in finished}


def bits(weights: list[np.ndarray] | None) -> list[bytes] | None:
    return None if weights is None else [weight.tobytes() for weight in weights]


@pytest.fixture(scope="module")
def together() -> tuple[dict[str, Any], int]:
    """All points in one call, and how many models were built for them."""
    builds = []

    def noting(config: Any, shape: tuple[int, ...]) -> Any:
        builds.append(1)
        return dense_model(config, shape)

    # So that none is built to be looked at only.
    train(points()[4:5])
    return train(points(), noting), len(builds)


def test_shared_points_end_as_if_trained_alone_to_the_last_bit(together: tuple[dict[str, Any], int]) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    programs = TracedPrograms()
    alone = {key: trained for point in points() for key, trained in train([point], programs=programs).items()}
    assert together[0].keys() == alone.keys()
    for key, expected in alone.items():
        found = together[0][key]
        assert found.record.history == expected.record.history
        assert found.record.metrics == expected.record.metrics
        assert (found.record.best_epoch, found.record.epochs_run) == (
            expected.record.best_epoch,
            expected.record.epochs_run,
        )
        assert bits(found.weights) == bits(expected.weights)
        assert expected.record.trained_with is None
    # Otherwise the stops would not have been told apart.
    assert len({trained.record.epochs_run for trained in alone.values()}) >= 4


def test_one_training_answers_all_points_and_their_records_say_whose(together: tuple[dict[str, Any], int]) -> None:
    trained, builds = together
    assert builds == 1
    assert {one.record.trained_with for one in trained.values()} == {"key0"}


def test_a_builder_that_reads_when_to_stop_is_trained_for_each_point() -> None:
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        return dense_model({**{name: config[name] for name in CONFIG}, "hidden": (config["epochs"],)}, shape)

    asked = [points()[3], points()[4]]
    found = train(asked, build)
    assert {trained.record.trained_with for trained in found.values()} == {None}
    for point in asked:
        assert bits(found[point.key].weights) == bits(train([point], build)[point.key].weights)


class _Later:
    """Builders of models that read when to stop only once they are trained, or could."""

    schedule = staticmethod(falling_by_epochs)

    @staticmethod
    def loss(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        # No lambda, of which Keras warns when the model is saved.
        def scaled(y: Any, z: Any) -> Any:
            return keras.ops.mean((y - z) ** 2) / config["epochs"]

        return _dense(shape, loss=scaled)

    @staticmethod
    def layer(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        class Scaled(keras.layers.Layer):
            def __init__(self, config: Any) -> None:
                super().__init__()
                self.stops = lambda: config

            def call(self, x: Any) -> Any:
                return x / self.stops()["epochs"]

        return _dense(shape, Scaled(config))

    @staticmethod
    def step(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        class Patient(keras.Sequential):
            def train_step(self, data: Any) -> Any:
                x, _ = data
                return super().train_step((x, x / config["epochs"]))

        return _dense(shape, cls=Patient)

    @staticmethod
    def fit(config: Any, shape: tuple[int, ...]) -> Any:
        """Its own ``fit`` is told how many epochs there are."""
        import keras

        class Falling(keras.Sequential):
            def fit(self, *args: Any, epochs: int, callbacks: Any = (), **others: Any) -> Any:
                falling = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 * (1 - epoch / epochs))
                return super().fit(*args, epochs=epochs, callbacks=[*callbacks, falling], **others)

        return _dense(shape, cls=Falling)


def _dense(shape: tuple[int, ...], *layers: Any, cls: Any = None, optimizer: Any = "sgd", loss: Any = "mse") -> Any:
    import keras

    model = (cls or keras.Sequential)(
        [keras.Input(shape), *layers, keras.layers.Dense(4, "tanh"), keras.layers.Dense(WIDTH)]
    )
    model.compile(optimizer, loss)
    return model


@pytest.mark.parametrize("kind", ["schedule", "loss", "layer", "step", "fit"])
def test_what_reads_when_to_stop_while_it_trains_is_trained_for_each_point(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    from raygrid.progress.listeners import tell_trained_apart

    tell_trained_apart.cache_clear()
    caplog.set_level(logging.INFO, "raygrid")
    build = getattr(_Later, kind)
    asked = [Point(n, {**CONFIG, "epochs": epochs, "patience": None}, 0, f"key{n}") for n, epochs in enumerate((2, 4))]
    together = train(asked, build)
    alone = {key: trained for point in asked for key, trained in train([point], build).items()}
    for key, expected in alone.items():
        assert together[key].record.history == expected.record.history
        assert bits(together[key].weights) == bits(expected.weights)
        assert together[key].record.trained_with is None
    # One training would have given the first epochs of the longest.
    first = {trained.record.history["loss"][:2] for trained in alone.values()}
    assert len(first) == 2
    # A layer is called once while the model is built.
    read_at_once = {"layer": "build_model reads 'epochs' from its config", "fit": "Falling has its own fit"}
    reason = read_at_once.get(kind, "something that build_model made keeps its config")
    assert caplog.text.count("Points that differ only in epochs or patience are trained one by one") == 1
    assert reason in caplog.text


def test_a_layer_that_is_given_its_config_and_takes_what_it_needs_is_trained_once() -> None:
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        class Wide(keras.layers.Dense):
            def __init__(self, config: Any) -> None:
                super().__init__(*config["hidden"])

        return _dense(shape, Wide(config))

    asked = points()[:3]
    together = train(asked, build)
    assert {trained.record.trained_with for trained in together.values()} == {"key0"}
    for point in asked:
        assert bits(together[point.key].weights) == bits(train([point], build)[point.key].weights)


@pytest.mark.parametrize("name", ["Autoencoder", "ConvAutoencoder", "MLPClassifier", "MLPRegressor"])
def test_the_built_in_models_share_trainings(name: str) -> None:
    import raygrid
    from raygrid.training.shared_training import built_whatever_the_stops

    model = getattr(raygrid, name)("models", "shared")
    model.fitted_outputs = model.fitted_classes = 2
    shape = (16, WIDTH) if model.WINDOWED else (WIDTH,)
    built_whatever_the_stops(lambda config: model.build_model(config, shape), model.DEFAULT_CONFIG)


def test_what_fails_before_its_first_epoch_only_when_it_is_shared_is_trained_one_by_one() -> None:
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        plain = type(config) is dict

        class Picky(keras.Sequential):
            def train_step(self, data: Any) -> Any:
                if not plain:
                    raise RuntimeError("no plain dict")
                return super().train_step(data)

        return _dense(shape, cls=Picky)

    found = train(points()[:2], build)
    assert [trained.record.status for trained in found.values()] == ["done", "done"]


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
