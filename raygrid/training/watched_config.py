"""A config that knows whether some of its values were read, or can be read later. Pure."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any


class Watch:
    """Lends a config out, and says afterwards why the values of some names may matter to who had it.

    Args:
        config: what is lent.
        names: those of its names whose values are watched.
    """

    def __init__(self, config: Mapping[str, Any], names: Collection[str]) -> None:
        self._config = dict(config)
        self._names = sorted(set(names) & set(config))
        self._read: set[str] = set()
        self._lent: list[weakref.ref[Any]] = []

    def lend(self) -> dict[str, Any]:
        """The config. Whoever calls must not hold it any longer when it asks ``why_it_matters``."""
        hidden = {name: _Hidden() for name in self._names}
        config = WatchedConfig({**self._config, **hidden})
        config._value_of = self._value_of
        self._lent += [weakref.ref(config), *(weakref.ref(value) for value in hidden.values())]
        return config

    def why_it_matters(self) -> str | None:
        """Why the watched values may have an effect, now or later; None: nobody read them, and nobody can any more."""
        if any(lent() is not None for lent in self._lent):
            # It may hang on objects that only refer to each other.
            gc.collect()
        # In this order: what is gone cannot be read after one has looked.
        kept = any(lent() is not None for lent in self._lent)
        if self._read:
            return f"build_model reads {' and '.join(repr(name) for name in sorted(self._read))} from its config"
        return "something that build_model made keeps its config, and could read it later" if kept else None

    def _value_of(self, name: str) -> Any:
        if name in self._names:
            self._read.add(name)
        return self._config[name]


class _Hidden:
    """Stands where a watched value would be found by what reads a dict past its methods, and is of no use there."""

    __slots__ = ("__weakref__",)

    def __eq__(self, other: object) -> bool:
        raise TypeError("this value was read past the methods of its config")

    def __bool__(self) -> bool:
        raise TypeError("this value was read past the methods of its config")

    def __repr__(self) -> str:
        raise TypeError("this value was read past the methods of its config")


class WatchedConfig(dict[str, Any]):
    """A config that tells its ``Watch`` which values are read.

    It is a ``dict``, as every builder expects: what Python and Keras do with a dict, they do with it. Since it has an
    ``__iter__`` of its own, ``**config`` and ``dict(config)`` take its values through ``__getitem__``. Whatever could
    give values out in another way makes it a plain dict first, for which all values count as read.
    """

    __slots__ = ("__weakref__", "_value_of")

    _value_of: Callable[[str], Any]

    def __getitem__(self, name: str) -> Any:
        # Names that the builder added itself are in the dict alone.
        return self._value_of(name) if type(value := super().__getitem__(name)) is _Hidden else value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 (it would call itself)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)


def _revealing(name: str) -> Callable[..., Any]:
    def method(self: WatchedConfig, *args: Any, **named: Any) -> Any:
        for key in self:
            dict.__setitem__(self, key, self[key])
        return getattr(dict, name)(self, *args, **named)

    return method


_PLAIN = ["values", "items", "copy", "pop", "popitem", "setdefault", "update", "clear"]
_OPERATORS = ["repr", "eq", "ne", "or", "ror", "ior", "setitem", "delitem"]
for _name in (*_PLAIN, *(f"__{name}__" for name in _OPERATORS)):
    setattr(WatchedConfig, _name, _revealing(_name))
