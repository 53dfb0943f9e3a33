"""Ray that does not start or end, what a job has set before, and the privates of Ray that raygrid relies on."""

from __future__ import annotations

import errno
import inspect
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from child_processes import run_script

from raygrid.errors import ClusterError
from raygrid.tuning import joining, local_ray, session
from raygrid.tuning.joining import beside_job
from raygrid.tuning.local_ray import why_not_started
from raygrid.tuning.session import RaySession


@pytest.mark.parametrize(
    ("error", "said", "helps"),
    [
        (
            Exception(
                "The current node timed out during startup. This could happen because the raylet failed to start."
            ),
            "start on this machine: The current node timed out during startup. The",
            "The machine is busy",
        ),
        (RuntimeError("Failed to start GCS.  Last 0 lines of error files"), "Failed to start GCS", "ulimit"),
        (OSError(errno.ENOSPC, "No space left on device", "/t/ray"), "No space left", "Free some room in /t"),
        (PermissionError(errno.EACCES, "Permission denied", "/t/ray"), "Permission denied", "RAY_TMPDIR"),
        (OSError("AF_UNIX path length cannot exceed 107 bytes: /t/ray/x"), "AF_UNIX", "to a shorter one"),
        (ValueError("The object store needs 75 MB"), "75 MB", "/dev/shm"),
        (RuntimeError("Address already in use"), "already in use", "A port is taken"),
        (Exception(), "machine: Exception. Look", "Ray's log, in /t/ray/session_latest/logs"),
        (RuntimeError("x" * 5000), "x" * 300, "Ray's log"),
    ],
)
def test_why_ray_does_not_start_is_one_sentence_with_what_helps(error: Exception, said: str, helps: str) -> None:
    text = str(why_not_started(error, "/t"))
    assert text.startswith("Ray does not start on this machine: ")
    assert said in text and helps in text
    assert "\n" not in text and len(text) < 700


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The threads on which Ray is started; a test says what happens there."""
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return []


def test_a_slow_start_is_tried_once_more_on_a_thread_of_its_own(
    tries: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(verbose: bool) -> None:
        tries.append(threading.current_thread())
        if len(tries) == 1:
            raise Exception("The current node timed out during startup")
        # The kernel ends what the first try started.
        tries[0].join(10)
        assert not tries[0].is_alive()

    monkeypatch.setattr(local_ray, "_start", start)
    with RaySession(None, (), False) as started:
        started.wait()
        assert len(tries) == 2
    assert not tries[1].is_alive()


def test_a_start_that_fails_twice_is_an_error_of_raygrid_without_rays_traceback(
    tries: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(verbose: bool) -> None:
        tries.append("tried")
        raise Exception("The current node timed out during startup")

    monkeypatch.setattr(local_ray, "_start", start)
    message = "Ray does not start on this machine: The current node timed out"
    with pytest.raises(ClusterError, match=message) as caught, RaySession(None, (), False) as started:
        started.wait()
    assert tries == ["tried", "tried"]
    assert caught.value.__suppress_context__


def test_what_another_try_does_not_mend_is_tried_once(tries: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def start(verbose: bool) -> None:
        tries.append("tried")
        raise PermissionError(errno.EACCES, "Permission denied", "/nowhere")

    monkeypatch.setattr(local_ray, "_start", start)
    message = r"Permission denied: '/nowhere'\..*RAY_TMPDIR"
    with pytest.raises(ClusterError, match=message), RaySession(None, (), False) as started:
        started.wait()
    assert tries == ["tried"]


def test_a_shutdown_that_hangs_is_left_to_itself_with_a_warning(
    tries: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    go = threading.Event()
    monkeypatch.setattr(local_ray, "_start", lambda verbose: None)
    monkeypatch.setattr(ray, "shutdown", lambda: go.wait(30))
    monkeypatch.setattr(session, "SHUTDOWN_LIMIT_S", 0.2)
    with caplog.at_level(logging.WARNING, "raygrid"), RaySession(None, (), False) as started:
        started.wait()
    go.set()
    assert "Ray has not shut down within 0.2 s, and is left to itself" in caplog.text


_UNWRITABLE = """
    from small_models import SmallModel, small_rows

    try:
        SmallModel("models", "small", 0).fit(small_rows(), param_grid={"hidden": [(4,), (5,)]})
    except ConnectionError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.ray
