"""Which trials come next, and what becomes of those that were killed for their memory."""

from __future__ import annotations

from raygrid.plan import PlannedTrial, Point
from raygrid.tuning.trial_queue import TrialQueue


def trial(*keys: str) -> PlannedTrial:
    return PlannedTrial(tuple(Point(0, {}, 0, key) for key in keys), 1)


def keys(trials: object) -> list[str]:
    assert isinstance(trials, list | tuple)
    return ["".join(point.key for point in trial.points) for trial in trials]


def test_trials_come_in_their_order_a_wave_at_a_time() -> None:
    queue = TrialQueue([trial(key) for key in "abcde"], per_wave=2)
    came = []
    while wave := queue.next_wave():
        came.append(keys(wave))
        assert not queue.alone
        assert queue.ended(len(wave), {key for keys in came for key in keys}, ()) == []
    assert came == [["a", "b"], ["c", "d"], ["e"]]


def test_a_wave_that_was_cut_short_goes_on_where_it_was() -> None:
    queue = TrialQueue([trial(key) for key in "abcd"], per_wave=4)
    assert queue.ended(1, {"a"}, ()) == []
    assert keys(queue.next_wave()) == ["b", "c", "d"]


def test_a_trial_that_was_killed_comes_once_more_at_the_end_alone_and_its_neighbour_with_the_next_wave() -> None:
    queue = TrialQueue([trial(key) for key in "abcd"], per_wave=4)
    assert keys(queue.ended(3, {"a"}, {"b"})) == ["b", "c"]
    assert keys(queue.next_wave()) == ["c", "d"]
    assert not queue.alone
    assert keys(queue.ended(2, {"a", "c"}, {"d"})) == ["d"]
    for killed in "bd":
        assert queue.alone
        assert keys(queue.next_wave()) == [killed]
        assert keys(queue.ended(1, {"a", "c"}, {killed})) == [killed]
    assert not queue.next_wave()


def test_of_a_trial_of_several_points_only_those_without_a_result_come_back() -> None:
    queue = TrialQueue([trial(*"abc"), trial(*"de")], per_wave=4)
    assert keys(queue.ended(2, {"a", "d"}, {"a", "b", "c"})) == ["bc", "e"]
    assert keys(queue.next_wave()) == ["e"]
    queue.ended(1, {"a", "d", "e"}, ())
    assert keys(queue.next_wave()) == ["bc"]
