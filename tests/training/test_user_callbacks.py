"""Callbacks of a user's, held against ``model.fit``: the same calls, the same metrics, the same weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import WIDTH, dense_model, small_rows

from raygrid.base import once
from raygrid.base.types import ModelDefinition
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point
from raygrid.store.checkpoints import Checkpoints

# Steps this large make val_loss go up and down.
CONFIG = {"hidden": (8,), "learning_rate": 2.0, "activation": "relu", "batch_size": 16, "epochs": 8, "patience": None}
ROWS = small_rows()
ARRAYS = TrainingArrays(ROWS[:150], None, ROWS[150:], None)
IN_ORDER = TrainSettings(shuffle=False)


def point(number: int = 0, **config: Any) -> Point:
    return Point(number, {**CONFIG, **config}, 0, f"key{number}")


def train_all(points: list[Point], build: Any, callbacks: Any, settings: TrainSettings = IN_ORDER, **how: Any) -> Any:
    """What ``train_points`` gives, by key."""
    from raygrid.training.train import train_points

    finished: list[Any] = []
    definition = ModelDefinition(build, callbacks)
    train_points(definition, points, "c", ARRAYS, settings, device="CPU", on_finished=finished.append, **how)
    return {trained.record.key: trained for trained in finished}


def train(callbacks: Any, build: Any = dense_model, status: str = "done", config: Any = None, **how: Any) -> Any:
    trained = train_all([point(**(config or {}))], build, callbacks, **how)["key0"]
    assert trained.record.status == status, trained.record.error
    return trained


def by_fit(callbacks: Any, build: Any = dense_model, **config: Any) -> Any:
    """The history of a plain training with Keras alone, and the model."""
    from raygrid.training.train import begin_session

    begin_session(0, "float32")
    whole = {**CONFIG, **config}
    model = build(whole, (WIDTH,))
    history = model.fit(
        ROWS[:150],
        ROWS[:150],
        batch_size=16,
        epochs=whole["epochs"],
        validation_data=(ROWS[150:], ROWS[150:]),
        shuffle=False,
        callbacks=callbacks(whole),
        verbose=0,
    )
    return history.history, model


def columns(history: Any) -> dict[str, list[float]]:
    return {name: [float(value) for value in column] for name, column in sorted(history.items())}


def bits(trained: Any) -> Any:
    return trained.record.history, [weight.tobytes() for weight in trained.weights]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """What is said, also where it was said before in this process."""
    from raygrid.progress.listeners import tell_left_out, tell_trained_apart

    monkeypatch.setattr(once, "_said", set())
    tell_left_out.cache_clear()
    tell_trained_apart.cache_clear()
    with caplog.at_level(logging.INFO, "raygrid"):
        yield caplog


def slower(log: pytest.LogCaptureFixture) -> list[str]:
    begin = "Epochs run through model.fit, which is slower: "
    return [message.removeprefix(begin) for message in log.messages if message.startswith(begin)]


# Callbacks


def plateau(config: Any) -> list[Any]:
    from keras.callbacks import ReduceLROnPlateau

    return [ReduceLROnPlateau(factor=0.5, patience=1, cooldown=1, min_delta=0.0)]


def scheduled(config: Any) -> list[Any]:
    from keras.callbacks import LearningRateScheduler

    return [LearningRateScheduler(lambda epoch, rate: rate * 0.7 if epoch else 0.1)]


def both(config: Any) -> list[Any]:
    return [*scheduled(config), *plateau(config)]


def hooks(**functions: Callable[..., None]) -> Callable[[Any], list[Any]]:
    """Gives one callback with these hooks, as methods."""

    def callbacks(config: Any) -> list[Any]:
        import keras

        return [type("Hooks", (keras.callbacks.Callback,), dict(functions))()]

    return callbacks


def measured(model: Any) -> Any:
    try:
        return [(name, float(value)) for name, value in model.get_metrics_result().items()]
    except ValueError:
        return "the metrics are not built yet"


def noting(seen: list[Any]) -> Callable[[Any], list[Any]]:
    """Gives a callback that notes all that it can see, and changes the weights and the rate."""
    import keras

    class Noting(keras.callbacks.Callback):
        def note(self, hook: str, epoch: int | None, logs: Any) -> None:
            model = self.model
            seen.append(
                (
                    hook,
                    epoch,
                    dict(self.params),
                    None if logs is None else list(logs.items()),
                    float(model.optimizer.learning_rate),
                    model.stop_training,
                    [weight.tobytes() for weight in model.get_weights()],
                    [variable.numpy().tobytes() for variable in model.optimizer.variables],
                    measured(model),
                    sorted((name, len(values)) for name, values in model.history.history.items()),
                    model.train_function is None,
                    model.test_function is None,
                )
            )

        def on_train_begin(self, logs: Any = None) -> None:
            self.note("train begins", None, logs)
            self.model.optimizer.learning_rate = 0.2

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.note("epoch begins", epoch, logs)
            self.model.optimizer.learning_rate = 0.2 / (1 + epoch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.note("epoch ends", epoch, logs)
            kernel = self.model.weights[0]
            kernel.assign(kernel * 0.9)
            logs["norm"] = np.float32(np.linalg.norm(kernel.numpy()))

        def on_train_end(self, logs: Any = None) -> None:
            self.note("train ends", None, logs)

    return lambda config: [Noting()]


# Equal to model.fit


@pytest.mark.parametrize("callbacks", [plateau, scheduled, both])
def test_a_rate_that_changes_gives_what_fit_gives_at_every_epoch_to_the_last_bit(
    callbacks: Any, log: pytest.LogCaptureFixture
) -> None:
    trained = train(callbacks)
    expected, _ = by_fit(callbacks)
    assert columns(trained.record.history) == columns(expected)
    assert len(set(expected["learning_rate"])) > 1
    assert slower(log) == []


def test_with_shuffling_the_rate_still_falls_and_a_seed_gives_one_result() -> None:
    once_, again = (train(plateau, settings=TrainSettings()) for _ in range(2))
    assert bits(once_) == bits(again)
    assert len(set(once_.record.history["learning_rate"])) > 1


def test_a_callback_of_ones_own_sees_and_does_what_it_sees_and_does_in_fit(log: pytest.LogCaptureFixture) -> None:
    here: list[Any] = []
    there: list[Any] = []
    trained = train(noting(here))
    expected, _ = by_fit(noting(there))
    assert [entry[:2] for entry in here] == [entry[:2] for entry in there]
    for one, other in zip(here, there, strict=True):
        assert one == other
    assert columns(trained.record.history) == columns(expected)
    assert trained.record.history["norm"][0] > 0
    assert slower(log) == []


def test_the_weights_are_those_of_before_the_callbacks_and_reproduce_their_val_loss() -> None:
    trained = train(noting([]))
    model = dense_model(CONFIG, (WIDTH,))
    model.set_weights(trained.weights)
    found = model.evaluate(ROWS[150:], ROWS[150:], batch_size=16, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(trained.record.val_loss, rel=1e-6)


class _Weighted:
    """A model whose steps read an attribute while they are traced."""

    @staticmethod
    def build(config: Any, shape: tuple[int, ...]) -> Any:
        import keras

        class Weighted(keras.Sequential):
            beta = 1.0

            def train_step(self, data: Any) -> Any:
                return super().train_step((data[0], data[1] * self.beta))

        model = Weighted([keras.Input(shape), keras.layers.Dense(3, "relu"), keras.layers.Dense(shape[0])])
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse")
        return model


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_attributes_that_a_step_reads_have_the_effect_that_they_have_in_fit(hook: str) -> None:
    def change(self: Any, epoch: Any = None, logs: Any = None) -> None:
        self.model.beta = 0.5 * self.model.beta

    found = train(hooks(**{hook: change}), _Weighted.build).record.history
    assert columns(found) == columns(by_fit(hooks(**{hook: change}), _Weighted.build)[0])
    plain = train(None, _Weighted.build).record.history
    assert (found == plain) is (hook == "on_epoch_end")


def test_layers_that_are_frozen_before_the_first_epoch_are_not_trained() -> None:
    def freeze(self: Any, logs: Any = None) -> None:
        self.model.layers[0].trainable = False

    trained = train(hooks(on_train_begin=freeze))
    assert columns(trained.record.history) == columns(by_fit(hooks(on_train_begin=freeze))[0])
    begun = by_fit(lambda config: [], epochs=0)[1].get_weights()
    assert trained.weights[0].tobytes() == begun[0].tobytes()
    assert trained.weights[2].tobytes() != begun[2].tobytes()


def test_a_callback_that_evaluates_and_predicts_changes_nothing(log: pytest.LogCaptureFixture) -> None:
    losses: list[float] = []

    def look(self: Any, epoch: int, logs: Any = None) -> None:
        losses.append(self.model.evaluate(ROWS[150:], ROWS[150:], verbose=0, return_dict=True)["loss"])
        self.model.predict(ROWS[:3], verbose=0)

    trained = train(hooks(on_epoch_end=look))
    assert trained.record.history == train(None).record.history
    assert losses == pytest.approx(trained.record.history["val_loss"], rel=1e-6)
    assert slower(log) == []


def test_a_callback_that_stops_the_training_stops_it_as_in_fit() -> None:
    ends: list[int] = []

    def stop(self: Any, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = epoch == 2

    def end(self: Any, logs: Any = None) -> None:
        ends.append(1)

    stopping = hooks(on_epoch_end=stop, on_train_end=end)
    trained = train(stopping)
    assert columns(trained.record.history) == columns(by_fit(stopping)[0])
    assert trained.record.epochs_run == 3
    assert trained.record.best_epoch == 1 + int(np.argmin(trained.record.history["val_loss"]))
    assert len(ends) == 2


def test_patience_ends_the_training_after_the_callbacks_of_its_last_epoch() -> None:
    seen: list[Any] = []

    def end_epoch(self: Any, epoch: int, logs: Any = None) -> None:
        seen.append(epoch)
        logs["own"] = 1.0

    def end(self: Any, logs: Any = None) -> None:
        seen.append(sorted(logs))

    config = {"patience": 1, "epochs": 30}
    trained = train(hooks(on_epoch_end=end_epoch, on_train_end=end), config=config)
    run = trained.record.epochs_run
    assert run == train(None, config=config).record.epochs_run < 30
    assert seen == [*range(run), ["loss", "mae", "val_loss", "val_mae"]]
    assert trained.record.history["own"] == (1.0,) * run


# What only fit can do


def test_hooks_within_epochs_run_in_fit_which_is_told_once(log: pytest.LogCaptureFixture) -> None:
    batches: list[int] = []

    def batch(self: Any, batch: int, logs: Any = None) -> None:
        batches.append(batch)

    for _ in range(2):
        trained = train(hooks(on_train_batch_end=batch))
    assert columns(trained.record.history) == columns(by_fit(hooks())[0])
    assert batches == [*range(10)] * 16
    assert slower(log) == ["the callback Hooks has on_train_batch_end, which is called within epochs."]


def test_a_hook_that_is_set_on_an_instance_is_seen(log: pytest.LogCaptureFixture) -> None:
    from keras.callbacks import LambdaCallback

    seen: list[str] = []
    train(lambda config: [LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("epoch"))])
    assert slower(log) == []
    train(lambda config: [LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append("batch"))])
    assert slower(log) == ["the callback LambdaCallback has on_train_batch_end, which is called within epochs."]
    assert (seen.count("epoch"), seen.count("batch")) == (8, 80)


def diverging(config: Any, shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(8), keras.layers.Dense(shape[0])])
    model.compile(keras.optimizers.SGD(1e6), "mse")
    return model


def test_terminate_on_nan_ends_a_training_as_in_fit(log: pytest.LogCaptureFixture) -> None:
    from keras.callbacks import TerminateOnNaN

    trained = train(lambda config: [TerminateOnNaN()], diverging, status="diverged")
    expected, _ = by_fit(lambda config: [TerminateOnNaN()], diverging)
    assert trained.record.epochs_run == len(expected["loss"]) == 1
    assert slower(log) == ["the callback TerminateOnNaN has on_batch_end, which is called within epochs."]


def retrain_less(self: Any, epoch: int, logs: Any = None) -> None:
    if epoch == 2:
        self.model.layers[0].trainable = False
        self.model.make_train_function(force=True)


def measure_otherwise(self: Any, epoch: int, logs: Any = None) -> None:
    if epoch == 2:
        self.model.beta = 0.5
        self.model.test_function = None


def stop_early(self: Any, epoch: int, logs: Any = None) -> None:
    self.model.stop_training = epoch == 3


def also_measure(self: Any, epoch: int, logs: Any = None) -> None:
    import keras

    if epoch == 2:
        self.model.more = keras.metrics.Mean(name="more")


@pytest.mark.parametrize(
    ("hook", "function", "told"),
    [
        ("on_epoch_end", retrain_less, "a callback changes train_function of the model while it is trained."),
        ("on_epoch_begin", measure_otherwise, "a callback changes test_function of the model while it is trained."),
        ("on_epoch_end", also_measure, "a callback changes metrics of the model while it is trained."),
        (
            "on_epoch_begin",
            stop_early,
            "a callback sets stop_training before an epoch, which ends it after its first batch.",
        ),
    ],
)
def test_what_an_epoch_in_graph_cannot_answer_is_noticed_and_trained_by_fit(
    hook: str, function: Any, told: str, log: pytest.LogCaptureFixture
) -> None:
    epochs: list[int] = []
    trained = train(
        hooks(**{hook: function}), _Weighted.build, on_epoch=lambda points, epoch, logs: epochs.append(epoch)
    )
    expected, _ = by_fit(hooks(**{hook: function}), _Weighted.build)
    assert columns(trained.record.history) == columns(expected)
    assert slower(log) == [told]
    # They begin anew.
    assert epochs[-trained.record.epochs_run :] == [*range(1, trained.record.epochs_run + 1)]
    if function is not stop_early:
        assert trained.record.epochs_run == 8


def test_a_model_that_is_compiled_anew_while_it_is_trained_fails_as_in_fit() -> None:
    def compile_anew(self: Any, epoch: int, logs: Any = None) -> None:
        self.model.compile("sgd", "mae")

    callbacks = hooks(on_epoch_end=compile_anew)
    with pytest.raises(TypeError) as caught:
        by_fit(callbacks)
    assert str(caught.value) in train(callbacks, status="failed").record.error


def test_an_epoch_that_cannot_be_traced_is_left_to_fit_with_new_callbacks(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    from raygrid.training import feeds

    def untraceable(*args: Any) -> Any:
        raise RuntimeError("not in this mood")

    monkeypatch.setattr(feeds, "EpochProgram", untraceable)
    seen: list[Any] = []
    trained = train(noting(seen))
    assert columns(trained.record.history) == columns(by_fit(noting([]))[0])
    assert slower(log) == ["its epoch cannot be traced (not in this mood)."]
    # Those of the first try began, and no more.
    assert [hook for hook, *_ in seen[:4]] == ["train begins", "epoch begins", "train begins", "epoch begins"]


# More than one point


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for every program that is traced to be used again."""
    from raygrid.training import traced_programs

    made: list[str] = []

    class Counted(traced_programs.EpochProgram):
        def __init__(self, *args: Any) -> None:
            made.append("traced")
            super().__init__(*args)

    monkeypatch.setattr(traced_programs, "EpochProgram", Counted)
    return made


