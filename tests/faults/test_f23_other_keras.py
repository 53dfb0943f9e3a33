"""f23: a model that another version of Keras wrote: a warning if it can load it, an error with the fix if not."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from trained_models import CONFIG, OTHER, X_VAL, X, bits, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.errors import VersionError
from raygrid.identity.identity import installed_version
from raygrid.store.paths import ModelArtifacts

INSTALLED = installed_version("keras")


def written_by(paths: ModelArtifacts, version: str) -> None:
    """The manifests as that Keras would have left them."""
    for path in (paths.manifest_path, *paths.generations_dir.glob("*/manifest.json")):
        value = json.loads(path.read_bytes())
        value["versions"]["keras"] = version
        path.write_text(json.dumps(value))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "raygrid" and r.levelno == logging.WARNING]


def test_f23_another_minor_version_is_one_warning_and_what_is_recorded_stays_valid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = trained_copy(tmp_path / "models")
    expected = bits(GridSearchModel.load(paths.model_dir, "small", 0).best_model)
    other = f"{INSTALLED.partition('.')[0]}.0.99"
    written_by(paths, other)
    model, begun = small_model(paths.model_dir)
    for call in (
        lambda: model.fit(X, X_VAL),
        lambda: model.fit(X, X_VAL, model_config=CONFIG),
        lambda: GridSearchModel.load(paths.model_dir, "small", 0),
    ):
        caplog.clear()
        call()
        (warning,) = warnings_of(caplog)
        assert str(paths.model_path) in warning and other in warning and INSTALLED in warning
    assert begun == []
    assert bits(model.best_model) == expected

    plan = model.plan(X, X_VAL, param_grid={"hidden": [(3, 2), (5,)], "epochs": [2]}).plan
    assert [point.config["hidden"] for trial in plan.trials for point in trial.points] == [(5,)]
    # Another training warns once, too, and its model is of the Keras that is there.
    caplog.clear()
    model.fit(X, X_VAL, model_config=OTHER)
    assert begun == [(5,)]
    assert len(warnings_of(caplog)) == 1
    caplog.clear()
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (5,)
    assert len(model.results) == 2
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("major", [-1, +1])
def test_f23_another_major_version_is_an_error_that_names_both_and_the_fix(tmp_path: Path, major: int) -> None:
    paths = trained_copy(tmp_path / "models")
    other = f"{int(INSTALLED.partition('.')[0]) + major}.4.1"
    written_by(paths, other)
    model, begun = small_model(paths.model_dir)
    pattern = (
        rf"{re.escape(str(paths.model_path))} was written by Keras {re.escape(other)}, and Keras "
        rf"{re.escape(INSTALLED)} is installed\. Install 'keras=={other[0]}\.\*' .*reset_experiment=True"
    )
    for call in (
        lambda: model.fit(X, X_VAL),
        lambda: model.fit(X, X_VAL, model_config=OTHER),
        lambda: GridSearchModel.load(paths.model_dir, "small", 0),
    ):
        with pytest.raises(VersionError, match=pattern):
            call()
    assert begun == []
    # The way out that the message names.
    model.fit(X, X_VAL, model_config=CONFIG, reset_experiment=True)
    assert begun == [(3, 2)]
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (3, 2)
