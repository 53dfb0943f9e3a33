"""Searches on real Ray: what is trained, recorded, published and kept."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from architectures import falling_by_epochs
from child_processes import run_script
from one_training import train_point
from small_models import WIDTH, LoggedModel, builds, dense_model, small_rows
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from raygrid import GridSearchModel
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.errors import AllTrialsFailedError
from raygrid.grid.plan import Point
from raygrid.training.tensorflow_setup import prepare_worker
from raygrid.tuning.resources import Resources

pytestmark = pytest.mark.ray

X, X_VAL = small_rows(), small_rows(60, seed=1)
GRID = {
    "hidden": [(4,), (4, 3), (-1,)],
    "learning_rate": [0.01, 1e30],
    "activation": ["relu", None],
}
FIXED = {"batch_size": 32, "epochs": 2, "patience": None}


class Searched(NamedTuple):
    folder: Path
    build_log: Path
    model: LoggedModel
    rows: list[dict[str, Any]]


def logged_model(folder: Path, build_log: Path, **settings: Any) -> LoggedModel:
    return LoggedModel(folder, "small", 0, build_log=str(build_log), **settings)


def unshuffled_model(folder: Path, build_log: Path, **settings: Any) -> LoggedModel:
    return logged_model(folder, build_log, shuffle=False, **settings)


@pytest.fixture(scope="module")
def searched(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """The grid above, searched once without shuffling."""
    folder = tmp_path_factory.mktemp("searched")
    build_log = folder / "builds.txt"
    model = unshuffled_model(folder / "models", build_log)
    model.fit(X, X_VAL, param_grid=GRID)
    return Searched(
        folder / "models", build_log, model, pq.read_table(folder / "models/small_trials.parquet").to_pylist()
    )


@pytest.fixture
def searched_copy(searched: Searched, tmp_path: Path) -> Searched:
    """The folder of ``searched``, for a test that changes it; one worker trains what it adds."""
    folder = tmp_path / "models"
    shutil.copytree(searched.folder, folder)
    return searched._replace(
        folder=folder, model=unshuffled_model(folder, searched.build_log, resources=Resources(max_concurrent=1))
    )


def config_of(row: dict[str, Any]) -> dict[str, Any]:
    config = {name.removeprefix("config."): value for name, value in row.items() if name.startswith("config.")}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def expected_status(config: dict[str, Any]) -> str:
    if config["hidden"] == (-1,):
        return "failed"
    return "diverged" if config["learning_rate"] == 1e30 else "done"


def same_weights(one: Any, other: Any) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def test_every_point_of_the_grid_has_a_row_with_its_status_in_grid_order(searched: Searched) -> None:
    expected = list(searched.model._iter_param_grid(GRID))
    assert [row["point"] for row in searched.rows] == list(range(12))
    assert [config_of(row) for row in searched.rows] == [{**FIXED, **config} for config in expected]
    assert [row["status"] for row in searched.rows] == [expected_status(config) for config in expected]
    assert {row["seed"] for row in searched.rows} == {0}
    assert {row["threads"] for row in searched.rows} == {1}
    assert {row["device"] for row in searched.rows} == {"CPU"}
    assert len({row["key"] for row in searched.rows}) == 12
    assert all(row["seconds"] > 0 for row in searched.rows)
    workers = {int(row["worker"].rpartition(":")[2]) for row in searched.rows}
    assert os.getpid() not in workers
    assert len(workers) >= 2


def test_the_ledger_keeps_the_types_of_the_hyperparameters(searched: Searched) -> None:
    schema = pq.read_schema(searched.folder / "small_trials.parquet")
    assert schema.field("config.hidden").type == pa.list_(pa.int64())
    assert schema.field("config.learning_rate").type == pa.float64()
    assert schema.field("config.activation").type == pa.string()
    assert schema.field("config.epochs").type == pa.int64()


def test_every_val_loss_is_that_of_a_plain_keras_loop_over_the_same_grid(searched: Searched) -> None:
    import keras

    for row in searched.rows:
        if row["status"] == "failed":
            continue
        config = config_of(row)
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = dense_model(config, (WIDTH,))
        history = model.fit(
            X, X, validation_data=(X_VAL, X_VAL), batch_size=32, epochs=2, shuffle=False, verbose=0
        ).history
        if row["status"] == "diverged":
            assert not np.isfinite(history["val_loss"]).any()
            continue
        # One thread here and in the workers, so the arithmetic is the same.
        assert row["val_loss"] == min(history["val_loss"]), config
        best = row["best_epoch"] - 1
        assert best == int(np.argmin(history["val_loss"]))
        assert row["metric.mae"] == history["mae"][best]
        assert row["metric.val_mae"] == history["val_mae"][best]


def test_the_winner_has_the_lowest_val_loss_and_its_weights_give_it(searched: Searched) -> None:
    model = searched.model
    best = min((row for row in searched.rows if row["status"] == "done"), key=lambda row: row["val_loss"])
    assert model.best_config == config_of(best)
    assert model.best_metrics is not None
    assert model.best_metrics["val_loss"] == best["val_loss"]
    assert model.best_metrics["best_epoch"] == best["best_epoch"]
    assert model.evaluate(X_VAL)["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    assert model.history["val_loss"][best["best_epoch"] - 1] == best["val_loss"]
    assert model.results.to_pylist() == searched.rows
    assert "12 points: 4 done, 4 diverged, 4 failed" in model.summary_text()


def test_the_files_of_the_pattern_are_there_with_manifest_and_ledger_and_nothing_of_tune(searched: Searched) -> None:
    names = {path.name for path in searched.folder.iterdir()}
    assert names == {
        "small_config.json",
        "small_model.keras",
        "small_metrics.json",
        "small_manifest.json",
        "small_trials.parquet",
        "small_runs",
    }
    manifest = json.loads((searched.folder / "small_manifest.json").read_text())
    assert manifest["files"].keys() == {"small_config.json", "small_model.keras", "small_metrics.json"}
    assert len(list((searched.folder / "small_runs/points").glob("*.json"))) == 12
    # Only the winner's weights are kept.
    (weights,) = (searched.folder / "small_runs/points").glob("*.npz")
    assert weights.stem == manifest["winner"]["key"]
    assert not list((searched.folder / "small_runs/tune").iterdir())


def test_tensorboard_has_a_run_for_every_point_with_curves_and_hyperparameters(searched: Searched) -> None:
    runs = {path.name: path for path in (searched.folder / "small_runs/tensorboard").iterdir()}
    assert len(runs) == 12
    for row in searched.rows:
        (name,) = (name for name in runs if name.endswith(row["key"][:8]))
        (file,) = runs[name].iterdir()
        events = [Event.FromString(data) for data in RawEventFileLoader(str(file)).Load()]
        values = [(event.step, value) for event in events for value in event.summary.value]
        start = _hparams(values, metadata.SESSION_START_INFO_TAG).session_start_info
        hyperparameters = {
            key: value.string_value if value.HasField("string_value") else value.number_value
            for key, value in start.hparams.items()
        }
        config = config_of(row)
        assert hyperparameters["hidden"] == str(config["hidden"])
        assert hyperparameters["activation"] == str(config["activation"])
        assert hyperparameters["learning_rate"] == config["learning_rate"]
        assert hyperparameters["epochs"] == 2.0
        assert hyperparameters["patience"] == "None"
        end = _hparams(values, metadata.SESSION_END_INFO_TAG).session_end_info
        succeeded = row["status"] == "done"
        assert end.status == (api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE)
        curve = [step for step, value in values if value.tag == "val_loss"]
        assert curve == ([1, 2] if succeeded else [])
        best = [value.simple_value for _, value in values if value.tag == "best_val_loss"]
        assert best == ([pytest.approx(row["val_loss"], rel=1e-6)] if succeeded else [])


def _hparams(values: list[tuple[int, Any]], tag: str) -> HParamsPluginData:
    (content,) = (value.metadata.plugin_data.content for _, value in values if value.tag == tag)
    return HParamsPluginData.FromString(content)


def test_the_same_grid_again_loads_without_training_but_for_what_failed(searched_copy: Searched) -> None:
    before = builds(searched_copy.build_log)
    model = searched_copy.model
    manifest = searched_copy.folder / "small_manifest.json"
    published = manifest.read_bytes()
    best = model.fit(X, X_VAL, param_grid=GRID, retry_failed=False)
    assert builds(searched_copy.build_log) == before
    assert same_weights(model.fit(X, X_VAL, param_grid=GRID), best)
    # What raises while it is built leaves no line.
    assert builds(searched_copy.build_log) == before
    workers = {row["key"]: row["worker"] for row in model.results.to_pylist()}
    tried_again = [row["status"] for row in searched_copy.rows if workers[row["key"]] != row["worker"]]
    assert tried_again == ["failed"] * 4
    assert manifest.read_bytes() == published
    saved = GridSearchModel.load(searched_copy.folder, "small")
    assert model.best_config == saved.best_config
    assert model.best_metrics == saved.best_metrics
    assert same_weights(best, saved.best_model)


def test_a_grid_that_grew_trains_only_its_new_points(searched_copy: Searched) -> None:
    before = len(builds(searched_copy.build_log))
    model = searched_copy.model
    model.fit(X, X_VAL, param_grid={"hidden": [(4,), (4, 3), (5,)], "activation": ["relu", None]})
    assert [hidden for _, hidden in builds(searched_copy.build_log)[before:]] == [(5,), (5,)]
    rows = model.results.to_pylist()
    assert [row["point"] for row in rows] == [0, 1, 2, 3, 4, 5, *[None] * 8]
    assert [row["status"] for row in rows[:6]] == ["done"] * 6
    best = min(rows[:6], key=lambda row: row["val_loss"])
    assert model.best_config == config_of(best)


def test_a_recorded_point_whose_weights_are_gone_is_trained_again_with_the_same_result(searched_copy: Searched) -> None:
    model = searched_copy.model
    worst = max((row for row in searched_copy.rows if row["status"] == "done"), key=lambda row: row["val_loss"])
    model.fit(X, X_VAL, model_config=config_of(worst))
    assert model.best_config == config_of(worst)
    assert model.best_metrics is not None
    assert model.best_metrics["val_loss"] == worst["val_loss"]
    assert len(model.results) == 12


def test_a_builder_that_workers_cannot_import_fails_with_that_cause(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_on_the_driver.py").write_text("def build(config, input_shape):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    builder = importlib.import_module("only_on_the_driver").build
    message = f"cannot import 'only_on_the_driver', .* What helps: set PYTHONPATH={tmp_path} before Ray starts"
    with pytest.raises(AllTrialsFailedError, match=message):
        GridSearchModel(tmp_path, verbose=0, build_model=builder).fit(X, X_VAL, param_grid={"units": [1]})


_TWO_GPUS = """
    import os, time
    from pathlib import Path
    import ray
    from raygrid.errors import AllTrialsFailedError, ResourceError
    from raygrid.tuning.resources import Resources
    from small_models import SmallModel, dense_model, small_rows

    DRIVER = os.getpid()
    SEEN = Path("seen").absolute()

    def two_gpus(kind=None):
        return ["/physical_device:GPU:0"] if kind == "GPU" else []

    class Meeting(SmallModel):
        def __setstate__(self, state):
            self.__dict__ |= state
            # There are none: in the workers TensorFlow is made to see the one that each was granted.
            if os.getpid() != DRIVER:
                import tensorflow as tf

                tf.config.list_physical_devices = two_gpus

        def build_model(self, config, input_shape):
            if os.getpid() != DRIVER:
                (SEEN / str(config["hidden"][0])).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
                end = time.monotonic() + 60
                while len(list(SEEN.iterdir())) < 2 and time.monotonic() < end:
                    time.sleep(0.05)
            return dense_model(config, input_shape)

    if __name__ == "__main__":
        SEEN.mkdir()
        ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False,
                 object_store_memory=200_000_000, logging_level="ERROR")
        Meeting("models", "small", 0).fit(small_rows(), param_grid={"hidden": [(4,), (5,)]})
        print("devices", sorted(path.read_text() for path in SEEN.iterdir()))
        try:
            Meeting("models", "more", 0, resources=Resources(gpus_per_trial=3)).fit(
                small_rows(), param_grid={"hidden": [(4,), (5,)]})
        except ResourceError as error:
            print("refused:", error)
        try:
            SmallModel("models", "unseen", 0).fit(small_rows(), param_grid={"hidden": [(4,), (5,)]})
        except AllTrialsFailedError as error:
            print("unseen:", error)
        ray.shutdown()
