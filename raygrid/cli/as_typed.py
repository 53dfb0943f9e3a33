"""How a person can write a command that runs: the names that their shell finds, and paths for the others."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path


def program_as_typed(name: str, path: str) -> str:
    """``name`` where a shell finds what runs now under it; otherwise its path, relative where it lies below.

    Args:
        name: a short one, such as ``python``.
        path: of the program that runs, such as ``sys.executable``. It may have another name in the same folder.
    """
    found = shutil.which(name)
    try:
        path = os.path.abspath(path)
        # The same file is not enough: the Python of a virtual environment is a link to the one without its packages.
        here = found is not None and os.path.dirname(os.path.abspath(found)) == os.path.dirname(path)
        if found is not None and here and os.path.samefile(found, path):
            return name
        relative = os.path.relpath(path)
    except OSError:
        # The working folder is gone.
        return path
    if relative.startswith(os.pardir):
        return path
    return relative if os.sep in relative else os.path.join(os.curdir, relative)


def folder_as_typed(path: Path) -> str:
    """An absolute ``path`` as a person would write it here, quoted for a shell: relative where it lies below."""
    with contextlib.suppress(OSError, ValueError):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))
