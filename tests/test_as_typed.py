"""The line that goes on is one that the person's shell can run, and a Python without the packages says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import SCRIPT

from raygrid.cli.as_typed import program_as_typed


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: ``python`` is found in ``bin``, and a link to it lies in ``clone/.venv/bin``."""
    for folder in ("bin", "clone/.venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin/python").write_text("#!/bin/sh\n")
    (tmp_path / "bin/python").chmod(0o755)
    for name in ("python", "python3"):
        (tmp_path / "clone/.venv/bin" / name).symlink_to(tmp_path / "bin/python")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path


def test_a_program_that_the_shell_finds_keeps_its_name(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_as_typed("python", str(programs / "bin/python")) == "python"
    # Inside an environment, whose Python calls itself python3.
    monkeypatch.setenv("PATH", str(programs / "clone/.venv/bin"))
    assert program_as_typed("python", str(programs / "clone/.venv/bin/python3")) == "python"


def test_another_one_is_named_by_its_path(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = str(programs / "clone/.venv/bin/python")
    assert program_as_typed("python", inside) == ".venv/bin/python"
    monkeypatch.chdir(programs / "bin")
    assert program_as_typed("python", inside) == inside
    assert program_as_typed("raygrid", str(programs / "clone/raygrid")) == str(programs / "clone/raygrid")


def test_the_script_tells_a_python_without_the_packages_what_to_do(tmp_path: Path) -> None:
    # Without the folder of what is installed.
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--plan"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    clone = SCRIPT.parents[1]
    assert ended.stderr == (
        f"raygrid: {sys.executable} does not have click, numpy, pyarrow, ray, rich, tensorflow. Run 'make search' in "
        f"{clone}, which installs all of it into {clone}/.venv and searches; afterwards {clone}/.venv/bin/python runs "
        "this script.\n"
    )
