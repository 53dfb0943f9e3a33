"""Where processes listen for connections, as the kernel tells it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable
from pathlib import Path

_LISTEN = "0A"


def listening(processes: Iterable[int]) -> list[str]:
    """The addresses, without ports, at which any of ``processes`` takes TCP connections."""
    inodes = {inode for process in processes for inode in _sockets(process)}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            if state == _LISTEN and inode in inodes:
                found.append(_address(local.partition(":")[0]))
    return found


def _sockets(process: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                kind, _, inode = os.readlink(descriptor).partition(":")
                if kind == "socket":
                    found.append(inode.strip("[]"))
    return found


def _address(digits: str) -> str:
    # Words of 32 bits, each in the order of bytes of the machine.
    words = [bytes.fromhex(digits[i : i + 8]) for i in range(0, len(digits), 8)]
    packed = b"".join(socket.htonl(int.from_bytes(word)).to_bytes(4) for word in words)
    address = ipaddress.ip_address(packed)
    # An IPv6 socket that takes IPv4 as well.
    return str(getattr(address, "ipv4_mapped", None) or address)
