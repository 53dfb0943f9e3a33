"""Run a search from a clone: the same commands as ``raygrid``, installed or not."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    from raygrid.cli import main

    main()
