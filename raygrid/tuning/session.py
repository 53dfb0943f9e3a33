"""Ray for the length of a search: the one that runs already, a cluster at an address, or one started for it here."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from raygrid.errors import ClusterError
from raygrid.tuning.cluster_address import check_cluster

log = logging.getLogger("raygrid")

# For workers: TensorFlow's start-up messages stay out of the output; Tune's snapshots of its own state are not
# needed to resume, since finished points are recorded by raygrid, which also answers Ctrl-C sooner than Tune.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "60",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# Ray listens on all interfaces of a Linux machine unless clusters are switched off, whatever address it is given.
_LOCALHOST_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class RaySession:
    """Ray, up from ``wait`` on until the end of the ``with`` block; what was started for it is gone then.

    A Ray that this process has initialised already is used as it is, and stays. Otherwise ``address`` or
    ``RAY_ADDRESS`` names a cluster to join; without either a Ray of its own is started, which listens on localhost
    only, with a token that no file holds, and without a dashboard.

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
        self._thread = threading.Thread(target=self._live, name="raygrid-ray")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        # Ray ends the process if an object of it is touched while it shuts down.
        self._thread.join()

    def wait(self) -> None:
        """Returns once Ray is up.

        Raises:
            ClusterError: there is no cluster at the address, or it runs other versions.
        """
        self._up.wait()
        if self._error is not None:
            raise self._error

    def _live(self) -> None:
        try:
            with self._running():
                self._up.set()
                self._over.wait()
        except BaseException as error:
            self._error = error
        finally:
            self._up.set()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        with _environment(_ENVIRONMENT):
            import ray

            if ray.is_initialized():
                there = ray.get_runtime_context().gcs_address
                if self._address not in (None, "", "auto", "local", there):
                    log.warning("This process has a Ray already, at %s; address=%r is not used.", there, self._address)
                yield
                return
            _warn_of_open_token()
            address = self._address or os.environ.get("RAY_ADDRESS")
            with contextlib.ExitStack() as undo:
                if address is None or address in ("", "local"):
                    undo.enter_context(_token_of_its_own())
                    undo.enter_context(_environment(_LOCALHOST_ONLY))
                    _start_local(self._verbose)
                else:
                    _join(address, self._user_modules, self._verbose)
                undo.callback(ray.shutdown)
                yield


@contextlib.contextmanager
def _token_of_its_own() -> Iterator[None]:
    """A token for a local Ray where the user has none: Ray would write one, readable by all, into the home folder."""
    from ray._raylet import AuthenticationTokenLoader, Config

    loader = AuthenticationTokenLoader.instance()

    def read_settings_again() -> None:
        # Ray read them when it was imported.
        Config.initialize("")
        loader.reset_cache()

    if not _tokens_are_used() or loader.has_token(ignore_auth_mode=True):
        yield
        return
    try:
        with _environment({"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}):
            read_settings_again()
            yield
    finally:
        read_settings_again()


def _tokens_are_used() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"


def _warn_of_open_token() -> None:
    """Ray writes its token file readable by all, and whoever reads it can run code on the cluster."""
    if os.environ.get("RAY_AUTH_TOKEN") or not _tokens_are_used():
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


def _start_local(verbose: bool) -> None:
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
            logging_level=logging.INFO if verbose else logging.ERROR,
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


def _join(address: str, user_modules: tuple[ModuleType, ...], verbose: bool) -> None:
    import ray

    check_cluster(address if address != "auto" else _cluster_of_this_machine())
    runtime_env: dict[str, Any] = {
        "env_vars": {k: v for k, v in _ENVIRONMENT.items() if not k.startswith("RAY_USAGE")},
        "py_modules": _code_to_carry(user_modules),
    }
    try:
        ray.init(
            address=address,
            runtime_env=runtime_env,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.ERROR,
        )
    except (RuntimeError, ConnectionError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"the Ray cluster at {address} cannot be joined: {error} (this process: Ray {ray.__version__}, Python "
            f"{sys.version.split()[0]}; all nodes must have the same versions)"
        ) from error


def _cluster_of_this_machine() -> str:
    """What ``auto`` stands for: the address of the cluster that this machine is a node of."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return str(canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError as error:
        raise ClusterError(
            "address 'auto' stands for the Ray cluster that this machine is a node of, and it is a node of none. Start "
            "one with 'ray start', name the cluster as 'HOST:6379', or leave the address out to search on this machine."
        ) from error


def _code_to_carry(user_modules: tuple[ModuleType, ...]) -> list[str]:
    """raygrid itself and the top-level packages or files of the user's modules."""
    import raygrid

    carried = [Path(raygrid.__file__).parent]
    for module in user_modules:
        top = sys.modules.get(module.__name__.partition(".")[0], module)
        file = getattr(top, "__file__", None)
        if file is None or top.__name__ in ("__main__", "raygrid"):
            # Ray pickles what is defined in __main__ by value.
            continue
        path = Path(file)
        carried.append(path.parent if path.name == "__init__.py" else path)
    return [str(path.resolve()) for path in dict.fromkeys(carried)]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