"""


@pytest.mark.long
def test_two_trials_at_once_get_a_gpu_each_by_default(tmp_path: Path) -> None:
    output = run_script(
        _TWO_GPUS, tmp_path, CUDA_VISIBLE_DEVICES=None, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", timeout_s=200
    )
    assert "devices ['0', '1']" in output
    assert "refused: a trial asks for 1 CPU and 3 GPUs" in output
    # Not trained on the CPU without a word.
    unseen = output.partition("unseen: no worker can start, so the search was stopped;")[2]
    assert "ResourceError: Ray granted this trial 1 GPU on" in unseen
    assert "(CUDA_VISIBLE_DEVICES is '" in unseen
    assert "and TensorFlow sees none. Install CUDA" in unseen


def test_a_worker_without_gpus_hides_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    hidden: list[tuple[list[str], str]] = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["/physical_device:GPU:0"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: hidden.append((devices, kind)))
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    prepare_worker(threads, gpus=1)
    assert hidden == []
    prepare_worker(threads, gpus=0)
    assert hidden == [([], "GPU")]


def test_a_schedule_that_reads_epochs_as_it_trains_gives_each_point_its_own_result(
    ray_session: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from raygrid.progress.listeners import tell_trained_apart

    tell_trained_apart.cache_clear()
    one_worker = Resources(max_concurrent=1)
    model = GridSearchModel(tmp_path, "falling", build_model=falling_by_epochs, resources=one_worker)
    caplog.set_level(logging.INFO, "raygrid")
    model.fit(X, X_VAL, param_grid={"epochs": [2, 4, 8]})
    found = {row["config.epochs"]: row["val_loss"] for row in model.results.to_pylist()}
    arrays = TrainingArrays(X, None, X_VAL, None)
    alone = {}
    for epochs in (2, 4, 8):
        point = Point(0, {"batch_size": 32, "epochs": epochs, "patience": None}, 0, "key")
        trained = train_point(falling_by_epochs, point, "c", arrays, TrainSettings(), device="CPU")
        alone[epochs] = trained.record.val_loss
    assert found == alone
    told = "Points that differ only in epochs or patience are trained one by one, not all in one: something that"
    assert caplog.text.count(told) == 1
