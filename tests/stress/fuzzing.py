"""Fuzzes every reader, one after the other, each in a process of its own that may crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from events import broke
from fuzzed_readers import READERS
from part import Part, started_part

SHORTEST_S = 8.0
MORE_S = 60.0
FINDINGS = Path(os.environ["STRESS_FINDINGS"])


def fuzz(part: Part, name: str, seconds: float, folder: Path) -> None:
    script = Path(__file__).with_name("fuzz_reader.py")
    options = {
        "--seconds": f"{seconds:.1f}",
        "--seed": str(part.random.randint(1, 2**31 - 1)),
        "--folder": str(folder),
        "--findings": str(FINDINGS),
    }
    command = [sys.executable, str(script), name, *(text for pair in options.items() for text in pair)]
    known = _artifacts()
    try:
        code = subprocess.run(command, timeout=seconds + MORE_S, check=False).returncode
    except subprocess.TimeoutExpired:
        broke(f"the reader of {name} did not end {MORE_S:g} s after its time")
        return
    new = _artifacts() - known
    if code != 0 or new:
        broke(f"the reader of {name} ended its process with {code}; inputs: {', '.join(sorted(new)) or 'not kept'}")


def _artifacts() -> set[str]:
    """What libFuzzer kept: inputs that crashed, hung or took too much memory."""
    kinds = ("crash-", "timeout-", "oom-", "slow-unit-", "leak-")
    return {path.name for kind in kinds for path in FINDINGS.glob(f"*{kind}*")}


def main() -> None:
    part = started_part()
    names = sorted(READERS)
    part.random.shuffle(names)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    for position, name in enumerate(names):
        if part.over:
            break
        seconds = max(SHORTEST_S, part.seconds_left / (len(names) - position) - 4)
        fuzz(part, name, seconds, part.folder / str(position))


if __name__ == "__main__":
    main()
