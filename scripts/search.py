"""The same as ``raygrid search``, from a clone, whether raygrid is installed or not."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    from raygrid.cli import main

    main(["search", *sys.argv[1:]], command_line=["python", *sys.argv])
