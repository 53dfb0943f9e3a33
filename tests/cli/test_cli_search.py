"""``scripts/search.py`` as a person runs it: every built-in model on a table of one's own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from child_processes import started_command
from commands import NUMBERS, SCRIPT, TABLE, command_in_this_process, moved_to, run_each_twice, write_table

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
    assert "1 point: 1 done" in first
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


def test_the_columns_of_a_file_go_by_name(
    trained: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = command_in_this_process(capsys)
    with moved_to(trained[0], monkeypatch):
        shown = command("show", "--prefix", "mlp-regressor").out
        assert "  x_train            a, b\n  y_train            c, run\n" in shown
        for columns in (["--features", "b,a", "--target", "run,c"], ["--features", "a,b", "--target", "c,run"]):
            plan = ["search", "--model", "mlp-regressor", *TABLE, *columns, "--config", "config.json", "--plan"]
            arguments = [*plan, "--set", "epochs=1", "--set", "hidden_layers=[4]"]
            assert "already done    1\nto train        0\n" in command(*arguments).out
        renamed = (trained[0] / "table.csv").read_text().replace("a,b,c", "a,flow,c", 1)
        (trained[0] / "renamed.csv").write_text(renamed)
        arguments = ["search", "--model", "autoencoder", "--data", "renamed.csv", "--features", "a,flow,c"]
        assert "data x_train: 'b' is missing, 'flow' is new" in command(*arguments).err


def test_validation_rows_are_drawn_by_an_option(
    trained: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = command_in_this_process(capsys)
    with moved_to(trained[0], monkeypatch):
        arguments = ["search", "--model", "mlp-classifier", *TABLE, "--target", "kind", "--features", "a,b,c"]
        arguments += ["--config", "config.json", "--set", "epochs=1", "--set", "hidden_layers=[4]", "--plan"]
        assert "to train        0\n" in command(*arguments).out
        # Other rows than the published model was trained on.
        assert "data x_val: was (8, 3)" in command(*arguments, "--shuffle-split").err
        assert "to train        1\n" in command(*arguments, "--shuffle-split", "--prefix", "drawn").out
        runs = ["search", "--model", "conv-autoencoder", *TABLE, *NUMBERS, "--plan", "--shuffle-split"]
        assert "ConvAutoencoder learns windows of rows in order" in command(*runs).err
        assert "X_val is given" in command("search", "--shuffle-split", "--plan").err
        both = ["search", "--model", "residual-regressor", *TABLE, *NUMBERS, "--plan", "--shuffle-split"]
        assert "data x_val: was" in command(*both).err
        assert "what is done is known once" in command(*both, "--prefix", "drawn").out


ONE_POINT = {"epochs": "1", "encoder_layers": "[4]", "learning_rate": "0.01", "activation": '"relu"'}


@pytest.mark.long
@pytest.mark.ray
def test_workers_do_not_run_a_file_of_the_working_folder_that_is_named_like_a_package(tmp_path: Path) -> None:
    write_table(tmp_path)
    for name in ("keras", "tensorflow", "ray", "numpy", "pyarrow", "pandas", "raygrid"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    one_each = [f"--set={name}=[{value}]" for name, value in ONE_POINT.items()]
    arguments = [*TABLE, *NUMBERS, *one_each, "--set=latent_dim=[1,2]", "--max-concurrent=1"]
    search = f"from raygrid.cli import main; main({['search', *arguments]!r})"
    with started_command([sys.executable, "-P", "-c", search], tmp_path) as child:
        assert child.process.wait(120) == 0, child.text()
        assert "2 points: 2 done" in child.text()
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
