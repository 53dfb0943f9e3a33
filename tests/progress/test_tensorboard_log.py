"""What TensorBoard sees of a grid: read back through its own loader and its own server."""

from __future__ import annotations

import json
import math
import pickle
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import metadata

from raygrid.cli.tensorboard_server import tensorboard_command
from raygrid.errors import RaygridError
from raygrid.progress.tensorboard_log import PointRun, run_name, text_hyperparameters

KEY = "0123456789abcdef"


def events_of(folder: Path) -> list[Event]:
    """All events of a run, decoded from its only event file."""
    (file,) = folder.glob("events.out.tfevents.*")
    return [Event.FromString(record) for record in _records(file.read_bytes())]


def _records(data: bytes) -> Iterator[bytes]:
    while data:
        length = int.from_bytes(data[:8], "little")
        assert len(data) >= length + 16
        yield data[12 : 12 + length]
        data = data[16 + length :]


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events_of(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def hyperparameters_of(folder: Path) -> dict[str, bool | float | str]:
    for event in events_of(folder):
        for value in event.summary.value:
            if value.tag == metadata.SESSION_START_INFO_TAG:
                info = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
                return {name: getattr(v, v.WhichOneof("kind")) for name, v in info.hparams.items()}
    raise AssertionError("no hyperparameters were written")


def finished_run(folder: Path, config: Mapping[str, object], as_text: frozenset[str] = frozenset()) -> PointRun:
    run = PointRun(folder, config, as_text)
    run.start()
    run.epochs(1, [{"loss": 2.0, "val_loss": 1.5}, {"loss": 1.0, "val_loss": 1.75}])
    run.finish(1.5, succeeded=True)
    return run


# --- one run -----------------------------------------------------------------------------------------------------


def test_making_a_run_touches_no_disk(tmp_path: Path) -> None:
    PointRun(tmp_path / "logs" / "a", {"units": 8})
    assert list(tmp_path.iterdir()) == []


def test_epochs_become_scalars_with_the_epoch_as_step(tmp_path: Path) -> None:
    run = PointRun(tmp_path / "a", {})
    run.start()
    run.epochs(1, [{"loss": 2.0, "mae": 0.5}, {"loss": 1.0, "mae": 0.25}])
    run.epochs(3, [{"loss": 0.5}])
    assert scalars_of(tmp_path / "a") == {
        "loss": [(1, 2.0), (2, 1.0), (3, 0.5)],
        "mae": [(1, 0.5), (2, 0.25)],
    }


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 1e39, -1e39])
def test_values_that_no_chart_can_show_are_left_out(tmp_path: Path, value: float | None) -> None:
    run = PointRun(tmp_path / "a", {})
    run.start()
    run.epochs(1, [{"loss": value, "val_loss": 1.0}, {"loss": value}])
    run.finish(value, succeeded=False)
    assert scalars_of(tmp_path / "a") == {"val_loss": [(1, 1.0)]}


def test_the_largest_float32_is_still_written(tmp_path: Path) -> None:
    run = PointRun(tmp_path / "a", {})
    run.start()
    largest = 3.4028234663852886e38
    run.epochs(1, [{"loss": largest}])
    assert scalars_of(tmp_path / "a") == {"loss": [(1, largest)]}


