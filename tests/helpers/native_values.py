"""Whether two values of a config are the same, and whether one is made of Python's own types."""

from __future__ import annotations

from typing import Any


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types at every depth: 1, 1.0 and True are three values."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def is_native(value: Any) -> bool:
    """Made of Python's own types alone, so that no pickle, no numpy and no subclass is needed to read it."""
    if isinstance(value, dict):
        return type(value) is dict and all(type(k) is str and is_native(v) for k, v in value.items())
    if isinstance(value, tuple):
        return type(value) is tuple and all(map(is_native, value))
    return value is None or type(value) in (bool, int, float, str)
