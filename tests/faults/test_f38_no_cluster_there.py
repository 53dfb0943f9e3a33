"""f38: an address where no Ray cluster answers. The search is refused by name, and never starts here instead."""

from __future__ import annotations

import contextlib
import http.server
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from child_processes import Child, started, started_command
from commands import SCRIPT
from ray_nodes import free_ports

from raygrid.errors import ClusterError
from raygrid.tuning.cluster_address import check_cluster
from raygrid.tuning.session import RaySession

pytestmark = pytest.mark.ray


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def _web_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _silent_server() -> Iterator[str]:
    """Takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def _full_server() -> Iterator[str]:
    """Takes no further connection, and does not say so, as where a firewall drops packets."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def _dead_port() -> Iterator[str]:
    (port,) = free_ports(1)
    yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _no_such_host() -> Iterator[str]:
    yield "no-such-host.invalid:6379"


@contextlib.contextmanager
def _ray_on_localhost() -> Iterator[str]:
    """The Ray of these tests. It listens on localhost alone, in place of which Ray connects to this machine's address.

    What joins it under its address is refused, unless this machine has no other address.
    """
    import ray

    address = ray.get_runtime_context().gcs_address
    assert address.startswith("127.0.0.1:")
    yield address


_JOIN = """
    import time
    import ray
    from raygrid.errors import ClusterError
    from raygrid.tuning.session import RaySession

    for address in {addresses!r}:
        start = time.monotonic()
        try:
            with RaySession(address, (), False) as session:
                session.wait()
        except ClusterError as error:
            print("refused in time:", time.monotonic() - start < 30, "started:", ray.is_initialized())
            print(error)
"""


_SERVERS = {
    _dead_port: "there is no Ray cluster at {}: [Errno 111] Connection refused. Start one with",
    _no_such_host: "there is no Ray cluster at {}: [Errno ",
    _full_server: "there is no Ray cluster at {}: timed out. Start one with",
    _silent_server: "what listens at {} did not answer as a Ray cluster: it said nothing for 20 s",
    _web_server: "what listens at {} did not answer as a Ray cluster: ",
    _ray_on_localhost: "what listens at {} did not answer as a Ray cluster",
}
# Those of a row are joined by one process, one after the other: all rows take about as long as the silent server does.
_ROWS = [(_silent_server,), (_ray_on_localhost,), (_dead_port, _no_such_host, _full_server), (_web_server,)]


class Join(NamedTuple):
    """An attempt to join: the address, and the process that made it and others."""

    address: str
    child: Child
    number: int
    of: int

    def lines(self) -> list[str]:
        """What was printed of it."""
        lines = self.child.text().splitlines()
        # What Ray itself says of it does not reach the terminal.
        assert len(lines) == 2 * self.of, lines
        return lines[2 * self.number :][:2]


class Refused(NamedTuple):
    """The attempts to join, by kind of server, and address and child of the command, which has ended as well."""

    joins: dict[Callable[[], object], Join]
    command: tuple[str, Child]
    folder: Path


@pytest.fixture(scope="module")
def refused(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    folder = tmp_path_factory.mktemp("refused")
    command = [sys.executable, str(SCRIPT), "--set", "epochs=[1]", "--model-dir", "models"]
    with contextlib.ExitStack() as running:
        # All at once, since each is mostly waiting.
        joins = {}
        for row in _ROWS:
            addresses = [running.enter_context(kind()) for kind in row]
            child = running.enter_context(started(_JOIN.format(addresses=addresses), folder))
            for number, (kind, address) in enumerate(zip(row, addresses, strict=True)):
                joins[kind] = Join(address, child, number, len(row))
        dead = running.enter_context(_dead_port())
        searched = running.enter_context(started_command(command, folder, RAY_ADDRESS=dead))
        for child in (*(join.child for join in joins.values()), searched):
            child.process.wait(90)
        yield Refused(joins, (dead, searched), folder)


@pytest.mark.parametrize("kind", _SERVERS)
def test_f38_an_address_where_no_ray_answers_is_refused_by_name_within_30_seconds(
    refused: Refused, kind: Callable[[], object]
) -> None:
    from ray._private.services import node_ip_address_from_perspective

    join = refused.joins[kind]
    if kind is _ray_on_localhost and node_ip_address_from_perspective().startswith("127."):
        pytest.skip("this machine has no other address than localhost")
    said, error = join.lines()
    assert said == "refused in time: True started: False"
    assert _SERVERS[kind].format(join.address) in error
    assert join.child.processes() == []


def test_f38_the_command_names_the_address_and_searches_nowhere_else(refused: Refused) -> None:
    address, child = refused.command
    assert child.process.returncode == 1
    assert f"raygrid: there is no Ray cluster at {address}" in child.text()
    assert "Traceback" not in child.text()
    assert child.processes() == []
    assert not list((refused.folder / "models").glob("*.json"))
    assert not (refused.folder / "models/autoencoder_runs/points").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:10001", "is a Ray Client address"),
        ("nonsense", "is not of the form HOST:PORT"),
        ("127.0.0.1:port", "is not of the form HOST:PORT"),
    ],
)
def test_f38_what_is_no_address_is_refused_by_name(address: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message) as caught:
        check_cluster(address)
    assert address in str(caught.value)


def test_f38_an_address_beside_a_ray_that_this_process_has_already_is_a_warning_that_names_both(
    ray_session: None, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    there = ray.get_runtime_context().gcs_address
    with caplog.at_level(logging.WARNING, "raygrid"):
        for address in (there, "auto", None, "127.0.0.1:1"):
            with RaySession(address, (), False) as session:
                session.wait()
    assert caplog.messages == [f"This process has a Ray already, at {there}; address='127.0.0.1:1' is not used."]
