"""The command line before anything is trained: its options, what they name, what is refused, and how it ends."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import (
    OWN_MODELS,
    SCRIPT,
    Command,
    commands_and_imports,
    python,
    write,
)

import raygrid
from raygrid.cli.inputs import Asked, find_model, parse_settings, read_mapping
from raygrid.errors import ArgumentError, GridError, SearchInterrupted
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.tuning.resources import Resources
from raygrid.zoo import MODELS
from raygrid.zoo.autoencoder import Autoencoder

COMMANDS = ("search", "results", "show", "clean", "tensorboard")
HEAVY = ("tensorflow", "keras", "ray", "pyarrow", "numpy")


# Help


def test_help_of_every_command_imports_nothing_heavy(tmp_path: Path) -> None:
    asked = [["--help"], ["-h"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    output = commands_and_imports(asked, tmp_path, HEAVY)
    assert "imported []" in output
    assert f"codes {[0] * len(asked)}" in output
    for name in COMMANDS:
        assert f"Usage: raygrid {name} [OPTIONS]" in output


def test_help_answers_in_under_half_a_second_of_work(tmp_path: Path) -> None:
    def user_seconds() -> float:
        command = [sys.executable, str(SCRIPT), "--help"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime

    # The least of several: other processes on the same cores make a process slower, never faster.
    assert min(user_seconds() for _ in range(3)) < 0.4


def test_the_script_and_the_command_are_the_same(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, str(SCRIPT), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    installed = python("from raygrid.cli import main\nmain(['search', '--help'])", tmp_path)
    assert script.stdout == installed
    for option in (
        "--data",
        "--grid",
        "--set",
        "--config",
        "--confirm",
        "--plan",
        "--address",
        "--run-column",
        "--memory-gb",
    ):
        assert option in installed


# How a command ends

VIEWS = ("results", "show", "clean", "tensorboard")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--gird", "g.json"], "No such option"),
        (["serach"], "No such command 'serach'"),
        (["search", "--grid", "g.json", "--config", "c.json"], "--grid and --config exclude each other"),
        (["search", "--confirm", "0"], "0 is not in the range x>=1"),
        (["search", "--model", "autoencodr"], "Use one of autoencoder, conv-autoencoder, detector, mlp-classifier"),
        (["search", "--model", "nowhere:Model"], "there is no module 'nowhere' in"),
        (["search", "--model", "raygrid.nowhere:Model"], "there is no module 'raygrid.nowhere'"),
        (
            ["search", "--model", "raygrid.model.grid_search_model:Nothing"],
            "raygrid.model.grid_search_model has no 'Nothing'",
        ),
        (["search", "--model", "raygrid.grid.plan:STARTUP_S"], "must be a subclass of GridSearchModel or a builder"),
        (["search", "--model", "raygrid.grid.plan:Plan"], "must be a subclass of GridSearchModel or a builder"),
        (["search", "--prefix", "../x"], "the prefix '../x' is not a plain file name. --prefix must"),
        (["search", "--seed", "-1"], "seed is -1"),
        (["search", "--cpus-per-trial", "0"], "cpus_per_trial is 0"),
        (["search", "--gpus-per-trial", "1.5"], "gpus_per_trial is 1.5"),
        (["search", "--max-concurrent", "0"], "max_concurrent is 0"),
        (["search", "--memory-gb", "-1"], "memory_gb is -1.0. It must be a number of GB, 0 or more"),
        (["search", "--model-dir", "s3://bucket/x"], "--model-dir is 's3://bucket/x', an address"),
        (["search", "--data", "gs://bucket/x.csv"], "--data is 'gs://bucket/x.csv', an address"),
        (["search", "--grid", "s3:/bucket/g.json"], "--grid is 's3:/bucket/g.json', an address"),
        (["search", "--config", "file:///g.json"], "--config is 'file:///g.json', an address"),
        *(([name, "--model-dir", "s3://b"], "--model-dir is 's3://b', an address") for name in VIEWS),
        (["results", "--rows", "0"], "0 is not in the range x>=1"),
        (["tensorboard", "--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["search", "--set", "latent_dim=[8,"], "--set 'latent_dim=[8,' is not NAME=JSON"),
        (["search", "--set", "latent_dim"], "there is no NAME= before the value"),
        (["search", "--set", "activation=[relu]"], "text in double quotes"),
        (["search", "--set", "latent_dim=8"], "Wrap it in a list: [8]"),
        (["search", "--set", "latent_dim=[]"], "is an empty list"),
        (["search", "--set", "latent_dims=[8]"], "Did you mean 'latent_dim'?"),
        (["search", "--set", "epochs=[NaN]"], "which JSON cannot carry"),
        (["search", "--grid", "none.json"], "none.json cannot be read"),
        (["search", "--grid", "table.csv"], "grids and configs are .json, .yaml, .yml or .toml files"),
        (["search", "--data", "none.csv"], "none.csv cannot be read: No such file"),
        (["search", "--data", "table.csv"], "columns that are not numeric: 'kind' (string"),
        (["search", "--data", "table.csv", "--features", "a,bb"], "Did you mean 'b' for 'bb'?"),
        (["search", "--features", "nothing"], "the embedded data has no column 'nothing'"),
        (["search", "--run-column", "a"], "the embedded data knows its runs"),
        (["search", "--data", "table.csv", "--features", "a,b", "--run-column", "c"], "Leave --run-column out."),
        (
            ["search", "--data", "table.csv", "--features", "a,b", "--target", "c"],
            "Leave the targets (--target, or y in an .npz file) out.",
        ),
        (["search", "--model", "mlp-regressor", "--data", "table.csv"], "Name its column with --target NAME"),
        (
            ["search", "--delimiter", ";"],
            "--delimiter: this describes a CSV file, and no file is given. Name one with --data",
        ),
        (
            ["search", "--missing-values", ""],
            "--missing-values: this describes a CSV file, and no file is given. Name one",
        ),
        (["search", "--data", "table.csv", "--delimiter", ";;"], "delimiter is ';;'. It must be one character"),
        (["search", "--data", "table.csv", "--decimal", "x"], "decimal is 'x'. It must be '.' or ','"),
        (["search", "--data", "table.csv", "--encoding", "ebcdic"], "encoding is 'ebcdic', which Python does not know"),
        (["search", "--data", "table.csv", "--delimiter", "tab"], "columns that are not numeric: 'a,b,c,kind' (string"),
        (["search", "--data", "table.csv", "--features", "a,b,c", "--missing-values", "1"], "'b' (7), column 'c' (10)"),
        (
            ["search", "--data", "table.csv", "--features", "a,c", "--missing-values", "1"],
            "before training. --missing drop drops them and leaves 10 of 20 rows to train on.",
        ),
        (["search", "--missing", "fill"], "'fill' is not one of 'error', 'drop'"),
        (["search", "--model", "mlp-classifier", "--data", "table.csv"], "Name its column with --target NAME"),
        (["results", "--prefix", "../x"], "the prefix '../x'"),
        (["show", "--prefix", "CON"], "the prefix 'CON'"),
        (["clean", "--prefix", ".."], "the prefix '..'"),
        (["tensorboard", "--prefix", "a/b"], "the prefix 'a/b'"),
    ],
)
def test_a_command_that_cannot_be_right_says_why_and_exits_with_2(
    command: Command, folder: Path, arguments: list[str], message: str
) -> None:
    ended = command(*arguments)
    assert message in ended.err
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert [path.name for path in folder.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("mlp-regressor", ["--data", "table.csv", "--target", "c", "--features", "a,c"]),
        ("mlp-classifier", ["--data", "table.csv", "--target", "c", "--features", "a,c"]),
        ("mlp-regressor", ["--target", "reactor_level", "--features", "reactor_pressure,reactor_level"]),
    ],
)
def test_a_target_that_is_a_feature_too_is_refused(command: Command, model: str, arguments: list[str]) -> None:
    ended = command("search", "--model", model, *arguments)
    assert ended.code == 2
    assert f"{arguments[arguments.index('--target') + 1]} is both a target and a feature" in ended.err


def test_a_run_column_that_is_a_feature_too_is_refused(command: Command) -> None:
    data = ["--data", "table.csv", "--features", "a,c", "--run-column", "c"]
    ended = command("search", "--model", "conv-autoencoder", *data)
    assert ended.code == 2
    assert "c is both the run column and a feature" in ended.err


def test_labels_are_one_column(command: Command) -> None:
    ended = command("search", "--model", "mlp-classifier", "--data", "table.csv", "--target", "kind,c")
    assert ended.code == 2
    assert "--target names kind, c; the labels are one column" in ended.err


def test_what_is_wrong_with_a_student_is_said_before_its_teacher_is_trained(command: Command, folder: Path) -> None:
    ended = command("search", "--model", "residual-regressor", "--set", "droput=[0.1]")
    assert ended.code == 2
    assert "Did you mean 'dropout'?" in ended.err
    assert not (folder / "models").exists()


@pytest.mark.parametrize("name", ["results", "show", "clean", "tensorboard"])
def test_a_view_of_what_is_not_there_exits_with_1(command: Command, folder: Path, name: str) -> None:
    ended = command(name, "--prefix", "mine", "--model-dir", "elsewhere")
    assert ended.code == 1
    assert "'mine'" in ended.err and str(folder / "elsewhere") in ended.err
    assert not (folder / "elsewhere").exists()


def test_ctrl_c_exits_with_130_and_names_the_command_that_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise SearchInterrupted("the search was stopped with 3 of 4 points unfinished")

    monkeypatch.setattr(Autoencoder, "fit", interrupted)
    typed = ["python", "scripts/search.py", "--set", "latent_dim=[8, 16]"]
    ended = command("search", *typed[2:], command_line=typed)
    assert ended.code == 130
    assert "raygrid: the search was stopped with 3 of 4 points unfinished" in ended.err
    assert "To go on: python scripts/search.py --set 'latent_dim=[8, 16]'" in ended.err
    ended = command("search", "--set", "latent_dim=[8]")
    assert f"To go on: {shlex.join(['raygrid', 'search', '--set', 'latent_dim=[8]'])}" in ended.err


def test_an_error_advises_in_options_of_the_command(command: Command, folder: Path) -> None:
    (folder / "models").mkdir()
    for name in ("manifest", "config", "metrics"):
        write(folder, f"models/autoencoder_{name}.json", "{")
    ended = command("search", "--data", "table.csv", "--features", "a,b,c")
    assert ended.code == 1
    assert "models/autoencoder_manifest.json" in ended.err
    assert "search again with --reset to train anew" in ended.err
    assert "fit(" not in ended.err
    ended = command("show")
    assert ended.code == 1
    assert "search again with --reset to train anew" in ended.err


def test_an_error_that_raygrid_does_not_know_keeps_its_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (ZeroDivisionError("a bug"), EOFError("a bug")):

        def broken(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(Autoencoder, "fit", broken)
        ended = command("search")
        assert ended.code == 1
        assert "Traceback" in ended.err
        assert f"{type(error).__name__}: a bug" in ended.err


# Grids and configs

GRID_FILES = {
    "grid.json": """
        {"latent_dim": [2, 3], "learning_rate": [1e-3, 0.01], "encoder_layers": [[8], [8, 4]], "mine": [1e2]}
    """,
    "grid.yaml": "latent_dim: [2, 3]\nlearning_rate: [1e-3, 0.01]\nencoder_layers:\n- [8]\n- [8, 4]\nmine: [1E+2]\n",
    "grid.toml": "latent_dim = [2, 3]\nlearning_rate = [1e-3, 0.01]\nencoder_layers = [[8], [8, 4]]\nmine = [1e2]\n",
}


def test_the_same_grid_in_json_yaml_and_toml_has_the_same_points(tmp_path: Path) -> None:
    read = [read_mapping(write(tmp_path, name, text)) for name, text in GRID_FILES.items()]
    assert read[0] == read[1] == read[2]
    assert [type(value) for value in read[1]["learning_rate"]] == [float, float]
    # Where no default says that a number is meant, too.
    assert read[1]["mine"] == [100.0]
    assert read_mapping(write(tmp_path, "text.yml", "a: ['1e-3', e5, 1.2.3, 12]"))["a"] == ["1e-3", "e5", "1.2.3", 12]


@pytest.mark.parametrize("name", GRID_FILES)
def test_a_grid_file_gives_its_points(command: Command, folder: Path, name: str) -> None:
    write(folder, name, GRID_FILES[name].replace("mine", "patience").replace("1e2", "5").replace("1E+2", "5"))
    ended = command("search", "--data", "table.csv", "--features", "a,b", "--grid", name, "--plan")
    assert ended.code == 0, ended.err
    assert "points          8\n" in ended.out
    ended = command(
        "search", "--data", "table.csv", "--features", "a,b", "--grid", name, "--plan", "--set", "latent_dim=[2,3,4]"
    )
    assert "points          12\n" in ended.out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", '{"latent_dim": [2', "g.json is not valid JSON"),
        ("g.yaml", "latent_dim: [2", "g.yaml is not valid YAML"),
        ("g.toml", "latent_dim = [2", "g.toml is not valid TOML"),
        ("g.json", "[1, 2]", "holds list; a mapping of names is expected"),
        ("g.yaml", "", "holds NoneType; a mapping"),
        ("g.json", "[" * 100_000, "g.json is not valid JSON"),
        ("g.json", "{}", "param_grid is empty"),
        ("g.json", '{"latent_dim": []}', "is an empty list"),
        ("g.json", '{"latent_dim": 8}', "Wrap it in a list: [8]"),
        ("g.json", '{"latent": [8]}', "Did you mean 'latent_dim'?"),
        ("g.toml", "latent_dim = [2024-01-01]", "of type date, which JSON cannot carry"),
    ],
)
def test_a_grid_file_that_cannot_be_is_refused(
    command: Command, folder: Path, name: str, text: str, message: str
) -> None:
    write(folder, name, text)
    ended = command("search", "--grid", name)
    assert message in ended.err
    assert ended.code == 2
    assert sorted(path.name for path in folder.iterdir()) == [name, "table.csv"]


def test_settings_lie_over_the_file_or_over_the_default_grid(tmp_path: Path) -> None:
    model = Autoencoder(tmp_path)
    over = parse_settings(["latent_dim=[8]", " epochs =[1]", 'activation=["relu",null]', "latent_dim=[9]"])
    assert over == {"latent_dim": [9], "epochs": [1], "activation": ["relu", None]}
    assert Asked(None, over, single=False).of(model) == {"param_grid": {**Autoencoder.DEFAULT_PARAM_GRID, **over}}
    assert Asked({"latent_dim": [1], "patience": [2]}, over, single=False).of(model) == {
        "param_grid": {"patience": [2], **over}
    }
    assert Asked({"latent_dim": 1, "epochs": 2}, {"epochs": 3}, single=True).of(model) == {
        "model_config": {"latent_dim": 1, "epochs": 3}
    }
    # Then the model decides: what is saved, or its default grid.
    assert Asked(None, {}, single=False).of(model) == {}


def test_what_is_asked_of_the_teacher_is_split_from_what_is_asked_of_the_student() -> None:
    asked = Asked(
        {"autoencoder": {"latent_dim": [2]}, "dropout": [0.1]}, {"autoencoder.epochs": [1], "epochs": [2]}, single=False
    )
    teacher, student = asked.split("autoencoder")
    assert teacher == Asked({"latent_dim": [2]}, {"epochs": [1]}, single=False)
    assert student == Asked({"dropout": [0.1]}, {"epochs": [2]}, single=False)
    assert Asked(None, {}, single=True).split("autoencoder") == (Asked(None, {}, True), Asked(None, {}, True))
    # A file of the one alone leaves the other its default.
    assert Asked({"dropout": [0.1]}, {}, False).split("autoencoder")[0].given is None
    assert Asked({"autoencoder": {"epochs": [1]}}, {}, False).split("autoencoder")[1].given is None
    with pytest.raises(GridError, match="'autoencoder' holds list; a mapping"):
        Asked({"autoencoder": [1]}, {}, single=False).split("autoencoder")


# Models


@pytest.mark.parametrize("name", MODELS)
def test_every_built_in_model_is_there(name: str, folder: Path) -> None:
    found = find_model(name)
    assert found.__module__.startswith("raygrid.zoo.")
    assert found(folder, "x", verbose=0).cache_prefix == "x"


def test_the_options_of_resources_reach_the_search(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Resources] = []

    def fit(self: GridSearchModel, *_: Any, **__: Any) -> None:
        seen.append(self.resources)
        raise ArgumentError("enough")

    monkeypatch.setattr(GridSearchModel, "fit", fit)
    options = ["--cpus-per-trial", "2", "--gpus-per-trial", "0.5", "--max-concurrent", "3", "--memory-gb", "1.5"]
    assert command("search", *options).code == 2
    assert command("search").code == 2
    assert seen == [Resources(2, 0.5, 3, 1.5), Resources()]


def test_the_prefix_is_the_name_of_the_model(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def fit(self: GridSearchModel, *_: Any, **__: Any) -> None:
        seen.append(self.cache_prefix)
        raise ArgumentError("enough")

    monkeypatch.setattr(GridSearchModel, "fit", fit)
    for arguments in ([], ["--model", "detector"], ["--model", "raygrid.zoo.autoencoder:Autoencoder"]):
        assert command("search", *arguments).code == 2
    assert command("search", "--prefix", "mine").code == 2
    assert seen == ["autoencoder", "detector", "autoencoder", "mine"]


def test_rows_with_missing_values_are_left_out_of_a_file_where_that_is_asked(command: Command, folder: Path) -> None:
    rows = [f"{i},{i % 3},{'s' if i < 10 else 't'}" for i in range(40)]
    rows[5], rows[10], rows[39] = ",1,s", "10,,t", "39,,t"
    write(folder, "holed.csv", "\n".join(["a,b,run", *rows]) + "\n")
    asked = ["search", "--data", "holed.csv", "--features", "a,b", "--plan"]
    ended = command(*asked, "--missing", "drop", "--set", "latent_dim=[2,3]")
    assert ended.code == 0, ended.err
    said = " ".join(ended.err.split())
    assert "left out: 3 of 40 rows of" in said and "column 'a' of holed.csv (1), column 'b' of holed.csv (2)." in said
    assert "--missing drop drops them and leaves 37 of 40 rows to train on." in command(*asked).err
    # In a series, only the ends of its runs can be left out.
    windows = [*asked, "--model", "conv-autoencoder", "--set", "window=[4]", "--missing", "drop"]
    for by_run in ([], ["--run-column", "run"]):
        ended = command(*windows, *by_run)
        assert ended.code == 2 and "holed.csv has missing values in row 5, within a run" in ended.err
    rows[5] = "5,1,s"
    write(folder, "holed.csv", "\n".join(["a,b,run", *rows]) + "\n")
    assert command(*windows, "--run-column", "run").code == 0
    assert "in row 10, within a run" in command(*windows).err


def test_a_class_and_a_function_of_ones_own_lie_in_the_working_folder(command: Command, folder: Path) -> None:
    write(folder, "own_models.py", OWN_MODELS)
    ended = command("search", "--model", "own_models:Mine", "--data", "table.csv", "--features", "a,b", "--plan")
    assert ended.code == 0, ended.err
    assert "points          3\n" in ended.out
    arguments = ["search", "--model", "own_models:build", "--data", "table.csv", "--features", "a,b", "--plan"]
    ended = command(*arguments, "--set", "units=[1,2]", "--set", "anything=[1,2]")
    assert ended.code == 0, ended.err
    assert "points          4\n" in ended.out
    ended = command(*arguments)
    assert ended.code == 2
    assert "Pass one of them, such as --set 'units=[32,64]'." in ended.err


@pytest.mark.parametrize("model", ["autoencoder", "own_models:Mine"])
def test_a_file_of_the_working_folder_does_not_take_the_place_of_a_package(folder: Path, model: str) -> None:
    for name in ("ray", "keras", "numpy", "yaml", "pandas", "pyarrow", "json", "tensorflow"):
        write(folder, f"{name}.py", f"raise SystemExit('{name}.py of the working folder was run')\n")
    write(folder, "own_models.py", OWN_MODELS)
    arguments = ["search", "--plan", "--model", model, "--data", "table.csv", "--features", "a,b"]
    for start in (["-P", "-c", f"from raygrid.cli import main; main({arguments})"], [str(SCRIPT), *arguments[1:]]):
        ended = subprocess.run([sys.executable, *start], cwd=folder, capture_output=True, text=True, timeout=100)
        assert (ended.returncode, "to train" in ended.stdout) == (0, True), ended.stderr


def test_a_file_of_the_clone_does_not_take_the_place_of_a_package(tmp_path: Path) -> None:
    packages = [path for path in sys.path if path.endswith("-packages") and not Path(path, "raygrid").exists()]
    if not any(Path(path, "click").exists() for path in packages):
        pytest.skip("raygrid itself is installed beside its packages, so that the clone has to come first")
    clone = tmp_path / "clone"
    shutil.copytree(Path(raygrid.__file__).parent, clone / "raygrid", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "scripts").mkdir()
    shutil.copy(SCRIPT, clone / "scripts")
    for name in ("ray", "keras", "numpy", "yaml", "pyarrow"):
        write(clone, f"{name}.py", f"raise SystemExit('{name}.py of the clone was run')\n")
    write(clone, "table.csv", "a,b\n" + "1,2\n3,5\n" * 10)
    arguments = ["scripts/search.py", "--plan", "--data", "table.csv"]
    ended = subprocess.run(
        # Without the paths that a site adds, which may lead to another clone.
        [sys.executable, "-S", *arguments],
        cwd=clone,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(packages)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ended.returncode, "to train" in ended.stdout) == (0, True), ended.stderr


def test_the_working_folder_is_searched_for_a_model_of_ones_own_alone_and_last(folder: Path) -> None:
    before = list(sys.path)
    find_model("autoencoder")
    assert sys.path == before
    write(folder, "own_models.py", OWN_MODELS)
    find_model("own_models:Mine")
    assert sys.path == [*before, str(folder)]


def test_a_module_that_another_one_hides_is_named_with_its_file(command: Command, folder: Path) -> None:
    write(folder, "colorsys.py", OWN_MODELS)
    ended = command("search", "--model", "colorsys:Mine")
    assert ended.code == 2
    assert re.search(r"colorsys has no 'Mine' \(it is .*/colorsys\.py\)", ended.err)


def test_how_a_csv_file_is_written_can_be_said(command: Command, folder: Path) -> None:
    write(folder, "other.csv", "a\tb\n" + "1,5\t2\n3,5\t4\n" * 10)
    arguments = ["search", "--data", "other.csv", "--plan"]
    found = command(*arguments)
    assert (found.code, "to train" in found.out) == (0, True)
    assert "other.csv is read with delimiter '\\t', decimal ','." in found.err.replace("\n", " ")
    said = command(*arguments, "--delimiter", "tab", "--decimal", ",", "--encoding", "utf-8", "--missing-values", "x,y")
    assert (said.code, said.out, said.err) == (0, found.out, "")


@pytest.mark.parametrize(
    ("text", "traceback"),
    [
        ("x = 1\ny = x / 0\n", "y = x / 0"),
        ("import surely_not_installed\n", "ModuleNotFoundError: No module named 'surely_not_installed'"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_a_module_that_fails_to_import_shows_its_own_traceback(
    command: Command, folder: Path, text: str, traceback: str
) -> None:
    write(folder, "broken_model.py", text)
    ended = command("search", "--model", "broken_model:Mine")
    assert ended.code == 1
    assert traceback in ended.err
    assert "broken_model.py" in ended.err
    assert "broken_model failed while it was imported (see above)" in ended.err
