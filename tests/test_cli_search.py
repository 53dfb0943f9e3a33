"""``scripts/search.py`` as a person runs it: every built-in model on a table of one's own, and a search on Ray."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from child_processes import run_script, started_command
from commands import SCRIPT

TABLE = ["--data", "table.csv"]
NUMBERS = ["--features", "a,b,c"]

# What each model is given, and the files that it leaves beside config, model, metrics, manifest and ledger.
MODELS: dict[str, tuple[list[str], list[str]]] = {
    "autoencoder": ([*NUMBERS, "--set", "epochs=1", "--set", "encoder_layers=[4]"], ["scaler"]),
    "detector": ([*NUMBERS, "--set", "epochs=1", "--set", "encoder_layers=[4]"], ["scaler", "detector"]),
    "mlp-classifier": (
        [*NUMBERS, "--target", "kind", "--set", "epochs=1", "--set", "hidden_layers=[4]"],
        ["scaler", "classes"],
    ),
    "mlp-regressor": (
        ["--features", "a,b", "--target", "c,run", "--set", "epochs=1", "--set", "hidden_layers=[4]"],
        ["scaler"],
    ),
    "conv-autoencoder": (
        [*NUMBERS, "--run-column", "run", "--set", "epochs=1", "--set", "window=4", "--set", "filters=[4]"],
        ["scaler"],
    ),
    "residual-regressor": (
        [*NUMBERS, "--set", "epochs=1", "--set", "autoencoder.latent_dim=2"],
        [],
    ),
}

_EACH_TWICE = """
    import json, runpy, sys

    if __name__ == "__main__":
        for name, command in json.loads({commands!r}).items():
            for time in (1, 2):
                print(f"== {{name}} {{time}}", flush=True)
                sys.argv = command
                try:
                    runpy.run_path(command[0], run_name="__main__")
                    code = 0
                except SystemExit as ended:
                    code = ended.code
                print(f"exit code {{code}}", flush=True)
                print("Ray imported" if "ray" in sys.modules else "no Ray", flush=True)
"""


def run_each_twice(commands: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """What each command prints the first and the second time, by its name and the number of the time.

    All in one process, since most of the time is the import of TensorFlow.
    """
    output = run_script(_EACH_TWICE.format(commands=json.dumps(commands)), folder)
    _, *parts = re.split(r"^== (.*)\n", output, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def write_table(folder: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [",".join(f"{x:.4f}" for x in row) for row in generator.normal(size=(40, 3))]
    lines = [f"{row},{i // 8},{'high' if i % 2 else 'low'}" for i, row in enumerate(rows)]
    (folder / "table.csv").write_text("\n".join(["a,b,c,run,kind", *lines]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Every model trained with a single config, twice: the folder, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    write_table(folder)
    (folder / "config.json").write_text("{}")
    (folder / "config.yaml").write_text("autoencoder:\n  encoder_layers: [4]\n  epochs: 1\nhidden_layers: [4]\n")
    commands = {
        name: [str(SCRIPT), "--model", name, *TABLE, *arguments, "--config", config_of(name)]
        for name, (arguments, _) in MODELS.items()
    }
    return folder, run_each_twice(commands, folder)


def config_of(model: str) -> str:
    return "config.yaml" if model == "residual-regressor" else "config.json"


@pytest.mark.parametrize("name", MODELS)
def test_a_single_config_of_each_model_trains_on_a_table_of_ones_own(
    trained: tuple[Path, dict[str, str]], name: str
) -> None:
    folder, printed = trained
    first, again = printed[f"{name} 1"], printed[f"{name} 2"]
    assert "exit code 0\nno Ray" in first, first
    assert "1 points: 1 done" in first
    assert "Loaded from cache" not in first
    assert "exit code 0\nno Ray" in again, again
    assert "Loaded from cache: " in again
    assert "1/1  point" not in again
    # Nothing is said of the faults of other data.
    assert "Tennessee" not in first

    parts = ("autoencoder", "regressor") if name == "residual-regressor" else ("",)
    for part in parts:
        prefix = f"{name}_{part}" if part else name
        published = {path.name for path in (folder / "models").iterdir() if path.is_file()}
        extra = MODELS[name][1] or ["scaler"]
        for kind in ("config.json", "model.keras", "metrics.json", "manifest.json", "trials.parquet"):
            assert f"{prefix}_{kind}" in published
        for kind in extra:
            assert f"{prefix}_{kind}.json" in published
            assert f"                  {prefix}_{kind}.json\n" in first
        assert f"raygrid tensorboard --model-dir models --prefix {prefix}\n" in first
    assert f"files           {folder / 'models'}/\n" in first


def test_the_columns_play_the_parts_that_the_options_name(trained: tuple[Path, dict[str, str]]) -> None:
    models = trained[0] / "models"

    def saved(name: str) -> object:
        return json.loads((models / name).read_text())

    def shape(prefix: str, array: str) -> list[int]:
        manifest = saved(f"{prefix}_manifest.json")
        assert isinstance(manifest, dict)
        found: list[int] = manifest["depends_on"]["data"][array]["shape"]
        return found

    classes = saved("mlp-classifier_classes.json")
    assert isinstance(classes, dict)
    assert classes["classes"] == ["high", "low"]
    assert shape("autoencoder", "x_train") == [32, 3]
    assert shape("mlp-regressor", "x_train") == [32, 2]
    assert shape("mlp-regressor", "y_train") == [32, 2]
    assert shape("conv-autoencoder", "runs_train") == [32]
    teacher, student = (
        saved("residual-regressor_autoencoder_config.json"),
        saved("residual-regressor_regressor_config.json"),
    )
    assert isinstance(teacher, dict) and isinstance(student, dict)
    assert (teacher["encoder_layers"], teacher["latent_dim"], teacher["epochs"]) == ([4], 2, 1)
    assert (student["hidden_layers"], student["epochs"]) == ([4], 1)


def test_a_student_is_measured_against_its_teacher(trained: tuple[Path, dict[str, str]]) -> None:
    for time in (1, 2):
        text = trained[1][f"residual-regressor {time}"]
        assert re.search(
            r"on training rows, against the autoencoder: mae [\d.e-]+, rmse [\d.e-]+, r2 -?[\d.e-]+\n", text
        )


# A search on Ray

_OWN_MODEL = """
import time
from pathlib import Path

