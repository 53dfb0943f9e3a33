"""f43: a home folder that cannot be written to. And who can reach what a search starts: nobody from another machine,
and nobody without its token.

The search of f08 has no home folder set, and that of f37 leaves nothing in the one that it has.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from child_processes import run_script, started, started_command
from listening_sockets import listening

from raygrid.errors import ClusterError
from raygrid.progress.tensorboard_log import PointRun
from raygrid.tuning.cluster_address import check_cluster

# Ray as a person starts it who has set nothing.
NOTHING_SET = {"RAY_AUTH_MODE": None}

_FIT_AND_LOAD = """
    import os, time
    from pathlib import Path
    import ray
    from raygrid.tuning.resources import Resources
    from small_models import SmallModel, dense_model, small_rows

    class Waiting(SmallModel):
        # The worker waits until the processes of the search have been looked at.
        def build_model(self, config, input_shape):
            if ray.is_initialized():
                Path("address").write_text(ray.get_runtime_context().gcs_address)
                Path("waiting").touch()
                end = time.monotonic() + 120
                while not Path("go").exists() and time.monotonic() < end:
                    time.sleep(0.05)
            return dense_model(config, input_shape)

    if __name__ == "__main__":
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        X = small_rows()
        Waiting("models", "grid", 0, resources=Resources(max_concurrent=1)).fit(X, param_grid={"hidden": [(4,), (5,)]})
        SmallModel("models", "single", 0).fit(X, model_config={"hidden": (4,)})
        for prefix in ("grid", "single"):
            print(prefix, SmallModel.load("models", prefix, 0).predict(X).shape)
"""


class Observed(NamedTuple):
    """What a search without a home folder printed, where it listened, and whether a stranger could ask its Ray."""

    output: str
    addresses: list[str]
    refused: str


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("observed")
    (folder / "file").touch()
    with started(_FIT_AND_LOAD, folder, HOME=str(folder / "file"), **NOTHING_SET) as search:
        search.wait_until((folder / "waiting").exists)
        addresses = listening(search.processes())
        with pytest.raises(ClusterError) as refused:
            check_cluster((folder / "address").read_text())
        (folder / "go").touch()
        assert search.process.wait(120) == 0, search.text()
        return Observed(search.text(), addresses, str(refused.value))


@pytest.mark.ray
def test_f43_search_single_training_and_load_work_where_nobody_can_write_to_the_home_folder(observed: Observed) -> None:
    assert observed.output.splitlines() == ["grid (200, 4)", "single (200, 4)"]


@pytest.mark.ray
def test_a_search_listens_on_this_machine_only(observed: Observed) -> None:
    # Ray's servers, and a port of each worker.
    assert len(observed.addresses) > 5
    assert [address for address in observed.addresses if not ipaddress.ip_address(address).is_loopback] == []


@pytest.mark.ray
def test_the_ray_of_a_search_does_not_talk_to_who_has_no_token(observed: Observed) -> None:
    assert "did not answer as a Ray cluster" in observed.refused


_USE_TOKEN = """
    import os
    from pathlib import Path
    from raygrid.errors import ClusterError
    from raygrid.tuning.session import RaySession

    token = Path.home() / ".ray/auth_token"
    token.parent.mkdir()
    token.write_text("5eed" * 16)
    for mode in (0o644, 0o640, 0o600):
        token.chmod(mode)
        print(oct(mode), flush=True)
        try:
            # An address that is none: the token is looked at before.
            with RaySession("nonsense", (), False) as session:
                session.wait()
        except ClusterError:
            pass
"""


@pytest.mark.ray
def test_a_token_file_that_others_can_read_is_a_warning_with_the_fix(tmp_path: Path) -> None:
    output = run_script(_USE_TOKEN, tmp_path, HOME=str(tmp_path), **NOTHING_SET)
    token = tmp_path / ".ray/auth_token"
    warning = f"Ray's token {token} can be read by others (mode {{}}), and whoever has it can run code where Ray runs. "
    assert output.splitlines() == [
        "0o644",
        f"{warning.format(644)}Fix: chmod 600 {token}",
        "0o640",
        f"{warning.format(640)}Fix: chmod 600 {token}",
        "0o600",
    ]


def test_tensorboard_listens_on_this_machine_only(tmp_path: Path) -> None:
    run = PointRun(tmp_path / "models/small_runs/tensorboard/one", {"units": 1})
    run.start()
    command = [sys.executable, "-c", "from raygrid.cli import main; main()", "tensorboard", "--port", "0"]
    with started_command([*command, "--prefix", "small"], tmp_path) as server:
        server.wait_until(lambda: "at http://" in server.text())
        assert set(listening(server.processes())) == {"127.0.0.1"}
