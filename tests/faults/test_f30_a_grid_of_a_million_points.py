"""f30: a large grid is counted before anything is made of it; planned, it takes no memory for each of its points."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from child_processes import run_script
from commands import OWN_MODELS, Command, write
from refusals import refused_by_fit

from raygrid.errors import GridError
from raygrid.grid.values import iter_param_grid, normalize_grid


def grid_of(**grid: Any) -> dict[str, Any]:
    return normalize_grid(grid, {}, None)


def test_f30_a_million_points_are_refused_with_the_count_before_any_is_made(tmp_path: Path) -> None:
    grid = {"hidden": [[i] for i in range(1, 101)], "epochs": range(1, 101), "batch_size": range(1, 101)}
    tracemalloc.start()
    started = time.perf_counter()
    message = refused_by_fit(tmp_path, GridError, param_grid=grid)
    seconds = time.perf_counter() - started
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message == (
        "param_grid has 1,000,000 points (100 x 100 x 100), more than max_points=10,000. Leave values out, or raise "
        "max_points."
    )
    assert seconds < 5
    assert peak_bytes < 2 * 2**20


def test_f30_a_list_longer_than_memory_is_refused_with_its_length(tmp_path: Path) -> None:
    message = refused_by_fit(tmp_path, GridError, param_grid={"epochs": range(1, 10**12), "hidden": [[1]]})
    assert "param_grid['epochs'] has 999,999,999,999 values, more than max_points=10,000" in message


def test_f30_counts_beyond_every_number_of_the_machine_are_counted(tmp_path: Path) -> None:
    grid = {name: range(1, 10_001) for name in ("epochs", "batch_size", "patience")}
    grid |= {"hidden": [[i] for i in range(1, 10_001)]}
    assert "param_grid has 10,000,000,000,000,000 points" in refused_by_fit(tmp_path, GridError, param_grid=grid)


def test_f30_the_limit_itself_is_allowed_and_can_be_raised() -> None:
    assert len(normalize_grid({"a": range(10), "b": range(10)}, {}, None, max_points=100)) == 2
    with pytest.raises(GridError, match="110 points"):
        normalize_grid({"a": range(11), "b": range(10)}, {}, None, max_points=100)
    assert len(normalize_grid({"a": range(11), "b": range(10)}, {}, None, max_points=110)) == 2


def test_f30_repeated_values_do_not_count() -> None:
    assert len(normalize_grid({"a": [1, 1, 2, 2]}, {}, None, max_points=4)["a"]) == 2
    assert normalize_grid({"a": [1, 1], "b": [2, 2]}, {}, None, max_points=2)


def test_f30_the_points_of_a_large_grid_are_made_one_at_a_time() -> None:
    grid = normalize_grid({"a": range(1000), "b": range(1000)}, {}, None, max_points=10**6)
    tracemalloc.start()
    points = iter_param_grid(grid)
    first = [next(points) for _ in range(3)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first == [{"a": 0, "b": 0}, {"a": 0, "b": 1}, {"a": 0, "b": 2}]
    assert peak_bytes < 2**20


def test_f30_on_the_command_line_the_limit_is_an_option(command: Command, folder: Path) -> None:
    write(folder, "own_models.py", OWN_MODELS)
    asked = ["search", "--model", "own_models:Mine", "--data", "table.csv", "--features", "a,b", "--plan"]
    asked += ["--set", f"units={list(range(1, 13))}", "--set", f"epochs={list(range(1, 1001))}"]
    ended = command(*asked)
    assert ended.code == 2
    assert "param_grid has 12,000 points" in ended.err and "raise --max-points." in ended.err
    ended = command(*asked, "--max-points", "12000")
    assert ended.code == 0, ended.err
    assert "points          12,000\nalready done    0\nto train        12,000\n" in ended.out
    assert not (folder / "models").exists()


_PLAN = """
    import resource
    import time
    from raygrid.grid.plan import estimate
    from small_models import SmallModel, small_rows

    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    model = SmallModel("models", "small", 0, max_points=10**7)
    widths, rates = [[i] for i in range(1, 501)], [0.001 * i for i in range(1, {rates} + 1)]

    def planned(grid):
        found = model.plan(small_rows(), param_grid=grid)
        run, plan = found.run, found.plan
        guess = estimate(plan, run.recorded(), run.prepared.items, workers=2)
        return len(plan.points), plan.to_train, plan.workload.trials, guess.seconds

    planned({{"hidden": widths[:2]}})
    before, started = peak_mb(), time.monotonic()
    points, to_train, trials, seconds = planned({{"hidden": widths, "learning_rate": rates, "epochs": [2, 4]}})
    # 160 training rows are 5 batches of 32; two stops of one training take the epochs of the longer one.
    assert points == to_train == 2 * trials == {points}, (points, to_train, trials)
    assert abs(seconds - (trials * (20 * 0.01 + 3) / 2 + 30)) < 1, seconds
    print("MB", peak_mb() - before)
    print("seconds", time.monotonic() - started)
"""


def test_f30_planning_a_large_grid_takes_no_memory_for_each_point(tmp_path: Path) -> None:
    output = run_script(_PLAN.format(rates=60, points=60_000), tmp_path)
    grown_mb, seconds = (float(line.split()[1]) for line in output.splitlines())
    # A point with its trial takes a kilobyte: 60 MB here.
    assert grown_mb < 20
    assert seconds < 30
    assert not (tmp_path / "models").exists()