@pytest.mark.parametrize("callbacks", [plateau, scheduled])
def test_a_rate_that_fell_does_not_leak_into_the_next_point_on_the_same_trace(
    callbacks: Any, traces: list[str]
) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    programs = TracedPrograms()
    found = [bits(train(given, programs=programs)) for given in (callbacks, callbacks, None, callbacks)]
    assert traces == ["traced"]
    assert found[0] == found[1] == found[3] == bits(train(callbacks))
    assert found[2] == bits(train(None))


def test_what_callbacks_of_ones_own_change_does_not_leak_into_the_next_point(traces: list[str]) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    def freeze(self: Any, logs: Any = None) -> None:
        self.model.layers[0].trainable = False

    programs = TracedPrograms()
    found = [train(given, programs=programs) for given in (None, hooks(on_train_begin=freeze), None)]
    assert traces == ["traced"]
    assert bits(found[0]) == bits(found[2]) != bits(found[1])


def test_points_that_differ_in_when_to_stop_are_trained_one_by_one_which_is_told(
    log: pytest.LogCaptureFixture,
) -> None:
    seen: list[Any] = []
    asked = [point(0, epochs=4), point(1, epochs=2)]
    trained = train_all(asked, dense_model, noting(seen))
    assert [trained[key].record.trained_with for key in ("key0", "key1")] == [None, None]
    assert [entry[2]["epochs"] for entry in seen if entry[0] == "train ends"] == [4, 2]
    told = "Points that differ only in epochs or patience are trained one by one, not all in one: "
    assert [m for m in log.messages if m.startswith(told)] == [
        f"{told}callbacks are told the number of epochs, and may stop a training."
    ]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
