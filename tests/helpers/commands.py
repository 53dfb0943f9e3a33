"""Commands of raygrid for tests: in this process, or in one of their own that says what it imported."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from child_processes import run_script
from repository import ROOT

from raygrid.cli import main
from raygrid.cli.as_typed import program_as_typed

SCRIPT = ROOT / "scripts" / "search.py"
# How a command names the Python that runs these tests, in a working folder elsewhere.
PYTHON = "python" if program_as_typed("python", sys.executable) == "python" else sys.executable

# The table that ``write_table`` writes, and its columns of numbers.
TABLE = ["--data", "table.csv"]
NUMBERS = ["--features", "a,b,c"]

OWN_MODELS = """
from raygrid import GridSearchModel

class Mine(GridSearchModel):
    DEFAULT_CONFIG = {"units": 2}
    DEFAULT_PARAM_GRID = {"units": [2, 3, 4]}

    def build_model(self, config, input_shape):
        return build(config, input_shape)

def build(config, input_shape):
    raise NotImplementedError
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@contextlib.contextmanager
def moved_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``folder`` is the working folder; what a command changes of the log is put back."""
    log = logging.getLogger("raygrid")
    before = log.handlers, log.propagate, log.level
    monkeypatch.chdir(folder)
    yield
    log.handlers, log.propagate, log.level = before


@contextlib.contextmanager
def working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``folder`` is the working folder, with a small table in it; all that a command changes is put back."""
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    rows = "\n".join(f"{i},{i % 3},{i % 2},{'high' if i % 2 else 'low'}" for i in range(20))
    write(folder, "table.csv", f"a,b,c,kind\n{rows}\n")
    with moved_to(folder, monkeypatch):
        yield
    for name in set(sys.modules) - modules:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def command_in_this_process(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs a command and tells how it ended."""

    def run(*arguments: str, command_line: list[str] | None = None) -> Ended:
        try:
            main(arguments, command_line)
            code: object = 0
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Ended(code, captured.out, captured.err)

    return run


def write(folder: Path, name: str, text: str) -> Path:
    """A file with ``text`` in it."""
    path = folder / name
    path.write_text(text)
    return path


def python(script: str, folder: Path) -> str:
    """What a script prints, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


_COMMANDS_AND_IMPORTS = """
import json, sys
from raygrid.cli import main
codes = []
for arguments in json.loads({commands!r}):
    try:
        main(arguments)
        codes.append(0)
    except SystemExit as ended:
        codes.append(ended.code)
print("codes", codes)
print("imported", [name for name in {heavy!r} if name in sys.modules])
"""


def commands_and_imports(commands: list[list[str]], folder: Path, heavy: tuple[str, ...]) -> str:
    """What several commands print in one process, then their exit codes, and which of ``heavy`` they imported."""
    return python(_COMMANDS_AND_IMPORTS.format(commands=json.dumps(commands), heavy=heavy), folder)


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
    """40 rows of numbers, with runs of 8 rows and a kind."""
    generator = np.random.default_rng(0)
    rows = [",".join(f"{x:.4f}" for x in row) for row in generator.normal(size=(40, 3))]
    lines = [f"{row},{i // 8},{'high' if i % 2 else 'low'}" for i, row in enumerate(rows)]
    (folder / "table.csv").write_text("\n".join(["a,b,c,run,kind", *lines]))
