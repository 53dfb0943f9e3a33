"""One call's view of a prefix: keys, plan, scaled data, and the table of what is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.memory import Shortage
from raygrid.data.training_data import prepare_data
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord, Status
from raygrid.grid.request import Request
from raygrid.identity.identity import Identity
from raygrid.search.run import SearchRun, recorded_results, results_of_published
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts

X = np.random.default_rng(0).normal(5.0, 3.0, (50, 4)).astype(np.float32)
DEFAULTS: dict[str, Any] = {"batch_size": 10, "epochs": 2, "patience": None}


def run_of(
    folder: Path,
    units: tuple[int, ...] = (8, 16),
    seed: int = 0,
    scaler: str | None = None,
    target_scaler: str | None = None,
    experiment: str = "",
    **arguments: Any,
) -> SearchRun:
    """A run for a grid over ``units``; ``arguments`` go to ``prepare_data``, or are its result as ``data``."""
    data = arguments.pop("data", None) or prepare_data(X, **arguments)
    settings = {
        "seed": seed,
        "scaler": scaler,
        "target_scaler": target_scaler,
        "shuffle": False,
        "dtype_policy": "float32",
        "windowed": False,
    }
    identity = Identity(data.digests(scaler), {"name": "m:Net", "digest": "cc"}, settings)
    request = Request.for_grid({"units": units}, DEFAULTS)
    return SearchRun(ModelArtifacts.for_prefix(folder, "net"), data, identity, experiment, request)


def record(run: SearchRun, point: Point, status: Status = "done", val_loss: float | None = 0.5) -> None:
    """What a training of ``point`` would leave in the store."""
    metrics = {"val_loss": val_loss}
    run.store.add(PointRecord(point.key, run.context, point.config, point.seed, status, metrics))


def manifest_of(run: SearchRun) -> Manifest:
    return Manifest(
        generation="g",
        files={},
        depends_on=run.identity.to_json(),
        request=run.request.to_json(),
        experiment=run.experiment,
        context=run.context,
    )


def test_a_plan_touches_no_disk(tmp_path: Path) -> None:
    plan = run_of(tmp_path / "models").plan()
    assert [p.config for p in plan.points] == [{**DEFAULTS, "units": 8}, {**DEFAULTS, "units": 16}]
    assert [p.number for p in plan.points] == [0, 1]
    assert plan.to_train == 2
    assert not any(tmp_path.iterdir())


def test_the_length_of_a_trial_is_that_of_the_training_rows(tmp_path: Path) -> None:
    assert [trial.steps for trial in run_of(tmp_path).plan().trials] == [8, 8]  # 40 of 50 rows, 10 a step, 2 epochs


def test_recorded_points_are_done_and_failures_are_tried_again(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    first, second = run.plan().points
    record(run, first)
    record(run, second, "failed", None)
    again = run_of(tmp_path).plan()
    assert list(again.done) == [first.key]
    assert [p.key for trial in again.trials for p in trial.points] == [second.key]


def test_a_grid_that_grew_trains_only_its_new_points(tmp_path: Path) -> None:
    run = run_of(tmp_path, units=(8, 16))
    for point in run.plan().points:
        record(run, point)
    grown = run_of(tmp_path, units=(4, 8, 16)).plan()
    assert [p.config["units"] for trial in grown.trials for p in trial.points] == [4]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"scaler": "standard"}, {"experiment": "e"}, {"validation_split": 0.1}]
)
def test_nothing_is_taken_from_another_seed_setting_experiment_or_data(tmp_path: Path, change: dict[str, Any]) -> None:
    run = run_of(tmp_path)
    for point in run.plan().points:
        record(run, point)
    assert run_of(tmp_path, **change).plan().to_train == 2


def test_the_settings_of_the_training_are_those_of_the_identity(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert run.settings.shuffle is False
    assert run.settings.dtype_policy == "float32"
    assert run.settings.keras == KerasSettings()


def test_a_scaler_is_fitted_on_the_training_rows_alone(tmp_path: Path) -> None:
    run = run_of(tmp_path, scaler="standard")
    arrays = run.prepared.arrays(None)
    np.testing.assert_allclose(arrays.x_train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(arrays.x_train.std(0), 1, atol=1e-5)
    np.testing.assert_allclose(arrays.x_val, (X[40:] - X[:40].mean(0)) / X[:40].std(0), atol=1e-4)
    np.testing.assert_array_equal(run.data.x_train, X[:40])
    assert arrays.y_train is None


def test_without_a_scaler_the_model_gets_the_data_as_it_is(tmp_path: Path) -> None:
    y = np.arange(50)
    run = run_of(tmp_path, y_train=y, sample_weight=np.ones(50))
    assert not run.prepared.scaling
    np.testing.assert_array_equal(run.prepared.arrays(None).x_val, X[40:])
    np.testing.assert_array_equal(run.prepared.arrays(None).y_val, y[40:])
    assert run.prepared.arrays(None).w_train is not None and len(run.prepared.arrays(None).w_train) == 40


def test_targets_are_scaled_only_when_asked_for(tmp_path: Path) -> None:
    y = np.linspace(100, 200, 50, dtype=np.float32)
    scaled = run_of(tmp_path, target_scaler="standard", y_train=y)
    np.testing.assert_allclose(
        [scaled.prepared.arrays(None).y_train.mean(), scaled.prepared.arrays(None).y_train.std()], [0, 1], atol=1e-5
    )
    np.testing.assert_allclose(
        scaled.prepared.scaling.unscale_targets(scaled.prepared.arrays(None).y_train), y[:40], rtol=1e-5
    )
    np.testing.assert_array_equal(run_of(tmp_path, scaler="standard", y_train=y).prepared.arrays(None).y_train, y[:40])


# Tables


def test_values_that_float32_cannot_tell_apart_are_scaled_in_float64(tmp_path: Path) -> None:
    times = (np.arange(300.0) + 1.7e9).reshape(-1, 1)
    for given in (times, times.astype(np.int64), np.asfortranarray(times)):
        data = prepare_data(given, given, y_train=given[:, 0], y_val=given[:, 0])
        run = run_of(tmp_path, scaler="standard", target_scaler="standard", data=data)
        arrays = run.prepared.arrays(None)
        for fed in (arrays.x_train, arrays.y_train, arrays.x_val, arrays.y_val):
            assert fed is not None and fed.dtype == np.float32
            assert len(np.unique(fed)) == 300


@pytest.mark.parametrize("in_files", [False, True])
def test_unscaled_floats_are_cast_and_integers_stay_integers_of_one_dtype(tmp_path: Path, in_files: bool) -> None:
    ids = np.array([[2**24], [2**24 + 1], [3]])
    for x, x_val, dtype in (
        (ids, ids.astype(np.uint32), np.int32),
        (ids.astype(np.int32), ids + 2**40, np.int64),
        (ids * 0.5, ids, np.float32),
    ):
        data = prepare_data(x, x_val, y_train=x[:, 0] / 2, y_val=x[:, 0] / 2)
        run = run_of(tmp_path, data=data)
        with run.prepared.files():
            arrays = run.prepared.arrays(Shortage(9, 9, 9) if in_files else None)
            assert arrays.x_train.dtype == arrays.x_val.dtype == dtype
            assert arrays.x_train.flags.c_contiguous
            np.testing.assert_array_equal(arrays.x_train, x.astype(dtype))
            np.testing.assert_array_equal(arrays.x_val, x_val.astype(dtype))
            assert arrays.y_train is not None and arrays.y_train.dtype == np.float32


def test_the_bytes_of_the_data_are_those_that_workers_hold(tmp_path: Path) -> None:
    x = X.astype(np.float64)
    for given, settings, x_bytes, y_bytes in (
        (x, {}, 4, 4),
        (x, {"scaler": "standard", "target_scaler": "standard"}, 4, 4),
        ((x * 100).astype(np.int64), {}, 4, 4),
        ((x * 100).astype(np.int64) + 2**40, {}, 8, 8),
        ((x * 100).astype(np.uint8), {"scaler": "standard"}, 4, 4),
    ):
        y = given[:, 0]
        run = run_of(tmp_path, data=prepare_data(given, y_train=y, sample_weight=np.ones(50)), **settings)
        assert run.prepared.bytes == 50 * (4 * x_bytes + y_bytes + 4)
        held = run.prepared.arrays(None)
        columns = (*held.train_columns(), *held.val_columns())
        assert run.prepared.bytes == sum(column.nbytes for column in columns)


def test_targets_that_are_the_array_of_the_inputs_are_held_once_unless_they_are_scaled(tmp_path: Path) -> None:
    data = prepare_data(X, X, y_train=X, y_val=X)
    run = run_of(tmp_path, data=data)
    arrays = run.prepared.arrays(None)
    assert arrays.x_train is arrays.y_train
    assert run.prepared.bytes == X.nbytes
    run = run_of(tmp_path, data=data, scaler="standard", target_scaler="standard")
    assert run.prepared.bytes == 2 * X.nbytes


def test_the_table_holds_points_of_earlier_grids_too_after_those_that_were_asked_for(tmp_path: Path) -> None:
    earlier = run_of(tmp_path, units=(8, 16))
    for point in earlier.plan().points:
        record(earlier, point)
    run = run_of(tmp_path, units=(4, 16))
    plan = run.plan()
    record(run, plan.points[0])
    table = run.results()
    assert table["point"].to_pylist() == [0, 1, None]
    assert table["config.units"].to_pylist() == [4, 16, 8]


def test_records_of_another_context_are_not_in_the_table(tmp_path: Path) -> None:
    other = run_of(tmp_path, experiment="before the reset")
    record(other, other.plan().points[0])
    run = run_of(tmp_path)
    assert run.recorded() == []
    assert run.results().num_rows == 0


def test_the_results_of_a_published_model_are_numbered_as_in_its_grid(tmp_path: Path) -> None:
    run = run_of(tmp_path, units=(16, 8), seed=3)
    first, second = run.plan().points
    record(run, second, val_loss=0.25)
    record(run, first, val_loss=0.75)
    table = results_of_published(run.paths, manifest_of(run))
    assert table["point"].to_pylist() == [0, 1]
    assert table["config.units"].to_pylist() == [16, 8]
    assert table["val_loss"].to_pylist() == [0.75, 0.25]


def test_without_the_point_store_the_ledger_is_served_and_without_that_no_rows(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    manifest = manifest_of(run)
    assert results_of_published(run.paths, manifest).num_rows == 0
    plan = run.plan()
    for point in plan.points:
        record(run, point)
    run.write_ledger()
    whole = results_of_published(run.paths, manifest)
    for path in run.paths.points_dir.iterdir():
        path.unlink()
    assert results_of_published(run.paths, manifest).to_pylist() == whole.to_pylist()
    assert whole.num_rows == 2


def test_results_can_be_seen_before_anything_is_published(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert recorded_results(run.paths).num_rows == 0
    record(run, run.plan().points[1])
    table = recorded_results(run.paths)
    assert table["config.units"].to_pylist() == [16]
    assert table["point"].to_pylist() == [None]


def test_the_class_may_be_renamed_between_two_calls(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    record(run, run.plan().points[0])
    renamed = replace(run.identity, code={"name": "m:Renamed", "digest": "cc"})
    assert SearchRun(run.paths, run.data, renamed, "", run.request).plan().to_train == 1
