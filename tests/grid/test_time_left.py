"""How long a search will still take: measured from its epochs, without the start and without waiting."""

from __future__ import annotations

from raygrid.grid.time_left import TimeLeft, duration


def test_nothing_is_said_before_something_was_measured() -> None:
    left = TimeLeft(100)
    assert left.text(1000.0) == ""
    left.trained(5, 1000.0)
    assert left.text(1000.5) == ""
    assert left.text(1002.0) == ""
    left.trained(1, 1000.5)
    assert left.text(1000.6) == ""


def test_the_start_of_ray_and_waiting_for_other_jobs_do_not_count() -> None:
    left = TimeLeft(100)
    # However late the first epochs come: 10 epochs a second from then on.
    left.trained(10, 500.0)
    left.trained(10, 501.0)
    assert left.text(501.0) == "at most 8 s left"


def test_points_that_stop_early_make_the_others_expected_to() -> None:
    # 16 points of 100 epochs, each of which stops after 10: they take 4 s each on two workers.
    left, now = TimeLeft(1600), 20.0
    for second in range(4):
        left.trained(5, now + second)
    left.finished(100, 10, 10)
    left.finished(100, 10, 10)
    # 14 points of 10 epochs at 5 epochs a second, and not 280 s.
    assert left.text(now + 3) == "about 28 s left"


def test_a_point_that_begins_again_or_fails_unstarted_is_counted_right() -> None:
    left = TimeLeft(30)
    left.trained(1, 0.0)
    left.trained(9, 9.0)
    left.begun_again(10)
    assert left.text(9.0) == "at most 30 s left"
    left.finished(10, 0, 0)
    assert left.text(9.0) == "at most 20 s left"


def test_nothing_is_said_at_the_end_and_nothing_negative_before() -> None:
    left = TimeLeft(20)
    left.trained(1, 0.0)
    left.trained(11, 10.0)
    left.finished(10, 2, 2)
    # Two epochs were expected of the other one, and it trained ten.
    assert left.text(10.0) == "about 0 s left"
    left.finished(10, 10, 10)
    assert left.text(11.0) == ""


def test_a_point_that_trained_more_than_was_planned_makes_the_others_expected_to_train_no_more() -> None:
    left = TimeLeft(30)
    left.trained(1, 0.0)
    left.trained(9, 9.0)
    left.finished(10, 20, 10)
    assert left.text(9.0) == "about 20 s left"


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0.4, 59, 59.6, 61, 3725)] == ["0 s", "59 s", "1 min 0 s", "1 min 1 s", "1 h 2 min"]
