"""What a ``.keras`` file holds that is not Keras' own, and what helps where Keras cannot load it.

Importing it imports TensorFlow.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from raygrid.errors import RESTORE, CorruptArtifactError, CustomObjectError

_REGISTER = "@keras.saving.register_keras_serializable()"
_FIRST_LINE_LENGTH = 200
# Of a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, cut off where it is a whole config; its type where none does."""
    lines = (_COLOURS.sub("", line).strip() for line in str(error).splitlines())
    # Keras puts such a line before what happened.
    said = (line for line in lines if line and not line.startswith("Exception encountered when calling"))
    line = next(said, type(error).__name__)
    return line if len(line) <= _FIRST_LINE_LENGTH else line[:_FIRST_LINE_LENGTH].rstrip() + " ..."


class CustomObjects:
    """What a ``.keras`` file names that is not Keras' own.

    Attributes:
        missing: classes and functions that nobody has registered in this process.
        registered: those that somebody has.
        has_code: whether it holds the code of a Python lambda, as a ``Lambda`` layer does.
    """

    def __init__(self, config: Any) -> None:
        self.missing: list[str] = []
        self.registered: list[str] = []
        self.has_code = False
        for part in _described_objects(config):
            self._add(part)

    @classmethod
    def of(cls, data: bytes) -> CustomObjects:
        """Those of the file ``data``; none where it cannot be read."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return cls(json.loads(archive.read("config.json")))
        except (KeyError, ValueError, RecursionError, zipfile.BadZipFile):
            return cls(None)

    def _add(self, part: dict[str, Any]) -> None:
        name, module = str(part["class_name"]), str(part.get("module") or "")
        if name == "__lambda__":
            self.has_code = True
            return
        if module.partition(".")[0] in ("keras", "builtins"):
            return
        is_function = name == "function" and isinstance(part.get("config"), str)
        registered_name = part["config"] if is_function else part.get("registered_name") or name
        found = keras.saving.get_registered_object(str(registered_name)) is not None
        names = self.registered if found else self.missing
        shown = str(part["config"] if is_function else name).rpartition(">")[2]
        if shown not in names:
            names.append(shown)

    def reason(self, error: Exception) -> str:
        """Why Keras cannot load it."""
        if self.missing:
            return f"{_listed(self.missing)} {'is' if len(self.missing) == 1 else 'are'} not registered with Keras"
        if self.has_code:
            return "its Lambda layer holds Python code, which is never run from a file"
        if self.registered:
            return f"{_listed(self.registered)} cannot be made from what get_config gave ({first_line(error)})"
        return first_line(error)

    def for_other_tools(self) -> str:
        """What makes the file load by itself."""
        if self.has_code:
            return f"For other tools, write a layer of your own in place of Lambda, and decorate it with {_REGISTER}."
        if self.missing:
            return f"For other tools, decorate {_listed(self.missing)} with {_REGISTER}."
        if self.registered:
            return "For other tools, let get_config give all arguments of the constructor."
        return ""

    def error(self, source: Path, error: Exception) -> CustomObjectError | CorruptArtifactError:
        """What is raised where nothing but the file is there to load it from."""
        builder = "call load() on the class that trained it, or load(..., build_model=...) with its builder function"
        if self.missing:
            return CustomObjectError(
                f"{source} cannot be loaded by Keras alone: {self.reason(error)}. The file is whole.",
                remedy=f"Import the module that has {_listed(self.missing)}, decorated with {_REGISTER}, before; or "
                f"{builder}.",
            )
        if self.has_code or self.registered:
            return CustomObjectError(
                f"{source} cannot be loaded by Keras alone: {self.reason(error)}. The file is whole.",
                remedy=f"To load it, {builder}.",
            )
        return CorruptArtifactError(f"{source} cannot be loaded by Keras ({first_line(error)}).", remedy=RESTORE)


def _described_objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every object of Keras that a config describes, the outer ones first."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _described_objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _described_objects(value)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
