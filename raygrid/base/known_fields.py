"""What is taken from a saved JSON object: the fields that are known today. Pure.

Every raygrid reads what every other one of the same format number wrote: a field that was added between them is left
out by the earlier one, and has its default in the later one.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def known_fields(cls: Any, value: Any) -> dict[str, Any]:
    """The fields of the dataclass ``cls`` that the JSON object ``value`` has; others in it are left out.

    Raises:
        TypeError: ``value`` is no object.
        KeyError: a field is missing that has no default.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} is found where an object belongs")
    fields = {field.name: value[field.name] for field in dataclasses.fields(cls) if field.name in value}
    for field in dataclasses.fields(cls):
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if no_default and field.name not in fields:
            raise KeyError(field.name)
    return fields


def require(checks: dict[str, Any], fields: dict[str, Any]) -> None:
    """Raises ValueError for the first of ``fields`` that is there and does not pass its check."""
    for name, check in checks.items():
        if name in fields and not check(fields[name]):
            raise ValueError(f"{name} is {fields[name]!r}")
