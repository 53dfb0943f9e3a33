"""The scripts in examples/ are run, killed and run again, refused with other data, and print what README shows."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from child_processes import started_command
from pages import Command, blocks, command_environment, commands_of
from repository import ROOT

from raygrid import GridSearchModel
from raygrid.errors import StaleCacheError

FOLDER = ROOT / "examples"
README = ROOT / "README.md"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


def shown() -> dict[str, Command]:
    """The commands of README that run an example, by its name."""
    commands = [each for language, text in blocks(README) if language == "console" for each in commands_of(text)]
    return {Path(each.line.split()[1]).stem: each for each in commands if "examples/" in each.line}


class Case(NamedTuple):
    """How a test calls ``fit`` as an example does, and how it changes one value of the data.

    Attributes:
        model: the class, by its name.
        begin: writes what the example writes first.
        given: positional and named arguments of ``fit``.
        change: changes one value, of these arguments or in a file.
        part: what the refusal names.
    """

    model: str
    begin: Callable[[ModuleType], Any]
    given: Callable[[ModuleType], tuple[tuple[Any, ...], dict[str, Any]]]
    change: Callable[[tuple[Any, ...], dict[str, Any]], Any]
    part: str


def _nothing(_: ModuleType) -> None:
    pass


def _inputs_and_targets(module: ModuleType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (module.data(),), {}


def _change_a_pixel(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    args[0][0][3, 2, 1] += 1


def _change_a_review(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    args[0][0][5] = "a film"


def _change_a_city(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    args[0]["city"][7] = "Oslo" if args[0]["city"][7] != "Oslo" else "Bern"


def _change_a_measurement(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    args[1][4, 2] += 1


def _change_a_label_in_a_file(_: tuple[Any, ...], __: dict[str, Any]) -> None:
    path = "bars/train-2.npz"
    with np.load(path) as file:
        images, lies = file["images"], file["lies"]
    lies[9] = 1 - lies[9]
    np.savez(path, images=images, lies=lies)


def _two_inputs(module: ModuleType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    inputs, targets = module.data()
    return (inputs,), {"y_train": targets}


def _embedded(module: ModuleType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    data = module.load_tep()
    return (data.X_train.copy(), data.X_val.copy()), {}


# A kind of data each; what the others show is held by tests of its own as well.
IN_THE_SHORT_RUN = ("two_inputs_two_outputs", "tf_data")
CASES = {
    "images": Case("BarClassifier", _nothing, _inputs_and_targets, _change_a_pixel, "data x_train"),
    "text": Case("ReviewClassifier", _nothing, _inputs_and_targets, _change_a_review, "data x_train"),
    "two_inputs_two_outputs": Case("Flats", _nothing, _two_inputs, _change_a_city, "data x_train/city"),
    "tf_data": Case(
        "AugmentedBars",
        lambda module: module.write_files(),
        lambda _: ((), {}),
        _change_a_label_in_a_file,
        "file {folder}/bars/train-2.npz",
    ),
    "transfer_learning": Case(
        "Crosses",
        lambda module: module.train_encoder("encoder.weights.h5"),
        _inputs_and_targets,
        _change_a_pixel,
        "data x_train",
    ),
    "vae": Case("Vae", _nothing, _embedded, _change_a_measurement, "data x_val"),
}


@pytest.fixture
def example(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ModuleType, Case]]:
    """The imported example of a name, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module(request.param), CASES[request.param]
    sys.modules.pop(request.param, None)


def test_readme_links_each_example_and_shows_its_output() -> None:
    assert set(SCRIPTS) == set(CASES) == set(shown())
    assert sorted(re.findall(r"\]\(examples/(\w+)\.py\)", README.read_text())) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_is_short(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 65


@pytest.mark.parametrize(
    "example",
    [pytest.param(name, marks=() if name in IN_THE_SHORT_RUN else pytest.mark.long) for name in SCRIPTS],
    indirect=True,
)
def test_an_example_trains_is_loaded_and_is_refused_with_one_other_value(
    example: tuple[ModuleType, Case], recorded: list[str]
) -> None:
    module, case = example
    case.begin(module)
    args, named = case.given(module)

    def model() -> GridSearchModel:
        return getattr(module, case.model)("models", "example", 0)

    model().fit(*args, **named, model_config={"epochs": 1})
    assert len(recorded) == 1
    same_args, same_named = case.given(module)
    model().fit(*same_args, **same_named, model_config={"epochs": 1})
    assert len(recorded) == 1
    case.change(args, named)
    with pytest.raises(StaleCacheError, match=re.escape(f"\n  {case.part.format(folder=os.getcwd())}: was ")):
        model().fit(*args, **named, model_config={"epochs": 1})
    assert len(recorded) == 1


@pytest.mark.long
@pytest.mark.parametrize("example", ["transfer_learning"], indirect=True)
def test_other_weights_of_the_part_that_was_trained_before_are_refused(example: tuple[ModuleType, Case]) -> None:
    module, case = example
    case.begin(module)
    args, _ = case.given(module)
    module.Crosses("models", "example", 0).fit(*args, model_config={"epochs": 1})
    encoder = module.new_encoder((16, 16, 1))
    encoder.save_weights("encoder.weights.h5")
    with pytest.raises(StaleCacheError, match=r"encoder\.weights\.h5"):
        module.Crosses("models", "example", 0).fit(*args, model_config={"epochs": 1})


@pytest.mark.long
@pytest.mark.parametrize("example", ["tf_data"], indirect=True)
def test_files_of_a_dataset_are_found_from_another_folder_and_may_be_moved(
    example: tuple[ModuleType, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: list[str]
) -> None:
    module, case = example
    case.begin(module)
    model = module.AugmentedBars("models", "example", 0)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    model.fit(model_config={"epochs": 1})
    (tmp_path / "bars").rename(tmp_path / "moved")
    monkeypatch.setattr(module.AugmentedBars, "data_files", ["../moved/train-*.npz", "../moved/val.npz"])
    module.AugmentedBars("../models", "example", 0).fit(model_config={"epochs": 1})
    assert len(recorded) == 1


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_that_is_killed_trains_only_what_is_missing_and_prints_what_readme_shows(
    name: str, tmp_path: Path
) -> None:
    environment = command_environment(tmp_path / "bin")
    folder = tmp_path / "empty"
    folder.mkdir()
    # As README writes it, from another folder.
    program, script = shlex.split(shown()[name].line)
    line = [program, str(ROOT / script)]

    def records() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("models/*_runs/points/[!.]*.json")}

    def run() -> str:
        done = subprocess.run(
            line,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    with started_command(line, folder, PATH=environment["PATH"]) as child:
        child.wait_until(lambda: bool(records()))
        child.process.kill()
        child.process.wait()
        child.wait_until_all_ended(30)
        points = int(re.search(r"^(\d+) points, 0 already done", child.text(), re.MULTILINE)[1])
    before = records()
    assert 0 < len(before) < points
    output = run()
    assert f"{points} points, {len(before)} already done, {points - len(before)} to train\n" in output
    after = records()
    assert len(after) == points
    assert {key: after[key] for key in before} == before
    assert shown()[name].prints(output), output
    assert "Loaded from cache: " in run()
