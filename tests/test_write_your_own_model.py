"""The page "write your own model", followed to the letter: its files are written, its commands run, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from repository import ROOT

pytestmark = pytest.mark.ray

PAGE = ROOT / "docs" / "write-your-own-model.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command of the page, and what it says that the command prints."""

    line: str
    output: list[str]


def blocks() -> list[tuple[str, str]]:
    """Language and text of each code block of the page."""
    return _BLOCK.findall(PAGE.read_text())


def commands_of(console: str) -> list[Command]:
    found: list[Command] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        else:
            found[-1].output.append(line)
    return found


def as_pattern(output: list[str]) -> str:
    """What is printed, with anything where the page has ``...``: lines if it stands alone, else a part of a line."""
    parts = [
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n" for line in output
    ]
    return "".join(parts)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One where ``python`` and ``raygrid`` are those that the tests run with, installed or not."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, arguments in (("python", ""), ("raygrid", ' -c "from raygrid.cli import main; main()"')):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (commands / name).chmod(0o755)
    return {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}


def test_every_block_of_the_page_is_a_file_or_commands() -> None:
    kinds = {language for language, _ in blocks()}
    assert kinds == {"python", "console"}
    assert PAGE.read_text().count("```") == 2 * len(blocks())
    for language, text in blocks():
        assert re.match(r"# \w+\.py\n" if language == "python" else r"\$ ", text)


@pytest.mark.long
def test_following_the_page_to_the_letter_works(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    for language, text in blocks():
        if language == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            (folder / name).write_text(text)
            continue
        for command in commands_of(text):
            done = subprocess.run(
                command.line,
                shell=True,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, f"{command.line}\n{done.stdout}"
            assert re.fullmatch(as_pattern(command.output), done.stdout), f"{command.line}\n{done.stdout}"
