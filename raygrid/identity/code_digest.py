"""A digest of the code that builds a model: of everything a person wrote whose change can change the model.

The builder's own functions are followed through the names that they mention, within the packages of the
builder, or within its folder where it is in no package. Of other packages only names count; of raygrid itself
only ``raygrid.zoo`` is followed, because raygrid's training rules have a version number of their own, and of the
built-in models only what builds them. What counts of a function is described in
:mod:`raygrid.identity.code_source`.

What is not seen: files that the builder reads, where ``depends_on`` does not name them, and environment variables;
settings within objects of packages other than Keras (such an object at module level counts by its type; made inside a
function, its text counts), and within layers and models of Keras; names that are made up at run time
(``globals()[name]``).
"""

from __future__ import annotations

import argparse
import array
import collections
import dataclasses
import datetime
import enum
import functools
import operator
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from raygrid.base.fingerprint import digest_array, digest_json
from raygrid.identity.code_scope import (
    closure_of,
    home_of,
    is_dunder,
    is_model_class,
    own_packages,
    package_of,
    reached_objects,
)
from raygrid.identity.code_source import SourceFiles, Token, code_tokens, tree_tokens, words

#: Version of the code format. Raise the number when what goes into a builder's digest changes.
CODE_FORMAT = "raygrid-code-1"

#: Class attributes that are resolved into each config before its key is made: growing them changes no point.
_RESOLVED_DEFAULTS = ("DEFAULT_CONFIG", "DEFAULT_PARAM_GRID")
#: Class attributes of models that count otherwise: of files, what is in them, wherever they lie.
_COUNTED_APART = (*_RESOLVED_DEFAULTS, "depends_on", "data_files")

_VALUES_BY_REPR = (
    *(range, bytearray, array.array, Decimal, Fraction, np.dtype),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo),
    *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
)
_NAMESPACES = (SimpleNamespace, argparse.Namespace)


def builder_digest(builder: object, attributes: Mapping[str, object] = MappingProxyType({})) -> str:
    """Return a digest of the code that a builder consists of, as 32 hexadecimal characters.

    Comments, docstrings, annotations, line numbers, formatting, file paths and code that the builder does not
    reach make no difference. Constants, default arguments, closures, base classes and helpers make one. Where
    there is no source the byte code is taken, whose digest lasts for one version of Python.

    ``DEFAULT_CONFIG`` and ``DEFAULT_PARAM_GRID`` of a model class count only if code that was reached
    mentions them.

    Args:
        builder: a subclass of raygrid's model class, an instance of one, or any callable: a function, a
            ``functools.partial``, an object with ``__call__``. An instance of a model class
            counts as its class.
        attributes: the instance attributes that a model's code may read, by name.
    """
    if is_model_class(type(builder)):
        builder = type(builder)
    packages = own_packages(builder, attributes)
    walker = _Walker(packages)
    description: list[Token] = [CODE_FORMAT, walker.value(builder), walker.items(attributes)]
    definitions = walker.definitions()
    if isinstance(builder, type) and is_model_class(builder):
        described = [
            [name, walker.value(vars(base)[name])]
            for name in _RESOLVED_DEFAULTS
            for base in builder.__mro__
            if name in walker.words and name in vars(base) and package_of(home_of(base)) in packages
        ]
        definitions = [*definitions, *described, *walker.definitions()]
    return digest_json([*description, definitions])


def with_callbacks(digest: str, callbacks: object) -> str:
    """Return the digest of a builder's code together with that of the code that gives its callbacks.

    Args:
        digest: ``builder_digest`` of the builder.
        callbacks: a function of a config, or the model class that has it as its method.
    """
    return digest_json([digest, "callbacks", builder_digest(callbacks)])


def with_datasets(digest: str, datasets: object) -> str:
    """Return the digest of a builder's code together with that of the function that makes its datasets."""
    return digest_json([digest, "datasets", builder_digest(datasets)])


def describe_code(builder: object) -> str:
    """Return ``module:qualname`` of a builder, for messages and manifests.

    A partial is described by its function, a decorated function by the function inside, any other object by
    its class.
    """
    while True:
        if isinstance(builder, functools.partial):
            builder = builder.func
        elif isinstance(builder, MethodType):
            builder = builder.__func__
        elif not isinstance(builder, type) and hasattr(builder, "__wrapped__"):
            builder = builder.__wrapped__
        else:
            break
    named = builder if isinstance(builder, (type, FunctionType, BuiltinFunctionType)) else type(builder)
    return f"{named.__module__}:{named.__qualname__}"


