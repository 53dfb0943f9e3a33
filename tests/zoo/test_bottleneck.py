"""Which bottlenecks are tried, and where a curve of losses bends."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raygrid.errors import ArgumentError
from raygrid.zoo.bottleneck import bottleneck_range, elbow_curve, elbow_point


def test_the_range_runs_from_a_sixteenth_of_the_width_to_a_half_in_equal_ratios() -> None:
    assert bottleneck_range(512) == (32, 49, 74, 111, 169, 256)
    assert bottleneck_range(52) == (3, 5, 7, 11, 17, 26)
    assert bottleneck_range(64, count=3) == (4, 11, 32)


def test_every_bottleneck_is_distinct_and_narrower_than_its_input() -> None:
    for width in range(2, 200):
        units = bottleneck_range(width)
        assert list(units) == sorted(set(units))
        assert (units[0], units[-1]) == (max(1, width // 16), width // 2)
        assert all(type(n) is int for n in units)


@pytest.mark.parametrize(
    ("width", "count", "found"), [(1, 6, "width is 1"), (0, 6, "width is 0"), (52, 1, "count is 1")]
)
def test_a_range_that_cannot_be_is_refused(width: int, count: int, found: str) -> None:
    with pytest.raises(ArgumentError, match=found):
        bottleneck_range(width, count)


def test_the_elbow_is_where_a_falling_line_becomes_flat() -> None:
    assert elbow_point([1, 2, 3, 4, 8, 16], [10.0, 7.0, 4.0, 1.0, 0.9, 0.8]) == 4


def test_the_elbow_of_a_hyperbola_is_where_its_slope_is_that_of_the_chord() -> None:
    # 1/x on [1, 9]: the slope of the chord is -1/9, which 1/x has at x = 3.
    sizes = list(range(1, 10))
    assert elbow_point(sizes, [1 / size for size in sizes]) == 3


def test_neither_units_nor_the_order_of_the_sizes_move_the_elbow() -> None:
    sizes, losses = np.array([2, 4, 8, 16, 32]), np.array([0.9, 0.4, 0.2, 0.17, 0.15])
    expected = elbow_point(list(sizes), list(losses))
    assert expected == 8
    assert elbow_point(list(1000 * sizes), list(1e-6 * losses + 5)) == 8000
    assert elbow_point(list(sizes[::-1]), list(losses[::-1])) == expected
    shuffled = [3, 0, 4, 2, 1]
    assert elbow_point(list(sizes[shuffled]), list(losses[shuffled])) == expected


@pytest.mark.parametrize(
    "losses",
    [[0.4, 0.3, 0.2, 0.1], [1.0, 1.0, 1.0, 1.0], [1.0, 0.95, 0.8, 0.0]],
    ids=["straight", "flat", "ever steeper"],
)
def test_a_curve_that_does_not_bend_upwards_has_no_elbow(losses: list[float]) -> None:
    assert elbow_point([10, 20, 30, 40], losses) is None


def test_a_bump_above_the_chord_is_no_elbow() -> None:
    # The bump at 20 is farther from the chord than the bend at 30.
    assert elbow_point([10, 20, 30, 40], [1.0, 2.0, 0.1, 0.0]) == 30


@pytest.mark.parametrize(
    ("sizes", "losses", "found"),
    [
        ([1, 2], [1.0, 0.5], "2 sizes has no elbow"),
        ([1, 2, 3], [1.0, 0.5], "sizes holds 3 numbers and losses holds 2"),
        ([], [], "sizes holds 0 numbers and losses holds 0"),
        ([1, 2, 2], [1.0, 0.5, 0.4], "repeats a value"),
        ([1, 2, 3], [1.0, float("nan"), 0.4], "finite"),
    ],
)
def test_what_is_no_curve_is_refused(sizes: list[int], losses: list[float], found: str) -> None:
    with pytest.raises(ArgumentError, match=found):
        elbow_point(sizes, losses)


RESULTS = pa.table(
    {
        "status": ["done", "done", "failed", "done", "done"],
        "val_loss": [0.5, 0.2, None, 0.4, 0.9],
        "config.latent_dim": [8, 4, 2, 8, 4],
        "config.activation": ["relu", "relu", "relu", "selu", "selu"],
    }
)


def test_the_curve_of_a_search_holds_the_lowest_loss_of_each_size() -> None:
    assert elbow_curve(RESULTS) == ([4, 8], [0.2, 0.4])


def test_a_curve_over_what_is_no_number_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'activation' has the value 'relu'"):
        elbow_curve(RESULTS, "activation")
    with pytest.raises(ArgumentError, match=r"no hyperparameter 'units'.*latent_dim, activation"):
        elbow_curve(RESULTS, "units")
