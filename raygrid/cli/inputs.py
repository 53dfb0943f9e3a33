"""What the options of ``raygrid search`` name: grids, configs and models."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygrid.errors import ArgumentError, GridError, UserCodeError
from raygrid.zoo import MODELS

if TYPE_CHECKING:
    from raygrid.model.grid_search_model import GridSearchModel


# A grid of 10,000 points takes some 100 kB. YAML takes a thousand times its size in memory while it is read.
MAX_FILE_BYTES = 2**20
# What a YAML file may hold once its aliases are written out: a page of them can stand for more than any memory.
MAX_YAML_VALUES = 100_000
# How deep lists and mappings may lie in each other in YAML and TOML: the time that their readers take grows with the
# square of the depth.
MAX_DEPTH = 100


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON, YAML or TOML file of at most ``MAX_FILE_BYTES``; nothing in it is evaluated.

    Raises:
        GridError: it cannot be read, is too large, or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise GridError(
                f"{path} has {max(path.stat().st_size, len(data)):,} bytes, more than the limit of "
                f"{MAX_FILE_BYTES:,} for a grid or config.",
                remedy="Check the name, or leave values out.",
            )
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GridError(
            f"{path} cannot be read: {error}.",
            remedy="Name a file that you may read, whose text is encoded as UTF-8.",
        ) from error
    try:
        value = _parse(path, text)
    except (ValueError, RecursionError) as error:
        # What YAML's reader says has several lines.
        raise GridError(
            f"{path} is not valid {path.suffix.lstrip('.').upper()}: {error}", remedy="\nCorrect this in the file."
        ) from error
    if not isinstance(value, dict):
        raise GridError(
            f"{path} holds {type(value).__name__}; a mapping of names is expected.",
            remedy='Write names and their values, such as {"latent_dim": [8, 16]}.',
        )
    return value


def _parse(path: Path, text: str) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return json.loads(text)
    if suffix == ".toml":
        return _parse_toml(text)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    raise GridError(
        f"{path} ends in {path.suffix!r}; grids and configs are .json, .yaml, .yml or .toml files.",
        remedy="Name such a file, or rename this one after what it holds.",
    )


def _parse_toml(text: str) -> Any:
    import tomllib

    # Each part of a dotted name is a mapping in the one before.
    if any(name.count(".") >= MAX_DEPTH for line in text.splitlines() for name in re.split("[=,{]", line)):
        raise ValueError(f"it has a name of more than {MAX_DEPTH} parts")
    return tomllib.loads(text)


def _parse_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-3 as the number that it is in JSON and TOML; YAML 1.1 wants a dot in it and calls it text.

        Counts what a value holds with its aliases written out.
        """

        def __init__(self, stream: str) -> None:
            super().__init__(stream)
            self._values: dict[yaml.Node, int] = {}
            self._depth = 0

        def fetch_flow_collection_start(self, token: Any) -> None:
            # The scanner is ahead of the composer by a thousand brackets.
            self._check_depth(self.flow_level)
            super().fetch_flow_collection_start(token)

        @staticmethod
        def _check_depth(depth: int) -> None:
            if depth >= MAX_DEPTH:
                raise ValueError(f"its lists and mappings lie more than {MAX_DEPTH} deep in each other")

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            if not self.check_event(yaml.AliasEvent, yaml.ScalarEvent):
                self._check_depth(self._depth)
            is_alias = self.check_event(yaml.AliasEvent)
            self._depth += 1
            node = super().compose_node(parent, index)
            self._depth -= 1
            if is_alias and node not in self._values:
                raise ValueError("an alias stands for what holds it")
            if node is not None and not is_alias:
                inner = node.value if isinstance(node, yaml.CollectionNode) else ()
                pairs = [item if isinstance(item, tuple) else (item,) for item in inner]
                self._values[node] = 1 + sum(self._values[child] for pair in pairs for child in pair)
                if self._values[node] > MAX_YAML_VALUES:
                    raise ValueError(f"with its aliases written out it holds more than {MAX_YAML_VALUES:,} values")
            return node

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except ValueError:
        raise
    except Exception as error:
        # PyYAML raises KeyError, AttributeError and the like for a text that is not of its tag's type.
        raise ValueError(f"{type(error).__name__}: {error}") from error


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """``key=JSON`` texts as a mapping.

    Raises:
        GridError: a text is not of that form.
    """
    out = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            if not equals or not name:
                raise ValueError("there is no NAME= before the value")
            out[name.strip()] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GridError(
                f"--set {setting!r} is not NAME=JSON ({error}).",
                remedy="Write lists as NAME=[1,2] and text in double quotes, such as --set "
                '\'activation=["relu","selu"]\'.',
            ) from error
    return out


