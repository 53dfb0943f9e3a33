"""The right to write under a prefix: one process has it, finds out before any training that it can use it, and loses
it with its life.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from raygrid.base.files import (
    link_error,
    make_folder,
    read_bytes,
    refuse_links,
    require_writable,
    room_for,
    write_bytes,
)
from raygrid.errors import ArgumentError, CorruptArtifactError, LockTimeoutError, StorageError
from raygrid.store.paths import ModelArtifacts

_POLL_S = 0.2
_MAX_HOLDER_BYTES = 1000
# Where Ray puts the files that came with a job, below the folder of its session.
_FILES_OF_JOBS = ("runtime_resources/working_dir_files/", "runtime_resources/py_modules_files/")
# Descriptors of the locks that this process holds.
_held: set[int] = set()


@contextlib.contextmanager
def prefix_locked(paths: ModelArtifacts, timeout_s: float | None, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a prefix; makes its folder where there is none.

    Args:
        paths: the names of the prefix.
        timeout_s: how long to wait for another holder, in seconds; None waits for ever.
        on_wait: called once with the holder's name if there is one to wait for.

    Raises:
        ArgumentError: the folder is one that Ray removes after a job.
        CorruptArtifactError: one of raygrid's folders, or the lock file, is a link.
        StorageError: a folder cannot be written, or its file system has no locks.
        LockTimeoutError: the wait limit passed; the message names the holder.
    """
    _refuse_files_of_jobs(paths.model_dir)
    refuse_links(*paths.folders)
    make_folder(paths.runs_dir)
    for folder in (paths.model_dir, *paths.folders):
        if folder.is_dir():
            require_writable(folder)
    with locked(paths.lock_path, timeout_s, on_wait):
        yield


def _refuse_files_of_jobs(folder: Path) -> None:
    """``ray job submit --working-dir`` makes its copy of the files the working folder, and removes it later."""
    if any(part in f"{folder.resolve()}/" for part in _FILES_OF_JOBS):
        raise ArgumentError(
            f"model_dir is {folder.absolute()}, among the files that came with the Ray job, which Ray removes "
            "after it.",
            remedy="Pass an absolute folder on storage that all nodes share, such as $shared_model_dir.",
        )


@contextlib.contextmanager
def locked(path: Path, timeout_s: float | None, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock file ``path``; the kernel frees it when its holder dies, however that happens.

    Args:
        path: the lock file; a file beside it names the holder.
        timeout_s: how long to wait for another holder, in seconds; None waits for ever.
        on_wait: called once with the holder's name if there is one to wait for.

    Raises:
        LockTimeoutError: the wait limit passed; the message names the holder.
        StorageError: the folder cannot be written, or its file system has no locks.
        CorruptArtifactError: the lock file is a link.
    """
    holder_path = path.with_name(path.name + ".holder")
    descriptor = _take_lock(path)
    if descriptor is None:
        on_wait(_holder(holder_path))
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while (descriptor := _take_lock(path)) is None:
            if end is not None and time.monotonic() >= end:
                raise LockTimeoutError(
                    f"{path} was held for longer than {timeout_s:g} s by {_holder(holder_path)}.",
                    remedy="Wait for it to end, raise lock_timeout_s, or use $another_prefix.",
                )
            time.sleep(_POLL_S)
    _held.add(descriptor)
    try:
        write_bytes(holder_path, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def _leave_locks_to_parent() -> None:
    # A forked process shares the lock: it would keep it beyond the death of its parent.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_locks_to_parent)


def _take_lock(path: Path) -> int | None:
    """The descriptor of the lock file, locked; None while another process holds it.

    The kernel's lock only: a file whose existence is the lock would stay when its holder is killed.
    """
    try:
        with room_for(0, path.parent):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise link_error(path) from error
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Removed since it was opened: who comes next locks another file.
    except BlockingIOError:
        pass
    except OSError as error:
        os.close(descriptor)
        raise StorageError(
            error.errno,
            f"{path} cannot be locked ({error.strerror}): the file system gives no locks (flock), without which two "
            "searches would overwrite each other.",
            remedy="Mount it with locks, or choose $another_model_dir on a file system that has them.",
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _holder(path: Path) -> str:
    try:
        name = read_bytes(path, _MAX_HOLDER_BYTES).decode(errors="replace")
        # It goes to a terminal, which obeys some characters.
        return "".join(c if c.isprintable() else "?" for c in name) or "another process"
    except (OSError, CorruptArtifactError):
        return "another process"
