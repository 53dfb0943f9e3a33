"""f07: a model folder that cannot be written is told before any training, and loads all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from published_sets import publish_set
from restricted_processes import run_on_read_only_disk, run_without_rights

from raygrid.store.paths import ModelArtifacts

FIT = """
    import sys
    from pathlib import Path
    from raygrid.store.paths import ModelArtifacts
    from raygrid.errors import StorageError
    from published_sets import seen
    from small_models import SmallModel, small_rows

    folder = Path("models").absolute()
    for asked in ({"param_grid": {"hidden": [(3,), (4,)]}}, {"model_config": {"hidden": (3,)}}):
        for reset in (False, True):
            try:
                SmallModel(folder, "small", 0).fit(small_rows(), reset_experiment=reset, **asked)
                print("fitted")
            except StorageError as error:
                print(error)
    # Neither a training nor Ray has begun.
    print({"tensorflow", "ray"} & set(sys.modules))
    print(seen(ModelArtifacts.for_prefix(folder, "other")))
"""


def refused(output: str, folder: Path, reason: str) -> None:
    lines = output.splitlines()
    expected = re.escape(f"{folder} cannot be written ({reason}). Give this user write permission there (chmod u+w)")
    assert len(lines) == 6, output
    assert all(re.match(rf"{expected}.* or choose another model_dir", line) for line in lines[:4]), output
    # What is there is read all the same.
    assert lines[4:] == ["set()", "saved"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a published set of another prefix."""
    publish_set(ModelArtifacts.for_prefix(tmp_path / "models", "other"), "saved", scaler=True)
    return tmp_path / "models"


def test_f07_a_folder_without_write_permission_is_refused_before_any_training(folder: Path) -> None:
    folder.chmod(0o555)
    try:
        output = run_without_rights(FIT, folder.parent)
    finally:
        folder.chmod(0o755)
    refused(output, folder, "Permission denied")


@pytest.mark.parametrize("part", ["", "small_runs", "small_runs/points", "small_runs/generations"])
def test_f07_a_single_folder_without_write_permission_is_found_before_any_training(folder: Path, part: str) -> None:
    for name in ("small_runs/points", "small_runs/generations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "small_runs/lock").touch()
    (folder / part).chmod(0o555)
    try:
        output = run_without_rights(FIT, folder.parent)
    finally:
        (folder / part).chmod(0o755)
    refused(output, folder / part, "Permission denied")


@pytest.mark.parametrize("searched_before", [False, True])
def test_f07_a_disk_that_is_mounted_read_only_is_refused_before_any_training(
    folder: Path, searched_before: bool
) -> None:
    if searched_before:
        (folder / "small_runs").mkdir()
        (folder / "small_runs/lock").touch()
    refused(run_on_read_only_disk(FIT, folder.parent, folder), folder, "Read-only file system")


def test_f07_a_new_model_folder_where_none_can_be_made_is_refused_before_any_training(folder: Path) -> None:
    parent = folder.parent / "parent"
    parent.mkdir(mode=0o555)
    folder.rename(folder.parent / "elsewhere")
    script = FIT.replace('"models"', '"parent/models"').replace("print(seen(", "(print('saved'), (")
    refused(run_without_rights(script, folder.parent), parent, "Permission denied")
