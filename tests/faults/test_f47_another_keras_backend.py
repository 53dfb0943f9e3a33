"""f47: a Keras backend other than TensorFlow is refused, with the line that fixes it, before Keras is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from child_processes import run_script

CHECK = """
import sys
from raygrid.training.tensorflow_setup import check_backend
from raygrid.errors import BackendError
try:
    check_backend()
except BackendError as error:
    print(error)
heavy = {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
WITH_KERAS = """
import sys, types
sys.modules["keras"] = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: {name!r}))
from raygrid.training.tensorflow_setup import check_backend
from raygrid.errors import BackendError
try:
    check_backend()
except BackendError as error:
    print(error)
"""


def refusal(home: Path, code: str = CHECK, **settings: str) -> str:
    """What ``check_backend`` says in a fresh process with these environment variables; empty: nothing."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    environment |= {"HOME": str(home), **settings}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def keras_json(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "keras.json"
    path.write_text(text)
    return path


def test_f47_nothing_set_means_tensorflow(tmp_path: Path) -> None:
    assert refusal(tmp_path) == ""


@pytest.mark.parametrize("name", ["jax", "torch", "openvino"])
def test_f47_another_backend_in_the_environment_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path, KERAS_BACKEND=name)
    assert repr(name) in message
    assert "epochs in a graph, traced programs, batches, checkpoints and GPU set-up are written against it" in message
    assert "A Keras 3 model of keras.layers and keras.ops trains on TensorFlow unchanged" in message
    assert message.endswith("run 'export KERAS_BACKEND=tensorflow' first.")


def test_f47_another_backend_in_keras_json_is_refused_with_its_path(tmp_path: Path) -> None:
    path = keras_json(tmp_path / ".keras", json.dumps({"backend": "torch"}))
    message = refusal(tmp_path)
    assert "'torch'" in message
    assert f'put "backend": "tensorflow" into {path}' in message


@pytest.mark.parametrize("shown", ["{home}/elsewhere", "~/elsewhere"])
def test_f47_keras_home_says_where_keras_json_is(tmp_path: Path, shown: str) -> None:
    path = keras_json(tmp_path / "elsewhere", json.dumps({"backend": "jax"}))
    assert str(path) in refusal(tmp_path, KERAS_HOME=shown.format(home=tmp_path))


def test_f47_the_environment_outweighs_keras_json_unless_it_is_empty(tmp_path: Path) -> None:
    keras_json(tmp_path / ".keras", json.dumps({"backend": "jax"}))
    assert refusal(tmp_path, KERAS_BACKEND="tensorflow") == ""
    assert "'jax'" in refusal(tmp_path, KERAS_BACKEND="")


@pytest.mark.parametrize("text", ['{"backend": "tensorflow"}', "{}", "not json", "[]", '{"floatx": "float32"}'])
def test_f47_a_keras_json_that_names_no_other_backend_is_no_obstacle(tmp_path: Path, text: str) -> None:
    keras_json(tmp_path / ".keras", text)
    assert refusal(tmp_path) == ""


def test_f47_the_keras_that_is_loaded_counts_whatever_the_settings_say(tmp_path: Path) -> None:
    message = refusal(tmp_path, WITH_KERAS.format(name="jax"), KERAS_BACKEND="tensorflow")
    assert "'jax'" in message
    assert "before Keras is imported" in message
    assert refusal(tmp_path, WITH_KERAS.format(name="tensorflow"), KERAS_BACKEND="jax") == ""


# As a person meets it

_FIT_AND_COMMANDS = """
    import os, sys
    from raygrid.cli import main
    from raygrid.errors import BackendError
    from small_models import SmallModel, small_rows

    for call in (lambda: SmallModel("models", "small").fit(small_rows(), model_config={"hidden": [3]}),
                 lambda: SmallModel("models", "small").fit(small_rows(), param_grid={"hidden": [[3], [4]]}),
                 lambda: SmallModel.load("models", "small")):
        try:
            call()
        except BackendError as error:
            print("refused:", error)
    for arguments in ([], ["--config", "c.json"], ["--reset"]):
        try:
            main(["search", "--set", "epochs=[1]", "--data", "table.csv", *arguments])
        except SystemExit as ended:
            print("code", ended.code)
    print("heavy", sorted({"tensorflow", "keras", "ray", "jax", "torch"} & set(sys.modules)))
    print("models", os.path.exists("models"))
"""


@pytest.mark.parametrize("where", ["KERAS_BACKEND", "keras.json"])
def test_f47_fit_load_and_the_command_line_refuse_it_before_anything_is_imported_or_written(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "c.json").write_text("{}")
    (tmp_path / "table.csv").write_text("a,b\n" + "1,2\n2,1\n" * 10)
    home = tmp_path / "home"
    settings = {"HOME": str(home), "KERAS_BACKEND": None, "KERAS_HOME": None}
    if where == "keras.json":
        fix = (
            f'first, or put "backend": "tensorflow" into {keras_json(home / ".keras", json.dumps({"backend": "jax"}))}.'
        )
    else:
        settings["KERAS_BACKEND"], fix = "jax", "run 'export KERAS_BACKEND=tensorflow' first."
    output = run_script(_FIT_AND_COMMANDS, tmp_path, **settings).splitlines()
    said = "Keras is set to the backend 'jax', and raygrid trains with TensorFlow"
    refused = [line for line in output if line.startswith("refused: ")]
    told = [line for line in output if line.startswith("raygrid: ")]
    assert len(refused) == 3 and all(said in line and line.endswith(fix) for line in refused)
    assert len(told) == 3 and all(said in line and line.endswith(fix) for line in told)
    assert [line for line in output if line.startswith("code")] == ["code 1"] * 3
    assert output[-2:] == ["heavy []", "models False"]
