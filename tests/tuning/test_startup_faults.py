"""When a search is stopped, since no worker can start."""

from __future__ import annotations

from raygrid.progress.remedies import NOT_STARTED
from raygrid.tuning.startup_faults import StartupFaults

MISSING = f"{NOT_STARTED}: Traceback\n  f()\nModuleNotFoundError: No module named 'plant_helpers'"
DIED = f"{NOT_STARTED}: The actor died.\nWorker exit type: SYSTEM_ERROR Worker exit detail: pid 4711"


def begun(*trials: str) -> StartupFaults:
    faults = StartupFaults()
    for trial in trials:
        faults.began(trial)
    return faults


def test_two_trials_that_end_alike_before_any_code_of_the_user_are_enough() -> None:
    faults = begun("a", "b")
    faults.failed("a", MISSING)
    # The same trial again shows nothing new.
    faults.failed("a", MISSING)
    assert faults.cause is None
    faults.failed("b", MISSING)
    assert faults.cause == ("the workers cannot import 'plant_helpers'. What helps: install it wherever they run.")
    assert faults.tries == 3


def test_a_worker_that_got_further_shows_that_it_is_no_fault_of_all() -> None:
    faults = begun("a", "b", "c")
    faults.failed("a", MISSING)
    faults.worker_is_ready()
    faults.failed("b", MISSING)
    faults.failed("c", MISSING)
    assert faults.cause is None


def test_trials_that_were_begun_as_early_are_waited_for_since_their_nodes_may_be_well() -> None:
    faults = begun("a", "b", "c")
    faults.failed("a", MISSING)
    faults.began("d")
    faults.failed("b", MISSING)
    assert faults.cause is None
    faults.failed("c", MISSING)
    assert faults.cause is not None


def test_different_causes_are_no_fault_of_all() -> None:
    faults = begun("a", "b")
    faults.failed("a", MISSING)
    faults.failed("b", MISSING.replace("plant_helpers", "other_helpers"))
    assert faults.cause is None


def test_a_worker_that_ends_since_it_cannot_load_its_trial_has_not_died_by_chance() -> None:
    faults = begun("a", "b")
    for trial in "ab":
        faults.failed(trial, f"{DIED}\nThe actor with name X failed to import on the worker.\n{MISSING}\nAn end")
    assert faults.cause is not None and faults.cause.startswith("the workers cannot import 'plant_helpers'")


def test_workers_that_die_may_do_so_by_chance_and_are_tried_more_often() -> None:
    faults = begun("a", "b")
    faults.failed("a", DIED)
    for _ in range(4):
        faults.failed("b", DIED)
    assert faults.cause is None
    faults.failed("a", DIED.replace("4711", "4712"))
    assert faults.cause is not None and faults.cause.startswith("its worker died each time")


def test_one_trial_alone_shows_nothing_of_the_others() -> None:
    faults = begun("a")
    for _ in range(9):
        faults.failed("a", MISSING)
    assert faults.cause is None
    faults.began("b")
    faults.failed("b", MISSING)
    assert faults.cause is not None


def test_what_nobody_knows_a_remedy_for_is_told_as_it_is_wherever_it_happened() -> None:
    faults = begun("a", "b")
    for gpu, trial in enumerate("ab"):
        faults.failed(
            trial,
            f"{NOT_STARTED}: ray::f() (pid={gpu})\nValueError: no GPU on n{gpu} (CUDA_VISIBLE_DEVICES is '{gpu}')",
        )
    assert faults.cause == "ValueError: no GPU on n1 (CUDA_VISIBLE_DEVICES is '1')"
