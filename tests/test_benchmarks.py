"""The comparison with other tools: its grids, its extrapolation, its ratios and its text."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from repository import ROOT

sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))
sys.path.insert(0, str(ROOT / "benchmarks"))

from cells import Cell, best_of, median_difference, merged, ratio
from comparison_text import as_markdown
from competitors import COMPETITORS, PEERS
from extrapolation import at_once, whole_grid_s
from grids import GRIDS, grids_for_peers, points_of, sample_of_c
from task import Task


@pytest.mark.parametrize(("name", "points"), [("tiny", 2), ("A", 16), ("B", 64), ("C", 288)])
def test_each_grid_has_the_points_it_is_said_to_have(name: str, points: int) -> None:
    found = points_of(GRIDS[name])
    assert len(found) == points
    assert all(point not in found[:number] for number, point in enumerate(found))


def test_points_are_numbered_with_sorted_names_the_last_changing_fastest() -> None:
    assert points_of({"b": [1, 2], "a": ["x", "y"]}) == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2},
        {"a": "y", "b": 1},
        {"a": "y", "b": 2},
    ]


def test_the_sample_of_c_has_each_value_of_each_hyperparameter_equally_often() -> None:
    sample, whole = sample_of_c(), points_of(GRIDS["C"])
    assert len({whole.index(point) for point in sample}) == len(sample) == 12
    for name, values in GRIDS["C"].items():
        times = Counter(str(point[name]) for point in sample)
        assert times == {str(value): 12 // len(values) for value in values}


def test_peers_get_whole_grids_except_for_c() -> None:
    assert grids_for_peers("B") == [GRIDS["B"]]
    assert [point for grid in grids_for_peers("C") for point in points_of(grid)] == sample_of_c()


def _task(grids: list[dict[str, list]]) -> Task:
    return Task(Path(), grids, [point for grid in grids for point in points_of(grid)], seed=0)


@pytest.mark.parametrize("name", ["A", "C"])
def test_what_a_tool_chooses_from_texts_and_numbers_means_the_same_points(name: str) -> None:
    task = _task([dict(grid) for grid in grids_for_peers(name)])
    assert all(isinstance(choice, str | int | float) for values in task.choices.values() for choice in values)
    chosen = points_of(task.choices)
    assert [task.config_of(values) for values in chosen] == task.points
    assert [task.config_of(values) for values in points_of(task.space)] == task.points


def test_trainings_one_after_the_other_do_not_count_as_at_once() -> None:
    assert at_once([(0.0, 1.0), (1.0, 2.0)]) == 1
    assert at_once([(0.0, 1.5), (1.0, 2.0), (1.8, 3.0)]) == 2


def test_a_sample_run_one_after_the_other_is_extrapolated_by_its_mean() -> None:
    # 10 s of start, 3 trainings in 6 s, 1 s at the end.
    assert whole_grid_s(17.0, [(110.0, 112.0), (112.0, 113.0), (113.0, 116.0)], 30) == pytest.approx(11 + 60)


def test_a_worker_that_waits_at_the_end_of_a_sample_counts_for_no_point() -> None:
    # Two workers; one has nothing to do from 14 to 16. The busy time is 5 s on the mean, for 4 points.
    intervals = [(10.0, 12.0), (10.0, 14.0), (12.0, 13.0), (13.0, 16.0)]
    assert whole_grid_s(17.0, intervals, 40) == pytest.approx(17 - 6 + 5 / 4 * 40)


def _cell(competitor: str, seconds: float | None, **other: object) -> Cell:
    cell = Cell(
        grid="A",
        competitor=competitor,
        run="monday",
        round=0,
        date="2026-01-05 10:00:00",
        load=0.5,
        status="done" if seconds is not None else "failed",
        seconds=seconds or 1.0,
        peak_pss_mb=1000.0,
        points_run=16,
        points=16,
        first_training_s=5.0,
        whole_grid_s=seconds,
        val_losses={0: 0.5, 1: 0.25, 2: None},
        versions={"keras": "3.15.1"},
    )
    return dataclasses.replace(cell, **other)


def test_a_new_cell_replaces_all_rounds_of_its_grid_and_competitor_and_no_other() -> None:
    old = [_cell("plain", 9.0), _cell("plain", 8.0, round=1), _cell("plain", 7.0, grid="B"), _cell("optuna", 6.0)]
    new = [_cell("plain", 5.0, run="tuesday")]
    assert merged(old, new) == [old[2], old[3], new[0]]


def test_a_ratio_is_the_median_of_those_of_the_rounds_in_which_both_ran() -> None:
    cells = [_cell("plain", seconds, round=turn) for turn, seconds in enumerate([20.0, 90.0, 40.0])]
    cells += [_cell("raygrid", seconds, round=turn) for turn, seconds in enumerate([10.0, 10.0, 10.0])]
    cells += [_cell("plain", 1000.0, run="sunday")]
    found = ratio(cells, "A", "plain", "raygrid")
    assert found is not None
    assert (found.value, found.same_run) == (4.0, True)


def test_a_ratio_of_different_runs_says_so_and_one_without_a_time_is_none() -> None:
    cells = [_cell("plain", 30.0), _cell("raygrid", 10.0, run="tuesday"), _cell("optuna", None)]
    found = ratio(cells, "A", "plain", "raygrid")
    assert found is not None
    assert (found.value, found.same_run) == (3.0, False)
    assert ratio(cells, "A", "optuna", "raygrid") is None


def test_the_fastest_peer_is_one_that_has_a_time() -> None:
    cells = [_cell("raygrid", 1.0), _cell("plain", 2.0), _cell("optuna", None), _cell("scikeras", 9.0)]
    assert best_of(cells, "A", PEERS) == "scikeras"
    assert best_of(cells, "B", PEERS) is None


def test_val_losses_are_compared_on_the_points_that_both_ran() -> None:
    sample = _cell("plain", 1.0, val_losses={1: 0.2, 2: 0.5, 7: 9.0})
    assert median_difference(_cell("raygrid", 1.0), sample) == pytest.approx(0.25)
    assert median_difference(_cell("raygrid", 1.0, val_losses={5: 1.0}), sample) is None


def test_a_cell_comes_back_from_json_equal() -> None:
    cell = _cell("raygrid", 2.0)
    assert Cell.from_json(json.loads(json.dumps(dataclasses.asdict(cell)))) == cell


def test_the_text_marks_what_is_extrapolated_what_failed_and_what_is_of_another_run() -> None:
    text = "\n".join(
        as_markdown(
            [
                _cell("raygrid", 10.0, grid="C", points_run=288, points=288),
                _cell("plain", 999.0, grid="C", points_run=12, points=288),
                _cell("scikeras", 50.0, grid="C", run="sunday"),
                _cell("optuna", None, grid="C"),
            ]
        )
    )
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "| 999* | 99.9x |" in rows["plain"]
    assert "| 5.0x† |" in rows["scikeras"]
    assert "| failed |" in rows["optuna"]
    assert "sample of 12 of 288 points" in text
    assert "measured in different runs" in text
    assert "| C | plain | 99.9x | 15x | yes |" in text


def test_every_competitor_has_its_script() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks" / "peers").iterdir()}
    assert {competitor.script for competitor in COMPETITORS.values()} <= scripts
