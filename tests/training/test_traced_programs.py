"""A traced program that is used again gives what a fresh trace gives, to the last bit; and when it is traced anew."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from architectures import branched, chain, normalised, recurrent
from small_models import WIDTH, dense_model, small_rows

from raygrid.base.types import ModelDefinition
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point

CONFIG = {"hidden": (8,), "learning_rate": 0.02, "activation": "relu", "batch_size": 16, "epochs": 4, "patience": None}
ROWS = small_rows()
ARRAYS = TrainingArrays(ROWS[:150], None, ROWS[150:], None)


def train(
    build: Any, learning_rate: float, seed: int, programs: Any = None, policy: str = "float32", **config: Any
) -> Any:
    from raygrid.training.train import train_points

    point = Point(0, {**CONFIG, "learning_rate": learning_rate, **config}, seed, f"{learning_rate} {seed}")
    finished: list[Any] = []
    settings = TrainSettings(dtype_policy=policy)
    definition = ModelDefinition(build)
    train_points(
        definition, [point], "c", ARRAYS, settings, device="CPU", on_finished=finished.append, programs=programs
    )
    assert finished[0].record.status == "done", finished[0].record.error
    return finished[0]


def bits(trained: Any) -> Any:
    return trained.record.history, [(weight.dtype, weight.tobytes()) for weight in trained.weights]


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for every program that is traced."""
    from raygrid.training import traced_programs

    made: list[str] = []

    class Counted(traced_programs.EpochProgram):
        def __init__(self, *args: Any) -> None:
            made.append("traced")
            super().__init__(*args)

    monkeypatch.setattr(traced_programs, "EpochProgram", Counted)
    return made


POINTS = [(0.02, 0), (0.005, 0), (0.02, 7), (0.02, 0)]


@pytest.mark.parametrize(
    ("build", "policy"),
    [
        (dense_model, "float32"),
        (normalised, "mixed_bfloat16"),
        pytest.param(dense_model, "mixed_bfloat16", marks=pytest.mark.long),
        pytest.param(normalised, "float32", marks=pytest.mark.long),
        *[
            pytest.param(build, policy, marks=pytest.mark.long)
            for build in (recurrent, branched)
            for policy in ("float32", "mixed_bfloat16")
        ],
    ],
)
def test_other_rates_and_seeds_run_in_one_trace_to_the_last_bit(build: Any, policy: str, traces: list[str]) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    programs = TracedPrograms()
    reused = [bits(train(build, rate, seed, programs, policy)) for rate, seed in POINTS]
    assert traces == ["traced"]
    fresh = [bits(train(build, rate, seed, None, policy)) for rate, seed in POINTS]
    assert len(traces) == 1 + len(POINTS)
    assert reused == fresh
    assert len({repr(found) for found in fresh}) == 3


def test_points_of_other_structure_in_between_change_nothing(traces: list[str]) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    programs = TracedPrograms()
    asked = [
        (dense_model, {}),
        (normalised, {}),
        (dense_model, {"batch_size": 32}),
        (dense_model, {"hidden": (3,)}),
    ] * 2
    reused = [bits(train(build, 0.01, 0, programs, **config)) for build, config in asked]
    assert len(traces) == 4
    assert reused == [bits(train(build, 0.01, 0, None, **config)) for build, config in asked]


def test_old_programs_are_dropped(monkeypatch: pytest.MonkeyPatch, traces: list[str]) -> None:
    from raygrid.training import traced_programs

    monkeypatch.setattr(traced_programs, "_KEPT_PROGRAMS", 2)
    programs = traced_programs.TracedPrograms()
    for units in (2, 3, 4):
        train(dense_model, 0.01, 0, programs, hidden=(units,), epochs=1)
    assert len(programs) == 2
    train(dense_model, 0.02, 0, programs, hidden=(4,), epochs=1)
    assert len(traces) == 3
    train(dense_model, 0.02, 0, programs, hidden=(2,), epochs=1)
    assert len(traces) == 4


def test_a_large_model_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from raygrid.training import traced_programs

    # 4 x 8 + 8 + 8 x 4 + 4 weights with two moments each, an iteration count and a rate: just under 1 KB.
    monkeypatch.setattr(traced_programs, "_KEPT_BYTES", 900)
    programs = traced_programs.TracedPrograms()
    train(dense_model, 0.01, 0, programs, epochs=1)
    assert len(programs) == 0
    monkeypatch.setattr(traced_programs, "_KEPT_BYTES", 1000)
    train(dense_model, 0.01, 0, programs, epochs=1)
    assert len(programs) == 1


