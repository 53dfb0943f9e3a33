"""Words of messages: counted nouns, and the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(count: float, noun: str, plural: str | None = None) -> str:
    """``1 point``, ``2 points``, ``1,000 points``, ``0.5 GPUs``.

    Args:
        count: how many; a whole number is written with its thousands apart.
        noun: what, in the singular.
        plural: the noun's plural; None: with an s.
    """
    number = f"{int(count):,}" if float(count).is_integer() else f"{count:g}"
    return f"{number} {noun if count == 1 else plural or noun + 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'float32'?`` where one of ``known`` is like ``name``; otherwise nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
