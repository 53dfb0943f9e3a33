"""What all tests share: a home folder and a Ray folder of their own, one CPU thread, and one Ray for all that need it.

The environment is set here, before any test module is imported: Ray, Keras and TensorFlow read it at their import.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from repository import ROOT

if TYPE_CHECKING:
    from commands import Command

    from raygrid.grid.records import PointRecord

# Short, since Ray's sockets lie in it and the path of a socket may have 107 characters.
_HOME = tempfile.mkdtemp(prefix="rg-", dir="/tmp")
_OBJECT_STORE_BYTES = 200_000_000
_LEFT_OUT = str(ROOT / "tests" / "helpers" / "left_out")

os.environ |= {
    "HOME": _HOME,
    "RAY_TMPDIR": _HOME,
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # For a Ray that a search starts itself, which has no argument for it.
    "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(_OBJECT_STORE_BYTES),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Trials train on one thread, and results are compared to the last bit with those of this process.
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    # Workers and scripts import the builders that lie in helpers, and raygrid, installed or not. They do without the
    # packages in left_out, as where only raygrid's own requirements are installed.
    "PYTHONPATH": os.pathsep.join([_LEFT_OUT, str(ROOT / "tests" / "helpers"), str(ROOT)]),
}
# The processes of xdist have inherited it; tests of these packages run in them.
sys.path[:] = [path for path in sys.path if path != _LEFT_OUT]
for _name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "KERAS_HOME"):
    os.environ.pop(_name, None)


# What a shell starts in the background ignores Ctrl-C, and so would the commands that tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Of two processes, one has all tests of Ray, so that there is one Ray; each file is in one of them."""
    group = "ray" if item.get_closest_marker("ray") else item.path.name
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest are begun first, so that no process is left with one of them at the end.
    items.sort(key=lambda item: (item.get_closest_marker("ray") is None, item.path.parent.name != "training"))


_IMPORTED: set[str] = set()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Once TensorFlow is imported, and once Ray is, what is there is left out of all later garbage collections.

    Each training asks for one, as do Keras and Python, and going through the tests and these packages every time was a
    third of the time that the tests of trainings took.
    """
    imported = {"tensorflow", "ray"} & sys.modules.keys()
    if imported > _IMPORTED:
        _IMPORTED.update(imported)
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    # Ray's processes may still write while they end.
    for _ in range(20):
        shutil.rmtree(_HOME, ignore_errors=True)
        if not os.path.exists(_HOME):
            return
        time.sleep(0.25)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of two CPUs on localhost; raygrid uses a Ray that is initialised already as it is."""
    import ray
    from ray._private import ray_constants

    # Ray listens on all interfaces of a Linux machine unless clusters are switched off.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level="ERROR",
    )
    # Neither setting is for the processes and Rays that single tests start.
    del os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]
    ray_constants.ENABLE_RAY_CLUSTER = True
    yield
    ray.shutdown()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the points that are trained from now on, in this process or on Ray: each one is recorded here."""
    from raygrid.store.points import PointStore

    keys: list[str] = []
    add = PointStore.add

    def counted_add(store: PointStore, record: PointRecord, weights: Path | None = None) -> PointRecord:
        keys.append(record.key)
        return add(store, record, weights)

    monkeypatch.setattr(PointStore, "add", counted_add)
    return keys


@pytest.fixture
def no_training(recorded: list[str]) -> Iterator[None]:
    """Fails the test in which a point is trained."""
    yield
    assert recorded == [], f"trained: {recorded}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of the commands, with a small table in it."""
    from commands import working_folder

    with working_folder(tmp_path, monkeypatch):
        yield tmp_path


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""
    from commands import command_in_this_process

    return command_in_this_process(capsys)
