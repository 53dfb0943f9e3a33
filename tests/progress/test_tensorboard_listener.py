"""The runs that TensorBoard finds after searches: one a point, all alike, none of points that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams import api_pb2, metadata
from test_tensorboard_log import events_of, hyperparameters_of, scalars_of

from raygrid.grid.plan import Plan, Point, make_plan
from raygrid.grid.records import PointRecord
from raygrid.progress.tensorboard_listener import TensorBoardListener


def point(number: int, **config: Any) -> Point:
    return Point(number, {"epochs": 2, "batch_size": 4, **config}, seed=0, key=f"{number:08x}" + "f" * 24)


def record(of: Point, val_loss: float | None = 0.25, **fields: Any) -> PointRecord:
    status = fields.pop("status", "done")
    history: dict[str, tuple[float | None, ...]] = {"loss": (0.75, 0.5), "val_loss": (0.5, val_loss)}
    return PointRecord(of.key, "c", of.config, 0, status, {"val_loss": val_loss}, history=history, **fields)


def plan_of(*points: Point, done: tuple[PointRecord, ...] = ()) -> Plan:
    return make_plan(points, {r.key: r for r in done}, items=lambda config: 4)


def runs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def listener_of(folder: Path, recorded: Sequence[PointRecord] = (), varying: Sequence[str] = ()) -> TensorBoardListener:
    """A listener that is given the records without histories, as a search does."""
    kept = {r.key: r for r in recorded}
    return TensorBoardListener(folder, [r.without_history() for r in recorded], varying, kept.get)


def search(folder: Path, *points: Point, recorded: tuple[PointRecord, ...] = ()) -> list[PointRecord]:
    """A whole search of ``points`` as the listener hears it; returns all records."""
    listener = listener_of(folder, recorded, ["units"])
    plan = plan_of(*points, done=recorded)
    listener.search_started(plan)
    records = list(recorded)
    for trial in plan.trials:
        for p in trial.points:
            listener.point_started(p)
            listener.point_epochs(p, 1, [{"loss": 0.75, "val_loss": 0.5}])
            listener.point_epochs(p, 2, [{"loss": 0.5, "val_loss": 0.25}])
            listener.point_finished(p, record(p))
            records.append(record(p))
    listener.search_ended()
    return records


def status_of(folder: Path) -> str:
    """How the run ended."""
    for event in events_of(folder):
        for value in event.summary.value:
            if value.tag == metadata.SESSION_END_INFO_TAG:
                info = metadata.parse_session_end_info_plugin_data(value.metadata.plugin_data.content)
                return str(api_pb2.Status.Name(info.status))
    raise AssertionError("the run has no end")


CURVES = {
    "loss": [(1, 0.75), (2, 0.5)],
    "val_loss": [(1, 0.5), (2, 0.25)],
    "best_val_loss": [(0, 0.25)],
}


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_search_leaves_a_run_a_point_with_curves_and_how_it_ended(tmp_path: Path) -> None:
    search(tmp_path, point(0, units=8), point(1, units=16))
    assert runs(tmp_path) == ["units=16-00000001", "units=8-00000000"]
    assert scalars_of(tmp_path / "units=8-00000000") == CURVES
    assert hyperparameters_of(tmp_path / "units=16-00000001") == {"epochs": 2.0, "batch_size": 4.0, "units": 16.0}
    assert status_of(tmp_path / "units=8-00000000") == "STATUS_SUCCESS"


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_point_that_failed_or_diverged_is_shown_as_a_failure(tmp_path: Path, status: Any) -> None:
    listener = listener_of(tmp_path)
    listener.search_started(plan_of(point(0)))
    listener.point_started(point(0))
    listener.point_finished(point(0), record(point(0), None, status=status))
    assert status_of(tmp_path / "point-00000000") == "STATUS_FAILURE"


def test_a_point_whose_worker_never_came_up_has_a_run_too(tmp_path: Path) -> None:
    listener = listener_of(tmp_path)
    listener.search_started(plan_of(point(0)))
    listener.point_finished(point(0), record(point(0), None, status="failed"))
    assert status_of(tmp_path / "point-00000000") == "STATUS_FAILURE"


def test_a_point_that_is_started_again_begins_anew(tmp_path: Path) -> None:
    listener = listener_of(tmp_path)
    listener.search_started(plan_of(point(0)))
    listener.point_started(point(0))
    listener.point_epochs(point(0), 1, [{"loss": 9.0}])
    listener.point_started(point(0))
    listener.point_epochs(point(0), 1, [{"loss": 0.75}])
    assert scalars_of(tmp_path / "point-00000000") == {"loss": [(1, 0.75)]}


def test_a_grown_grid_adds_runs_and_leaves_the_old_ones_alone(tmp_path: Path) -> None:
    recorded = search(tmp_path, point(0, units=8))
    (old,) = files_of(tmp_path)
    search(tmp_path, point(0, units=8), point(1, units=16), recorded=tuple(recorded))
    assert old in files_of(tmp_path)
    assert len(files_of(tmp_path)) == 2


def test_recorded_points_without_a_run_are_written_from_their_records(tmp_path: Path) -> None:
    earlier = record(point(0, units=8))
    search(tmp_path, point(1, units=16), recorded=(earlier,))
    assert runs(tmp_path) == ["units=16-00000001", "units=8-00000000"]
    assert scalars_of(tmp_path / "units=8-00000000") == CURVES
    assert status_of(tmp_path / "units=8-00000000") == "STATUS_SUCCESS"


def test_a_file_with_the_name_of_a_run_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes-00000000").touch()
    search(tmp_path, point(1, units=16), recorded=(record(point(0, units=8)),))
    assert scalars_of(tmp_path / "units=8-00000000") == CURVES


def test_runs_of_unknown_points_are_removed(tmp_path: Path) -> None:
    search(tmp_path, point(7, units=1), point(8, units=2))
    notes = tmp_path / "notes.txt"
    notes.write_text("a file that somebody left here")
    search(tmp_path, point(0, units=8))
    assert runs(tmp_path) == ["notes.txt", "units=8-00000000"]


def test_the_run_of_a_failed_point_is_gone_once_it_is_to_be_trained_again(tmp_path: Path) -> None:
    search(tmp_path, point(0, units=8))
    failed = replace(record(point(0, units=8)), status="failed")
    listener_of(tmp_path, [failed], ["units"]).search_started(plan_of(point(0, units=8), done=(failed,)))
    assert runs(tmp_path) == []


def test_a_column_that_becomes_mixed_is_text_in_every_run(tmp_path: Path) -> None:
    recorded = search(tmp_path, point(0, units=8), point(1, units=16))
    before = files_of(tmp_path)
    search(tmp_path, point(0, units=8), point(1, units=16), point(2, units=None), recorded=tuple(recorded))
    assert runs(tmp_path) == ["units=16-00000001", "units=8-00000000", "units=None-00000002"]
    written = {name: hyperparameters_of(tmp_path / name)["units"] for name in runs(tmp_path)}
    assert written == {"units=16-00000001": "16", "units=8-00000000": "8", "units=None-00000002": "None"}
    assert scalars_of(tmp_path / "units=8-00000000") == CURVES
    assert not before & files_of(tmp_path)


def test_a_column_that_is_mixed_already_is_not_written_again(tmp_path: Path) -> None:
    recorded = search(tmp_path, point(0, units=8), point(1, units=None))
    before = files_of(tmp_path)
    search(tmp_path, point(0, units=8), point(1, units=None), point(2, units=4), recorded=tuple(recorded))
    assert before < files_of(tmp_path)
    assert hyperparameters_of(tmp_path / "units=4-00000002")["units"] == "4"


def test_a_rewritten_run_keeps_its_name_when_other_names_vary(tmp_path: Path) -> None:
    recorded = search(tmp_path, point(0, units=8, rate=1))
    plan = plan_of(point(1, units=8, rate="x"))
    listener_of(tmp_path, recorded, ["rate"]).search_started(plan)
    assert runs(tmp_path) == ["units=8-00000000"]
    assert hyperparameters_of(tmp_path / "units=8-00000000")["rate"] == "1"


def test_the_constructor_touches_no_disk(tmp_path: Path) -> None:
    listener_of(tmp_path / "not" / "there").search_ended()
    assert not any(tmp_path.iterdir())
