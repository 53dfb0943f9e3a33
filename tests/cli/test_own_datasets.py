"""``raygrid search`` with a class that makes its own datasets: the options that it has, and those that it has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Command, write
from models_of_commands import write_numbers

from raygrid.base.wording import counted
from raygrid.model import asked_datasets

OF_FILE = ["--model", "models_of_commands:MakesDatasetsOfFile"]
ENDLESS = ["--model", "models_of_commands:MakesEndlessDatasets"]
CONFIG = ["--config", "c.json", "--prefix", "own"]


@pytest.fixture
def numbers(folder: Path) -> Path:
    write(folder, "c.json", '{"units": 3}')
    return write_numbers(folder)


def test_a_class_trains_on_its_datasets_with_its_callbacks_and_is_loaded_the_next_time(
    command: Command, folder: Path, numbers: Path
) -> None:
    planned = command("search", *OF_FILE, *CONFIG, "--plan")
    assert planned.code == 0, planned.err
    assert "to train        1" in planned.out
    assert not (folder / "models").exists()
    first = command("search", *OF_FILE, *CONFIG, "--set", "epochs=3")
    assert first.code == 0, first.err
    assert "'epochs': 3, 'patience': None, 'units': 3" in first.out
    assert "counted 3" in first.out
    # The embedded data has 52 columns.
    manifest = json.loads((folder / "models" / "own_manifest.json").read_text())
    assert manifest["input_shape"] == [2]

    again = command("search", *OF_FILE, *CONFIG, "--set", "epochs=3")
    assert "Loaded from cache" in again.err
    anew = command("search", *OF_FILE, *CONFIG, "--set", "epochs=3", "--reset")
    assert "1 to train" in anew.err and "Loaded from cache" not in anew.err
    confirmed = command("search", *OF_FILE, *CONFIG, "--set", "epochs=3", "--confirm", "1")
    assert confirmed.code == 0, confirmed.err
    assert "seed" in confirmed.out

    shown = command("show", "--prefix", "own")
    assert shown.code == 0, shown.err
    assert f"files\n  {numbers} {counted(numbers.stat().st_size, 'byte')}  digest " in shown.out
    assert "\n  datasets           digest " in shown.out
    assert "file 1" not in shown.out
    listed = command("results", "--prefix", "own")
    assert listed.code == 0, listed.err
    assert "val_loss" in listed.out

    write(folder, "numbers.txt", numbers.read_text().replace("e+00", "e-01"))
    stale = command("search", *OF_FILE, *CONFIG, "--set", "epochs=3")
    assert stale.code == 1
    assert "\n  file " in stale.err and ": was " in stale.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--data", "table.csv"], "--data is given"),
        (["--features", "a"], "--features is given"),
        (["--target", "a"], "--target is given"),
        (["--run-column", "a"], "--run-column is given"),
        (["--shuffle-split"], "--shuffle-split is given"),
        (["--delimiter", ";"], "--delimiter is given"),
        (["--decimal", ","], "--decimal is given"),
        (["--encoding", "latin-1"], "--encoding is given"),
        (["--missing-values", ""], "--missing-values is given"),
        (["--missing", "drop"], "--missing is given"),
        (["--data", "table.csv", "--target", "a", "--missing", "drop"], "--data, --target, --missing are given"),
    ],
)
def test_options_of_data_files_are_refused_in_one_error(
    command: Command, numbers: Path, options: list[str], named: str
) -> None:
    ended = command("search", *OF_FILE, *CONFIG, *options)
    assert ended.code == 2
    assert f"--model {OF_FILE[1]} makes its own datasets, and {named}." in ended.err
    assert "datasets(self, config) and data_files of the class say what it trains on" in ended.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--verify-data"], "--verify-data is given"),
        (["--steps-per-epoch", "3"], "--steps-per-epoch is given"),
        (["--validation-steps", "3", "--verify-data"], "--verify-data, --validation-steps are given"),
    ],
)
def test_a_model_of_arrays_has_no_options_of_datasets(command: Command, options: list[str], named: str) -> None:
    ended = command("search", "--data", "table.csv", "--features", "a,b", *options)
    assert ended.code == 2
    assert f"{named}, and --model autoencoder trains on arrays." in ended.err


def test_a_dataset_without_an_end_needs_the_number_of_its_batches(command: Command, numbers: Path) -> None:
    ended = command("search", *ENDLESS, *CONFIG)
    assert ended.code == 2
    assert "Pass --steps-per-epoch N, or leave repeat() out of the dataset." in ended.err
    ended = command("search", *ENDLESS, *CONFIG, "--steps-per-epoch", "2")
    assert ended.code == 2
    assert "Pass --validation-steps N, or leave repeat()" in ended.err
    steps = ["--steps-per-epoch", "2", "--validation-steps", "1"]
    ended = command("search", *ENDLESS, *CONFIG, *steps)
    assert ended.code == 0, ended.err
    # The number of batches is part of what results depend on.
    other = command("search", *ENDLESS, *CONFIG, "--steps-per-epoch", "3", "--validation-steps", "1")
    assert other.code == 1
    assert "setting steps_per_epoch: was " in other.err


@pytest.mark.parametrize("verify", [False, True])
def test_files_are_read_in_full_where_that_is_asked_for(
    command: Command, numbers: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    asked, depended_files = [], asked_datasets.depended_files

    def noted(patterns: Any, verify: bool, *others: Any) -> Any:
        asked.append(verify)
        return depended_files(patterns, verify, *others)

    monkeypatch.setattr(asked_datasets, "depended_files", noted)
    ended = command("search", *OF_FILE, *CONFIG, "--plan", *(["--verify-data"] if verify else []))
    assert ended.code == 0, ended.err
    assert asked == [verify]


def test_a_scaler_of_a_class_that_makes_datasets_is_refused_with_what_to_write_in_it(
    command: Command, folder: Path
) -> None:
    own = (
        "from models_of_commands import MakesDatasets\n\nclass Scaled(MakesDatasets):\n    DEFAULT_SCALER = 'standard'"
    )
    write(folder, "own_scaled.py", own)
    ended = command("search", "--model", "own_scaled:Scaled", "--plan")
    assert ended.code == 2
    assert "Write DEFAULT_SCALER = None in the class, and scale in the dataset" in ended.err


@pytest.mark.ray
def test_a_grid_of_datasets_is_searched_on_ray(ray_session: None, command: Command) -> None:
    model = ["--model", "models_of_commands:MakesDatasets", "--prefix", "grid", "--set", "units=[2,3]"]
    ended = command("search", *model, "--set", "epochs=[2]")
    assert ended.code == 0, ended.err
    assert "2 points: 2 done" in ended.out
    assert "counted 2" in ended.out
