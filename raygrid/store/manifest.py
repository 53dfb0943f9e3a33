"""The manifest: the one record that says which files are the model, and what they depend on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.files import sha256
from raygrid.base.known_fields import known_fields, require
from raygrid.data.texts import TEXT
from raygrid.data.training_arrays import InputSpec
from raygrid.errors import RESTORE, CorruptArtifactError, VersionError
from raygrid.grid.request import Request

MANIFEST_FORMAT = 1


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 of one published file."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """The entry for a file that holds ``data``."""
        return cls(len(data), sha256(data))


@dataclass(frozen=True)
class Manifest:
    """A committed set of artifacts.

    Attributes:
        generation: the folder under ``generations`` that raygrid loads from.
        files: name of each file in the generation, and beside the manifest, to its size and digest.
        depends_on: what the result depends on: digests and shapes of the data, digest of the builder, settings, and
            digests, sizes and paths of files that the builder reads.
        request: what was asked for: ``{"grid": ...}`` or ``{"config": ...}``.
        experiment: the experiment that the records belong to; a reset begins a new one.
        context: digest that the records of the same data, code, settings and experiment share.
        winner: key and point number of the winning point.
        model_class: ``module:qualname`` of the class or builder.
        input_shape: shape of one row of the input, or a structure of such shapes.
        input_dtypes: what the model was fed, by the path of each input; empty in manifests of before.
        versions: of raygrid, keras, tensorflow, ray, numpy and python.
        created: date and time in UTC, for people; nothing is decided by it.
        accepted_code: other code whose results were accepted as those of ``depends_on["code"]``: for each the digests
            ``old`` and ``new``, and how many ``points`` it trained.
    """

    generation: str
    files: dict[str, FileEntry]
    depends_on: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    experiment: str = ""
    context: str = ""
    winner: dict[str, Any] = field(default_factory=dict)
    model_class: str = ""
    input_shape: Any = field(default_factory=list)
    input_dtypes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    accepted_code: list[dict[str, Any]] = field(default_factory=list)

    @property
    def column_names(self) -> dict[str, tuple[str, ...]]:
        """Names of the columns that were trained on, by array (``x_train``, ``y_train``), of those that have names."""
        data = self.depends_on.get("data", {})
        return {name: tuple(entry["names"]) for name, entry in data.items() if "names" in entry}

    @property
    def inputs(self) -> InputSpec:
        """What the model sees at a time, as it was fed in training."""
        data = self.depends_on.get("data", {})

        def dtype_of(path: str) -> np.dtype[Any]:
            of_data = data.get(f"x_train/{path}" if path else "x_train", {}).get("dtype", "float32")
            name = self.input_dtypes.get(path, of_data)
            return np.dtype(object if name == TEXT else name)

        return InputSpec.from_json(self.input_shape, dtype_of)

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return {"format": MANIFEST_FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Any, source: Path) -> Manifest:
        """The manifest in ``value``, which was read from ``source``; see ``known_fields``.

        Raises:
            VersionError: a newer raygrid wrote it.
            CorruptArtifactError: it is not a manifest.
        """
        try:
            written = value["format"]
            if isinstance(written, int) and written > MANIFEST_FORMAT:
                raise VersionError(
                    f"{source} has format {written}, and this raygrid reads up to {MANIFEST_FORMAT}.",
                    remedy="Upgrade raygrid.",
                )
            if written != MANIFEST_FORMAT:
                raise ValueError(f"format {written!r} is unknown")
            fields = known_fields(cls, value)
            for name in _DECIDED_BY:
                fields[name] = value[name]
            require(_FIELD_CHECKS, fields)
            fields["files"] = {
                name: FileEntry(**known_fields(FileEntry, entry)) for name, entry in fields["files"].items()
            }
            for name, entry in fields["files"].items():
                plain_file_name(name)
                if type(entry.size_bytes) is not int or not isinstance(entry.sha256, str):
                    raise ValueError(f"the entry of {name!r} is not a size and a digest")
            plain_file_name(fields["generation"])
            manifest = cls(**fields)
            Request.from_json(manifest.request)
            _check_depends_on(manifest.depends_on)
            return manifest
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptArtifactError(
                f"{source} is damaged: it is not a manifest ({error!r}).", remedy=RESTORE
            ) from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


# A default in their place would be a decision: without what it depends on, a set counts as another implementation's.
_DECIDED_BY = ("depends_on", "request", "experiment", "context", "winner")
_FIELD_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("experiment", "context", "model_class", "created"), _is_text),
    **dict.fromkeys(("files", "depends_on", "request", "winner"), _is_mapping),
    "input_dtypes": lambda value: _is_mapping(value) and all(map(_is_dtype, value.values())),
    "versions": lambda value: _is_mapping(value) and all(map(_is_text, value.values())),
    "input_shape": lambda value: _is_shape(value),
    "accepted_code": lambda value: isinstance(value, list) and all(map(_is_mapping, value)),
}


def _is_dtype(value: Any) -> bool:
    return _is_text(value) and (value == TEXT or np.dtype(value).kind in "biuf")


def _is_shape(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(map(_is_shape, value.values()))
    return isinstance(value, list) and (
        all(size is None or type(size) is int for size in value) or all(map(_is_shape, value))
    )


def _check_depends_on(value: dict[str, Any]) -> None:
    """What is read of it later: digest and shape of each array, name and digest of the code, the settings."""
    data, code, settings = (value.get(name, {}) for name in ("data", "code", "settings"))
    for name, entry in data.items():
        shape = entry["shape"]
        # What is no array, such as the teacher of a model, has an empty shape.
        whole = isinstance(shape, list) and all(type(size) is int for size in shape)
        if not isinstance(entry["digest"], str) or not whole:
            raise ValueError(f"the entry of the data {name!r} is not a digest and a shape")
        if entry.get("dtype", TEXT) != TEXT:
            np.dtype(entry["dtype"])
        if "path" in entry and not (isinstance(entry["path"], str) and len(shape) == 1):
            raise ValueError(f"the entry of the data {name!r} is not a path and a size")
        if "names" in entry and not _are_names(entry["names"], shape):
            raise ValueError(f"the names of the data {name!r} are not one text for each column")
    if not all(isinstance(text, str) for text in code.values()):
        raise ValueError("the code's name or digest is not text")
    for part, entry in value.get("files", {}).items():
        texts = isinstance(entry["digest"], str) and isinstance(entry["path"], str)
        if not texts or type(entry["size"]) is not int:
            raise ValueError(f"the entry of the file {part!r} is not a digest, a size and a path")
    if type(settings.get("seed", 0)) is not int:
        raise ValueError("the seed is not a whole number")


def _are_names(names: Any, shape: list[int]) -> bool:
    texts = isinstance(names, list) and all(isinstance(label, str) for label in names)
    return texts and bool(shape) and len(names) == shape[-1] == len(set(names))


def plain_file_name(name: Any) -> str:
    """``name`` if it names a file in its own folder; a manifest must not lead anywhere else."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a plain file name")
    return name
