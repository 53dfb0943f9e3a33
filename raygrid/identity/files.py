"""Files that results depend on: which they are, and a digest of what each holds, whatever its name and date.

A digest is remembered, in this process and in a file, as long as the size, the times and the inode of the file are what
they were: a large file is not read again at each call.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from raygrid.base.arguments import local_path
from raygrid.base.files import decode_json, read_bytes, write_json
from raygrid.errors import ArgumentError, RaygridError

#: Version of the format. Raise the number when the bytes that go into a file's digest change.
FILE_FORMAT = "raygrid-file-1"

_MEMORY_FORMAT = 1
_BLOCK_BYTES = 2**20
# A file that changed so recently may change once more within the resolution of its times, as in git's index
# (https://git-scm.com/docs/racy-git), and so its digest is not remembered.
_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class _Seen:
    """A digest, and the size in bytes, modification time, change time and inode that the file had then."""

    state: tuple[int, ...]
    digest: str


# What this process has digested, by path.
_seen: dict[str, _Seen] = {}


def file_patterns(name: str, value: object) -> tuple[Path, ...]:
    """``value`` as absolute paths and patterns; those of a tuple that is absolute already are the same tuple.

    Args:
        name: of the argument.
        value: a sequence of paths, as text or ``Path``, which may hold ``*``, ``?``, ``[...]`` and ``**``.

    Raises:
        ArgumentError: it is no such sequence.
    """
    if isinstance(value, str | os.PathLike) or not isinstance(value, Sequence):
        raise ArgumentError(
            f"{name} is {value!r}, and no list of paths.",
            remedy=f"Pass a list of the paths of files, such as {name}=['weights/encoder.weights.h5'].",
        )
    paths = tuple(local_path(name, each) for each in value)
    return value if isinstance(value, tuple) and value == paths else paths


def digest_files(
    patterns: Iterable[str | Path], verify: bool, memory: Path | None = None, name: str = "depends_on"
) -> dict[str, dict[str, Any]]:
    """Digest and size of every file that ``patterns`` name, by its path.

    Args:
        patterns: absolute paths and patterns, see ``file_patterns``.
        verify: whether each file is read, whatever is remembered of it.
        memory: where ``remember_digests`` has written what it knows; None: nowhere.
        name: the argument that names the files, for messages.

    Returns:
        ``{path: {"digest", "size"}}``, the size in bytes.

    Raises:
        ArgumentError: a path or pattern without a file, or a file that cannot be read, or changes meanwhile.
    """
    known = {} if verify else {**_remembered(memory), **_seen}
    paths = dict.fromkeys(path for pattern in patterns for _, path in _matching(name, Path(pattern)))
    return {path: _digest_and_size(name, path, known.get(path)) for path in paths}


def depended_files(
    patterns: Sequence[str | Path], verify: bool = False, memory: Path | None = None, name: str = "depends_on"
) -> dict[str, dict[str, Any]]:
    """The same by what tells the files apart wherever they lie: ``{part: {"digest", "size", "path"}}``.

    A part is the number of the path in the list, from 1; with a pattern, followed by the name of the file below the
    folder at which the pattern begins.

    Raises:
        ArgumentError: see ``digest_files``.
    """
    digests = digest_files(patterns, verify, memory, name)
    return {
        f"{number}{below and '/' + below}": {**digests[path], "path": path}
        for number, pattern in enumerate(patterns, 1)
        for below, path in _matching(name, Path(pattern))
    }


def remember_digests(memory: Path, paths: Iterable[str]) -> None:
    """Writes what this process knows of the files at ``paths`` to ``memory``, whose folder must be there.

    Whoever deletes the file loses time alone, and so does whoever cannot write it: neither is an error.
    """
    before = _remembered(memory)
    new = {path: _seen[path] for path in paths if path in _seen}
    after = {path: seen for path, seen in {**before, **new}.items() if os.path.exists(path)}
    if after == before or not memory.parent.is_dir():
        return
    files = {path: [*seen.state, seen.digest] for path, seen in sorted(after.items())}
    try:
        write_json(memory, {"format": _MEMORY_FORMAT, "files": files})
    except (OSError, RaygridError):
        return


def file_digest(path: str | Path) -> str:
    """The XXH3 digest of what a file holds, as 32 hexadecimal characters; see ``digest_array`` for what it is good for.

    Raises:
        OSError: it cannot be read.
    """
    digest = xxhash.xxh3_128(FILE_FORMAT.encode())
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _matching(name: str, pattern: Path) -> Iterator[tuple[str, str]]:
    """The files of a path or pattern, sorted: for each its name below the pattern's folder, or nothing, and its path.

    Raises:
        ArgumentError: there is none.
    """
    # A name may hold brackets itself.
    if pattern.exists() or not glob.has_magic(str(pattern)):
        _require_file(name, pattern)
        yield "", str(pattern)
        return
    found = sorted(path for path in glob.glob(str(pattern), recursive=True) if _is_file(path))
    if not found:
        raise ArgumentError(f"{name} names {pattern}, and no file matches it.", remedy=_check_path(name))
    fixed = next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))
    for path in found:
        yield os.path.relpath(path, fixed), path


def _check_path(name: str) -> str:
    begins = "the folder where the model object was made" if name == "depends_on" else "the working folder"
    return f"Check the path, or leave it out of {name}; a relative one begins in {begins}."


def _require_file(name: str, path: Path) -> None:
    if path.is_dir():
        raise ArgumentError(
            f"{name} names {path}, which is a folder.", remedy=f"Name the files in it, such as '{path / '**'}'."
        )
    if not _is_file(path):
        what = "which is not a regular file" if path.exists() else "and there is no such file"
        raise ArgumentError(f"{name} names {path}, {what}.", remedy=_check_path(name))


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)


def _digest_and_size(name: str, path: str, known: _Seen | None) -> dict[str, Any]:
    try:
        now, state = time.time_ns(), _state(path)
        if known is None or known.state != state:
            known = _Seen(state, file_digest(path))
            if _state(path) != state:
                raise ArgumentError(
                    f"{name} names {path}, which changed while it was read.", remedy="Wait until it is written."
                )
            _size, modified, changed, _inode = state
            if now - max(modified, changed) >= _SETTLED_NS:
                _seen[path] = known
            else:
                _seen.pop(path, None)
    except OSError as error:
        raise ArgumentError(
            f"{name} names {path}, which cannot be read: {error.strerror}.", remedy="Let this user read it (chmod u+r)."
        ) from error
    return {"digest": known.digest, "size": state[0]}


def _state(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(2, "it is not a regular file any more", path)
    # The change time tells of a file whose modification time was set back.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _remembered(memory: Path | None) -> dict[str, _Seen]:
    """What ``remember_digests`` has written; nothing where that is damaged, since it only saves time."""
    if memory is None:
        return {}
    try:
        value = decode_json(read_bytes(memory), memory)
        if value["format"] != _MEMORY_FORMAT:
            return {}
        return {path: _as_seen(entry) for path, entry in value["files"].items()}
    except (OSError, RaygridError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def _as_seen(entry: Sequence[Any]) -> _Seen:
    *state, digest = entry
    if len(state) != 4 or not all(type(number) is int for number in state) or not isinstance(digest, str):
        raise ValueError("the entry is not a state and a digest")
    return _Seen(tuple(state), digest)
