"""Whether the head of the cluster still answers.

Where it does not, Ray says so in words of its own after a minute, and ends the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from raygrid.errors import ClusterError

log = logging.getLogger("raygrid")

# After that time without the head Ray ends this process; a head that is started again, as where its state is kept in
# Redis, may come back until then.
_RAYS_LIMIT = "RAY_gcs_rpc_server_reconnect_timeout_s"
_RAYS_DEFAULT_S = 60.0
_ASK_EVERY_S = 2.0
_ANSWER_WITHIN_S = 5.0
# What Tune takes to end then, if Ray lets it.
_END_WITHIN_S = 5.0


def lost_after_s() -> float:
    """How long a head may be silent: two thirds of Ray's own limit, so that there is time to say so."""
    try:
        return 2 / 3 * float(os.environ.get(_RAYS_LIMIT, _RAYS_DEFAULT_S))
    except ValueError:
        return 2 / 3 * _RAYS_DEFAULT_S


class HeadWatch:
    """Asks the head for a connection now and then, on a thread of its own, for the length of the ``with`` block.

    Args:
        address: ``HOST:PORT`` of the head.

    Attributes:
        lost: whether it has not taken a connection for ``lost_after_s()``.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self.lost = False
        self._where = (host.strip("[]"), int(port))
        self._limit_s = lost_after_s()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="raygrid-head", daemon=True)

    def __enter__(self) -> HeadWatch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(_ASK_EVERY_S):
            with contextlib.suppress(OSError):
                socket.create_connection(self._where, _ANSWER_WITHIN_S).close()
                answered = time.monotonic()
            if time.monotonic() - answered > self._limit_s:
                self.lost = True
                break
        if self.lost and not self._over.wait(_END_WITHIN_S):
            # Whoever waits for an answer of Ray's waits until Ray ends the process.
            log.error("%s", self.error())

    def error(self) -> ClusterError:
        """What to tell the user."""
        return ClusterError(
            f"the head of the Ray cluster at {self.address} has not answered for {self._limit_s:g} s: its node, or Ray "
            "on it, has died. Finished points are kept.",
            remedy="Once a cluster runs ('ray start --head'), run the same again with its address, or without one on "
            "this machine, to train only what is missing.",
        )


class LostHeadCallback(Callback):
    """Ends Tune once the head is lost."""

    def __init__(self, watch: HeadWatch) -> None:
        self._watch = watch

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._watch.lost:
            raise self._watch.error()