# Structures


def structure(make: Callable[[], Any]) -> str | None:
    from raygrid.training.model_structure import structure_of
    from raygrid.training.train import begin_session

    begin_session(0, "float32")
    model = make()
    model.optimizer.build(model.trainable_variables)
    return structure_of(model)


def layers(name: str, *args: Any, **settings: Any) -> Any:
    import keras

    return getattr(keras.layers, name)(*args, **settings)


def optimizer(name: str, **settings: Any) -> Any:
    import keras

    return getattr(keras.optimizers, name)(**settings)


def frozen() -> Any:
    model = chain(layers("Dense", 4))
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    return model


def without_decay_of_biases() -> Any:
    model = chain(layers("Dense", 4), optimizer=optimizer("AdamW"))
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    return model


def falling(rate: float) -> Any:
    import keras

    return keras.optimizers.schedules.ExponentialDecay(0.1, 10, rate)


DIFFERENT: dict[str, Callable[[], Any]] = {
    "plain": lambda: chain(layers("Dense", 4)),
    "units": lambda: chain(layers("Dense", 5)),
    "activation": lambda: chain(layers("Dense", 4, "relu")),
    "regulariser": lambda: chain(layers("Dense", 4, kernel_regularizer="l2")),
    "dropout": lambda: chain(layers("Dense", 4), layers("Dropout", 0.1)),
    "more dropout": lambda: chain(layers("Dense", 4), layers("Dropout", 0.2)),
    "seeded dropout": lambda: chain(layers("Dense", 4), layers("Dropout", 0.2, seed=1)),
    "loss": lambda: chain(layers("Dense", 4), loss="mae"),
    "metric": lambda: chain(layers("Dense", 4), metrics=["mae"]),
    "weighted loss": lambda: chain(layers("Dense", 4), loss_weights=2.0),
    "optimizer": lambda: chain(layers("Dense", 4), optimizer="sgd"),
    "momentum": lambda: chain(layers("Dense", 4), optimizer=optimizer("SGD", momentum=0.5)),
    "clipped": lambda: chain(layers("Dense", 4), optimizer=optimizer("SGD", clipnorm=0.5)),
    "schedule": lambda: chain(layers("Dense", 4), optimizer=optimizer("SGD", learning_rate=falling(0.5))),
    "other schedule": lambda: chain(layers("Dense", 4), optimizer=optimizer("SGD", learning_rate=falling(0.6))),
    "xla": lambda: chain(layers("Dense", 4), jit_compile=True),
    "decay": lambda: chain(layers("Dense", 4), optimizer=optimizer("AdamW")),
    "frozen": frozen,
}


def test_what_a_trace_depends_on_makes_another_structure() -> None:
    found = {name: structure(make) for name, make in DIFFERENT.items()}
    assert [name for name, value in found.items() if value is None] == []
    assert len(set(found.values())) == len(found)
    assert {name: structure(make) for name, make in DIFFERENT.items()} == found


def test_the_rate_is_no_part_of_the_structure() -> None:
    slow, fast = (
        structure(lambda rate=rate: chain(layers("Dense", 4), optimizer=optimizer("Adam", learning_rate=rate)))
        for rate in (0.1, 0.2)
    )
    assert slow == fast is not None


def test_an_epsilon_of_keras_is_part_of_it() -> None:
    import keras

    usual = keras.config.epsilon()
    before = structure(DIFFERENT["plain"])
    keras.config.set_epsilon(1e-3)
    try:
        assert structure(DIFFERENT["plain"]) != before
    finally:
        keras.config.set_epsilon(usual)


