"""The same as ``raygrid search``, from a clone, whether raygrid is installed or not."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

NEEDED = ("click", "keras", "numpy", "pyarrow", "ray", "rich", "tensorboard", "tensorflow", "xxhash", "yaml")

if __name__ == "__main__":
    clone = str(Path(__file__).resolve().parent.parent)
    # Last, since a file there may have the name of a package; first where another raygrid would be found.
    sys.path.append(clone)
    found = importlib.util.find_spec("raygrid")
    if found is None or found.origin is None or not Path(found.origin).resolve().is_relative_to(clone):
        sys.path.insert(0, clone)
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"raygrid: {sys.executable} does not have {', '.join(missing)}. Run 'make venv' in {clone}, which installs "
            f"all of it; then: {shlex.join([f'{clone}/.venv/bin/python', *sys.argv])}"
        )

    from raygrid.cli import main
    from raygrid.cli.as_typed import program_as_typed

    main(["search", *sys.argv[1:]], command_line=[program_as_typed("python", sys.executable), *sys.argv])
