"""Where windows begin, which windows are refused, and how windows become rows again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raygrid.data.training_data import prepare_data
from raygrid.data.windows import check_window_configs, run_bounds, run_numbers, window_starts
from raygrid.errors import DataError, GridError
from raygrid.training.window_prediction import reproduce_rows

SERIES = {"X_train": (None, 20), "X_val": (None, 10)}


def runs_of(*lengths: int) -> np.ndarray[Any, Any]:
    return run_numbers(np.repeat(np.arange(len(lengths)), lengths))


def test_run_ids_of_any_type_become_numbers_in_order_of_the_rows() -> None:
    assert run_numbers(np.array(["b", "b", "a", "a", "a"])).tolist() == [0, 0, 1, 1, 1]
    assert run_numbers(np.array([7.5, 7.5, 3.0])).tolist() == [0, 0, 1]
    assert run_numbers(np.array([])).tolist() == []


def test_an_id_that_comes_back_later_begins_a_new_run() -> None:
    assert run_numbers(np.array([1, 1, 2, 2, 1])).tolist() == [0, 0, 1, 1, 2]


def test_rows_without_ids_are_one_run() -> None:
    assert run_bounds(None, 5) == [(0, 5)]
    assert run_bounds(runs_of(2, 3), 5) == [(0, 2), (2, 5)]
    assert run_bounds(runs_of(1), 1) == [(0, 1)]


@pytest.mark.parametrize("window", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_windows_are_exactly_those_that_lie_in_one_run(window: int, stride: int) -> None:
    lengths = (5, 9, 1, 6)
    runs = runs_of(*lengths)
    expected = []
    for run in range(len(lengths)):
        rows = np.flatnonzero(runs == run)
        expected += [int(row) for row in rows[::stride] if row + window <= rows[-1] + 1]
    starts = window_starts(runs, sum(lengths), window, stride)
    assert starts.dtype == np.int64
    assert starts.tolist() == expected
    for start in starts:
        assert len(set(runs[start : start + window])) == 1


def test_a_window_as_long_as_its_run_is_one_window_and_a_longer_one_is_none() -> None:
    assert window_starts(None, 8, 8, 1).tolist() == [0]
    assert window_starts(None, 8, 9, 1).tolist() == []


def test_a_window_that_fits_every_run_is_accepted() -> None:
    runs = runs_of(8, 12)
    check_window_configs("Model", [{"window": 8, "stride": 30}], {"X_train": (runs, 20), "X_val": (None, 8)})


def test_a_window_longer_than_a_run_is_refused_with_the_run_and_its_length() -> None:
    with pytest.raises(DataError, match=r"window of 9 rows is longer than a run of X_train: rows 12 to 19, 8 rows"):
        check_window_configs(
            "Model",
            [{"window": 4, "stride": 1}, {"window": 9, "stride": 1}],
            {"X_train": (runs_of(12, 8), 20), "X_val": (None, 30)},
        )


def test_a_window_longer_than_the_validation_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"window of 11 rows is longer than a run of X_val: rows 0 to 9, 10 rows"):
        check_window_configs("Model", [{"window": 11, "stride": 1}], SERIES)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "8"])
@pytest.mark.parametrize("name", ["window", "stride"])
def test_a_window_or_stride_that_is_no_number_of_rows_is_refused(name: str, value: object) -> None:
    with pytest.raises(GridError, match=rf"^{name} is {value!r}. It must be a whole number of rows, of at least 1\.$"):
        check_window_configs("Model", [{"window": 4, "stride": 2}, {"window": 4, "stride": 2, name: value}], SERIES)


@pytest.mark.parametrize("name", ["window", "stride"])
def test_configs_without_window_or_stride_are_refused_with_the_fix(name: str) -> None:
    config = {"window": 4, "stride": 2}
    del config[name]
    with pytest.raises(GridError, match=rf"Model learns windows, but its configs have no '{name}'\. Add it to DEFAULT"):
        check_window_configs("Model", [config], SERIES)


def test_a_split_cuts_the_run_ids_with_the_rows() -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    data = prepare_data(rows, run_ids=list("aaabbbbbbb"), validation_split=0.4)
    assert data.runs_train is not None and data.runs_val is not None
    assert run_bounds(data.runs_train, 6) == [(0, 3), (3, 6)]
    assert run_bounds(data.runs_val, 4) == [(0, 4)]
    # So no window has rows of both sides.
    assert window_starts(data.runs_train, len(data.x_train), 3, 1).tolist() == [0, 3]


class FakeModel:
    """Gives back what ``output`` makes of the windows; remembers how many came at once."""

    def __init__(self, output: Callable[[np.ndarray[Any, Any]], Any] = lambda windows: windows) -> None:
        self.output = output
        self.blocks: list[int] = []

    def predict_on_batch(self, windows: np.ndarray[Any, Any]) -> Any:
        self.blocks.append(len(windows))
        return self.output(windows)


def test_a_row_is_the_mean_over_all_windows_that_hold_it() -> None:
    x = np.zeros((9, 2), np.float32)
    model = FakeModel(lambda w: np.broadcast_to(np.arange(w.shape[1])[:, None], w.shape))
    rows = reproduce_rows(model, x, runs_of(5, 4), 3)
    # By hand: the places that a row has in the windows 0-1-2, 1-2-3, 2-3-4 and 5-6-7, 6-7-8.
    expected = [0, (1 + 0) / 2, (2 + 1 + 0) / 3, (2 + 1) / 2, 2, 0, (1 + 0) / 2, (2 + 1) / 2, 2]
    np.testing.assert_array_equal(rows, np.repeat(np.float32(expected)[:, None], 2, axis=1))
    assert rows.dtype == np.float32


@pytest.mark.parametrize("shape", [(2500, 3), (2500, 2, 2)])
def test_a_model_that_gives_back_its_windows_gives_back_the_series(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = FakeModel()
    assert reproduce_rows(model, x, runs_of(1000, 20, 1480), 20).tobytes() == x.tobytes()
    assert len(model.blocks) > 1 and sum(model.blocks) == 981 + 1 + 1461


def test_a_series_is_reproduced_without_holding_all_its_windows() -> None:
    x = np.zeros((20_000, 50), np.float32)  # 4 MB; its windows of 200 rows: 800 MB
    tracemalloc.start()
    try:
        reproduce_rows(FakeModel(), x, None, 200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6


def test_a_window_longer_than_a_run_cannot_reproduce_it() -> None:
    with pytest.raises(DataError, match=r"window of 5 rows is longer than a run of X: rows 6 to 9, 4 rows"):
        reproduce_rows(FakeModel(), np.zeros((10, 2), np.float32), runs_of(6, 4), 5)