def test_the_best_val_loss_has_its_own_tag_at_step_0(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", {})
    assert scalars_of(tmp_path / "a")["best_val_loss"] == [(0, 1.5)]
    assert scalars_of(tmp_path / "a")["val_loss"][-1] == (2, 1.75)


def test_plain_hyperparameters_keep_their_type_and_others_become_text(tmp_path: Path) -> None:
    config = {
        "flag": True,
        "units": 64,
        "rate": 1e-05,
        "activation": "relu",
        "layers": (128, 64),
        "pools": [2, 2],
        "clip": None,
        "options": {"a": 1},
        "edge": 2**53,
        "huge": 2**53 + 1,
        "limit": math.inf,
    }
    finished_run(tmp_path / "a", config)
    found = hyperparameters_of(tmp_path / "a")
    assert found == {
        "flag": True,
        "units": 64.0,
        "rate": 1e-05,
        "activation": "relu",
        "layers": "(128, 64)",
        "pools": "[2, 2]",
        "clip": "None",
        "options": "{'a': 1}",
        "edge": 2.0**53,
        "huge": "9007199254740993",
        "limit": "inf",
    }
    assert type(found["flag"]) is bool


def test_a_run_begins_with_the_version_that_readers_expect(tmp_path: Path) -> None:
    # Without it, TensorBoard's older loader drops events when steps go back, as they do at best_val_loss.
    finished_run(tmp_path / "a", {})
    assert events_of(tmp_path / "a")[0].file_version == "brain.Event:2"


def test_a_hyperparameter_named_as_text_is_written_as_text(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", {"clip": 0.1, "flag": True, "units": 8}, frozenset({"clip", "flag"}))
    assert hyperparameters_of(tmp_path / "a") == {"clip": "0.1", "flag": "True", "units": 8.0}


def test_a_new_start_replaces_the_earlier_try_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    finished_run(folder, {"units": 8})
    (folder / "notes.txt").write_text("kept")
    other_run = folder / "profile"
    finished_run(other_run, {})
    again = PointRun(folder, {"units": 8})
    again.start()
    again.epochs(1, [{"loss": 9.0}])
    assert scalars_of(folder) == {"loss": [(1, 9.0)]}
    assert (folder / "notes.txt").read_text() == "kept"
    assert scalars_of(other_run)["loss"] == [(1, 2.0), (2, 1.0)]


def test_a_clock_set_back_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    run = PointRun(folder, {"units": 8})
    run.start()
    (first,) = folder.iterdir()
    monkeypatch.setattr(time, "time", lambda: -5.0)
    run.epochs(1, [{"loss": 2.0}])
    run.finish(2.0, succeeded=True)
    assert scalars_of(folder) == {"loss": [(1, 2.0)], "best_val_loss": [(0, 2.0)]}
    run.start()
    (second,) = folder.iterdir()
    assert second.name > first.name
    PointRun(tmp_path / "b", {}).start()
    (fresh,) = (tmp_path / "b").iterdir()
    assert fresh.name.startswith("events.out.tfevents.0000000000.")


def test_each_call_is_readable_at_once_and_keeps_no_file_or_thread(tmp_path: Path) -> None:
    threads = threading.active_count()
    run = PointRun(tmp_path / "a", {"units": 8})
    run.start()
    run.epochs(1, [{"loss": 2.0}])
    assert scalars_of(tmp_path / "a") == {"loss": [(1, 2.0)]}
    moved = pickle.loads(pickle.dumps(run))
    moved.epochs(2, [{"loss": 1.0}])
    assert scalars_of(tmp_path / "a") == {"loss": [(1, 2.0), (2, 1.0)]}
    assert threading.active_count() == threads


def test_a_write_cut_short_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    run = PointRun(tmp_path / "a", {"units": 8})
    run.start()
    (file,) = (tmp_path / "a").iterdir()
    with file.open("ab") as stream:
        stream.write(b"\x07" * 500)
    run.epochs(1, [{"loss": 2.0}])
    assert scalars_of(tmp_path / "a") == {"loss": [(1, 2.0)]}


def test_a_run_that_is_not_open_cannot_be_written(tmp_path: Path) -> None:
    run = PointRun(tmp_path / "a", {})
    with pytest.raises(RaygridError, match=r"start\(\)"):
        run.epochs(1, [{"loss": 2.0}])
    run.start()
    run.finish(None, succeeded=True)
    with pytest.raises(RaygridError, match=r"start\(\)"):
        run.epochs(1, [{"loss": 2.0}])
    with pytest.raises(RaygridError, match=r"start\(\)"):
        run.finish(None, succeeded=True)


def test_writing_a_run_imports_neither_tensorflow_nor_ray(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from raygrid.progress.tensorboard_log import PointRun\n"
        "import raygrid.cli.tensorboard_server\n"
        "run = PointRun(pathlib.Path(sys.argv[1]), {'units': 8, 'layers': (1, 2)})\n"
        "run.start(); run.epochs(1, [{'loss': 1.0}]); run.finish(1.0, True)\n"
        "print(sorted({'tensorflow', 'keras', 'ray'} & set(sys.modules)))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.strip() == "[]"
    assert scalars_of(tmp_path / "a")["loss"] == [(1, 1.0)]


# --- names and columns -------------------------------------------------------------------------------------------


def test_hyperparameters_of_several_kinds_are_written_as_text() -> None:
    configs: list[dict[str, object]] = [
        {"clip": None, "flag": True, "layers": (8,), "rate": 1, "seed": 1, "same": None, "limit": 1.0},
        {
            "clip": 0.1,
            "flag": 0,
            "layers": (8, 4),
            "rate": 0.5,
            "seed": 2**60,
            "same": None,
            "limit": math.nan,
        },
    ]
    assert text_hyperparameters(configs) == {"clip", "flag", "seed", "limit"}
    assert text_hyperparameters([]) == frozenset()


@pytest.mark.parametrize(
    ("config", "varying", "expected"),
    [
        ({"units": 8, "rate": 1e-05}, {"units", "rate"}, "rate=1e-05,units=8-01234567"),
        ({"units": 8, "rate": 1e-05}, {"units"}, "units=8-01234567"),
        ({"units": 8}, set(), "point-01234567"),
        ({"layers": (128, 64), "clip": None}, {"layers", "clip"}, "clip=None,layers=128_64-01234567"),
        ({"act": "../a=b,é"}, {"act"}, "act=.._a_b-01234567"),
        ({"momentum": -0.5}, {"momentum", "absent"}, "momentum=-0.5-01234567"),
    ],
)
def test_a_run_is_named_by_what_varies(config: dict[str, object], varying: set[str], expected: str) -> None:
    assert run_name(config, KEY, varying) == expected


def test_a_long_run_name_is_cut_but_keeps_its_key() -> None:
    name = run_name({"text": "x y" * 200}, KEY, ["text"])
    assert len(name) == 109
    assert re.fullmatch(r"[A-Za-z0-9._=,+-]{100}-01234567", name)


# --- TensorBoard itself ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a TensorBoard that serves three points, one of them failed and one without an end."""
    logdir = tmp_path_factory.mktemp("logs")
    configs: list[dict[str, object]] = [
        {"clip": None, "layers": (128, 64), "rate": 0.001, "bias": True},
        {"clip": 0.1, "layers": (32,), "rate": 0.01, "bias": True},
        {"clip": 0.1, "layers": (32,), "rate": 0.01, "bias": True},
    ]
    as_text = text_hyperparameters(configs)
    finished_run(logdir / "good", configs[0], as_text)
    failed = PointRun(logdir / "failed", configs[1], as_text)
    failed.start()
    failed.epochs(1, [{"loss": 3.0, "val_loss": math.nan}])
    failed.finish(None, succeeded=False)
    running = PointRun(logdir / "running", configs[2], as_text)
    running.start()

    # Files of the working folder are not what is imported.
    here = tmp_path_factory.mktemp("here")
    for name in ("tensorboard", "numpy", "werkzeug", "google"):
        (here / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working folder was run')\n")
    process = subprocess.Popen(
        tensorboard_command(logdir, port=0),
        cwd=here,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(r"at (http://127\.0\.0\.1:\d+)/", line)
            if found:
                yield found[1]
                break
        else:
            pytest.fail("TensorBoard ended before it served")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(server: str, route: str, request: Mapping[str, object]) -> dict[str, object]:
    call = urllib.request.Request(
        f"{server}/data/plugin/hparams/{route}",
        data=json.dumps(request).encode(),
        headers={"Content-Type": "application/json"},
    )
    # No proxy: the server is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=30) as answer:
        result: dict[str, object] = json.load(answer)
    return result


def session_groups(server: str, **column: object) -> list[dict[str, object]]:
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    request = {"allowedStatuses": statuses, "sliceSize": 100, "colParams": [column] if column else []}
    groups = ask(server, "session_groups", request).get("sessionGroups", [])
    assert isinstance(groups, list)
    return groups


@pytest.fixture(scope="module")
def rows(server: str) -> dict[str, dict[str, object]]:
    """The rows of the table by name, once TensorBoard has read all three runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = {str(row["name"]): row for row in session_groups(server)}
        if len(found) == 3:
            return found
        time.sleep(0.2)
    raise AssertionError(f"TensorBoard shows only {sorted(found)}")


def test_the_table_has_a_column_for_each_hyperparameter_and_for_the_best_val_loss(
    server: str, rows: dict[str, dict[str, object]]
) -> None:
    experiment = ask(server, "experiment", {})
    columns = {info["name"]: info["type"] for info in experiment["hparamInfos"]}  # type: ignore[attr-defined]
    assert columns == {
        "bias": "DATA_TYPE_BOOL",
        "clip": "DATA_TYPE_STRING",
        "layers": "DATA_TYPE_STRING",
        "rate": "DATA_TYPE_FLOAT64",
    }
    metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}  # type: ignore[attr-defined]
    assert metrics == {"best_val_loss", "loss", "val_loss"}


def test_the_table_has_a_row_for_each_point_with_its_status(rows: dict[str, dict[str, object]]) -> None:
    statuses = {name: [s["status"] for s in row["sessions"]] for name, row in rows.items()}  # type: ignore[attr-defined]
    assert statuses == {
        "good": ["STATUS_SUCCESS"],
        "failed": ["STATUS_FAILURE"],
        "running": ["STATUS_UNKNOWN"],
    }
    assert rows["good"]["hparams"] == {"clip": "None", "layers": "(128, 64)", "rate": 0.001, "bias": True}


def test_the_table_shows_the_best_and_the_last_val_loss(rows: dict[str, dict[str, object]]) -> None:
    metrics = rows["good"]["metricValues"]
    shown = {m["name"]["tag"]: m["value"] for m in metrics}  # type: ignore[attr-defined]
    assert shown == {"best_val_loss": 1.5, "loss": 1.0, "val_loss": 1.75}


@pytest.mark.parametrize("column", ["bias", "clip", "layers", "rate"])
def test_the_table_can_be_sorted_by_each_column(server: str, rows: dict[str, dict[str, object]], column: str) -> None:
    assert len(session_groups(server, hparam=column, order="ORDER_DESC")) == 3


def test_the_server_listens_on_this_machine_only_unless_asked() -> None:
    command = tensorboard_command(Path("/logs"), port=7000)
    assert command[0] == sys.executable
    assert command[4:] == [
        "--logdir",
        "/logs",
        "--host",
        "127.0.0.1",
        "--port",
        "7000",
    ]
    assert tensorboard_command(Path("/logs"), host="0.0.0.0")[7] == "0.0.0.0"
