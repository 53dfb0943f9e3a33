"""The command that shows a grid's runs in TensorBoard."""

from __future__ import annotations

import sys
from pathlib import Path


def tensorboard_command(logdir: Path, port: int = 6006, host: str = "127.0.0.1") -> list[str]:
    """The command line that serves the runs below ``logdir``, with this interpreter's own TensorBoard.

    Args:
        logdir: the folder that holds the runs' folders.
        port: TCP port; 0 lets TensorBoard choose a free one, which it names on its standard error.
        host: the address to listen on. TensorBoard has no login, so the default is this machine alone.
    """
    # The process imports TensorFlow if it is installed, for about five seconds; TensorBoard has no option against it.
    return [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(logdir),
        "--host",
        host,
        "--port",
        str(port),
    ]
