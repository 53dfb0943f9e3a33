"""scikit-learn's convention for estimators, so that ``sklearn.base.clone`` and a pipeline around a fitted model work.

Source: https://scikit-learn.org/stable/developers/develop.html. scikit-learn itself is not needed.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

from raygrid.base.wording import did_you_mean
from raygrid.errors import ArgumentError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Parameters:
    """The arguments of the constructor as parameters: each is kept as an attribute of its own name."""

    @classmethod
    def parameter_names(cls) -> list[str]:
        """The arguments of the constructor; a subclass may take those of its base as ``**settings``."""
        classes = [each for each in cls.__mro__ if "__init__" in vars(each) and each is not object]
        found = [p for each in classes for p in inspect.signature(vars(each)["__init__"]).parameters.values()]
        return sorted({p.name for p in found if p.kind in _NAMED} - {"self"})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor that make an equal model, by name; ``deep`` changes nothing.

        Raises:
            ArgumentError: a subclass has an argument that it does not keep.
        """
        found = {}
        for name in self.parameter_names():
            try:
                found[name] = self._parameter(name)
            except AttributeError:
                raise ArgumentError(
                    f"{type(self).__name__} has the argument {name!r} and keeps no attribute of that name.",
                    remedy=f"Write self.{name} = {name} in its constructor.",
                ) from None
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets arguments of the constructor, with its checks; what was fitted or loaded stays.

        Raises:
            ArgumentError: an unknown name, or a value that the constructor refuses; nothing is set then.
        """
        known = self.get_params()
        unknown = [name for name in params if name not in known]
        if unknown:
            names = self.parameter_names()
            raise ArgumentError(
                f"{type(self).__name__} has no argument {unknown[0]!r}.",
                remedy=f"Use one of {', '.join(names)}.{did_you_mean(unknown[0], names)}",
            )
        before, after = vars(type(self)(**known)), vars(type(self)(**{**known, **params}))
        for name, value in after.items():
            # What the new arguments change, and nothing that was fitted.
            if name not in before or not _same(before[name], value):
                setattr(self, name, value)
        return self

    def _parameter(self, name: str) -> Any:
        return getattr(self, name)


def _same(one: object, other: object) -> bool:
    try:
        return one is other or bool(one == other)
    except ValueError:
        # Of arrays, each value is compared.
        return False