@dataclass(frozen=True)
class Asked:
    """What the options ask for: a grid or a single config.

    Attributes:
        given: what the file holds; None without one.
        over: what ``--set`` puts over it.
        single: whether it is a single config.
    """

    given: Mapping[str, Any] | None
    over: Mapping[str, Any]
    single: bool

    def of(self, model: GridSearchModel) -> dict[str, Any]:
        """As a keyword of the model's ``fit``; nothing where nothing is asked."""
        if self.single:
            return {"model_config": {**(self.given or {}), **self.over}}
        if self.given is not None:
            return {"param_grid": {**self.given, **self.over}}
        return {"param_grid": {**model.DEFAULT_PARAM_GRID, **self.over}} if self.over else {}

    def split(self, name: str) -> tuple[Asked, Asked]:
        """What is asked of the part ``name`` (``{name: {...}}`` in a file, ``name.KEY`` in ``--set``), and the rest.

        Raises:
            GridError: the file's entry is no mapping.
        """
        given = self.given or {}
        part = given.get(name)
        if name in given and not isinstance(part, Mapping):
            raise GridError(
                f"{name!r} holds {type(part).__name__}; a mapping of names to lists of values is expected.",
                remedy=f'Write it as {{"{name}": {{"latent_dim": [8, 16]}}}}.',
            )
        dotted = {key: value for key, value in self.over.items() if key.startswith(f"{name}.")}
        rest = {key: value for key, value in given.items() if key != name}
        return (
            Asked(part, {key.removeprefix(f"{name}."): value for key, value in dotted.items()}, self.single),
            # A file that speaks of the part alone asks for nothing of the rest.
            Asked(rest or None, {key: value for key, value in self.over.items() if key not in dotted}, self.single),
        )


def find_model(name: str) -> Any:
    """The model class, or builder function, that ``--model`` names: one of the zoo, or ``package.module:Name``.

    Raises:
        ArgumentError: there is no such model.
        UserCodeError: the user's module fails while it is imported.
    """
    target = MODELS.get(name, name)
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise ArgumentError(
            f"--model {name!r} is not known.",
            remedy=f"Use one of {', '.join(sorted(MODELS))}, or package.module:Class.",
        )
    if name not in MODELS and os.getcwd() not in sys.path:
        # A module of one's own lies in the folder where the command is given. Last, since a file there may have the
        # name of a package that is installed.
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise _failed_import(name, module_name) from error
        raise ArgumentError(
            f"--model {name!r}: there is no module {error.name!r} in {os.getcwd()} or among the installed packages.",
            remedy="Run the command in the folder of this module, or install its package.",
        ) from None
    except Exception as error:
        raise _failed_import(name, module_name) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ArgumentError(
            f"--model {name!r}: {module_name} has no {attribute!r} (it is {getattr(module, '__file__', None)}).",
            remedy="Name a class or function that it has after the colon.",
        ) from None


def _failed_import(name: str, module_name: str) -> UserCodeError:
    return UserCodeError(
        f"--model {name!r}: {module_name} failed while it was imported (see above).",
        remedy="Correct the module, or install what it imports, and run the command again.",
    )
