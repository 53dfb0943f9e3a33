"""A config that knows which of its values were read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class WatchedConfig(Mapping[str, Any]):
    """A read-only config; ``read`` holds the names whose values somebody has seen.

    Not a ``dict``: ``**config`` and ``dict(config)`` would read a ``dict`` past any method of a subclass.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = dict(config)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._config[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)
