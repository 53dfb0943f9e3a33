"""Pages whose commands are run: their blocks of code, and whether a command prints what the page shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command of a page, and what the page says that it prints."""

    line: str
    output: list[str]

    def prints(self, text: str) -> bool:
        """Whether ``text`` is the output, with anything where the page has ``...``.

        It stands for lines if it stands alone, else for a part of a line.
        """
        parts = [
            r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
            for line in self.output
        ]
        return re.fullmatch("".join(parts), text) is not None


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each code block of a page that has a language."""
    return _BLOCK.findall(page.read_text())


def commands_of(console: str) -> list[Command]:
    """The commands of a block: lines that begin with ``$``, each with its output."""
    found: list[Command] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        else:
            found[-1].output.append(line)
    return found


def command_environment(folder: Path) -> dict[str, str]:
    """One where ``python`` and ``raygrid`` are those that the tests run with, installed or not.

    Args:
        folder: a new one, which the two commands are written to.
    """
    folder.mkdir()
    for name, arguments in (("python", ""), ("raygrid", ' -c "from raygrid.cli import main; main()"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
