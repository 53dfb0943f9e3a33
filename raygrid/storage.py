"""Files that are written whole or not at all, read with care, and a lock that dies with its holder.

Every change of a file under the model folder goes through this module. It commits as local file systems allow:
temporary name in the same folder, fsync, ``os.replace``, fsync of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock

from raygrid.errors import CorruptArtifactError, LockTimeoutError

MAX_JSON_BYTES = 256 * 2**20
MAX_MODEL_BYTES = 16 * 2**30
TEMPORARY_PREFIX = ".tmp-"
_LOCK_POLL_S = 0.2
# Process id and random part of `temporary_name`.
_TEMPORARY_END = re.compile(r"[0-9]+-[0-9a-f]{8}")


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def temporary_name(name: str = "") -> str:
    """A name in use by nobody else, for what will be called ``name``."""
    return f"{TEMPORARY_PREFIX}{name}-{os.getpid()}-{secrets.token_hex(4)}"


def leftovers(folder: Path, name: str = "*") -> list[Path]:
    """What a killed writer of ``name`` left in ``folder``. Only the lock's holder may remove them."""
    pattern = f"{TEMPORARY_PREFIX}{name}-*"
    # What follows the name is checked too: the prefix `a_config.json-b` is another one than `a`.
    return [p for p in folder.glob(pattern) if name == "*" or _TEMPORARY_END.fullmatch(p.name[len(pattern) - 1 :])]


def write_bytes(path: Path, data: bytes) -> None:
    """Puts ``data`` in place of ``path``: a reader sees the old bytes or the new ones, also after a crash.

    Raises:
        OSError: it could not be written; the old file stays, the message names the folder and the bytes needed.
    """
    temporary = path.parent / temporary_name(path.name)
    try:
        write_new(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Writes ``data`` to a file that does not exist yet, and to the disk beneath it."""
    with room_for(len(data), path.parent), open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def room_for(size_bytes: int, folder: Path) -> Iterator[None]:
    """Says how many bytes were needed, and where, if the disk is full while they are written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(
                error.errno, f"no room for {size_bytes:,} bytes in {folder}; free some space and run it again"
            ) from error
        raise


def encode_json(value: Any) -> bytes:
    """``value`` as readable JSON; NaN and infinity are refused, since JSON has neither."""
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Puts ``value`` as JSON in place of ``path``, whole or not at all."""
    write_bytes(path, encode_json(value))


def read_bytes(path: Path, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        FileNotFoundError: there is none.
        CorruptArtifactError: it is a link or no regular file, or larger than ``max_bytes``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CorruptArtifactError(
                f"{path} is a symbolic link, and artifacts are never followed out of their folder; "
                "put the file itself there, or remove the link."
            ) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise CorruptArtifactError(f"{path} is not a regular file; remove it.")
    with open(descriptor, "rb") as file:
        if status.st_size > max_bytes:
            raise CorruptArtifactError(
                f"{path} has {status.st_size:,} bytes, more than the limit of {max_bytes:,}; it cannot be an artifact."
            )
        return file.read()


def decode_json(data: bytes, source: Path) -> Any:
    """The JSON value in ``data``, which was read from ``source``.

    Raises:
        CorruptArtifactError: it is not JSON.
    """
    try:
        value = json.loads(data.decode("utf-8"))
        if b"\\u" in data:
            # Half a surrogate pair is JSON, but no text that could be written or shown.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise CorruptArtifactError(
            f"{source} is damaged: it is not valid JSON ({error}). Put the file back from a copy, or call "
            "fit(..., reset_experiment=True) to train anew."
        ) from error


def make_folder(path: Path) -> None:
    """Makes a folder and its parents, on the disk as well."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the disk: without this a rename can be lost in a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_folder(source: Path, target: Path) -> None:
    """Gives a finished folder its final name, on the disk as well."""
    os.rename(source, target)
    sync_folder(target.parent)


def remove_file(path: Path) -> None:
    """Removes a file; one that is gone already is no error."""
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, timeout_s: float | None, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock file ``path``; the kernel frees it when its holder dies, however that happens.

    Args:
        path: the lock file; a file beside it names the holder.
        timeout_s: how long to wait for another holder, in seconds; None waits for ever.
        on_wait: called once with the holder's name if there is one to wait for.

    Raises:
        LockTimeoutError: the wait limit passed; the message names the holder.
    """
    lock = filelock.FileLock(path, thread_local=False)
    holder_path = path.with_name(path.name + ".holder")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait(_holder(holder_path))
        try:
            lock.acquire(timeout=-1 if timeout_s is None else timeout_s, poll_interval=_LOCK_POLL_S)
        except filelock.Timeout:
            raise LockTimeoutError(
                f"{path} was held for longer than {timeout_s:g} s by {_holder(holder_path)}; wait for it to end, "
                "raise lock_timeout_s, or use another cache_prefix."
            ) from None
    try:
        write_bytes(holder_path, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "another process"
    except OSError:
        return "another process"
