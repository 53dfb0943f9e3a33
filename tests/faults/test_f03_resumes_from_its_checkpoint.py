"""f03 and f02 for long trainings: a worker or a driver that is killed costs what came after the last checkpoint."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from child_processes import started
from small_models import SteppingModel, small_rows, steps

from raygrid.grid import plan
from raygrid.search import run
from raygrid.store.checkpoints import Checkpoints
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.tuning.resources import Resources

# One batch an epoch, so that a step is an epoch.
X, X_VAL = small_rows(64), small_rows(32, seed=1)
EPOCHS = 200
INTERVAL_S = 0.05
CONFIG = {"hidden": (6,), "batch_size": 64, "epochs": EPOCHS, "learning_rate": 0.01}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints come often, instead of once a minute."""
    monkeypatch.setattr(run, "Checkpoints", functools.partial(Checkpoints, interval_s=INTERVAL_S))


def answers(folder: Path) -> dict[Any, Any]:
    """What was recorded of every point, but what tells how it came about."""
    found = {}
    for record in PointStore(ModelArtifacts.for_prefix(folder, "net").points_dir).all():
        history = PointStore(ModelArtifacts.for_prefix(folder, "net").points_dir).get(record.key).history
        key = (record.config["hidden"], record.config["learning_rate"])
        found[key] = (record.status, record.best_epoch, record.epochs_run, record.metrics, history)
    return found


