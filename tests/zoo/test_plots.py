"""Pictures: what is drawn in them, and what is said where they cannot be drawn."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raygrid.errors import ArgumentError, DataError, MissingExtraError
from raygrid.zoo.plots import plot_elbow_curve, plot_residual_fit, plot_residual_series

ACTUAL = np.array([0.1, 0.4, 0.2, 3.0], dtype=np.float32)
PREDICTED = np.array([0.2, 0.3, 0.2, 2.0], dtype=np.float32)

PLOTS: list[Callable[[], Any]] = [
    lambda: plot_elbow_curve([4, 8, 16], [1.0, 0.2, 0.1]),
    lambda: plot_residual_fit(ACTUAL, PREDICTED),
    lambda: plot_residual_series(ACTUAL, PREDICTED),
]
NAMES = ["elbow", "fit", "series"]


def drawn(figure: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Label to x and y of each line of a figure."""
    (axes,) = figure.axes
    lines = ((line.get_label(), line.get_data()) for line in axes.get_lines())
    return {label: (np.asarray(x).tolist(), np.asarray(y).tolist()) for label, (x, y) in lines}


@pytest.mark.parametrize("plot", PLOTS, ids=NAMES)
def test_without_matplotlib_the_error_names_the_pip_command(plot: Callable[[], Any], monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'raygrid\[plot\]'"):
        plot()


@pytest.mark.parametrize("plot", PLOTS, ids=NAMES)
def test_a_figure_is_saved_without_a_display_and_without_pyplot(plot: Callable[[], Any], monkeypatch: Any) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    picture = io.BytesIO()
    plot().savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")


def test_the_elbow_curve_is_sorted_and_marks_its_elbow() -> None:
    pytest.importorskip("matplotlib")
    figure = plot_elbow_curve([16, 4, 8], [0.1, 1.0, 0.2])
    lines = drawn(figure)
    assert lines["lowest val_loss"] == ([4, 8, 16], [1.0, 0.2, 0.1])
    assert lines["chord"] == ([4, 16], [1.0, 0.1])
    assert lines["elbow: 8"] == ([8], [0.2])
    assert figure.axes[0].get_xlabel() == "latent units"


def test_a_curve_without_an_elbow_is_drawn_without_a_mark() -> None:
    pytest.importorskip("matplotlib")
    assert set(drawn(plot_elbow_curve([1, 2, 3], [0.3, 0.2, 0.1]))) == {"lowest val_loss", "chord"}


def test_the_fit_draws_every_row_and_a_diagonal_over_all_of_them() -> None:
    pytest.importorskip("matplotlib")
    lines = drawn(plot_residual_fit(ACTUAL, PREDICTED[:, None]))
    assert lines["rows"] == (ACTUAL.tolist(), PREDICTED.tolist())
    low, high = float(ACTUAL.min()), float(ACTUAL.max())
    assert lines["equal"] == ([low, high], [low, high])


def test_the_series_draws_the_student_only_where_it_is_given() -> None:
    pytest.importorskip("matplotlib")
    assert drawn(plot_residual_series(ACTUAL)) == {"teacher": ([0, 1, 2, 3], ACTUAL.tolist())}
    assert drawn(plot_residual_series(ACTUAL, PREDICTED))["student"][1] == PREDICTED.tolist()


@pytest.mark.parametrize("plot", [plot_residual_fit, plot_residual_series])
def test_residuals_that_do_not_fit_together_are_refused(plot: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(DataError, match="actual has 4 rows and predicted has 3"):
        plot(ACTUAL, PREDICTED[:3])
    with pytest.raises(DataError, match=r"predicted has shape \(2, 2\)"):
        plot(ACTUAL, PREDICTED.reshape(2, 2))
    with pytest.raises(DataError, match=r"actual .* NaN"):
        plot([0.1, np.nan, 0.2, 0.3], PREDICTED)


def test_a_curve_of_two_sizes_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no elbow"):
        plot_elbow_curve([4, 8], [1.0, 0.2])