from raygrid import GridSearchModel


class Slow(GridSearchModel):
    DEFAULT_CONFIG = {"units": 2, "epochs": 1}

    def build_model(self, config, input_shape):
        import keras

        # The second point waits until it may go on.
        while config["units"] == 3 and Path("wait").exists():
            time.sleep(0.05)
        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(config["units"]), keras.layers.Dense(3)])
        model.compile("sgd", loss="mse")
        return model
"""


@pytest.mark.ray
def test_a_search_is_stopped_goes_on_is_confirmed_and_is_loaded(tmp_path: Path) -> None:
    write_table(tmp_path)
    (tmp_path / "own_model.py").write_text(_OWN_MODEL)
    (tmp_path / "grid.yaml").write_text("units: [2, 3]\n")
    (tmp_path / "wait").touch()
    points = tmp_path / "models" / "slow_runs" / "points"
    arguments = ["--model", "own_model:Slow", *TABLE, *NUMBERS, "--grid", "grid.yaml", "--set", "epochs=[1]"]

    with started_command([sys.executable, str(SCRIPT), *arguments, "--confirm", "1"], tmp_path) as child:
        child.wait_until(lambda: len(list(points.glob("*.json"))) == 1)
        child.process.send_signal(signal.SIGINT)
        assert child.process.wait(60) == 130, child.text()
        text = child.text()
        assert child.wait_until_all_ended(20) == []
    (tmp_path / "wait").unlink()
    assert "the search was stopped with 1 of 2 points unfinished; the finished ones are kept" in text
    assert "Traceback" not in text
    assert len(list(points.glob("*.json"))) == 1
    assert pq.read_metadata(tmp_path / "models/slow_trials.parquet").num_rows == 1
    assert not (tmp_path / "models/slow_manifest.json").exists()

    (line,) = (line for line in text.splitlines() if line.startswith("To go on: "))
    program, *rest = shlex.split(line.removeprefix("To go on: "))
    assert program == "python"
    printed = run_each_twice({"search": rest}, tmp_path)
    text, again = printed["search 1"], printed["search 2"]
    assert text.endswith("exit code 0\nRay imported\n"), text
    assert "2 points, 1 already done, 1 to train" in text
    assert "2/2  point 1  val_loss" in text
    assert "1/2  point" not in text
    assert "2 points: 2 done" in text
    assert re.search(r"^ *point +val_loss +units +best epoch +epochs +seconds$", text, re.MULTILINE)
    assert re.search(
        r"^best config     \{'batch_size': 32, 'epochs': 1, 'patience': None, 'units': [23]\}$", text, re.MULTILINE
    )
    for name in ("config.json", "model.keras", "metrics.json", "manifest.json", "trials.parquet"):
        assert f"                  slow_{name}\n" in text
        assert (tmp_path / "models" / f"slow_{name}").is_file()
    assert "1 further seed for the winner and " in text
    assert re.search(r"^The winner, point [01], (stands|is too close to call)", text, re.MULTILINE)
    # Neither Ray nor TensorFlow speaks.
    assert not re.search(r"ray::|INFO|WARNING|tensorflow|oneDNN", text)

    # All of it again costs nothing: neither the search nor its confirmation trains.
    assert again.endswith("exit code 0\nRay imported\n"), again
    assert "Loaded from cache: " in again
    assert "to train" not in again
    assert again[again.index("1 further seed") :] == text[text.index("1 further seed") :]
    rows = pq.read_table(tmp_path / "models/slow_trials.parquet").to_pylist()
    assert len(list(points.glob("*.json"))) == len(rows) >= 3
    assert sorted(row["config.units"] for row in rows if row["seed"] == 0) == [2, 3]
    assert not list((tmp_path / "models/slow_runs/tune").iterdir())