class _Walker:
    """Describes values; functions, classes and modules are numbered when first met.

    The numbers take the place of names and addresses: they make cycles harmless, and they are the same in
    every process because everything is visited in an order that the code fixes.
    """

    def __init__(self, packages: frozenset[str], being_described: frozenset[int] = frozenset()) -> None:
        self.words: set[str] = set()
        self._packages = packages
        self._sources = SourceFiles()
        self._numbers: dict[int, int] = {}
        self._found: list[object] = []
        self._described = 0
        self._being_described = being_described

    def definitions(self) -> list[Token]:
        """Describe what was found and not yet described, and all that it leads to."""
        tokens: list[Token] = []
        while self._described < len(self._found):
            definition = self._found[self._described]
            self._described += 1
            if isinstance(definition, FunctionType):
                tokens.append(self._function(definition))
            elif isinstance(definition, type):
                tokens.append(self._class(definition))
            elif isinstance(definition, ModuleType):
                tokens.append(["module", self.items({k: v for k, v in vars(definition).items() if not is_dunder(k)})])
        return tokens

    def items(self, mapping: Mapping[str, object]) -> Token:
        return [[name, self.value(mapping[name])] for name in sorted(mapping)]

    def value(self, value: object) -> Token:
        """Describe any object: by its value, by the number of its definition, or by the name of its type."""
        if value is None or value is Ellipsis or type(value) in (bool, int, float, complex, str, bytes):
            return [type(value).__name__, repr(value)]
        if isinstance(value, (FunctionType, type, ModuleType)):
            return self._definition(value)
        if isinstance(value, enum.Enum):
            return ["enum", self.value(type(value)), value.name]
        if id(value) in self._being_described:
            return ["cycle"]
        outer, self._being_described = self._being_described, self._being_described | {id(value)}
        try:
            return self._compound(value)
        finally:
            self._being_described = outer

    def _compound(self, value: object) -> Token:
        kind = self.value(type(value))
        if isinstance(value, np.ndarray):
            by_value = not value.dtype.hasobject
            return [
                kind,
                digest_array(value) if by_value else self.value([list(value.shape), value.tolist()]),
            ]
        if isinstance(value, np.generic):
            return [kind, value.dtype.str, value.tobytes().hex()]
        if isinstance(value, (int, float, complex, str, bytes)):
            plain = next(base for base in (int, float, complex, str, bytes) if isinstance(value, base))
            return [kind, plain.__repr__(value)]
        if isinstance(value, (list, tuple, collections.deque)):
            return [kind, *(self.value(item) for item in value)]
        if isinstance(value, (dict, MappingProxyType)):
            return [kind, *([self.value(key), self.value(item)] for key, item in value.items())]
        if isinstance(value, (set, frozenset)):
            return [kind, *sorted(self._apart(item) for item in value)]
        if isinstance(value, (functools.partial, functools.partialmethod)):
            return [kind, self.value(value.func), self.value(value.args), self.items(value.keywords)]
        if isinstance(value, MethodType):
            return [kind, self.value(value.__func__), self.value(value.__self__)]
        if isinstance(value, (staticmethod, classmethod)):
            return [kind, self.value(value.__func__)]
        if isinstance(value, property):
            return [kind, self.value(value.fget), self.value(value.fset), self.value(value.fdel)]
        if isinstance(value, functools.cached_property):
            return [kind, self.value(value.func)]
        if isinstance(value, slice):
            return [kind, self.value(value.start), self.value(value.stop), self.value(value.step)]
        if isinstance(value, re.Pattern):
            return [kind, self.value(value.pattern), value.flags]
        if isinstance(value, _VALUES_BY_REPR):
            return [kind, repr(value)]
        if isinstance(value, _NAMESPACES):
            return [kind, self.items(vars(value))]
        if isinstance(value, BuiltinFunctionType):
            return [kind, *_name(value)]
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
            return [kind, self.items(fields)]
        return self._instance(value, kind)

    def _instance(self, value: object, kind: Token) -> Token:
        """Describe an object of unknown meaning: by its class, and by its attributes if the class is own."""
        if is_model_class(type(value)):
            return [kind]
        if package_of(home_of(type(value))) in self._packages:
            return [kind, self.items(_attributes(value))]
        if package_of(home_of(type(value))) == "keras" and hasattr(value, "get_config"):
            is_layer = any(base.__name__ == "Layer" for base in type(value).__mro__)
            return [kind] if is_layer else [kind, self._keras_config(value)]
        wrapped = getattr(value, "__wrapped__", None)
        return [kind, self.value(wrapped)] if isinstance(wrapped, (FunctionType, type)) else [kind]

    def _keras_config(self, value: Any) -> Token:
        """Describe a regularizer, schedule or the like of Keras, which the user set up outside of the builder."""
        try:
            config = value.get_config()
        except Exception:  # Not all of them have one.
            return None
        # Keras numbers the names that it gives in the order of making; that of a dtype policy is all it has.
        named = {name: item for name, item in config.items() if name != "name" or len(config) == 1}
        # Losses that Keras makes of a function keep its arguments to themselves.
        return [self.items(named), self.value(getattr(value, "_fn_kwargs", None))]

    def _apart(self, value: object) -> str:
        """Digest an element of a set by itself, as a set has no order in which to number its elements."""
        walker = _Walker(self._packages, self._being_described)
        digest = digest_json([walker.value(value), walker.definitions()])
        self.words |= walker.words
        return digest

    def _definition(self, value: FunctionType | type | ModuleType) -> Token:
        if package_of(home_of(value)) not in self._packages:
            if isinstance(value, FunctionType) and hasattr(value, "__wrapped__"):
                return self._foreign_wrapper(value)
            return ["foreign", *_name(value)]
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._found)
            self._found.append(value)
        return ["definition", self._numbers[id(value)]]

    def _foreign_wrapper(self, wrapper: FunctionType) -> Token:
        """Describe what a decorator of another package made of a function, with the decorator's arguments."""
        key = id(wrapper)
        if key in self._being_described:
            return ["cycle"]
        outer, self._being_described = self._being_described, self._being_described | {key}
        # Mutable containers in the closure of a decorator are caches and counters, other in each process.
        closure = {name: item for name, item in closure_of(wrapper).items() if not isinstance(item, (dict, list, set))}
        try:
            inside = self.value(wrapper.__wrapped__)  # type: ignore[attr-defined]
            return ["wrapper", home_of(wrapper), wrapper.__code__.co_name, inside, self.items(closure)]
        finally:
            self._being_described = outer

    def _class(self, cls: type) -> Token:
        members = {
            name: member
            for name, member in vars(cls).items()
            if not _is_noise(name, member) and not (name in _COUNTED_APART and is_model_class(cls))
        }
        if issubclass(cls, enum.Enum):
            members = {name: member for name, member in members.items() if isinstance(member, FunctionType)}
            members |= {f"{name}.value": member.value for name, member in cls.__members__.items()}
        if is_model_class(cls) and package_of(home_of(cls)) == "raygrid.zoo":
            members = _building(members)
        bases: list[Token] = [self.value(base) for base in cls.__bases__]
        metaclass = type(cls) if package_of(home_of(type(cls))) in self._packages else None
        return ["class", cls.__name__, self.value(metaclass), bases, self.items(members)]

    def _function(self, function: FunctionType) -> Token:
        tree = self._sources.tree(function)
        code = function.__code__
        self.words |= words(code)
        body: Token = ["code", code_tokens(code)] if tree is None else ["tree", tree_tokens(tree)]
        defaults: list[Token] = [self.value(function.__defaults__), self.items(function.__kwdefaults__ or {})]
        reached = self.items(reached_objects(function, tree, self._packages))
        wrapped = getattr(function, "__wrapped__", None)
        return ["function", body, defaults, reached, self.value(wrapped)]


