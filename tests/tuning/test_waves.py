"""Searches in several waves: workers that are replaced, with the same result, and every way to end one."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from child_processes import Child, started
from small_models import LoggedModel, builds, small_rows

from raygrid.tuning import driver
from raygrid.tuning.resources import Resources

pytestmark = [pytest.mark.ray, pytest.mark.long]

X, X_VAL = small_rows(), small_rows(60, seed=1)
TEN = {"hidden": [(n,) for n in range(3, 13)]}
DEADLY = (7,)


def searched(folder: Path, **settings: Any) -> LoggedModel:
    """The grid ``TEN``, searched on two workers."""
    model = LoggedModel(
        folder / "models",
        "small",
        0,
        build_log=str(folder / "builds.txt"),
        resources=Resources(max_concurrent=2),
        **settings,
    )
    model.fit(X, X_VAL, param_grid=TEN)
    return model


@pytest.fixture(scope="module")
def in_one_wave(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    return searched(tmp_path_factory.mktemp("one"))


def check_same_result(model: LoggedModel, other: LoggedModel) -> None:
    # The file of the builds is an attribute of the model, so keys differ; what they name does not.
    differing = ["seconds", "worker", "key"]
    assert model.results.drop(differing) == other.results.drop(differing)
    assert model.best_config == other.best_config
    assert model.history == other.history
    for a, b in zip(model.best_model.get_weights(), other.best_model.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def workers_of(model: LoggedModel) -> set[str]:
    return {row["worker"] for row in model.results.to_pylist()}


def test_a_search_within_its_limits_runs_on_the_same_workers_to_the_end(in_one_wave: LoggedModel) -> None:
    assert len(workers_of(in_one_wave)) == 2


def test_workers_that_grew_are_replaced_and_every_point_is_trained_once_with_the_same_result(
    in_one_wave: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every traced model is more than that.
    monkeypatch.setattr(driver, "GROWTH_LIMIT_BYTES", 2**20)
    model = searched(tmp_path)
    assert len(workers_of(model)) >= 4
    assert sorted(hidden for _, hidden in builds(tmp_path / "builds.txt")) == [tuple(h) for h in TEN["hidden"]]
    check_same_result(model, in_one_wave)
    assert not list((tmp_path / "models/small_runs/tune").iterdir())


def test_the_processes_of_a_wave_are_gone_when_the_next_one_trains(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "TRIALS_PER_WAVE", 4)
    model = searched(tmp_path)
    pids = [pid for pid, _ in builds(tmp_path / "builds.txt")]
    waves = [set(pids[i : i + 4]) for i in (0, 4, 8)]
    assert not waves[0] & waves[1] and not waves[1] & waves[2] and not waves[0] & waves[2]
    assert len(model.results) == 10


def test_a_worker_that_dies_in_a_later_wave_costs_one_more_training(
    in_one_wave: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "TRIALS_PER_WAVE", 3)
    model = searched(tmp_path, deadly=DEADLY)
    done = [hidden for _, hidden in builds(tmp_path / "builds.txt")]
    assert {hidden: done.count(hidden) for hidden in set(done)} == {
        tuple(h): 1 + (tuple(h) == DEADLY) for h in TEN["hidden"]
    }
    check_same_result(model, in_one_wave)


def test_a_full_disk_in_a_later_wave_ends_the_search(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raygrid.store.points import PointStore

    monkeypatch.setattr(driver, "TRIALS_PER_WAVE", 4)
    add, recorded = PointStore.add, []

    def add_five(store: PointStore, record: Any, weights: Path | None = None) -> Any:
        if len(recorded) == 5:
            raise OSError(28, "no room")
        recorded.append(record.key)
        return add(store, record, weights)

    monkeypatch.setattr(PointStore, "add", add_five)
    with pytest.raises(OSError, match="no room"):
        searched(tmp_path)
    assert len(list((tmp_path / "models/small_runs/points").glob("*.json"))) == 5


_WAVES = """
    from raygrid.errors import SearchInterrupted
    from raygrid.tuning import driver
    from raygrid.tuning.resources import Resources
    from small_models import LoggedModel, small_rows

    driver.TRIALS_PER_WAVE = {per_wave}

    if __name__ == "__main__":
        model = LoggedModel({folder!r}, "small", 0, build_log={build_log!r}, resources=Resources(max_concurrent=2))
        try:
            model.fit(small_rows(), small_rows(60, seed=1), param_grid={{"hidden": [(n,) for n in range(3, 13)]}})
        except SearchInterrupted as error:
            print("interrupted:", error)
"""


@pytest.fixture(scope="module")
def told_to_stop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, tuple[Child, Path]]]:
    """Searches with two points a wave, by how many were recorded when they were told to stop; all have ended."""
    searches = {}
    with contextlib.ExitStack() as running:
        # At the same time, since much of each is waiting.
        for recorded_before in SIGNALS:
            folder = tmp_path_factory.mktemp("waves")
            script = _WAVES.format(per_wave=2, folder=str(folder / "models"), build_log=str(folder / "builds.txt"))
            searches[recorded_before] = running.enter_context(started(script, folder)), folder
        waiting = dict(searches)
        while waiting:
            for recorded_before, (child, folder) in list(waiting.items()):
                assert child.process.poll() is None, child.text()
                if len(recorded_points(folder)) >= recorded_before:
                    child.process.send_signal(SIGNALS[recorded_before])
                    del waiting[recorded_before]
            time.sleep(0.02)
        for child, _ in searches.values():
            child.process.wait(60)
            assert child.wait_until_all_ended(10) == []
        yield searches


def recorded_points(folder: Path) -> list[Path]:
    return list((folder / "models/small_runs/points").glob("*.json"))


# The second record is the last of a wave: the signal meets the end of that wave.
SIGNALS = {2: signal.SIGINT, 3: signal.SIGTERM}


@pytest.mark.parametrize("recorded_before", SIGNALS)
def test_a_signal_in_any_wave_and_between_two_ends_the_search(
    told_to_stop: dict[int, tuple[Child, Path]], recorded_before: int
) -> None:
    child, folder = told_to_stop[recorded_before]
    recorded = len(recorded_points(folder))
    assert recorded_before <= recorded <= 4
    told = f"the search was stopped with {10 - recorded} of 10 points unfinished"
    # A script may catch what Ctrl-C does; what SIGTERM ends, it ends for good.
    code, begin = {signal.SIGINT: (0, "interrupted"), signal.SIGTERM: (143, "SIGTERM ends this process")}[
        SIGNALS[recorded_before]
    ]
    assert child.process.returncode == code, child.text()
    assert f"{begin}: {told}" in child.text()
