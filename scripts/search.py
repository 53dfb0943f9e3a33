"""The same as ``raygrid search``, from a clone, whether raygrid is installed or not."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

NEEDED = ("click", "keras", "numpy", "pyarrow", "ray", "rich", "tensorboard", "tensorflow", "xxhash", "yaml")

if __name__ == "__main__":
    clone = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, clone)
    # Workers start with the environment of this process, and not with its sys.path.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [clone, os.environ.get("PYTHONPATH")]))
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"raygrid: {sys.executable} does not have {', '.join(missing)}. Run 'make venv' in {clone}, which installs "
            f"all of it; then: {shlex.join([f'{clone}/.venv/bin/python', *sys.argv])}"
        )

    from raygrid.cli import main
    from raygrid.cli.as_typed import program_as_typed

    main(["search", *sys.argv[1:]], command_line=[program_as_typed("python", sys.executable), *sys.argv])