def _building(members: Mapping[str, object]) -> dict[str, object]:
    """Of a built-in model, ``build_model``, ``callbacks`` and what they mention: no other member trains anything."""
    kept, ahead = {}, ["build_model", "callbacks"]
    while ahead:
        name = ahead.pop()
        if name in members and name not in kept:
            kept[name] = member = members[name]
            if isinstance(member, FunctionType):
                ahead.extend(words(member.__code__))
    return kept


def _attributes(value: object) -> dict[str, object]:
    """What an object of the user's own holds, also where its class has ``__slots__``."""
    named = (vars(base).get("__slots__", ()) for base in type(value).__mro__)
    slots = {name for names in named for name in ((names,) if isinstance(names, str) else names) if not is_dunder(name)}
    return {**{name: getattr(value, name, None) for name in slots}, **getattr(value, "__dict__", {})}


def _name(value: object) -> list[Token]:
    """Name a thing of another package. Where raygrid keeps a thing of its own is no business of a digest."""
    module = str(getattr(value, "__module__", None) or getattr(value, "__name__", ""))
    module = "raygrid" if package_of(module) in ("raygrid", "raygrid.zoo") else module
    return [module, getattr(value, "__qualname__", "")]


def _is_noise(name: str, member: object) -> bool:
    """Tell members that Python itself adds to classes, as ``_abc_impl``, from written ones."""
    if name in ("_abc_impl", "__annotate__", "__annotate_func__"):
        return True
    return is_dunder(name) and not isinstance(member, (FunctionType, staticmethod, classmethod, property))
