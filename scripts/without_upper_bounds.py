"""Prints the dependencies of a pyproject.toml, those of its tests among them, without their upper bounds.

    python scripts/without_upper_bounds.py pyproject.toml > requirements.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

# Groups of optional dependencies that the tests need.
_GROUPS = ("cluster", "test")


def requirements(project: dict[str, Any]) -> list[str]:
    """What pip is to install for the tests, as new as there is; ``project`` is the table of that name."""
    groups = [project["dependencies"], *(project["optional-dependencies"][name] for name in _GROUPS)]
    return [re.sub(r",?\s*<=?[^,;]+", "", requirement) for group in groups for requirement in group]


if __name__ == "__main__":
    print("\n".join(requirements(tomllib.loads(Path(sys.argv[1]).read_text())["project"])))
