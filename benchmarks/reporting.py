"""What every benchmark writes beside its figures, and where."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import raygrid

RESULTS = Path(__file__).parent / "results"


def facts(packages: Iterable[str]) -> dict[str, str]:
    """The command, the machine and the versions, to be taken when the measuring is over."""
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "processor": processor(),
        "load when it ended": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "raygrid": raygrid.__version__,
    } | {name: version(name) for name in packages}


def processor() -> str:
    """The processor's name and how many cores there are."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{found[0] if found else platform.machine()}, {os.cpu_count()} cores"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    head = list(header)
    return [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]


def _row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def as_list(values: Mapping[str, str]) -> list[str]:
    """Lines of a Markdown list."""
    return [f"- {name}: {value}" for name, value in values.items()]


def write(out: Path, name: str, values: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Writes ``name.json`` and ``name.md``, and prints the latter."""
    text = "\n".join(lines) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
    (out / f"{name}.md").write_text(text)
    print(text, flush=True)
