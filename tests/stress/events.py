"""What the parts of the stress program tell: each runs in a process of its own and prints a line for each event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

_MARK = "STRESS "


def count(what: str, kind: str, number: int = 1) -> None:
    """Adds to the count of ``what`` of this kind."""
    _tell({"count": what, "kind": kind, "number": number})


def largest(what: str, value: float) -> None:
    """Tells a measured value, of which the largest is kept."""
    _tell({"largest": what, "value": value})


def lost(text: str) -> None:
    """Tells that something was lost, mixed or not refused as it should be."""
    _tell({"lost": text})


def broke(text: str) -> None:
    """Tells of an input that broke its reader: nothing was lost, and no error of raygrid said what is wrong."""
    _tell({"broke": text})


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events among the lines that a part printed; the last line may be cut short."""
    for line in lines:
        if line.startswith(_MARK):
            try:
                yield json.loads(line.removeprefix(_MARK))
            except ValueError:
                continue


def _tell(event: dict[str, Any]) -> None:
    # In one write, since forked processes share the file.
    print(f"{_MARK}{json.dumps({**event, 'time': time.time()})}\n", end="", flush=True)
