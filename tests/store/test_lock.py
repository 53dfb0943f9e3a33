"""The lock of a prefix: one writer at a time, and who waits knows for whom."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from child_processes import started
from small_models import SmallModel, small_rows

from raygrid.cli import main
from raygrid.errors import ArgumentError, LockTimeoutError
from raygrid.store.lock import locked


def never(holder: str) -> None:
    raise AssertionError(f"waited for {holder}")


HOLDER = """
    import sys, time
    from pathlib import Path
    from raygrid.store.lock import locked

    with locked(Path("lock"), None, print):
        Path("held").touch()
        while not Path("release").exists():
            time.sleep(0.01)
"""


def test_a_free_lock_is_taken_without_waiting_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        with locked(tmp_path / "lock", 0, never):
            pass


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock", 0, never):
        raise KeyError
    with locked(tmp_path / "lock", 0, never):
        pass


def test_who_waits_is_told_the_holder_once_and_goes_on_when_it_ends(tmp_path: Path) -> None:
    told: list[str] = []
    with started(HOLDER, tmp_path) as child:
        child.wait_until((tmp_path / "held").exists)

        def on_wait(holder: str) -> None:
            told.append(holder)
            (tmp_path / "release").touch()

        with locked(tmp_path / "lock", 60, on_wait):
            pass
        assert told == [f"process {child.process.pid} on {os.uname().nodename}"]


@pytest.mark.parametrize("timeout_s", [0, 0.3])
def test_the_wait_limit_names_the_lock_the_holder_and_the_ways_out(tmp_path: Path, timeout_s: float) -> None:
    with started(HOLDER, tmp_path) as child:
        child.wait_until((tmp_path / "held").exists)
        message = (
            rf"{re.escape(str(tmp_path / 'lock'))} was held for longer than {timeout_s:g} s by "
            rf"process {child.process.pid} on .*lock_timeout_s.*cache_prefix"
        )
        with (
            pytest.raises(LockTimeoutError, match=message),
            locked(tmp_path / "lock", timeout_s, lambda holder: None),
        ):
            raise AssertionError("the lock was given twice")


def test_a_name_that_a_terminal_would_obey_is_told_without_that(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path / "lock", None, never):
        (tmp_path / "lock.holder").write_bytes(b"process 7\x1b[2J on \xff\r")
        message = r"process 7\?\[2J on .\?\."
        with pytest.raises(LockTimeoutError, match=message), locked(tmp_path / "lock", 0, told.append):
            pass
    assert told == ["process 7?[2J on \ufffd?"]


def test_the_name_of_the_holder_is_not_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "lock.holder").symlink_to(outside)
    with locked(tmp_path / "lock", 0, never):
        assert (tmp_path / "lock.holder").read_text() == f"process {os.getpid()} on {os.uname().nodename}"
    assert outside.read_text() == "precious"


# Folders that Ray removes


@pytest.mark.parametrize("kind", ["working_dir_files", "py_modules_files"])
def test_nothing_is_trained_into_the_files_of_a_ray_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    package = tmp_path / "session_latest" / "runtime_resources" / kind / "_ray_pkg_0123456789abcdef"
    package.mkdir(parents=True)
    monkeypatch.chdir(package)
    (package / "table.csv").write_text("a,b\n" + "1,2\n3,5\n" * 10)
    message = re.escape(f"model_dir is {package / 'models'}, among the files that came with the Ray job")
    with pytest.raises(ArgumentError, match=message + r".*model_dir='/shared/models'"):
        SmallModel().fit(small_rows(), model_config={"epochs": 1})
    with pytest.raises(SystemExit) as ended:
        main(["search", "--data", "table.csv"])
    assert ended.value.code == 2
    assert f"raygrid: model_dir is {package / 'models'}, among the files" in capsys.readouterr().err
    assert sorted(path.name for path in package.iterdir()) == ["table.csv"]
    # A link into it is no way round.
    (tmp_path / "link").symlink_to(package)
    with pytest.raises(ArgumentError, match="among the files that came with the Ray job"):
        SmallModel(tmp_path / "link" / "models").fit(small_rows(), model_config={"epochs": 1})
