"""Files that a builder reads, on every node of a cluster: found or put there before the first model is built."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.files import replacing
from raygrid.base.wording import counted
from raygrid.identity.files import file_digest

# A part at a time is in this process' memory, here and in a worker.
_PART_BYTES = 64 * 2**20


@dataclass(frozen=True)
class CarriedFile:
    """A file that trials read.

    Attributes:
        path: where it lies on every node.
        size: in bytes.
        digest: of what is in it, see ``file_digest``.
        parts: references to what is in it, in Ray's object store; empty where no other node may need it.
    """

    path: str
    size: int
    digest: str
    parts: tuple[Any, ...] = ()


def carried_files(files: Mapping[str, Mapping[str, Any]], elsewhere: bool) -> tuple[CarriedFile, ...]:
    """The files of an identity as trials need them.

    Args:
        files: see ``depended_files``.
        elsewhere: whether trials may run on another machine than this one, so that what is in the files goes into
            Ray's object store, once.

    Raises:
        OSError: one cannot be read.
    """
    unique = {entry["path"]: entry for entry in files.values()}
    return tuple(
        CarriedFile(path, entry["size"], entry["digest"], _parts(path) if elsewhere else ())
        for path, entry in unique.items()
    )


def _parts(path: str) -> tuple[Any, ...]:
    import ray

    parts = []
    with open(path, "rb") as file:
        while block := file.read(_PART_BYTES):
            # Ray hands out arrays without a copy, and copies bytes.
            parts.append(ray.put(np.frombuffer(block, np.uint8)))
    # One part at least says that the file is carried, also where nothing is in it.
    return tuple(parts) or (ray.put(np.empty(0, np.uint8)),)


def obstacle(files: tuple[CarriedFile, ...]) -> str | None:
    """Puts in place what this node has not, and says what keeps it from training; None: nothing does.

    A file that is there and holds something else stays as it is, since it may be needed by others.
    """
    for file in files:
        try:
            found = _in_place(file)
        except OSError as error:
            found = f"cannot read or write it ({error.strerror or error})"
        if found is not None:
            return f"{file.path} is not on all nodes what it is where the search was started: node {_node()} {found}"
    return None


def _in_place(file: CarriedFile) -> str | None:
    path = Path(file.path)
    if not os.path.lexists(path):
        if not file.parts:
            return "does not have it any more"
        _write(file, path)
    size = path.stat().st_size
    found = file_digest(path)
    if (size, found) == (file.size, file.digest):
        return None
    return (
        f"has another file there, {counted(size, 'byte')} with the digest {found} instead of "
        f"{counted(file.size, 'byte')} with the digest {file.digest}"
    )


def _write(file: CarriedFile, path: Path) -> None:
    import ray

    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside another worker of this node, which writes the same: whoever comes second replaces like by like.
    with replacing(path, file.size) as out:
        for part in file.parts:
            out.write(ray.get(part).data)


def _node() -> str:
    import ray

    context = ray.get_runtime_context()
    return f"{ray.util.get_node_ip_address()} ({socket.gethostname()}, id {context.get_node_id()[:8]})"
