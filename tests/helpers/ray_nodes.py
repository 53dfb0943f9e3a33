"""Nodes of a Ray cluster on this machine, each started with ``ray start`` as a person would."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from child_processes import Child, started_command

_RAY = str(Path(sys.executable).with_name("ray"))
_EACH = [
    *("--node-ip-address=127.0.0.1", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=200000000"),
    *("--disable-usage-stats", "--block"),
]


def free_ports(count: int) -> list[int]:
    """TCP ports on localhost that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextlib.contextmanager
def head_node(folder: Path, ray: str = _RAY, **environment: str | None) -> Iterator[str]:
    """The address of a cluster of one node with a CPU.

    Args:
        folder: the working folder of the node.
        ray: the command, which may be that of another environment.
        environment: variables for the node; see ``started_command``.
    """
    port, agent = free_ports(2)
    # Short, since Ray's sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="rg-", dir="/tmp", ignore_cleanup_errors=True) as files:
        head = [ray, "start", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={files}"]
        with started_command([*head, f"--dashboard-agent-listen-port={agent}", *_EACH], folder, **environment) as node:
            _wait(node)
            yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def further_node(address: str, folder: Path, mounts: tuple[str, ...] = (), **environment: str | None) -> Iterator[None]:
    """A node with a CPU more.

    Args:
        address: of the cluster.
        folder: the working folder of the node.
        mounts: lines for the shell that mount something; this node sees it, and nobody else does.
        environment: variables for the node.
    """
    (agent,) = free_ports(1)
    command = [_RAY, "start", f"--address={address}", f"--dashboard-agent-listen-port={agent}", *_EACH]
    if mounts:
        apart = mount_namespace()
        assert apart is not None
        command = [*apart, "sh", "-ec", "\n".join([*mounts, f"exec {shlex.join(command)}"])]
    with started_command(command, folder, **environment) as node:
        _wait(node)
        yield


def mount_namespace() -> list[str] | None:
    """The command that runs another one with mounts of its own; None where the system does not let this user."""
    for rights in ([], ["--map-root-user"]):
        command = ["unshare", *rights, "--mount"]
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0:
                return command
    return None


def _wait(node: Child) -> None:
    node.wait_until(lambda: "Ray runtime started" in node.text(), 60)