def test_a_callback_that_raises_fails_its_point_with_its_traceback_and_no_other(hook: str) -> None:
    def callbacks(config: Any) -> list[Any]:
        def fail(self: Any, *args: Any, **kwargs: Any) -> None:
            if config["hidden"] == (3,):
                raise ZeroDivisionError("the callback's own fault")

        return hooks(**{hook: fail})(config)

    asked = [point(0, hidden=(3,)), point(1, hidden=(4,))]
    ended = {key: t for one in asked for key, t in train_all([one], dense_model, callbacks).items()}
    assert ended["key0"].record.status == "failed"
    assert "in fail" in ended["key0"].record.error
    assert ended["key0"].record.cause == "ZeroDivisionError: the callback's own fault"
    assert ended["key1"].record.status == "done"


# What is asked of the function


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "callbacks returned NoneType, not a list of keras.callbacks.Callback. End it with 'return [...]'."),
        ([1], "callbacks returned a list with 1 in it, no keras.callbacks.Callback."),
        (
            [int],
            "callbacks returned a list with <class 'int'> in it, no keras.callbacks.Callback. Call the class",
        ),
    ],
)
def test_what_is_no_list_of_callbacks_fails_the_point(given: Any, told: str) -> None:
    trained = train(lambda config: given, status="failed")
    assert trained.record.cause.startswith(f"raygrid.errors.BuilderError: {told}")


