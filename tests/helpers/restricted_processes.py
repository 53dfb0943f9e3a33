"""Scripts that run where something is not allowed: on a small or read-only disk, without rights, without locks."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from child_processes import started_command

_MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


def run_on_small_disk(script: str, folder: Path, mount: Path, size_kb: int, timeout_s: float = 120) -> str:
    """What a script prints that sees an empty file system of this size at ``mount``; nobody else sees it."""
    return _run([*_own_mounts(), _MOUNT, "sh", f"size={size_kb}k", str(mount)], script, folder, timeout_s)


def run_on_read_only_disk(script: str, folder: Path, mount: Path) -> str:
    """What a script prints that sees the folder ``mount`` mounted read-only."""
    command = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    return _run([*_own_mounts(), command, "sh", str(mount)], script, folder)


def run_without_rights(script: str, folder: Path) -> str:
    """What a script prints whose process has no more rights than the permissions of files give their owner."""
    if os.geteuid() != 0:
        return _run([], script, folder)
    if shutil.which("setpriv") is None:
        pytest.skip("root, and no setpriv (util-linux) to give its rights away")
    return _run(["setpriv", "--bounding-set=-dac_override,-dac_read_search"], script, folder)


def _own_mounts() -> list[str]:
    """A command that runs ``sh -c`` with mounts of its own: as root, or as a user where the kernel lets users do it."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs root, or user namespaces, to mount a file system")
    return [*unshare, "sh", "-c"]


def _run(prefix: Sequence[str], script: str, folder: Path, timeout_s: float = 120) -> str:
    path = folder / "restricted_script.py"
    path.write_text(textwrap.dedent(script))
    with started_command([*prefix, sys.executable, str(path)], folder) as child:
        code = child.process.wait(timeout_s)
        assert code == 0, f"exit code {code}:\n{child.text()}"
        return child.text()


def forbid_flock(code: int = errno.ENOSYS) -> bool:
    """From now on the kernel answers this process' every ``flock`` with ``code``; False where it cannot be told to."""
    if os.uname().machine != "x86_64":
        return False
    # A filter in the kernel's own byte code (struct sock_filter): load the number of the call; if it is flock, 73,
    # answer with the error; allow everything else.
    load_number, jump_if_equal, give_back = 0x20, 0x15, 0x06
    fail, allow = 0x00050000 | code, 0x7FFF0000
    steps = [(load_number, 0, 0, 0), (jump_if_equal, 0, 1, 73), (give_back, 0, 0, fail), (give_back, 0, 0, allow)]

    class Step(ctypes.Structure):
        _fields_ = [
            ("code", ctypes.c_uint16),
            ("if_true", ctypes.c_uint8),
            ("if_false", ctypes.c_uint8),
            ("value", ctypes.c_uint32),
        ]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("steps", ctypes.POINTER(Step))]

    program = Program(len(steps), (Step * len(steps))(*steps))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    return bool(libc.prctl(set_seccomp, filter_mode, ctypes.byref(program), 0, 0) == 0)
