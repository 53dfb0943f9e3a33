"""Ctrl-C (f36) and SIGTERM (f37), at the real command and at a script of one's own, at different moments."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from child_processes import Child, started, started_command
from commands import NUMBERS, PYTHON, SCRIPT, TABLE, run_each_twice, write_table

# Within which a command that is told to stop has ended.
LIMIT_S = 5.0

_OWN_MODEL = """
import time
from pathlib import Path

from raygrid import GridSearchModel


class Slow(GridSearchModel):
    DEFAULT_CONFIG = {"units": 2, "epochs": 1}

    def build_model(self, config, input_shape):
        import keras

        # The second point trains for as long as this file is there.
        while config["units"] == 3 and Path("wait").exists():
            time.sleep(0.05)
        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(config["units"]), keras.layers.Dense(3)])
        model.compile("sgd", loss="mse")
        return model
"""

SEARCH = ["--model", "own_model:Slow", *TABLE, *NUMBERS, "--grid", "grid.yaml", "--set", "epochs=[1]"]


def write_search(folder: Path) -> None:
    """A search of two points, the second of which does not end."""
    write_table(folder)
    (folder / "own_model.py").write_text(_OWN_MODEL)
    (folder / "grid.yaml").write_text("units: [2, 3]\n")
    (folder / "wait").touch()


def recorded(folder: Path) -> list[Path]:
    return list((folder / "models/slow_runs/points").glob("[!.]*.json"))


def stopped(child: Child, stop: Callable[[], None]) -> tuple[int, float]:
    """Exit code of a command that is told to stop, and the seconds that it took; none of its processes is left."""
    begin = time.monotonic()
    stop()
    code = child.process.wait(60)
    seconds = time.monotonic() - begin
    assert child.wait_until_all_ended(LIMIT_S) == []
    return code, seconds


def check_stopped_in_the_middle(folder: Path, text: str) -> None:
    assert "the search was stopped with 1 of 2 points unfinished; the finished ones are kept" in text
    assert "Traceback" not in text
    assert text.count("To go on: ") == 1
    assert len(recorded(folder)) == 1
    assert pq.read_metadata(folder / "models/slow_trials.parquet").num_rows == 1
    assert not (folder / "models/slow_manifest.json").exists()
    assert not list((folder / "models/slow_runs/tune").iterdir())


@pytest.mark.ray
def test_f36_ctrl_c_ends_a_search_at_once_and_the_line_that_it_prints_goes_on_with_nothing_lost(tmp_path: Path) -> None:
    write_search(tmp_path)
    # One worker, since each has to import TensorFlow.
    search = [*SEARCH, "--confirm", "1", "--max-concurrent", "1"]
    with started_command([sys.executable, str(SCRIPT), *search], tmp_path) as child:
        child.wait_until(lambda: len(recorded(tmp_path)) == 1)
        code, seconds = stopped(child, child.press_ctrl_c)
        text = child.text()
    assert code == 130, text
    assert seconds < LIMIT_S
    check_stopped_in_the_middle(tmp_path, text)
    (tmp_path / "wait").unlink()

    # What it says is done.
    (line,) = (line for line in text.splitlines() if line.startswith("To go on: "))
    program, *rest = shlex.split(line.removeprefix("To go on: "))
    assert program == PYTHON
    printed = run_each_twice({"search": rest}, tmp_path)
    text, again = printed["search 1"], printed["search 2"]
    assert text.endswith("exit code 0\nRay imported\n"), text
    assert "2 points, 1 already done, 1 to train" in text
    assert "2/2  point 1  val_loss" in text
    assert "1/2  point" not in text
    assert "2 points: 2 done" in text
    assert re.search(r"^ *point +val_loss +units +best epoch +epochs run +seconds$", text, re.MULTILINE)
    assert re.search(
        r"^best config     \{'batch_size': 32, 'epochs': 1, 'patience': None, 'units': [23]\}$", text, re.MULTILINE
    )
    for name in ("config.json", "model.keras", "metrics.json", "manifest.json", "trials.parquet"):
        assert f"                  slow_{name}\n" in text
        assert (tmp_path / "models" / f"slow_{name}").is_file()
    assert "1 further seed for the winner and " in text
    assert re.search(r"^The winner, point [01], (stands|is too close to call)", text, re.MULTILINE)
    # Neither Ray nor TensorFlow speaks.
    assert not re.search(r"ray::|INFO|WARNING|tensorflow|oneDNN", text)

    # All of it again costs nothing: neither the search nor its confirmation trains.
    assert again.endswith("exit code 0\nRay imported\n"), again
    assert "Loaded from cache: " in again
    assert "to train" not in again
    assert again[again.index("1 further seed") :] == text[text.index("1 further seed") :]
    rows = pq.read_table(tmp_path / "models/slow_trials.parquet").to_pylist()
    assert len(recorded(tmp_path)) == len(rows) >= 3
    assert sorted(row["config.units"] for row in rows if row["seed"] == 0) == [2, 3]
    assert not list((tmp_path / "models/slow_runs/tune").iterdir())


@pytest.mark.ray
def test_f37_sigterm_ends_a_search_as_ctrl_c_does_and_leaves_no_token_in_the_home_folder(tmp_path: Path) -> None:
    write_search(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, str(SCRIPT), *SEARCH]
    # Keras writes its settings into a home folder.
    variables = {"HOME": str(home), "KERAS_HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    with started_command(command, tmp_path, **variables) as child:
        child.wait_until(lambda: len(recorded(tmp_path)) == 1)
        code, seconds = stopped(child, child.process.terminate)
        text = child.text()
    assert code == 143, text
    assert seconds < LIMIT_S
    check_stopped_in_the_middle(tmp_path, text)
    assert f"To go on: {shlex.join([PYTHON, str(SCRIPT), *SEARCH])}\n" in text
    assert [path.relative_to(home) for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.ray
def test_f36_ctrl_c_while_ray_starts_leaves_no_process_behind(tmp_path: Path) -> None:
    write_search(tmp_path)
    with started_command([sys.executable, str(SCRIPT), *SEARCH], tmp_path) as child:
        child.wait_until(lambda: len(child.processes()) > 1)
        code, seconds = stopped(child, child.press_ctrl_c)
        text = child.text()
    assert code == 130, text
    assert seconds < LIMIT_S
    assert "To go on: " in text and "Traceback" not in text
    assert recorded(tmp_path) == []


# Python's own handlers wait until the main thread comes out of such a call: here, and in a long epoch of TensorFlow.
_BUSY_MODEL = """
import hashlib
from pathlib import Path

