"""What a search shows of Ray and TensorFlow: nothing, unless it is asked for; and which modules its workers find."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from child_processes import started_command
from commands import SCRIPT
from repository import ROOT

pytestmark = pytest.mark.ray

# Imported by the driver from a folder that was appended to sys.path.
_BUILDERS = """
    import os
    import keras

    def build(config, shape):
        if config["units"] == 5:
            os._exit(1)
        model = keras.Sequential([keras.Input(shape), keras.layers.Dense(config["units"]),
                                  keras.layers.Dense(shape[0])])
        model.compile("adam", "mse")
        return model
"""

_FIT = """
    import sys
    sys.path.append({builders!r})
    import numpy as np
    import raygrid.training.tensorflow_setup
    raygrid.training.tensorflow_setup.load_tensorflow()
    from own_builders import build
    from raygrid import GridSearchModel
    from small_models import small_rows

    model = GridSearchModel("models", "net", {verbose}, build_model=build)
    model.fit(small_rows(), param_grid={{"units": [3, 5, 4], "epochs": [1]}})
    # Each length is a trace of its own, and TensorFlow warns of the fifth.
    print([len(model.predict(np.zeros((3 + n, 4)))) for n in range(7)])
"""

# As on a machine of a user who has set nothing.
_NOTHING_SET = {"TF_CPP_MIN_LOG_LEVEL": None, "CUDA_VISIBLE_DEVICES": None}
_FOREIGN = ("tensorflow", "absl", "oneDNN", "cuInit", "retracing", "raylet", "A worker died", "Traceback", "E0000")


@pytest.fixture
def builders(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "own_builders.py").write_text(textwrap.dedent(_BUILDERS))
    return folder


@pytest.mark.long
def test_a_search_whose_worker_dies_shows_raygrids_own_lines_alone_and_finds_the_drivers_modules(
    builders: Path, tmp_path: Path
) -> None:
    # In the working folder, which is not on this process' path, names that workers import must not be taken.
    work = tmp_path / "work"
    work.mkdir()
    for name in ("keras", "pandas", "tensorflow"):
        (work / f"{name}.py").write_text(f"open('{tmp_path}/ran', 'w').close(); raise RuntimeError('shadowed')")
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(_FIT.format(builders=str(builders), verbose=1)))
    with started_command([sys.executable, str(script)], work, **_NOTHING_SET) as child:
        assert child.process.wait(200) == 0, child.text()
    text = child.text()
    assert "[3, 4, 5, 6, 7, 8, 9]" in text
    assert "2/3  point" in text and "point 1  failed: " in text
    assert [word for word in _FOREIGN if word in text] == [], text
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_the_command_is_quiet_too_and_shows_everything_with_v(builders: Path, tmp_path: Path) -> None:
    table = "\n".join(["a,b", *(f"{n},{n * n % 7}.5" for n in range(60))])
    (tmp_path / "table.csv").write_text(table)
    command = [sys.executable, str(SCRIPT), "--data", "table.csv", "--model", "own_builders:build", "--set"]
    path = {**_NOTHING_SET, "PYTHONPATH": f"{builders}:{ROOT}"}
    with (
        started_command([*command, "units=[3,5]", "--prefix", "quiet"], tmp_path, **path) as quiet,
        started_command([*command, "units=[3,5]", "--prefix", "loud", "-v"], tmp_path, **path) as loud,
    ):
        assert quiet.process.wait(250) == 0, quiet.text()
        assert loud.process.wait(250) == 0, loud.text()
    assert "2/2  point" in quiet.text()
    assert [word for word in _FOREIGN if word in quiet.text()] == [], quiet.text()
    assert "A worker died" in loud.text() and "tensorflow" in loud.text().lower()
