"""A Ray of its own on this machine: how it is started, and why it may not start."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from raygrid.errors import ClusterError
from raygrid.tuning.environment import environment

log = logging.getLogger("raygrid")

# Ray listens on all interfaces of a Linux machine unless clusters are switched off, whatever address it is given.
_LOCALHOST_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

_RAYS_FILES = (
    "{folder}, where Ray keeps its sockets and logs, cannot be used. Set RAY_TMPDIR to another folder with a short "
    "path."
)
_TOO_LONG = (
    "The path of {folder}, where Ray keeps its sockets, is too long for one (107 bytes). Set RAY_TMPDIR to a shorter "
    "one."
)
# What Ray, or the system beneath it, says -> what helps.
_REMEDIES = (
    (re.compile(r"timed out during startup|[Ff]ailed to (?:start|connect to) GCS|Timed out|timeout"),
     "The machine is busy, or has too few processes or files left for a user (ulimit -u, ulimit -n). Wait until it has "
     "less to do and run the same again, or name a Ray that runs with $address."),
    (re.compile(r"object store|plasma|/dev/shm|[Ss]hared memory"),
     "Free some memory, or some room in /dev/shm (in a container: --shm-size)."),
    (re.compile(r"[Aa]ddress already in use|\bport\b"),
     "A port is taken: unset RAY_GCS_SERVER_PORT and the like, or end the Ray that has it."),
)  # fmt: skip
_UNKNOWN = "Look for the cause in Ray's log, in {folder}/ray/session_latest/logs."


class StartError(ClusterError):
    """Ray does not start on this machine.

    Attributes:
        may_pass: whether another try may succeed.
    """

    may_pass = False


@contextlib.contextmanager
def local_ray(verbose: bool) -> Iterator[None]:
    """A Ray that listens on localhost only, for the length of the block.

    Args:
        verbose: whether what it says is shown.

    Raises:
        StartError: with what helps.
    """
    import ray

    with _token_of_its_own(), environment(_LOCALHOST_ONLY):
        try:
            _start(verbose)
        except Exception as error:
            # Ray raises whatever it likes, also Exception itself, and its traceback says nothing to a user.
            log.debug("Ray did not start.", exc_info=True)
            failure = why_not_started(error, _folder_of_ray())
            failure.may_pass = not isinstance(error, OSError | ValueError)
            with contextlib.suppress(Exception):
                ray.shutdown()
            raise failure from None
        try:
            yield
        finally:
            ray.shutdown()


def _start(verbose: bool) -> None:
    import ray
    from ray._private import ray_constants

    # Read from the environment when Ray was imported, which may have been before this call.
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.CRITICAL,
            job_config=_importing_as_here(),
        )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters


def _importing_as_here() -> Any:
    """The job whose workers find modules where this process finds them, in the same order.

    Ray by itself gives them the working folder, before the standard library, and nothing that was added to
    ``sys.path``.
    """
    from ray.job_config import JobConfig

    # A worker puts one after the other at the front of its own.
    path = [os.path.abspath(entry) for entry in reversed(sys.path) if isinstance(entry, str)]
    # A job of Ray's client is not given the working folder.
    return JobConfig(_client_job=True, _py_driver_sys_path=path)


def _folder_of_ray() -> str:
    return os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()


def why_not_started(error: Exception, folder: str) -> StartError:
    """What Ray's error on starting means, and what helps.

    Args:
        error: what ``ray.init`` raised.
        folder: where Ray keeps its files.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    first = re.split(r"(?<=[a-z\])])\. ", said)[0][:300].rstrip(".")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        remedy = "Free some room in {folder}, or set RAY_TMPDIR to a folder on another disk."
    elif "AF_UNIX path" in said:
        remedy = _TOO_LONG
    elif isinstance(error, OSError) and error.filename is not None:
        remedy = _RAYS_FILES
    else:
        remedy = next((remedy for pattern, remedy in _REMEDIES if pattern.search(said)), _UNKNOWN)
    return StartError(f"Ray does not start on this machine: {first}.", remedy=remedy.format(folder=folder))


@contextlib.contextmanager
def _token_of_its_own() -> Iterator[None]:
    """A token for a local Ray where the user has none: Ray would write one, readable by all, into the home folder."""
    from ray._raylet import AuthenticationTokenLoader, Config

    loader = AuthenticationTokenLoader.instance()

    def read_settings_again() -> None:
        # Ray read them when it was imported.
        Config.initialize("")
        loader.reset_cache()

    if not tokens_are_used() or loader.has_token(ignore_auth_mode=True):
        yield
        return
    try:
        with environment({"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}):
            read_settings_again()
            yield
    finally:
        read_settings_again()


def tokens_are_used() -> bool:
    """Whether Ray asks who talks to it for a token."""
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"
