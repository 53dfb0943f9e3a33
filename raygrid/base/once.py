"""What a process says once, however often it happens."""

from __future__ import annotations

_said: set[str] = set()


def first_time(text: str) -> bool:
    """Whether ``text`` was not asked for before in this process."""
    if text in _said:
        return False
    _said.add(text)
    return True
