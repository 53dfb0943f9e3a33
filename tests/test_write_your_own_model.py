"""The page "write your own model", followed to the letter: its files are written, its commands run, in order."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pages import blocks, command_environment, commands_of
from repository import ROOT

pytestmark = pytest.mark.ray

PAGE = ROOT / "docs" / "write-your-own-model.md"


def test_every_block_of_the_page_is_a_file_or_commands() -> None:
    kinds = {language for language, _ in blocks(PAGE)}
    assert kinds == {"python", "console"}
    assert PAGE.read_text().count("```") == 2 * len(blocks(PAGE))
    for language, text in blocks(PAGE):
        assert re.match(r"# \w+\.py\n" if language == "python" else r"\$ ", text)


@pytest.mark.long
def test_following_the_page_to_the_letter_works(tmp_path: Path) -> None:
    environment = command_environment(tmp_path / "bin")
    folder = tmp_path / "empty"
    folder.mkdir()
    for language, text in blocks(PAGE):
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
            assert command.prints(done.stdout), f"{command.line}\n{done.stdout}"