def test_an_instance_that_was_used_before_is_refused() -> None:
    kept = plateau(CONFIG)
    train(lambda config: kept)
    assert (
        "ReduceLROnPlateau that another training has used" in train(lambda config: kept, status="failed").record.error
    )


def test_the_function_gets_the_whole_config_of_the_point_and_cannot_change_it() -> None:
    configs: list[Any] = []

    def callbacks(config: Any) -> list[Any]:
        configs.append(dict(config))
        config["epochs"] = 1
        return []

    trained = train(callbacks)
    assert configs == [CONFIG]
    assert trained.record.config == CONFIG
    assert trained.record.epochs_run == 8


def test_of_what_callbacks_add_to_the_logs_numbers_are_recorded_and_val_loss_stays() -> None:
    import tensorflow as tf

    def add(self: Any, epoch: int, logs: Any = None) -> None:
        logs |= {
            "whole": epoch,
            "exact": np.float64(0.1),
            "tensor": tf.constant(2.5),
            "rate": self.model.optimizer.learning_rate,
            "val_loss": -1.0,
            "text": "5",
            "truth": True,
            "rows": np.zeros(3),
            "nothing": None,
            "object": object(),
        }
        if epoch == 0:
            logs["first"] = 1.0
        del logs["mae"]

    history = train(hooks(on_epoch_end=add)).record.history
    plain = train(None).record.history
    assert {name: history[name] for name in plain} == plain
    added = {name: column for name, column in history.items() if name not in plain}
    assert added == {
        "whole": tuple(map(float, range(8))),
        "exact": (0.1,) * 8,
        "tensor": (2.5,) * 8,
        "rate": (pytest.approx(2.0),) * 8,
        "first": (1.0, *(None,) * 7),
    }


