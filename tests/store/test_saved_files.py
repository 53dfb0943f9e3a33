"""Files of earlier versions: what version 0.1.0 left is read by every later one."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Command, command_in_this_process
from repository import ROOT
from small_models import SmallModel, small_rows

from raygrid import AutoencoderDetector, GridSearchModel, MLPClassifier
from raygrid.errors import StaleCacheError
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest
from raygrid.store.resets import current_experiment, reset_pending

X, X_VAL = small_rows(), small_rows(60, seed=1)
SAVED = ROOT / "tests/data" / "saved_by_0.1.0"
# What the same version predicted for the first two rows of X_VAL.
DENSE = [
    [0.19632050395011902, -0.16620022058486938, 0.4226837456226349, -0.8774664402008057],
    [-0.0030457384418696165, -0.028389479964971542, 0.06476914137601852, -0.11439228802919388],
]
DETECTOR = [
    [0.24201825261116028, -0.21870435774326324, -0.2776355743408203, -0.2793450951576233],
    [-0.10813289135694504, 0.023818334564566612, 0.12477976828813553, -0.37760594487190247],
]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A copy, since reading must not need the right to write, but `clean` and `fit` do."""
    shutil.copytree(SAVED, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_in_this_process(capsys)


def test_a_saved_model_loads_and_predicts_as_it_did(saved: Path) -> None:
    model = GridSearchModel.load(saved, "dense", 0)
    np.testing.assert_allclose(model.predict(X_VAL)[:2], DENSE, rtol=1e-4)
    assert model.best_config is not None and model.best_config["hidden"] == (2, 2)
    assert model.results.column("status").to_pylist() == ["done", "diverged", "done", "diverged"]
    assert len(model.history["val_loss"]) == 2


def test_a_saved_detector_and_classifier_have_their_threshold_and_classes(saved: Path) -> None:
    detector = AutoencoderDetector.load(saved, "detector", 0)
    np.testing.assert_allclose(detector.predict(X_VAL)[:2], DETECTOR, rtol=1e-4)
    assert detector.threshold == json.loads((saved / "detector_detector.json").read_text())["threshold"]
    assert MLPClassifier.load(saved, "classes", 0).classes.tolist() == ["high", "low"]


def test_every_record_is_read_and_belongs_to_its_manifest(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    for prefix, count in (("dense", 4), ("classes", 1), ("detector", 1)):
        paths = ModelArtifacts.for_prefix(saved, prefix)
        manifest, store = read_manifest(paths), PointStore(paths.points_dir)
        assert manifest is not None and manifest.accepted_code == []
        records = store.of_context(manifest.context)
        assert len(records) == count and {(record.code, record.trained_by) for record in records} == {("", None)}
        winner = store.get(manifest.winner["key"])
        assert winner is not None and store.weights(winner) is not None
    assert caplog.records == []


def test_a_fit_loads_it_or_says_what_differs_and_never_calls_it_damaged(saved: Path) -> None:
    before = sorted(path.name for path in (saved / "dense_runs/points").iterdir())
    model = SmallModel(saved, "dense", 0, scaler="standard")
    # Later rules may hash the same data or code otherwise.
    with contextlib.suppress(StaleCacheError):
        model.fit(X, X_VAL)
        np.testing.assert_allclose(model.predict(X_VAL)[:2], DENSE, rtol=1e-4)
    assert sorted(path.name for path in (saved / "dense_runs/points").iterdir()) == before


def test_a_reset_that_had_begun_and_its_checkpoint_are_found(saved: Path) -> None:
    paths = ModelArtifacts.for_prefix(saved, "reset")
    assert reset_pending(paths)
    assert current_experiment(paths) == json.loads(paths.reset_path.read_text())["experiment"]
    checkpoint = Checkpoints(paths.checkpoints_dir).read("c" * 32)
    assert checkpoint is not None
    assert (checkpoint.way, checkpoint.best_epoch, checkpoint.seconds) == ("graph", 1, 1.5)
    assert checkpoint.rows == [{"loss": 0.5, "val_loss": 0.25}]


@pytest.mark.parametrize("points", [True, False])
def test_the_commands_show_it(saved: Path, command: Command, points: bool) -> None:
    if not points:
        # As where only the artifacts were copied; the table is then the ledger.
        shutil.rmtree(saved / "dense_runs/points")
    where = ("--model-dir", str(saved), "--prefix", "dense")
    results, show = command("results", *where), command("show", *where)
    assert (results.code, show.code) == (0, 0), (results, show)
    assert "1.91183" in results.out and "4 points: 2 done, 2 diverged" in results.out
    assert "small_models:SmallModel" in show.out
    assert command("clean", *where).code == 0