def of_own_class() -> Any:
    import keras

    class Own(keras.Sequential):
        pass

    model = Own([keras.Input((WIDTH,)), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def relu(x: Any) -> Any:
    """Named as one of Keras' own, and another function."""
    return x * 2.0


def own_layer() -> Any:
    import keras

    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    return Twice()


def own_regularizer() -> Any:
    import keras

    class Ours(keras.regularizers.L2):
        pass

    return Ours()


def adapted() -> Any:
    layer = layers("Normalization")
    layer.adapt(small_rows())
    return layer


def with_own_step() -> Any:
    model = chain(layers("Dense", 4))
    model.compute_loss = lambda **given: 0.0
    return model


def partial_activation() -> Any:
    import keras

    return functools.partial(keras.activations.elu, alpha=0.3)


UNKNOWN: dict[str, Callable[[], Any]] = {
    "class": of_own_class,
    "layer": lambda: chain(own_layer()),
    "activation by a known name": lambda: chain(layers("Dense", 4, relu)),
    "partial activation": lambda: chain(layers("Dense", 4, partial_activation())),
    "lambda layer": lambda: chain(layers("Lambda", lambda x: x)),
    "loss": lambda: chain(layers("Dense", 4), loss=lambda y, z: (y - z) ** 2),
    "metric": lambda: chain(layers("Dense", 4), metrics=[lambda y, z: y - z]),
    "regulariser": lambda: chain(layers("Dense", 4, kernel_regularizer=own_regularizer())),
    "rate": lambda: chain(layers("Dense", 4), optimizer=optimizer("SGD", learning_rate=lambda: 0.1)),
    "decay of some weights": without_decay_of_biases,
    "adapted to data": lambda: chain(adapted()),
    "method of the instance": with_own_step,
}


@pytest.mark.parametrize("make", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_keras_own_has_no_structure(make: Callable[[], Any]) -> None:
    assert structure(make) is None


def test_a_model_of_no_known_structure_is_traced_anew(traces: list[str]) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    def build(config: Any, shape: Any) -> Any:
        return chain(own_layer(), layers("Dense", 4))

    programs = TracedPrograms()
    first, second = (bits(train(build, 0.01, 0, programs)) for _ in range(2))
    assert (first, len(traces), len(programs)) == (second, 2, 0)


def test_functions_of_one_name_in_two_modules_of_keras_are_two_structures() -> None:
    import keras

    # One is exact where the other approximates.
    exact, other = (
        structure(lambda f=f: chain(layers("Dense", 4, f))) for f in (keras.activations.gelu, keras.ops.gelu)
    )
    assert exact != other
    assert None not in (exact, other)


def test_what_is_set_on_an_optimizer_inside_a_scaling_one_is_seen() -> None:
    import keras

    def scaled() -> Any:
        inner = optimizer("AdamW")
        inner.exclude_from_weight_decay(var_names=["bias"])
        return chain(layers("Dense", 4), optimizer=keras.optimizers.LossScaleOptimizer(inner))

    assert structure(scaled) is None


@pytest.fixture(scope="module")
def in_graph() -> Any:
    """What a training gives whose epochs run as graphs."""
    return bits(train(dense_model, 0.02, 0))


@pytest.mark.parametrize(
    "private", ["all_layers", "metrics_given_to_compile", "runs_under_a_strategy", "metrics_or_logs"]
)
def test_where_keras_renamed_something_epochs_run_through_fit(
    private: str, in_graph: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from raygrid.training import epoch_program
    from raygrid.training.traced_programs import TracedPrograms

    def renamed(*args: Any) -> Any:
        raise AttributeError(f"'Sequential' object has no attribute '_{private}'")

    monkeypatch.setattr("raygrid.base.once._said", set())
    monkeypatch.setattr(epoch_program, private, renamed)
    caplog.set_level(logging.INFO, "raygrid")
    programs = TracedPrograms()
    assert bits(train(dense_model, 0.02, 0, programs)) == bits(train(dense_model, 0.02, 0, programs)) == in_graph
    reason = f"its epoch cannot be traced ('Sequential' object has no attribute '_{private}')"
    assert caplog.text.count(f"Epochs run through model.fit, which is slower: {reason}") == 1


# A trace that fails


def test_a_step_that_cannot_be_traced_with_the_epoch_is_left_to_fit(caplog: pytest.LogCaptureFixture) -> None:
    import keras

    tries: list[str] = []

    class Moody(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            tries.append("traced")
            if len(tries) == 1:
                raise RuntimeError("not in this mood")
            return super().train_step(data)

    def build(config: Any, shape: Any) -> Any:
        model = Moody([keras.Input(shape), keras.layers.Dense(8, "relu"), keras.layers.Dense(WIDTH)])
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse", metrics=["mae"])
        return model

    caplog.set_level(logging.INFO, "raygrid")
    found = train(build, 0.02, 0)
    assert len(tries) > 1
    assert "model.fit, which is slower: its epoch cannot be traced (not in this mood)" in caplog.text
    np.testing.assert_equal(bits(found)[1], bits(train(dense_model, 0.02, 0))[1])
