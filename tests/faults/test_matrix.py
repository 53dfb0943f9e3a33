"""docs/promises.md names every row of the fault matrix, and every row has a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROWS = [f"f{number:02}" for number in range(1, 51)]
FAULTS = Path(__file__).parent
PROMISES = (FAULTS.parents[1] / "docs/promises.md").read_text()


def test_the_promises_name_every_row_once() -> None:
    assert sorted(re.findall(r"^\| (f\d\d) \|", PROMISES, re.MULTILINE)) == ROWS


def test_every_row_has_a_test_that_is_named_after_it() -> None:
    names = [
        node.name
        for file in FAULTS.glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    # test_f17_f20_... tests both.
    tested = {row for name in names if name.startswith("test_f") for row in re.findall(r"(?<=_)f\d\d(?=_)", name)}
    assert [row for row in ROWS if row not in tested] == []
