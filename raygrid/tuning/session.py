"""Ray for the length of a search: the one that runs already, a cluster at an address, or one started for it here."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Self

from raygrid.tuning.environment import environment, variables_for_workers
from raygrid.tuning.joining import join_cluster
from raygrid.tuning.local_ray import StartError, local_ray, tokens_are_used

log = logging.getLogger("raygrid")

# Ray shuts down in a second or two; on a busy machine in ten.
SHUTDOWN_LIMIT_S = 60.0


class RaySession:
    """Ray, up from ``wait`` on until the end of the ``with`` block; what was started for it is gone then.

    A Ray that this process has initialised already is used as it is, and stays. Otherwise ``address`` or
    ``RAY_ADDRESS`` names a cluster to join; without either a Ray of its own is started, which listens on localhost
    only, with a token that no file holds, and without a dashboard. One that does not start is tried once more.

    Ray starts on a thread of its own, since that is mostly waiting, and this process has other things to do meanwhile.
    The thread lives as long as Ray: the kernel ends Ray's processes when the thread that started them ends.
    """

    def __init__(self, address: str | None, user_modules: tuple[ModuleType, ...], verbose: bool) -> None:
        self._address = address
        self._user_modules = user_modules
        self._verbose = verbose
        self._up = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = self._new_thread(first_try=True)

    def _new_thread(self, first_try: bool) -> threading.Thread:
        # A daemon: where Ray's shutdown hangs, the end of this process does not wait for it.
        return threading.Thread(target=self._live, args=(first_try,), name="raygrid-ray", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        # Ray ends the process if an object of it is touched while it shuts down.
        thread = self._thread
        thread.join(SHUTDOWN_LIMIT_S)
        if self._thread is not thread:
            # That of the second try has taken its place.
            self._thread.join(SHUTDOWN_LIMIT_S)
        if self._thread.is_alive():
            log.warning(
                "Ray has not shut down within %g s, and is left to itself: what was started for this search ends with "
                "this process.",
                SHUTDOWN_LIMIT_S,
            )

    def wait(self) -> None:
        """Returns once Ray is up.

        Raises:
            ClusterError: there is no cluster at the address, or it runs other versions; or Ray does not start here.
        """
        self._up.wait()
        if self._error is not None:
            raise self._error

    def _live(self, first_try: bool) -> None:
        try:
            with self._running():
                self._up.set()
                self._over.wait()
        except StartError as error:
            if first_try and error.may_pass and not self._over.is_set():
                # On a thread of its own: what the first try has started ends with this one.
                second = self._new_thread(first_try=False)
                second.start()
                self._thread = second
                return
            self._fail(error)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._up.set()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        with environment(variables_for_workers(self._verbose)):
            import ray

            if ray.is_initialized():
                there = ray.get_runtime_context().gcs_address
                if self._address not in (None, "", "auto", "local", there):
                    log.warning("This process has a Ray already, at %s; address=%r is not used.", there, self._address)
                yield
                return
            _warn_of_open_token()
            address = self._address or os.environ.get("RAY_ADDRESS")
            if address is None or address in ("", "local"):
                with local_ray(self._verbose):
                    yield
                return
            join_cluster(address, self._user_modules, self._verbose)
            try:
                yield
            finally:
                ray.shutdown()


def _warn_of_open_token() -> None:
    """Ray writes its token file readable by all, and whoever reads it can run code on the cluster."""
    if os.environ.get("RAY_AUTH_TOKEN") or not tokens_are_used():
        return
    path = Path(os.path.expanduser(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"))
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning(
            "Ray's token %s can be read by others (mode %o), and whoever has it can run code where Ray runs. Fix: "
            "chmod 600 %s",
            path,
            mode,
            path,
        )
