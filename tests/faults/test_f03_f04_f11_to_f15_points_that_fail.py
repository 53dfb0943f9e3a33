"""Points that fail, diverge or lose their worker: what their rows say, that they never win, that the others go on."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from faulty_models import FaultyModel, builds_by_case, last_process
from one_training import train_point
from small_models import dense_model, small_rows

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.errors import AllTrialsFailedError
from raygrid.grid.plan import Point
from raygrid.progress.listeners import SearchListener
from raygrid.tuning.resources import Resources

pytestmark = pytest.mark.ray

X, X_VAL = small_rows(), small_rows(60, seed=1)
CASES = [
    "well",
    "slow",
    "rate 1e30",
    "units -1",
    "NaN weights",
    "a builder that is too large",
    "a training that is too large",
]
FILES = ("config.json", "model.keras", "metrics.json", "manifest.json")
REMEDIES = ("smaller batch_size", "Resources(max_concurrent=...)", "a node with more memory")


class KillsWorker(SearchListener):
    """Kills the worker of a case with a real SIGKILL, once, the moment that it has trained an epoch."""

    def __init__(self, build_log: Path, case: str) -> None:
        self.build_log = build_log
        self.case = case
        self.killed: list[int] = []

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        if point.config["case"] == self.case and not self.killed:
            self.killed.append(last_process(self.build_log, self.case))
            os.kill(self.killed[0], signal.SIGKILL)


class Searched(NamedTuple):
    folder: Path
    build_log: Path
    killed: list[int]
    model: FaultyModel
    rows: dict[str, dict[str, Any]]


def faulty_model(folder: Path, build_log: Path, **settings: Any) -> FaultyModel:
    return FaultyModel(folder, "faulty", 0, build_log=str(build_log), **settings)


@pytest.fixture(scope="module")
def searched(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """All cases in one search; the worker of the slow one is killed."""
    folder = tmp_path_factory.mktemp("faulty")
    build_log = folder / "builds.txt"
    listener = KillsWorker(build_log, "slow")
    model = faulty_model(folder / "models", build_log, progress=listener)
    model.fit(X, X_VAL, param_grid={"case": CASES})
    rows = {row["config.case"]: row for row in model.results.to_pylist()}
    return Searched(folder / "models", build_log, listener.killed, model, rows)


def published(searched: Searched) -> dict[str, bytes]:
    return {name: (searched.folder / f"faulty_{name}").read_bytes() for name in FILES}


def test_f03_a_trial_whose_worker_is_killed_is_tried_again_and_the_others_go_on(searched: Searched) -> None:
    (pid,) = searched.killed
    slow, well = searched.rows["slow"], searched.rows["well"]
    assert slow["status"] == "done"
    assert not slow["worker"].endswith(f":{pid}")
    # It ends as if nothing had happened: the slow layer changes nothing.
    assert slow["val_loss"] == well["val_loss"]
    assert slow["epochs_run"] == 8
    assert searched.rows.keys() == set(CASES)
    built = builds_by_case(searched.build_log)
    del built["a training that is too large"]
    assert built == {case: 1 + (case == "slow") for case in CASES[:-1]}


@pytest.mark.parametrize("case", ["a builder that is too large", "a training that is too large"])
def test_f04_a_point_that_is_too_large_for_its_worker_says_so_and_what_helps(searched: Searched, case: str) -> None:
    row = searched.rows[case]
    assert row["status"] == "failed"
    last = row["error"].splitlines()[-1]
    if "builder" in case:
        assert last.startswith("out of memory (") and "Unable to allocate 1000. MiB" in last
    else:
        # TensorFlow's C++ code may raise, or end its process: that is tried three times.
        ends = {1: "out of memory (", 3: "its worker died each time, which may be for want of memory."}
        assert last.startswith(ends[builds_by_case(searched.build_log)[case]])
    assert all(remedy in last for remedy in REMEDIES)
    assert last in searched.model.summary_text()


def test_f11_a_point_without_a_finite_val_loss_has_diverged(searched: Searched) -> None:
    row = searched.rows["rate 1e30"]
    assert row["status"] == "diverged"
    assert row["error"] == "val_loss was not finite in any epoch"
    assert row["val_loss"] is None
    assert row["epochs_run"] == 8


def test_f13_a_point_with_the_best_val_loss_and_a_weight_that_is_nan_cannot_win(searched: Searched) -> None:
    row = searched.rows["NaN weights"]
    assert row["status"] == "diverged"
    assert "not finite, though its val_loss is" in row["error"]
    assert row["metric.val_loss"] < searched.rows["well"]["val_loss"]
    assert searched.model.best_config is not None and searched.model.best_config["case"] == "well"
    assert all(np.isfinite(weight).all() for weight in searched.model.best_model.get_weights())


def test_f13_rows_of_nan_that_got_past_the_check_train_nothing_that_could_win() -> None:
    rows = np.full_like(X, np.nan)
    config = {"hidden": (4,), "activation": "relu", "learning_rate": 0.01, "batch_size": 32, "epochs": 2}
    # Validation with a model of NaN weights may well be finite: relu of NaN is 0 in some of TensorFlow's kernels.
    for arrays in (TrainingArrays(rows, np.zeros_like(X), X_VAL, None), TrainingArrays(rows, None, rows, None)):
        point = Point(0, {**config, "patience": None}, 0, "key")
        trained = train_point(dense_model, point, "context", arrays, TrainSettings(), device="CPU")
        assert trained.record.status == "diverged"
        assert trained.weights is None


def test_f14_a_point_whose_builder_raises_has_the_error_in_its_row_and_in_the_summary(searched: Searched) -> None:
    row = searched.rows["units -1"]
    assert row["status"] == "failed"
    assert row["val_loss"] is None
    assert row["epochs_run"] == 0
    assert "invalid value for `units`" in row["error"].splitlines()[-1]
    assert "in build_model" in row["error"]
    (line,) = (line for line in searched.model.summary_text().splitlines() if "units -1" in line)
    assert "failed: " in line and "`units`" in line
    assert "7 points: 2 done, 2 diverged, 3 failed" in searched.model.summary_text()


def test_f11_f14_the_others_are_trained_once_and_the_best_of_them_is_published(searched: Searched) -> None:
    for case in ("well", "slow"):
        row = searched.rows[case]
        assert (row["status"], row["error"]) == ("done", None)
        assert math.isfinite(row["val_loss"])
        assert row["val_loss"] == row["metric.val_loss"]
    metrics = searched.model.best_metrics
    assert metrics is not None and metrics["val_loss"] == searched.rows["well"]["val_loss"]


def test_f12_if_no_point_can_win_the_causes_are_counted_and_the_old_set_stays(searched: Searched) -> None:
    before = published(searched)
    model = faulty_model(searched.folder, searched.build_log)
    with pytest.raises(AllTrialsFailedError) as caught:
        model.fit(X, X_VAL, param_grid={"case": ["rate 1e30", "rate 1e31", "units -1", "units -2"]})
    message = str(caught.value)
    assert message.startswith("none of the 4 points has a result that could win, and nothing was published:\n")
    assert "\n  2 x diverged: val_loss was not finite in any epoch" in message
    for units in ("units=-1", "units=-2"):
        (line,) = (line for line in message.splitlines() if units in line)
        assert line.startswith("  1 x failed: ")
    assert published(searched) == before
    assert FaultyModel.load(searched.folder, "faulty", 0).best_config == searched.model.best_config
    assert searched.model.results.num_rows == len(CASES) + 2


def test_f12_without_an_old_set_nothing_is_there_afterwards(ray_session: None, tmp_path: Path) -> None:
    model = faulty_model(tmp_path / "models", tmp_path / "builds.txt", resources=Resources(max_concurrent=1))
    with pytest.raises(AllTrialsFailedError, match="none of the 2 points has a result"):
        model.fit(X, X_VAL, param_grid={"case": ["rate 1e30", "rate 1e31"]})
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"faulty_runs", "faulty_trials.parquet"}
    # What diverged would diverge again; f15: the only point of a grid is no better for being the only one.
    with pytest.raises(AllTrialsFailedError, match=r"rate 1e30.* diverged: val_loss was not finite in any epoch"):
        model.fit(X, X_VAL, param_grid={"case": ["rate 1e30"]})
    assert builds_by_case(tmp_path / "builds.txt") == {"rate 1e30": 1, "rate 1e31": 1}
    assert not (tmp_path / "models/faulty_manifest.json").exists()


@pytest.mark.parametrize("asked", [{"param_grid": {"case": ["units -1"]}}, {"model_config": {"case": "units -1"}}])
def test_f15_a_single_point_that_fails_is_never_the_best(searched: Searched, asked: dict[str, Any]) -> None:
    before = published(searched)
    with pytest.raises(AllTrialsFailedError, match=r"(?s)units -1.* failed: .*invalid value for `units`"):
        faulty_model(searched.folder, searched.build_log).fit(X, X_VAL, **asked)
    assert published(searched) == before


def test_f04_a_training_in_this_process_that_is_too_large_says_so_too(tmp_path: Path) -> None:
    import resource

    model = faulty_model(tmp_path, tmp_path / "builds.txt")
    try:
        with pytest.raises(AllTrialsFailedError, match=r"(?s)failed: .*\nout of memory \(.*MemoryError.*batch_size"):
            model.fit(X, X_VAL, model_config={"case": "a builder that is too large"})
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