def test_a_folder_that_ray_cannot_use_is_one_line_of_raygrids_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (line,) = run_script(_UNWRITABLE, tmp_path, RAY_TMPDIR=str(tmp_path / "file")).splitlines()
    assert line.startswith("StartError Ray does not start on this machine: [Errno 20] Not a directory: ")
    assert line.endswith(f"{tmp_path}/file, where Ray keeps its sockets and logs, cannot be used. Set RAY_TMPDIR to "
                         "another folder with a short path.")  # fmt: skip


def test_what_a_job_has_set_stays_and_the_rest_is_added() -> None:
    ours = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    assert beside_job({}, ours, ["/code"]) == ({"env_vars": ours, "py_modules": ["/code"]}, [])
    job = {
        "env_vars": {"TF_CPP_MIN_LOG_LEVEL": "0", "OTHER": "1"},
        "py_modules": ["gcs://a.zip"],
        "working_dir": "gcs://w",
    }
    asked, left = beside_job(job, ours, ["/code"])
    assert asked == {"env_vars": {"KERAS_BACKEND": "tensorflow"}, "py_modules": ["gcs://a.zip", "/code"]}
    assert left == ["TF_CPP_MIN_LOG_LEVEL"]
    # The same value is nothing to tell.
    assert beside_job({"env_vars": ours}, ours, [])[1] == []


def test_ray_takes_what_is_asked_for_beside_a_job_as_its_union(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.runtime_env.runtime_env import _merge_runtime_env

    job = {"env_vars": {"TF_CPP_MIN_LOG_LEVEL": "0"}, "py_modules": ["gcs://a.zip"], "working_dir": "gcs://w.zip"}
    monkeypatch.setenv(joining._JOB, json.dumps({"runtime_env": job, "metadata": {}}))
    asked, _ = beside_job(joining._environment_of_job(), {"A": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}, ["/code"])
    assert _merge_runtime_env(job, asked, override=False) is None
    assert _merge_runtime_env(job, asked, override=True) == {
        "env_vars": {"TF_CPP_MIN_LOG_LEVEL": "0", "A": "1"},
        "py_modules": ["gcs://a.zip", "/code"],
        "working_dir": "gcs://w.zip",
    }


def test_the_privates_of_ray_exist() -> None:
    """Each is used in one module; where one is gone, this test says which."""
    import ray.tune.search
    from ray._private import ray_constants
    from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
    from ray._private.services import canonicalize_bootstrap_address_or_die
    from ray._private.state import state
    from ray._raylet import AuthenticationTokenLoader, Config
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Group
    from ray.job_config import JobConfig

    # local_ray
    assert isinstance(ray_constants.ENABLE_RAY_CLUSTER, bool)
    assert callable(AuthenticationTokenLoader.instance().has_token) and callable(Config.initialize)
    assert {"_client_job", "_py_driver_sys_path"} <= set(inspect.signature(JobConfig).parameters)
    # joining
    assert RAY_JOB_CONFIG_JSON_ENV_VAR == joining._JOB
    assert callable(canonicalize_bootstrap_address_or_die)
    # nodes
    assert callable(state.get_cluster_config) and callable(state._connect_and_get_accessor)
    assert {"creator_job_id", "state", "bundles"} <= {field.name for field in Group.DESCRIPTOR.fields}
    assert Group.CREATED != Group.REMOVED
    # waves: how many trials run at once is read at each of them.
    assert "self.max_concurrent" in inspect.getsource(ray.tune.search.BasicVariantGenerator.next_trial)


def test_a_head_is_lost_well_before_ray_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from raygrid.tuning.head_watch import lost_after_s

    limit = "RAY_gcs_rpc_server_reconnect_timeout_s"
    for value, seconds in (("300", 200), ("nonsense", 40)):
        monkeypatch.setenv(limit, value)
        assert lost_after_s() == seconds
    monkeypatch.delenv(limit)
    assert lost_after_s() == 40