def wait_until(reached: Callable[[], bool], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end, f"not reached in {timeout_s} s"
        time.sleep(0.01)


def taken(step_log: Path, training: tuple[int, float]) -> dict[int, list[int]]:
    """The numbers of the steps of one training by the process that took them, in order."""
    by_process: dict[int, list[int]] = {}
    for process, which, number in steps(step_log):
        if which == training:
            by_process.setdefault(process, []).append(number)
    return by_process


def check_went_on(before: list[int], after: list[int], epochs: int = EPOCHS) -> None:
    """The steps of a killed process and of the next: it went on where the last checkpoint was, to the end."""
    assert before == list(range(1, before[-1] + 1))
    assert after == list(range(after[0], epochs + 1))
    assert 1 < after[0] <= before[-1] + 1


def bits(model: Any) -> list[bytes]:
    return [weight.tobytes() for weight in model.get_weights()]


_FIT = """
    import functools
    from pathlib import Path
    from raygrid.search import run
    from raygrid.store.checkpoints import Checkpoints
    from small_models import SteppingModel, small_rows

    run.Checkpoints = functools.partial(Checkpoints, interval_s={interval_s})
    if __name__ == "__main__":
        SteppingModel({folder!r}, "net", 0, step_log={step_log!r}).fit(
            small_rows(64), small_rows(32, seed=1), {asked}={config!r}
        )
"""


def test_f02_a_killed_training_in_the_users_own_process_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    folder, step_log = tmp_path / "models", tmp_path / "steps.txt"
    script = _FIT.format(
        interval_s=INTERVAL_S, folder=str(folder), step_log=str(step_log), asked="model_config", config=CONFIG
    )
    with started(script, tmp_path) as child:
        child.wait_until(lambda: len(steps(step_log)) >= EPOCHS // 3)
        child.process.kill()
        child.process.wait()
        (killed,) = taken(step_log, (6, 0.01))
    assert list((folder / "net_runs/checkpoints").glob("*.npz"))
    model = SteppingModel(folder, "net", 0, step_log=str(step_log))
    best = model.fit(X, X_VAL, model_config=CONFIG)

    check_went_on(*(taken(step_log, (6, 0.01))[process] for process in (killed, os.getpid())))
    assert not (folder / "net_runs/checkpoints").exists()

    undisturbed = SteppingModel(tmp_path / "undisturbed", "net", 0, step_log=str(step_log))
    assert bits(best) == bits(undisturbed.fit(X, X_VAL, model_config=CONFIG))
    assert answers(folder) == answers(tmp_path / "undisturbed")
    assert model.history == undisturbed.history


RATES = [0.01, 0.02, 0.03, 0.04]


@pytest.mark.ray
def test_f03_a_killed_worker_goes_on_in_the_middle_of_its_trial_and_trains_nothing_again_that_is_recorded(
    ray_session: None, often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one worker, two of the four are one trial: see `bundled`.
    monkeypatch.setattr(plan, "_TRIALS_PER_WORKER", 2)
    folder, step_log = tmp_path / "models", tmp_path / "steps.txt"
    killed: list[tuple[int, tuple[int, float]]] = []

    def kill_the_second_training_of_a_trial() -> None:
        wait_until(
            lambda: len({which for _, which, _ in steps(step_log)}) == 2 and steps(step_log)[-1][2] > EPOCHS // 3
        )
        process, which, _ = steps(step_log)[-1]
        os.kill(process, signal.SIGKILL)
        killed.append((process, which))

    killer = threading.Thread(target=kill_the_second_training_of_a_trial)
    killer.start()
    model = SteppingModel(folder, "net", 0, step_log=str(step_log), resources=Resources(max_concurrent=1))
    best = model.fit(X, X_VAL, param_grid={**{name: [value] for name, value in CONFIG.items()}, "learning_rate": RATES})
    killer.join()

    ((process, training),) = killed
    by_process = taken(step_log, training)
    before = by_process.pop(process)
    (after,) = by_process.values()
    check_went_on(before, after)
    # Every other training was trained once, by one process: also the one of the same trial, which was recorded.
    counted = Counter(which for _, which, _ in steps(step_log))
    del counted[training]
    assert counted == {(6, rate): EPOCHS for rate in RATES if rate != training[1]}
    assert not (folder / "net_runs/checkpoints").exists()

    for rate in (training[1], model.best_config["learning_rate"]):
        undisturbed = SteppingModel(tmp_path / str(rate), "net", 0, step_log=str(step_log))
        alone = undisturbed.fit(X, X_VAL, model_config={**CONFIG, "learning_rate": rate})
        ((which, answer),) = answers(tmp_path / str(rate)).items()
        assert answers(folder)[which] == answer
    assert bits(best) == bits(alone)


@pytest.mark.long
@pytest.mark.ray
def test_f02_after_its_driver_was_killed_a_search_goes_on_in_the_middle_of_its_trials(
    ray_session: None, tmp_path: Path
) -> None:
    folder, step_log = tmp_path / "models", tmp_path / "steps.txt"
    # Long enough that neither ends before the other has begun.
    rates, config = [0.01, 0.02], {**CONFIG, "epochs": 10 * EPOCHS}
    grid = {**{name: [value] for name, value in config.items()}, "learning_rate": rates}
    script = _FIT.format(
        interval_s=INTERVAL_S, folder=str(folder), step_log=str(step_log), asked="param_grid", config=grid
    )
    with started(script, tmp_path) as child:
        child.wait_until(lambda: all(len(taken_by_all(step_log, rate)) > EPOCHS // 5 for rate in rates))
        child.process.kill()
        child.process.wait()
        # Workers end with the driver; what they still did until then counts. Agents of Ray live on for a minute.
        workers = {process for process, _, _ in steps(step_log)}
        wait_until(lambda: not workers & set(child.processes()))
        killed = {rate: taken_by_all(step_log, rate) for rate in rates}
    assert answers(folder) == {}
    model = SteppingModel(folder, "net", 0, step_log=str(step_log))
    best = model.fit(X, X_VAL, param_grid=grid)

    for rate in rates:
        check_went_on(killed[rate], taken_by_all(step_log, rate)[len(killed[rate]) :], config["epochs"])
        undisturbed = SteppingModel(tmp_path / str(rate), "net", 0, step_log=str(step_log))
        alone = undisturbed.fit(X, X_VAL, model_config={**config, "learning_rate": rate})
        ((which, answer),) = answers(tmp_path / str(rate)).items()
        assert answers(folder)[which] == answer
        if rate == model.best_config["learning_rate"]:
            assert bits(best) == bits(alone)
    assert not (folder / "net_runs/checkpoints").exists()


def taken_by_all(step_log: Path, rate: float) -> list[int]:
    """The numbers of the steps of one training, by whichever process."""
    return [number for _, which, number in steps(step_log) if which == (6, rate)]
