"""Which trials come next, and what becomes of those that were killed for their memory."""

from __future__ import annotations

from raygrid.grid.plan import PlannedTrial, Point
from raygrid.tuning.trial_queue import TrialQueue


def trial(*keys: str) -> PlannedTrial:
    """A single training; its points differ only in when to stop."""
    return PlannedTrial(tuple(Point(0, {"epochs": n}, 0, key) for n, key in enumerate(keys)), 1)


def bundle(*trainings: str) -> PlannedTrial:
    """A trial of several trainings; of each, the keys of its points."""
    return PlannedTrial(
        tuple(
            Point(0, {"learning_rate": i, "epochs": n}, 0, key)
            for i, keys in enumerate(trainings)
            for n, key in enumerate(keys)
        ),
        1,
    )


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


def test_a_trial_of_several_trainings_whose_worker_died_comes_back_at_the_end_one_training_at_a_time() -> None:
    queue = TrialQueue([bundle("ab", "c", "d"), trial("e"), trial("f")], per_wave=2)
    assert keys(queue.next_wave()) == ["abcd", "e"]
    # The first point of the first training was recorded before.
    assert queue.ended(2, {"a", "e"}, lost={"b", "c", "d"}) == []
    assert not queue.alone
    assert keys(queue.next_wave()) == ["f", "b"]
    assert queue.ended(2, set("abef"), ()) == []
    assert keys(queue.next_wave()) == ["c", "d"]
    assert queue.ended(2, set("abcdef")) == []
    assert not queue.next_wave()


def test_a_trial_of_several_trainings_that_was_killed_for_its_memory_comes_back_one_training_at_a_time_alone() -> None:
    queue = TrialQueue([bundle("a", "bc", "d"), bundle("e", "f")], per_wave=2)
    # Its neighbour's worker died at the same time, of something else. A worker that was killed died as well.
    assert keys(queue.ended(2, {"a"}, {"a", "b", "c", "d"}, lost={"b", "c", "d", "e", "f"})) == ["bcd"]
    assert not queue.alone
    assert keys(queue.next_wave()) == ["e", "f"]
    queue.ended(2, set("aef"))
    for left in ("bc", "d"):
        assert queue.alone
        assert keys(queue.next_wave()) == [left]
        queue.ended(1, set("aef"), set(left))
    assert not queue.next_wave()
