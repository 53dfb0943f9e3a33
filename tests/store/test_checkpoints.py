"""A training that was cut short goes on from its checkpoint and ends, to the last bit, as if nothing had happened."""

from __future__ import annotations

import errno
import functools
import json
import logging
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from architectures import branched, nadam, normalised, of_own_making, recurrent, scheduled, stateful
from small_models import WIDTH, SmallModel, dense_model, small_rows

from raygrid.base import once
from raygrid.base.types import ModelDefinition
from raygrid.data.mapped_arrays import Fed, open_array_files, write_array_files
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point
from raygrid.store.checkpoints import Checkpoint, Checkpoints, training_key
from raygrid.store.cleaning import clean_prefix
from raygrid.store.paths import ModelArtifacts

CONFIG = {"hidden": (8,), "learning_rate": 0.02, "activation": "relu", "batch_size": 16, "epochs": 6, "patience": None}
ROWS = small_rows(240)
ARRAYS = TrainingArrays(ROWS[:160], None, ROWS[160:], None)
SETTINGS = TrainSettings()


def point(key: str = "key", seed: int = 3, **config: Any) -> Point:
    return Point(0, {**CONFIG, **config}, seed, key)


@functools.cache
def shared_programs() -> Any:
    from raygrid.training.traced_programs import TracedPrograms

    return TracedPrograms()


class Training:
    """What a training told, and how it ended.

    Attributes:
        epochs: the numbers of all epochs that were told, in order.
        ended: what each finished point gave, by key.
    """

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.ended: dict[str, Any] = {}

    @property
    def bits(self) -> dict[str, Any]:
        """All of the results that must not depend on how they came about."""
        return {key: _bits(trained) for key, trained in self.ended.items()}


def defined(build: Any) -> ModelDefinition:
    """A builder function, or what a model defines."""
    return build if isinstance(build, ModelDefinition) else ModelDefinition(build)


def _bits(trained: Any) -> Any:
    record = replace(trained.record, seconds=0.0, trained_with=None)
    return record, None if trained.weights is None else [(w.dtype, w.tobytes()) for w in trained.weights]


