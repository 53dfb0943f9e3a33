"""f10: the lock of a prefix dies with its holder, since it is the kernel's and no file that stays behind."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
from child_processes import run_script, started

from raygrid.store.lock import locked


def never(holder: str) -> None:
    raise AssertionError(f"waited for {holder}")


HOLDER = """
    import os, time
    from pathlib import Path
    from raygrid.store.lock import locked

    with locked(Path("lock"), None, print):
        if os.environ["FORKS"] == "yes" and os.fork() == 0:
            Path("child").write_text(str(os.getpid()))
        else:
            while os.environ["FORKS"] == "yes" and not Path("child").exists():
                time.sleep(0.01)
            Path("held").touch()
        time.sleep(600)
"""


@pytest.mark.parametrize("forks", ["no", "yes"])
def test_f10_the_lock_of_a_killed_holder_is_free_at_once_even_if_its_child_lives(tmp_path: Path, forks: str) -> None:
    with started(HOLDER, tmp_path, FORKS=forks) as child:
        child.wait_until((tmp_path / "held").exists)
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        assert (tmp_path / "lock.holder").read_text().startswith(f"process {child.process.pid} ")
        with locked(tmp_path / "lock", 0, never):
            pass
        if forks == "yes":
            assert int((tmp_path / "child").read_text()) in child.processes()


def test_f10_the_end_of_a_forked_child_does_not_free_the_lock_of_its_parent(tmp_path: Path) -> None:
    script = """
        import os
        from pathlib import Path
        from raygrid.errors import LockTimeoutError
        from raygrid.store.lock import locked

        class Leave(Exception):
            pass

        try:
            with locked(Path("lock"), 0, print):
                if os.fork() == 0:
                    raise Leave
                os.wait()
                try:
                    with locked(Path("lock"), 0, lambda holder: None):
                        print("given twice")
                except LockTimeoutError:
                    print("still held")
        except Leave:
            pass
    """
    assert run_script(script, tmp_path) == "still held\n"


def test_f10_a_lock_file_that_is_removed_while_it_is_taken_does_not_let_two_in(tmp_path: Path) -> None:
    script = """
        import fcntl, sys
        from pathlib import Path
        from raygrid.errors import LockTimeoutError
        from raygrid.store.lock import locked

        def remove(event, arguments):
            if event == "fcntl.flock" and arguments[1] & fcntl.LOCK_EX and not removed:
                removed.append(Path("lock").unlink())

        removed = []
        # Heard of before the kernel takes the lock.
        sys.addaudithook(remove)
        with locked(Path("lock"), 10, lambda holder: None):
            assert removed
            try:
                with locked(Path("lock"), 0, lambda holder: None):
                    print("given twice")
            except LockTimeoutError:
                print("given once")
    """
    assert run_script(script, tmp_path) == "given once\n"


NO_LOCKS = """
    import errno, fcntl, os
    from pathlib import Path
    from raygrid.errors import StorageError
    from raygrid.store.lock import locked
    from restricted_processes import forbid_flock

    code = int(os.environ["CODE"])
    if not forbid_flock(code):
        # Where the kernel takes no filter, the call itself answers as such a file system does.
        def refuse(descriptor, operation):
            raise OSError(code, os.strerror(code))
        fcntl.flock = refuse
    try:
        with locked(Path("lock"), None, print):
            print("held without a lock")
    except StorageError as error:
        assert error.errno == code
        print(error)
"""


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_f10_a_file_system_without_locks_is_refused_and_no_other_kind_of_lock_is_taken(
    tmp_path: Path, code: int
) -> None:
    output = run_script(NO_LOCKS, tmp_path, CODE=str(code))
    assert output.startswith(f"lock cannot be locked ({os.strerror(code)}): the file system gives no locks (flock)")
    assert "choose another model_dir on a file system that has them" in output
    assert "held" not in output