from own_model import Slow

Path("busy").touch()
hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)
"""


@pytest.mark.parametrize(
    ("numbers", "code", "most_s"),
    [
        ([signal.SIGINT], 130, LIMIT_S),
        ([signal.SIGTERM], 143, LIMIT_S),
        # Who asks twice does not wait.
        ([signal.SIGINT, signal.SIGINT], 130, 2.0),
    ],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C twice"],
)
def test_f36_f37_a_command_that_cannot_stop_by_itself_is_ended(
    tmp_path: Path, numbers: list[signal.Signals], code: int, most_s: float
) -> None:
    write_search(tmp_path)
    (tmp_path / "busy_model.py").write_text(_BUSY_MODEL)
    command = [sys.executable, str(SCRIPT), "--model", "busy_model:Slow", *TABLE]

    with started_command(command, tmp_path) as child:

        def stop() -> None:
            for number in numbers:
                os.kill(child.process.pid, number)
                time.sleep(0.5)

        child.wait_until((tmp_path / "busy").exists)
        ended = stopped(child, stop)
        text = child.text()
    assert ended[0] == code, text
    assert ended[1] < most_s
    assert text == f"raygrid: stopped; finished points are kept\nTo go on: {shlex.join([PYTHON, *command[1:]])}\n"


# A script of one's own

_SIX_POINTS = """
    import os
    from raygrid.errors import SearchInterrupted
    from raygrid.tuning.resources import Resources
    from small_models import LoggedModel, small_rows

    if __name__ == "__main__":
        builds = os.path.abspath("builds.txt")
        model = LoggedModel("models", "small", 0, build_log=builds, resources=Resources(max_concurrent=2))
        try:
            model.fit(small_rows(), small_rows(60, seed=1), param_grid={"hidden": [(n,) for n in (3, 4, 5, 6, 7, 8)]})
        except SearchInterrupted as error:
            print("interrupted:", error)
"""


@pytest.mark.long
@pytest.mark.ray
def test_f36_ctrl_c_in_a_script_is_an_error_of_its_own_that_the_script_may_catch(tmp_path: Path) -> None:
    points = tmp_path / "models/small_runs/points"
    with started(_SIX_POINTS, tmp_path) as child:
        child.wait_until(lambda: len(list(points.glob("[!.]*.json"))) >= 1)
        code, seconds = stopped(child, child.press_ctrl_c)
        text = child.text()
    assert code == 0, text
    # Nobody ends a process that is not raygrid's own: Ray's end may take its time.
    assert seconds < 3 * LIMIT_S
    assert "interrupted: the search was stopped with" in text
    found = len(list(points.glob("[!.]*.json")))
    assert 1 <= found < 6
    assert pq.read_metadata(tmp_path / "models/small_trials.parquet").num_rows == found
    assert not (tmp_path / "models/small_manifest.json").exists()


_THREE_TRAININGS = """
    import signal
    from raygrid.errors import SearchInterrupted
    from raygrid.progress.listeners import SearchListener
    from small_models import SmallModel, small_rows

    class Tells(SearchListener):
        def point_epochs(self, point, first_epoch, rows):
            if first_epoch == 1:
                print("training", point.config["hidden"], flush=True)

    def train(width):
        model = SmallModel("models", "small", 0, progress=Tells())
        model.fit(small_rows(), model_config={"hidden": (width,), "epochs": 1_000_000})

    def own(number, frame):
        print("own handler", flush=True)

    if __name__ == "__main__":
        for width, handlers in ((3, (signal.default_int_handler, signal.SIG_DFL)), (4, (own, own))):
            signal.signal(signal.SIGINT, handlers[0])
            signal.signal(signal.SIGTERM, handlers[1])
            try:
                train(width)
            except SearchInterrupted as error:
                print("interrupted:", error, flush=True)
            assert signal.getsignal(signal.SIGINT) == handlers[0]
            assert signal.getsignal(signal.SIGTERM) == handlers[1]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            train(5)
        finally:
            print("in good order", flush=True)
"""


def test_f36_f37_a_training_in_the_process_itself_is_stopped_and_leaves_its_handlers(tmp_path: Path) -> None:
    with started(_THREE_TRAININGS, tmp_path) as child:
        child.wait_until(lambda: "training (3,)\n" in child.text())
        child.process.send_signal(signal.SIGINT)
        child.wait_until(lambda: "training (4,)\n" in child.text())
        child.process.terminate()
        child.wait_until(lambda: "training (5,)\n" in child.text())
        code, seconds = stopped(child, child.process.terminate)
        text = child.text()
    assert code == 143, text
    assert seconds < LIMIT_S
    unfinished = "the search was stopped with 1 of 1 point unfinished"
    assert text.count(f"interrupted: {unfinished}") == 2
    assert text.count("own handler") == 1
    assert f"SIGTERM ends this process: {unfinished}" in text
    assert text.rstrip().endswith("in good order")
