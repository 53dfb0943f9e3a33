"""Thresholds, detection rates, and PCA as the yardstick."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from raygrid.datasets import load_tep
from raygrid.errors import ArgumentError, DataError
from raygrid.zoo.fault_detection import (
    Detection,
    QStatistic,
    alarm_threshold,
    check_quantile,
    detect_faults,
    detection_table,
    is_alarm,
)


@pytest.mark.parametrize("rows", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("quantile", [0.001, 0.5, 0.99, 0.999])
def test_the_threshold_is_a_score_that_at_most_the_rest_of_the_rows_exceed(rows: int, quantile: float) -> None:
    scores = np.random.default_rng(rows).random(rows)
    threshold = alarm_threshold(scores, quantile)
    assert threshold in scores
    assert np.mean(is_alarm(scores, threshold)) <= 1 - quantile
    lower = np.sort(scores)[np.sort(scores) < threshold]
    assert not len(lower) or np.mean(scores > lower[-1]) + 1 / rows > 1 - quantile


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 1.5, math.nan, math.inf, True, "0.9", None])
def test_a_quantile_outside_0_and_1_is_refused(quantile: Any) -> None:
    with pytest.raises(ArgumentError, match=r"between 0 and 1, both excluded, such as 0\.99"):
        check_quantile(quantile)
    with pytest.raises(ArgumentError, match="quantile is"):
        alarm_threshold(np.ones(3), quantile)


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [math.inf]])
def test_no_threshold_is_set_on_scores_that_are_not_numbers(scores: list[float]) -> None:
    with pytest.raises(DataError, match="finite scores"):
        alarm_threshold(np.array(scores), 0.99)


def test_a_score_that_is_not_a_number_is_an_alarm() -> None:
    assert is_alarm(np.array([0.5, 1.0, 1.5, math.nan, math.inf]), 1.0).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(("variance", "count"), [(0.3, 1), (0.5, 2), (0.75, 2), (0.85, 3)])
def test_pca_takes_the_fewest_components_that_hold_the_variance(variance: float, count: int) -> None:
    # Uncorrelated columns, two of them twice: components of 40, 40 and 20 % of the variance.
    normal = np.random.default_rng(0).normal(size=(100, 3))
    a, b, c = np.linalg.qr(normal - normal.mean(axis=0))[0].T
    assert len(QStatistic.fit(np.column_stack([a, a, b, b, c]), variance).components) == count


def test_the_q_statistic_is_the_squared_distance_from_the_plane_of_the_components() -> None:
    along = np.random.default_rng(1).normal(size=1000)
    x = np.column_stack([along, 3 * along + 5, np.full(1000, 7.0)]).astype(np.float32)
    pca = QStatistic.fit(x, 0.85)
    assert len(pca.components) == 1
    np.testing.assert_allclose(pca.anomaly_scores(x), 0, atol=1e-9)
    # In scaled units the line is the diagonal of the first two features; the third is constant and has scale 1.
    mean, scale = pca.scaler.mean.astype(float), pca.scaler.scale.astype(float)
    off_the_line = (mean + scale * np.array([2.0, -2.0, 0.5]))[None]
    np.testing.assert_allclose(pca.anomaly_scores(off_the_line), [2**2 + 2**2 + 0.5**2], rtol=1e-5)


def test_pca_refuses_what_it_cannot_be_fitted_on() -> None:
    with pytest.raises(DataError, match="none of the features varies"):
        QStatistic.fit(np.ones((10, 2), np.float32))
    for variance in (0.0, 1.0):
        with pytest.raises(ArgumentError, match="variance is"):
            QStatistic.fit(np.eye(3, dtype=np.float32), variance)


def test_rates_are_fractions_of_each_faults_own_rows() -> None:
    found = detect_faults(
        np.arange(101.0),
        np.array([0.0, 99.5, 98.0, 1000.0, 99.2, 100.0, 5.0]),
        np.array([0, 0, 0, 4, 4, 7, 7]),
        quantile=0.99,
    )
    assert found.threshold == 99.0
    assert found.rates == {4: 1.0, 7: 0.5}
    assert found.average == 0.75
    assert found.false_alarms == pytest.approx(1 / 3)


def test_every_fault_counts_alike_however_long_its_run_is() -> None:
    fault = np.array([1] * 99 + [2])
    scores = np.where(fault == 1, 2.0, 0.0)
    assert detect_faults(np.ones(10), scores, fault).average == 0.5


def test_without_normal_test_rows_nothing_is_said_of_false_alarms() -> None:
    found = detect_faults(np.ones(3), np.ones(2), np.array([1, 2]))
    assert math.isnan(found.false_alarms)
    assert detection_table({"PCA": found}).splitlines()[-1].split() == ["false", "alarms", "-"]


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match=r"scores_test has shape \(3,\) and fault \(2,\)"):
        detect_faults(np.ones(3), np.ones(3), np.array([0, 1]))
    with pytest.raises(DataError, match="no fault to detect"):
        detect_faults(np.ones(3), np.ones(2), np.array([0, 0]))


def test_the_table_shows_detectors_side_by_side_and_says_which_finds_more() -> None:
    table = detection_table(
        {
            "autoencoder": Detection(1.0, 0.99, {1: 1.0, 12: 0.25}, 0.011),
            "PCA": Detection(2.0, 0.99, {1: 0.5, 12: 0.5}, 0.03),
        }
    )
    assert table == "\n".join(
        [
            "detection rate in %, threshold at the 0.99 quantile of validation scores",
            "       fault  autoencoder   PCA",
            "           1        100.0  50.0",
            "          12         25.0  50.0",
            "     average         62.5  50.0",
            "false alarms          1.1   3.0",
            "On average autoencoder finds 12.5 points more than PCA.",
        ]
    )


@pytest.mark.parametrize(
    ("first", "closing"), [(0.4, "finds 10.0 points less than b."), (0.5, "finds as many as b."), (0.51, "1.0 points")]
)
def test_the_table_is_honest_about_who_finds_less(first: float, closing: str) -> None:
    found = {"a": Detection(1.0, 0.99, {1: first}, 0.0), "b": Detection(1.0, 0.99, {1: 0.5}, 0.0)}
    assert closing in detection_table(found).splitlines()[-1]


def test_detectors_of_different_faults_do_not_share_a_table() -> None:
    for detections in ({}, {"a": Detection(1.0, 0.99, {1: 1.0}, 0.0), "b": Detection(1.0, 0.99, {2: 1.0}, 0.0)}):
        with pytest.raises(ArgumentError, match="same test rows"):
            detection_table(detections)


def test_pca_finds_two_thirds_of_the_faults_of_the_embedded_data() -> None:
    data = load_tep()
    pca = QStatistic.fit(data.X_train)
    found = detect_faults(pca.anomaly_scores(data.X_val), pca.anomaly_scores(data.X_test), data.fault)
    assert list(found.rates) == list(range(1, 21))
    assert found.average == pytest.approx(0.669, abs=0.002)
    assert found.false_alarms == pytest.approx(0.031, abs=0.002)
    assert {number for number, rate in found.rates.items() if rate < 0.03} == {3, 5, 9, 15}
