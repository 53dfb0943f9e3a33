"""A search whose first points all fail alike says so early, and goes on."""

from __future__ import annotations

import pytest

from raygrid.grid.plan import Plan, PlannedTrial, Point
from raygrid.grid.records import PointRecord
from raygrid.progress.first_failures import FirstFailures

POINTS = tuple(Point(n, {"units": n}, 0, f"key{n}") for n in range(12))


def failed(point: Point, error: str = "ValueError: no sensor", epochs: int = 0) -> PointRecord:
    return PointRecord(point.key, "c", point.config, 0, "failed", error=error, epochs_run=epochs)


def warnings_of(caplog: pytest.LogCaptureFixture, *records: PointRecord, done: bool = False, points: int = 12) -> str:
    listener = FirstFailures()
    some = POINTS[:points]
    earlier = {"key": PointRecord("key", "c", {}, 0, "done")} if done else {}
    listener.search_started(Plan(some, earlier, tuple(PlannedTrial((point,), 1) for point in some)))
    for point, record in zip(POINTS, records, strict=False):
        listener.point_finished(point, record)
    return "\n".join(record.getMessage() for record in caplog.records)


def test_it_is_told_once_after_five_points(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog, *(failed(point) for point in POINTS[:4])) == ""
    told = warnings_of(caplog, *(failed(point) for point in POINTS))
    assert told.startswith(
        "The first 5 points have all failed before their first epoch, with the same cause: ValueError: no sensor\n"
        "The search goes on, since other values may work."
    )
    assert told.count("The first") == 1


def test_causes_that_differ_in_the_number_of_a_layer_alone_are_the_same(caplog: pytest.LogCaptureFixture) -> None:
    told = warnings_of(caplog, *(failed(point, f"ValueError: no layer 'dense_{point.number}'") for point in POINTS))
    assert told.startswith("The first 5 points have all failed")


def test_what_an_earlier_search_of_the_same_object_saw_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    listener = FirstFailures()
    for cause in ("ValueError: other", "ValueError: no sensor"):
        listener.search_started(Plan(POINTS, {}, tuple(PlannedTrial((point,), 1) for point in POINTS)))
        for point in POINTS[:5]:
            listener.point_finished(point, failed(point, cause))
    assert [record.getMessage().splitlines()[0].rpartition(": ")[2] for record in caplog.records] == [
        "other",
        "no sensor",
    ]


def test_nothing_is_told_where_something_else_was_seen(caplog: pytest.LogCaptureFixture) -> None:
    alike = [failed(point) for point in POINTS]
    for others in (
        failed(POINTS[0], "ValueError: other"),
        failed(POINTS[0], epochs=1),
        PointRecord("k", "c", {}, 0, "done"),
    ):
        assert warnings_of(caplog, *alike[:3], others, *alike[4:]) == ""
    assert warnings_of(caplog, *alike, done=True) == ""
    assert warnings_of(caplog, *(PointRecord("k", "c", {}, 0, "done") for _ in POINTS)) == ""
    # It ends soon enough.
    assert warnings_of(caplog, *alike, points=5) == ""


def test_an_epoch_of_a_point_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    listener = FirstFailures()
    listener.search_started(Plan(POINTS, {}, tuple(PlannedTrial((point,), 1) for point in POINTS)))
    listener.point_epochs(POINTS[7], 1, [{"loss": 1.0}])
    for point in POINTS[:6]:
        listener.point_finished(point, failed(point))
    assert not caplog.records
