"""What a result depends on: data, code, settings and versions, as digests. Makes keys, and tells what differs."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raygrid import __version__
from raygrid.base.fingerprint import digest_json
from raygrid.base.wording import counted
from raygrid.data.column_names import names_differ
from raygrid.data.training_arrays import TRAINING_RULES

# The training rules since which data is compared by its full values.
_FULL_VALUES_SINCE = 3
_RECORDED_PACKAGES = ("keras", "tensorflow", "ray", "numpy")


@dataclass(frozen=True)
class Identity:
    """Everything that the points of a search depend on, apart from their configs.

    Attributes:
        data: digest and shape of each array, in original units, the dtype that a model is fed, and the names of columns
            that have some; of each file that datasets are made of, digest, size and path. Names and paths change no
            result, so they are in no key.
        code: name and digest of the builder.
        settings: seed, scaler, shuffling, dtype policy.
        files: digest, size and path of each file that the builder reads, see ``depended_files``. Where it lies changes
            no result, so the path is in no key.
    """

    data: dict[str, dict[str, Any]]
    code: dict[str, str]
    settings: dict[str, Any]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        files = {"files": self.files} if self.files else {}
        return {"data": self.data, "code": self.code, "settings": self.settings, **files, "rules": TRAINING_RULES}

    def context(self, experiment: str) -> str:
        """The digest of all that a point's key holds but its config and seed.

        The name of the builder is not in it: a class that was only moved or renamed gives the same results. Nor is
        the seed, which belongs to the point.
        """
        # Without files, it is what it was before there could be any.
        files = {"files": {part: _content(entry) for part, entry in self.files.items()}} if self.files else {}
        return digest_json(
            {
                **files,
                "data": {name: _what_counts(name, entry) for name, entry in self.data.items()},
                "code": self.code["digest"],
                "settings": {name: value for name, value in self.settings.items() if name != "seed"},
                "keras": major(installed_version("keras")),
                "rules": TRAINING_RULES,
                "experiment": experiment,
            }
        )

    def with_code(self, digest: str) -> Identity:
        """The same with other code."""
        return replace(self, code={**self.code, "digest": digest})

    def only_code_differs(self, saved: Mapping[str, Any]) -> bool:
        """Whether ``saved``, which stood in a manifest, is of other code and in nothing else different."""
        code = saved.get("code", {}).get("digest")
        return code not in (None, self.code["digest"]) and not self.with_code(code).differences(saved)

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """What differs from ``saved``, which stood in a manifest: a line each, old and new. Empty: nothing does."""
        lines = []
        old_data = saved.get("data", {})
        for name in sorted({*self.data, *old_data}):
            old, new = old_data.get(name), self.data.get(name)
            if "path" in (new or old or {}):
                lines += _different_files(*({name: _as_file(entry)} if entry else {} for entry in (old, new)))
                continue
            renamed = names_differ((old or {}).get("names"), (new or {}).get("names"))
            if old is None or new is None or _what_counts(name, old) != _what_counts(name, new):
                was, now = _array_text(name, old), _array_text(name, new)
                lines.append(f"data {name}: was {was}, now {now}{renamed and ';' + renamed}{_rounded(saved, old, new)}")
            elif renamed:
                lines.append(f"data {name}:{renamed}")
        old_code = saved.get("code", {})
        if old_code.get("digest") != self.code["digest"]:
            lines.append(
                f"code: was {old_code.get('name')} ({_short(old_code.get('digest'))}), "
                f"now {self.code['name']} ({_short(self.code['digest'])})"
            )
        lines += _different_files(saved.get("files", {}), self.files)
        old_settings = saved.get("settings", {})
        for name in sorted({*self.settings, *old_settings}):
            if old_settings.get(name) != self.settings.get(name):
                lines.append(f"setting {name}: was {old_settings.get(name)!r}, now {self.settings.get(name)!r}")
        return lines


def point_key(context: str, config: Mapping[str, Any], seed: int) -> str:
    """The digest of everything that the result of one point depends on."""
    return digest_json({"context": context, "config": dict(config), "seed": seed})


def installed_version(package: str) -> str:
    """The version of an installed package, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def installed_versions() -> dict[str, str]:
    """The versions that a manifest records."""
    packages = {name: installed_version(name) for name in _RECORDED_PACKAGES}
    return {"raygrid": __version__, **packages, "python": platform.python_version()}


def major(version: str) -> str:
    """The part of a version before its first dot."""
    return version.partition(".")[0]


def _what_counts(name: str, entry: Mapping[str, Any]) -> list[Any]:
    """Of an array's entry what a result depends on: the digest of inputs does not say whether they are integers."""
    counts, dtype = [entry["digest"], entry["shape"]], entry.get("dtype", "float32")
    return [*counts, dtype] if dtype != "float32" and name.startswith("x_") else counts


def _different_files(before: Mapping[str, Any], today: Mapping[str, Any]) -> list[str]:
    lines = []
    for part in sorted({*before, *today}):
        old, new = before.get(part), today.get(part)
        if old is None or new is None or _content(old) != _content(new):
            path = (new or old or {})["path"]
            moved = f"{old['path']}, " if old is not None and old["path"] != path else ""
            lines.append(f"file {path}: was {moved}{_file_text(old)}, now {_file_text(new)}")
    return lines


def _as_file(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a file that stands among the data, as it would stand among the files of the model."""
    return {**entry, "size": entry["shape"][0]}


def _content(entry: Mapping[str, Any]) -> list[Any]:
    return [entry["digest"], entry["size"]]


def _file_text(entry: Mapping[str, Any] | None) -> str:
    return "absent" if entry is None else f"{counted(entry['size'], 'byte')} {_short(entry['digest'])}"


def _array_text(name: str, entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "absent"
    digest, shape, *dtype = _what_counts(name, entry)
    return " ".join([f"{tuple(shape)} {_short(digest)}", *(f"fed as {kind}" for kind in dtype)])


def _rounded(saved: Mapping[str, Any], old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """What a user is told whose data may be the same as then, and was digested otherwise."""
    if saved.get("rules", 0) >= _FULL_VALUES_SINCE or old is None or new is None or old["shape"] != new["shape"]:
        return ""
    return (
        " (an earlier raygrid compared values as float32 rounds them; float64 values, and whole numbers beyond "
        "16,777,216, may be unchanged)"
    )


def _short(digest: str | None) -> str:
    return (digest or "unknown")[:12]
