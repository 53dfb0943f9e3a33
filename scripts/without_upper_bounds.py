"""Prints what `make test-latest` installs: the dependencies in a pyproject.toml without their upper bounds.

The tools of the tests keep theirs, which say what works with what::

    python scripts/without_upper_bounds.py pyproject.toml > requirements.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any


def requirements(project: dict[str, Any]) -> list[str]:
    """What pip is to install for the tests; ``project`` is the table of that name."""
    extras = project["optional-dependencies"]
    unbound = [re.sub(r",?\s*<=?[^,;\s]+", "", each) for each in (*project["dependencies"], *extras["cluster"])]
    return [*unbound, *extras["test"]]


if __name__ == "__main__":
    print("\n".join(requirements(tomllib.loads(Path(sys.argv[1]).read_text())["project"])))
