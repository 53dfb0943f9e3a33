"""Files that are written whole or not at all, and read with care.

Every change of a file under the model folder goes through this module. It commits as local file systems allow:
temporary name in the same folder, fsync, ``os.replace``, fsync of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from raygrid.base.memory import available_memory
from raygrid.base.wording import counted
from raygrid.errors import RESTORE, CorruptArtifactError, StorageError

# JSON takes up to 30 times its size in memory once it is read, so this limit is for 2 GB.
MAX_JSON_BYTES = 64 * 2**20
MAX_MODEL_BYTES = 16 * 2**30
# Its bytes, and the model that is made of them.
_COPIES_OF_A_FILE = 2
TEMPORARY_PREFIX = ".tmp-"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
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
        StorageError: no room, or not allowed; the old file stays, the message names the folder and the bytes needed.
    """
    with replacing(path, len(data)) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, size_bytes: int) -> Iterator[BinaryIO]:
    """A file to write to, which is put in place of ``path`` at the end, as ``write_bytes`` does; for what is large.

    Args:
        path: what is replaced.
        size_bytes: about how much is written, for the message where there is no room.
    """
    temporary = path.parent / temporary_name(path.name)
    with room_for(size_bytes, path.parent):
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
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
    """Says how many bytes were needed, and where, if they cannot be written: a full disk, or a read-only folder."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageError(
                error.errno,
                f"no room for {counted(size_bytes, 'byte')} in {folder}.",
                remedy="Free some space and run it again.",
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise _not_writable(error.errno, folder) from error
        raise


def require_writable(folder: Path) -> None:
    """Finds out before a long work that its results could not be written.

    Raises:
        StorageError: the folder is read-only for this process.
    """
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        mounted_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        raise _not_writable(errno.EROFS if mounted_read_only else errno.EACCES, folder)


def _not_writable(code: int, folder: Path) -> StorageError:
    return StorageError(
        code,
        f"{folder} cannot be written ({os.strerror(code)}).",
        remedy="Give this user write permission there (chmod u+w), mount it read-write, or choose $another_model_dir.",
    )


def encode_json(value: Any) -> bytes:
    """``value`` as readable JSON; NaN and infinity are refused, since JSON has neither."""
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Puts ``value`` as JSON in place of ``path``, whole or not at all."""
    write_bytes(path, encode_json(value))


@contextlib.contextmanager
def regular_file(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a regular file to read. Every read of a file under the model folder begins here.

    Raises:
        FileNotFoundError: there is none.
        CorruptArtifactError: it is a link or no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise link_error(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CorruptArtifactError(f"{path} is not a regular file.", remedy="Remove it.")
    with open(descriptor, "rb") as file:
        yield file


def read_bytes(path: Path, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        FileNotFoundError: there is none.
        CorruptArtifactError: it is a link or no regular file, or larger than ``max_bytes``.
        StorageError: there is not memory enough for it.
    """
    with regular_file(path) as file:
        return _read_all(file, path, max_bytes)


def read_checked(path: Path, max_bytes: int, size_bytes: int, digest: str) -> bytes:
    """The bytes of a regular file whose size and SHA-256 are known; as ``read_bytes``, and:

    Raises:
        CorruptArtifactError: size or digest are others; a size is compared before anything is read.
    """
    with regular_file(path) as file:
        _require_size(file, path, size_bytes)
        data = _read_all(file, path, max_bytes)
    # A file that grew or shrank between the two is found by its digest.
    _require_digest(path, sha256(data), digest)
    return data


def check_file(path: Path, size_bytes: int, digest: str) -> None:
    """As ``read_checked``, for a file of any size, which is not held in memory."""
    with regular_file(path) as file:
        _require_size(file, path, size_bytes)
        _require_digest(path, hashlib.file_digest(file, "sha256").hexdigest(), digest)


def _read_all(file: io.BufferedReader, path: Path, max_bytes: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        raise CorruptArtifactError(
            f"{path} has {size:,} bytes, more than the limit of {max_bytes:,}; it cannot be an artifact.",
            remedy=RESTORE,
        )
    require_memory(size, path)
    return file.read(size)


def require_memory(size_bytes: int, path: Path) -> None:
    """Refuses what would get this process killed for its memory.

    Raises:
        StorageError: ``path`` holds ``size_bytes``, and less than it takes to load them is free.
    """
    available = available_memory() if size_bytes > MAX_JSON_BYTES else None
    if available is not None and _COPIES_OF_A_FILE * size_bytes > available:
        raise StorageError(
            errno.ENOMEM,
            f"{path} holds {size_bytes:,} bytes, and loading it takes {_COPIES_OF_A_FILE} times as much memory; "
            f"{available:,} bytes are free.",
            remedy="Free some memory, or load it on a larger machine.",
        )


def _require_size(file: io.BufferedReader, path: Path, size_bytes: int) -> None:
    found = os.fstat(file.fileno()).st_size
    if found != size_bytes:
        raise CorruptArtifactError(
            f"{path} is damaged: it has {counted(found, 'byte')}, and {size_bytes:,} were written.", remedy=RESTORE
        )


def _require_digest(path: Path, found: str, digest: str) -> None:
    if found != digest:
        raise CorruptArtifactError(
            f"{path} is damaged or was edited by hand: its SHA-256 is not that of what was written.", remedy=RESTORE
        )


def link_error(path: Path) -> CorruptArtifactError:
    """What is said of a link in place of a file."""
    return CorruptArtifactError(
        f"{path} is a symbolic link, and artifacts are never followed out of their folder.",
        remedy="Put the file itself there, or remove the link.",
    )


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
        raise CorruptArtifactError(f"{source} is damaged: it is not valid JSON ({error}).", remedy=RESTORE) from error


def make_folder(path: Path) -> None:
    """Makes a folder and its parents, on the disk as well.

    Raises:
        StorageError: no room, or not allowed.
    """
    if not path.is_dir():
        make_folder(path.parent)
        with room_for(0, path.parent):
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)


def refuse_links(*folders: Path) -> None:
    """Raises CorruptArtifactError if one of ``folders`` is a link: what is written or removed there lies elsewhere."""
    for folder in folders:
        if folder.is_symlink():
            raise CorruptArtifactError(
                f"{folder} is a symbolic link, and raygrid's own folders are never followed elsewhere.",
                remedy="Put the folder itself there, or remove the link. The model folder itself may be a link.",
            )


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
