"""The same as ``raygrid search``, from a clone, whether raygrid is installed or not."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

NEEDED = ("click", "numpy", "pyarrow", "ray", "rich", "tensorflow")

if __name__ == "__main__":
    clone = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, clone)
    # Workers start with the environment of this process, and not with its sys.path.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [clone, os.environ.get("PYTHONPATH")]))
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"raygrid: {sys.executable} does not have {', '.join(missing)}. Run 'make search' in {clone}, which "
            f"installs all of it into {clone}/.venv and searches; afterwards {clone}/.venv/bin/python runs this script."
        )

    from raygrid.cli import main
    from raygrid.cli.as_typed import program_as_typed

    main(["search", *sys.argv[1:]], command_line=[program_as_typed("python", sys.executable), *sys.argv])