def train(
    build: Any,
    points: Sequence[Point],
    checkpoints: Checkpoints | None = None,
    *,
    arrays: TrainingArrays = ARRAYS,
    settings: TrainSettings = SETTINGS,
    context: str = "c",
    programs: Any = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> Training:
    """Trains; ``on_epoch`` is called after every epoch, before its checkpoint is written."""
    from raygrid.training.train import train_points

    training = Training()

    def take_epoch(points: Any, epoch: int, logs: Any) -> None:
        training.epochs.append(epoch)
        on_epoch(epoch)

    train_points(
        defined(build),
        points,
        context,
        arrays,
        settings,
        device="CPU",
        on_epoch=take_epoch,
        on_finished=lambda trained: training.ended.update({trained.record.key: trained}),
        programs=shared_programs() if programs is None else programs,
        checkpoints=checkpoints,
    )
    return training


class Cut(BaseException):
    """The end of a process, as far as one can have it within one."""


def cut_short(build: Any, points: Sequence[Point], checkpoints: Checkpoints, after: int, **how: Any) -> Training:
    """A training that wrote the checkpoint of epoch ``after`` and no other later; returns what had ended by then."""
    ended = Training()

    def on_epoch(epoch: int) -> None:
        if epoch == after + 1:
            raise Cut

    from raygrid.training.train import train_points

    with pytest.raises(Cut):
        train_points(
            defined(build),
            points,
            how.pop("context", "c"),
            how.pop("arrays", ARRAYS),
            how.pop("settings", SETTINGS),
            device="CPU",
            on_epoch=lambda points, epoch, logs: on_epoch(epoch),
            on_finished=lambda trained: ended.ended.update({trained.record.key: trained}),
            programs=shared_programs(),
            checkpoints=checkpoints,
            **how,
        )
    return ended


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Written after every epoch."""
    return Checkpoints(tmp_path / "checkpoints", 0.0)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "raygrid"):
        yield caplog


def goes_on_after(log: pytest.LogCaptureFixture) -> list[int]:
    """The epochs after which trainings went on, as the log tells."""
    return [int(r.args[0]) for r in log.records if r.msg.startswith("A training goes on") and isinstance(r.args, tuple)]


# What is resumed


@pytest.mark.parametrize(
    ("build", "policy"),
    [
        (dense_model, "mixed_float16"),
        (normalised, "mixed_bfloat16"),
        (recurrent, "float32"),
        (branched, "float32"),
        (stateful, "float32"),
        (scheduled, "float32"),
        (nadam, "float32"),
        (of_own_making, "float32"),
    ],
)
def test_a_training_that_was_cut_short_ends_as_an_undisturbed_one_to_the_last_bit(
    build: Any, policy: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    from raygrid.training.traced_programs import TracedPrograms

    settings = TrainSettings(dtype_policy=policy)
    writing = Checkpoints(tmp_path / "writing", 0.0)

    def keep(epoch: int) -> None:
        if epoch > 1:
            shutil.copytree(writing.folder, tmp_path / f"after {epoch - 1}")

    # Not cut short; what it wrote is kept by epoch.
    whole = train(build, [point()], writing, settings=settings, on_epoch=keep)
    assert whole.ended["key"].record.status == "done", whole.ended["key"].record.error
    assert not list(writing.folder.iterdir())
    # In a session that has not traced anything, then in one that has.
    programs = TracedPrograms()
    for after in (1, 4):
        there = Checkpoints(tmp_path / f"after {after}")
        resumed = train(build, [point()], there, settings=settings, programs=programs)
        assert resumed.bits == whole.bits
        assert resumed.epochs == [1, 2, 3, 4, 5, 6]
    assert goes_on_after(log) == [1, 4]


@pytest.mark.parametrize("build", [dense_model, normalised])
def test_writing_checkpoints_changes_nothing(build: Any, checkpoints: Checkpoints) -> None:
    assert train(build, [point()], checkpoints).bits == train(build, [point()]).bits


def in_files(folder: Path) -> TrainingArrays:
    folder = folder / "data"
    write_array_files(folder, {"x_train": Fed(ARRAYS.x_train, lambda x: x), "x_val": Fed(ARRAYS.x_val, lambda x: x)})
    return open_array_files(folder)


@pytest.mark.parametrize("build", [normalised, nadam])
def test_a_training_out_of_files_goes_on_as_well(
    build: Any, tmp_path: Path, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    arrays = in_files(tmp_path)
    undisturbed = train(build, [point()], arrays=arrays)
    cut_short(build, [point()], checkpoints, 2, arrays=arrays)
    cut_short(build, [point()], checkpoints, 4, arrays=arrays)
    resumed = train(build, [point()], checkpoints, arrays=arrays)
    assert resumed.bits == undisturbed.bits
    assert resumed.epochs == [1, 2, 3, 4, 5, 6]
    assert goes_on_after(log) == [2, 4]


def test_a_training_that_gets_no_better_any_more_ends_with_the_weights_of_the_checkpoint(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    # The rate is so large that the loss goes up and down; where, depends on the processor.
    losses = train(dense_model, [point(learning_rate=2.0, epochs=20)]).ended["key"].record.history["val_loss"]
    bests = {epochs: 1 + int(np.argmin(losses[:epochs])) for epochs in range(4, 20)}
    epochs, best = next((epochs, best) for epochs, best in bests.items() if best <= epochs - 2)
    wanted = [point(learning_rate=2.0, epochs=epochs)]
    undisturbed = train(dense_model, wanted)
    assert undisturbed.ended["key"].record.best_epoch == best
    cut_short(dense_model, wanted, checkpoints, best + 1)
    assert train(dense_model, wanted, checkpoints).bits == undisturbed.bits
    assert goes_on_after(log) == [best + 1]


def test_a_checkpoint_of_the_other_way_to_run_epochs_is_not_used(
    tmp_path: Path, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    cut_short(dense_model, [point()], checkpoints, 3)
    train(dense_model, [point()], checkpoints, arrays=in_files(tmp_path))
    assert goes_on_after(log) == []


def test_the_seconds_of_a_resumed_training_count_those_before(checkpoints: Checkpoints) -> None:
    cut_short(dense_model, [point()], checkpoints, 3)
    key = training_key("c", point())
    found = checkpoints.read(key)
    assert found is not None
    assert found.seconds > 0
    checkpoints.write(key, replace(found, seconds=1000.0))
    assert 1000 < train(dense_model, [point()], checkpoints).ended["key"].record.seconds < 1100


def test_a_training_that_has_no_finite_epoch_yet_goes_on(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    wanted = [point(learning_rate=1e30)]
    undisturbed = train(dense_model, wanted)
    assert undisturbed.ended["key"].record.status == "diverged"
    cut_short(dense_model, wanted, checkpoints, 3)
    assert train(dense_model, wanted, checkpoints).bits == undisturbed.bits
    assert goes_on_after(log) == [3]


# Points that only stop elsewhere

STOPS = [(12, None), (12, 1), (12, 3), (5, None), (1, 1), (5, 2)]
# Steps this large make val_loss go up and down, so that patience decides.
SHARED = [point(f"key{n}", learning_rate=0.5, epochs=e, patience=p) for n, (e, p) in enumerate(STOPS)]


@pytest.fixture(scope="module")
def undisturbed_points() -> dict[str, Any]:
    bits = train(dense_model, SHARED).bits
    assert len({record.epochs_run for record, _ in bits.values()}) >= 4
    return bits


@pytest.mark.parametrize("after", [2, 7])
def test_points_that_were_not_finished_go_on_together(
    undisturbed_points: dict[str, Any], after: int, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    ended = cut_short(dense_model, SHARED, checkpoints, after)
    left = [p for p in SHARED if p.key not in ended.ended]
    assert 0 < len(left) < len(SHARED)
    resumed = train(dense_model, left, checkpoints)
    assert {**ended.bits, **resumed.bits} == undisturbed_points
    assert goes_on_after(log) == [after]


def test_points_whose_weights_are_not_in_the_checkpoint_are_trained_from_the_start(
    undisturbed_points: dict[str, Any], checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    cut_short(dense_model, SHARED, checkpoints, 7)
    again = train(dense_model, SHARED, checkpoints)
    assert again.bits == undisturbed_points
    assert goes_on_after(log) == [7]
    # Those that had ended earlier with other weights were trained as well, but no further than the longest of them.
    assert again.epochs.count(1) == 2
    assert not list(checkpoints.folder.iterdir())


def test_another_point_of_the_same_training_goes_on_from_it(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    cut_short(dense_model, [point()], checkpoints, 4)
    longer = [point("longer", epochs=9, patience=8)]
    assert train(dense_model, longer, checkpoints).bits == train(dense_model, longer).bits
    assert goes_on_after(log) == [4]


def test_a_builder_that_reads_when_to_stop_goes_on_with_the_same_stop_only(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    def build(config: Any, shape: Any) -> Any:
        return dense_model({**config, "learning_rate": 0.1 / config["epochs"]}, shape)

    cut_short(build, [point()], checkpoints, 4)
    longer = [point("longer", epochs=9)]
    assert train(build, longer, checkpoints).bits == train(build, longer).bits
    assert goes_on_after(log) == []
    cut_short(build, [point()], checkpoints, 4)
    assert train(build, [point()], checkpoints).bits == train(build, [point()]).bits
    assert goes_on_after(log) == [4]


def test_another_training_does_not_find_it() -> None:
    keys = {training_key("c", point()), training_key("d", point()), training_key("c", point(seed=4))}
    keys |= {training_key("c", point(batch_size=32)), training_key("c", point(learning_rate=0.021))}
    assert len(keys) == 5
    assert training_key("c", point("other", epochs=50, patience=3)) in keys


# What is not


def with_random_numbers_of_tensorflow(config: Any, shape: Any) -> Any:
    import keras
    import tensorflow as tf

    class Noisy(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            return super().train_step((x + tf.random.normal(tf.shape(x)), y))

    model = Noisy([keras.Input(shape), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def with_python_in_its_step(config: Any, shape: Any) -> Any:
    import keras
    import tensorflow as tf

    class Counting(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            return {**super().train_step(data), "n": tf.numpy_function(lambda: np.float32(1), [], tf.float32)}

    model = Counting([keras.Input(shape), keras.layers.Dense(WIDTH)])
    model.compile("adam", "mse")
    return model


def in_eager_mode(config: Any, shape: Any) -> Any:
    model = dense_model(config, shape)
    model.compile("adam", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (with_random_numbers_of_tensorflow, "a step uses RandomStandardNormal, which may remember something"),
        (with_python_in_its_step, "a step uses PyFunc, which may remember something"),
        (in_eager_mode, "the model is compiled with run_eagerly"),
    ],
)
def test_what_could_end_otherwise_is_not_checkpointed_and_says_so(
    build: Any, reason: str, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    once._said.clear()
    short = [point(epochs=3, batch_size=160)]
    cut_short(build, short, checkpoints, 1)
    assert not checkpoints.folder.exists()
    assert reason in log.text
    assert train(build, short, checkpoints).epochs == [1, 2, 3]


def test_a_short_training_writes_nothing(tmp_path: Path) -> None:
    checkpoints, there = Checkpoints(tmp_path / "checkpoints"), []
    train(dense_model, [point()], checkpoints, on_epoch=lambda epoch: there.append(checkpoints.folder.exists()))
    assert there == [False] * 6


def test_a_checkpoint_that_does_not_fit_the_model_is_not_used(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    def build(config: Any, shape: Any) -> Any:
        return dense_model({**config, "hidden": (units,)}, shape)

    units = 8
    cut_short(build, [point()], checkpoints, 2)
    units = 9
    assert train(build, [point()], checkpoints).bits == train(build, [point()]).bits
    assert "does not fit the model that build_model gives now" in log.text


def test_a_training_that_fails_keeps_its_checkpoint_for_the_next_try(
    checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    def no_memory(epoch: int) -> None:
        if epoch == 4:
            raise MemoryError("no more of it")

    failed = train(dense_model, [point()], checkpoints, on_epoch=no_memory)
    assert failed.ended["key"].record.status == "failed"
    assert train(dense_model, [point()], checkpoints).bits == train(dense_model, [point()]).bits
    assert goes_on_after(log) == [3]


def test_a_disk_too_full_for_a_checkpoint_is_told_once_and_the_training_goes_on(
    tmp_path: Path, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    wanted = [point(hidden=(3000,))]
    expected = train(dense_model, wanted).bits
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Less than the file needs: 27,004 weights with two moments each, and the best of them.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        found = train(dense_model, wanted, checkpoints)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.bits == expected
    assert list(checkpoints.folder.iterdir()) == []
    (warning,) = [r.getMessage() for r in log.records if r.levelno == logging.WARNING]
    assert f"bytes in {checkpoints.folder}. Free some space" in warning


def test_what_keeps_a_point_from_being_recorded_is_raised_and_not_taken_for_its_failure() -> None:
    from raygrid.training.train import train_points

    def full(trained: Any) -> None:
        raise OSError(errno.ENOSPC, "no room for the record")

    with pytest.raises(OSError, match="no room for the record"):
        train_points(defined(dense_model), [point(epochs=1)], "c", ARRAYS, SETTINGS, device="CPU", on_finished=full)


# The file


def a_checkpoint() -> Checkpoint:
    weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, ml_dtypes.bfloat16)]
    return Checkpoint(
        way="graph",
        stops={"epochs": 9, "patience": None},
        rows=[{"loss": 0.1, "val_loss": 0.3}, {"loss": float("nan"), "val_loss": float("inf")}],
        variables=[*weights, np.array(7, np.int64), np.array([1, 2], np.uint32)],
        best_epoch=1,
        best_weights=weights,
        seconds=12.5,
    )


def as_plain(checkpoint: Checkpoint | None) -> Any:
    if checkpoint is None:
        return None
    arrays = [(a.dtype, a.shape, a.tobytes()) for a in (*checkpoint.variables, *checkpoint.best_weights)]
    fields = (checkpoint.way, checkpoint.stops, checkpoint.rows, checkpoint.best_epoch, checkpoint.seconds)
    return repr((fields, len(checkpoint.variables))), arrays


def test_a_checkpoint_comes_back_as_it_was_written(checkpoints: Checkpoints) -> None:
    checkpoints.write("key", a_checkpoint())
    assert as_plain(checkpoints.read("key")) == as_plain(a_checkpoint())
    assert [path.name for path in checkpoints.folder.iterdir()] == ["key.npz"]
    checkpoints.remove("key")
    checkpoints.remove("key")
    assert checkpoints.read("key") is None


def test_a_damaged_checkpoint_is_noticed_at_every_byte(checkpoints: Checkpoints, log: pytest.LogCaptureFixture) -> None:
    small = replace(a_checkpoint(), variables=a_checkpoint().variables[-1:], best_epoch=None, best_weights=[])
    checkpoints.write("key", small)
    path = checkpoints.folder / "key.npz"
    whole, expected = path.read_bytes(), as_plain(small)
    noticed = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        found = as_plain(checkpoints.read("key"))
        # Some bytes of an archive mean nothing, such as its dates.
        assert found in (None, expected)
        noticed += found is None
    assert noticed > len(whole) // 2
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        assert checkpoints.read("key") is None
    assert f"{path} is damaged" in log.text


def test_a_link_in_place_of_a_checkpoint_is_not_followed(
    tmp_path: Path, checkpoints: Checkpoints, log: pytest.LogCaptureFixture
) -> None:
    checkpoints.write("elsewhere", a_checkpoint())
    (checkpoints.folder / "key.npz").symlink_to(checkpoints.folder / "elsewhere.npz")
    assert checkpoints.read("key") is None
    assert "symbolic link" in log.text


@pytest.mark.parametrize(
    ("epochs", "patience", "serves"),
    [(9, None, True), (9, 1, True), (2, None, False), (3, None, True), (9, 3, True), (1, 1, False)],
)
def test_a_checkpoint_serves_the_points_whose_best_epoch_is_its_own(
    epochs: int, patience: int | None, serves: bool
) -> None:
    rows = [{"val_loss": loss} for loss in (0.5, 0.4, 0.3, 0.6, 0.7)]
    checkpoint = replace(a_checkpoint(), rows=rows, best_epoch=3)
    assert checkpoint.serves(point(epochs=epochs, patience=patience)) is serves


# When they go


def test_they_go_when_a_model_is_published_and_when_a_prefix_is_cleaned(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "net")
    left = Checkpoints(paths.checkpoints_dir)
    left.write("of another search", a_checkpoint())
    half_written = left.folder / ".tmp-other.npz-1-0123abcd"
    half_written.write_bytes(b"")
    SmallModel(tmp_path, "net", 0).fit(ROWS, model_config={"epochs": 1})
    assert not left.folder.exists()
    left.write("of another search", a_checkpoint())
    assert clean_prefix(paths).freed_bytes > 0
    assert not left.folder.exists()


def test_what_a_killed_writer_left_is_removed_alone(checkpoints: Checkpoints) -> None:
    checkpoints.write("key", a_checkpoint())
    (checkpoints.folder / ".tmp-key.npz-1-0123abcd").write_bytes(b"half")
    checkpoints.remove_leftovers()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["key.npz"]


def test_a_checkpoint_of_before_callbacks_were_kept_is_read(checkpoints: Checkpoints) -> None:
    from raygrid.store.points import read_weights, save_weights

    row = {"loss": 1.0, "val_loss": 2.0}
    kept = Checkpoint(
        "graph", {"epochs": 6, "patience": None}, [row], [np.zeros(2)], 1, [np.ones(3)], 1.5, [{"wait": 2}]
    )
    checkpoints.write("key", kept)
    read = checkpoints.read("key")
    assert read is not None
    assert read.callbacks == [{"wait": 2}]
    path = checkpoints.folder / "key.npz"
    with path.open("rb") as file:
        text, *arrays = read_weights(file)
    about = json.loads(text.tobytes())
    del about["callbacks"]
    with path.open("wb") as file:
        save_weights(file, [np.frombuffer(json.dumps(about).encode(), np.uint8), *arrays])
    older = checkpoints.read("key")
    assert older is not None
    assert (older.rows, older.seconds, tuple(older.callbacks)) == ([row], 1.5, ())