def test_callbacks_whose_work_raygrid_does_are_left_out_with_one_warning(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    import keras.callbacks as k

    calls: list[int] = []

    class Own(k.EarlyStopping):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append(epoch)

    def callbacks(config: Any) -> list[Any]:
        return [
            k.EarlyStopping("loss", patience=0, baseline=0.0),
            k.ModelCheckpoint(str(tmp_path / "best.keras")),
            k.BackupAndRestore(str(tmp_path / "backup")),
            k.TensorBoard(str(tmp_path / "logs")),
            Own(),
            *plateau(config),
        ]

    for _ in range(2):
        trained = train(callbacks)
    assert columns(trained.record.history) == columns(by_fit(plateau)[0])
    assert calls == [*range(8)] * 2
    assert not any(tmp_path.iterdir())
    (warning,) = [record.getMessage() for record in log.records if record.levelno == logging.WARNING]
    assert warning == (
        "Callbacks that do not run: EarlyStopping (raygrid stops by `patience` in the config, on val_loss, where any "
        "improvement counts; monitor, min_delta and the other settings are not used); ModelCheckpoint (raygrid keeps "
        "and publishes the weights of the best epoch); BackupAndRestore (raygrid writes checkpoints of its own, and "
        "goes on from them); TensorBoard (raygrid writes its logs to {prefix}_runs/tensorboard)."
    )


# Killed and resumed


class Cut(BaseException):
    """The end of a process, as far as one can have it within one."""


def cut_short(callbacks: Any, checkpoints: Checkpoints, after: int, build: Any = dense_model, **config: Any) -> None:
    """A training that wrote the checkpoint of epoch ``after`` and no later one."""

    def on_epoch(points: Any, epoch: int, logs: Any) -> None:
        if epoch == after + 1:
            raise Cut

    with pytest.raises(Cut):
        train(callbacks, build, config=config, checkpoints=checkpoints, on_epoch=on_epoch)


def goes_on_after(log: pytest.LogCaptureFixture) -> list[int]:
    return [int(r.args[0]) for r in log.records if r.msg.startswith("A training goes on") and isinstance(r.args, tuple)]


def restless(config: Any) -> list[Any]:
    """Takes a loss that falls for one that gets worse, so that what it remembers matters at every epoch."""
    from keras.callbacks import ReduceLROnPlateau

    return [ReduceLROnPlateau("val_loss", factor=0.5, patience=2, cooldown=1, mode="max", min_delta=0.0)]


@pytest.mark.parametrize("after", [2, 3, 4])
def test_a_training_on_a_plateau_goes_on_from_its_checkpoint_to_the_last_bit(
    after: int, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0)
    slow = {"learning_rate": 0.01}
    cut_short(restless, checkpoints, after, **slow)
    resumed = train(restless, config=slow, checkpoints=checkpoints)
    assert bits(resumed) == bits(train(restless, config=slow))
    assert len(set(resumed.record.history["learning_rate"])) == 4
    assert goes_on_after(log) == [after]
    assert not list(checkpoints.folder.iterdir())


def test_so_does_one_through_fit(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    from keras.callbacks import TerminateOnNaN

    def callbacks(config: Any) -> list[Any]:
        return [TerminateOnNaN(), *restless(config)]

    checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0)
    slow = {"learning_rate": 0.01}
    cut_short(callbacks, checkpoints, 4, **slow)
    assert bits(train(callbacks, config=slow, checkpoints=checkpoints)) == bits(train(callbacks, config=slow))
    assert goes_on_after(log) == [4]


def test_a_checkpoint_of_another_stop_is_not_taken_up(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0)
    cut_short(plateau, checkpoints, 3)
    longer = {"epochs": 10}
    assert bits(train(plateau, config=longer, checkpoints=checkpoints)) == bits(train(plateau, config=longer))
    assert goes_on_after(log) == []


@pytest.mark.parametrize(
    ("callbacks", "name"), [(scheduled, "LearningRateScheduler"), (hooks(on_epoch_end=stop_early), "Hooks")]
)
def test_with_other_callbacks_a_training_begins_anew_and_writes_no_checkpoint(
    callbacks: Any, name: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0)
    cut_short(callbacks, checkpoints, 2)
    assert not checkpoints.folder.exists()
    assert bits(train(callbacks, checkpoints=checkpoints)) == bits(train(callbacks))
    assert (
        "Long trainings begin anew if their process is killed, without checkpoints: what the callback "
        f"{name} remembers from epoch to epoch is not known." in log.messages
    )
