"""The same as ``raygrid search``, from a clone, whether raygrid is installed or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    clone = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, clone)
    # Workers start with the environment of this process, and not with its sys.path.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [clone, os.environ.get("PYTHONPATH")]))

    from raygrid.cli import main

    main(["search", *sys.argv[1:]], command_line=["python", *sys.argv])
