"""The line that goes on is one that the person's shell can run, and a Python without the packages says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import SCRIPT

from raygrid.cli.as_typed import folder_as_typed, program_as_typed


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
    # In its own folder, where the shell would look elsewhere.
    monkeypatch.chdir(programs / "clone/.venv/bin")
    assert program_as_typed("python", inside) == "./python"
    # Beside one of that name, and another program.
    (programs / "bin/python3.12").write_text("#!/bin/sh\n")
    assert program_as_typed("python", str(programs / "bin/python3.12")) == str(programs / "bin/python3.12")


def test_a_working_folder_that_is_gone_is_no_error(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = programs / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert program_as_typed("raygrid", "/opt/raygrid") == "/opt/raygrid"


def test_the_script_tells_a_python_without_the_packages_what_to_do(tmp_path: Path) -> None:
    # Without the folder of what is installed.
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--plan"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    # All that the package needs; one package has another name than its module.
    needed = tomllib.loads((SCRIPT.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^a-z]", text)[0].replace("pyyaml", "yaml") for text in needed}
    assert ended.stderr == (
        f"raygrid: {sys.executable} does not have {', '.join(sorted(names))}. Run 'make venv' in {SCRIPT.parents[1]}, "
        f"which installs all of it; then: {SCRIPT.parents[1]}/.venv/bin/python {SCRIPT} --plan\n"
    )


def test_a_folder_is_written_as_seen_from_here_and_so_that_a_shell_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_as_typed(tmp_path / "models") == "models"
    assert folder_as_typed(tmp_path / "my models") == "'my models'"
    assert folder_as_typed(Path("/srv/models")) == "/srv/models"
