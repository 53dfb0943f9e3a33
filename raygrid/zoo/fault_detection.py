"""Faults found at a fixed rate of false alarms: scores to detection rates, and PCA as the yardstick. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raygrid.base.arguments import fraction
from raygrid.base.types import Array, Float64Array
from raygrid.data.scaler import StandardScaler
from raygrid.errors import ArgumentError, DataError

NORMAL = 0


def check_quantile(quantile: object) -> float:
    """``quantile`` if a threshold can be set at it.

    Raises:
        ArgumentError: it is not a number between 0 and 1, both excluded.
    """
    hint = "such as 0.99: the fraction of normal rows that raise no alarm"
    return fraction("quantile", quantile, hint)


def alarm_threshold(scores: Array, quantile: float) -> float:
    """The score above which a row is an alarm: a quantile of the scores of normal rows that were not trained on.

    Of numpy's definitions of a quantile this is ``"higher"``: the threshold is one of the scores, so at most
    ``1 - quantile`` of these rows lie above it.

    Raises:
        ArgumentError: ``quantile`` is outside (0, 1).
        DataError: no scores, or some that are not finite.
    """
    quantile = check_quantile(quantile)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise DataError(
            f"a threshold needs finite scores, and of {scores.size} there are {int(np.isfinite(scores).sum())} finite.",
            remedy="Pass the scores of normal rows.",
        )
    return float(np.quantile(scores, quantile, method="higher"))


def is_alarm(scores: Array, threshold: float) -> npt.NDArray[np.bool_]:
    """Which scores are above the threshold; a score that is not a number is an alarm, too."""
    return ~np.less_equal(scores, threshold)


@dataclass(frozen=True, eq=False)
class QStatistic:
    """The squared prediction error of a row under PCA, the standard yardstick of process monitoring.

    J. E. Jackson and G. S. Mudholkar, "Control Procedures for Residuals Associated With Principal Component Analysis",
    Technometrics 21(3), 1979. Their control limit assumes normal data; here a quantile of validation scores takes its
    place, as for any other detector.

    Attributes:
        scaler: brings rows to mean 0 and standard deviation 1.
        components: float64, shape (components, features): orthonormal rows, those of the largest variance first.
    """

    scaler: StandardScaler
    components: Float64Array

    @classmethod
    def fit(cls, X_train: Array, variance: float = 0.85) -> QStatistic:
        """Takes the fewest principal components of the scaled rows that hold ``variance`` of their variance.

        Args:
            X_train: normal rows, shape (rows, features).
            variance: a fraction, above 0 and below 1.

        Raises:
            ArgumentError: ``variance`` is outside (0, 1).
            DataError: see ``StandardScaler.fit``; or no feature varies.
        """
        variance = fraction("variance", variance, "such as 0.85")
        scaler = StandardScaler.fit(X_train)
        scaled = scaler.transform(X_train).astype(np.float64)
        variances, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        held = np.cumsum(np.maximum(variances[::-1], 0.0))
        if held[-1] == 0.0:
            raise DataError(
                "none of the features varies, so there is nothing to monitor.",
                remedy="Pass rows in which at least one feature takes different values.",
            )
        count = int(np.searchsorted(held, variance * held[-1])) + 1
        return cls(scaler, vectors[:, ::-1].T[:count])

    def anomaly_scores(self, X: Array) -> Float64Array:
        """The sum over features of the squared residual of each row, float64, shape (rows,), in scaled units.

        Raises:
            DataError: another number of features than was fitted on.
        """
        scaled = self.scaler.transform(X).astype(np.float64)
        residual = scaled - (scaled @ self.components.T) @ self.components
        return np.asarray(np.square(residual).sum(axis=1))


@dataclass(frozen=True)
class Detection:
    """What a detector finds in test rows.

    Attributes:
        threshold: rows whose score is above it are alarms.
        quantile: of the validation scores, at which the threshold lies.
        rates: for each fault, the fraction of its rows that are alarms.
        false_alarms: the fraction of the normal test rows that are alarms; NaN if there are none.
    """

    threshold: float
    quantile: float
    rates: Mapping[int, float]
    false_alarms: float

    @property
    def average(self) -> float:
        """The mean of ``rates``: every fault counts alike, however long its run is."""
        return float(np.mean(list(self.rates.values())))


def detect_faults(scores_val: Array, scores_test: Array, fault: Array, quantile: float = 0.99) -> Detection:
    """Detection rate for each fault, at a threshold that validation data alone decides.

    Args:
        scores_val: scores of normal rows that were not trained on, shape (rows,).
        scores_test: scores of the test rows, shape (test rows,).
        fault: for each test row the number of its fault, 0 for a normal row.
        quantile: 0.99 allows 1 % false alarms on the validation rows.

    Raises:
        ArgumentError: ``quantile`` is outside (0, 1).
        DataError: arrays that do not belong together, or no row with a fault.
    """
    threshold = alarm_threshold(scores_val, quantile)
    if scores_test.shape != fault.shape:
        raise DataError(
            f"scores_test has shape {scores_test.shape} and fault {fault.shape}.", remedy="Pass one fault per score."
        )
    faults = [int(number) for number in np.unique(fault) if number != NORMAL]
    if not faults:
        raise DataError(
            "fault is 0 in every row, so there is no fault to detect.", remedy="Pass test rows with faults."
        )
    alarms = is_alarm(scores_test, threshold)
    normal = alarms[fault == NORMAL]
    return Detection(
        threshold=threshold,
        quantile=float(quantile),
        rates={number: float(alarms[fault == number].mean()) for number in faults},
        false_alarms=float(normal.mean()) if normal.size else float("nan"),
    )


def detection_table(detections: Mapping[str, Detection]) -> str:
    """Detectors side by side, in percent: a line for each fault, their average, and the false alarms on normal rows.

    Args:
        detections: name of each detector to what it found in the same test rows; the first is compared with the others
            in the closing lines.

    Raises:
        ArgumentError: none, or detectors that were tried on different faults.
    """
    if not detections or len({tuple(found.rates) for found in detections.values()}) != 1:
        raise ArgumentError(
            "detection_table needs one detector or more, all tried on the same test rows.",
            remedy="Pass what detect_faults returns for each detector, each time of the same test rows.",
        )
    first = next(iter(detections.values()))
    rows = [("fault", *detections)]
    rows += [(str(number), *(_percent(d.rates[number]) for d in detections.values())) for number in first.rates]
    rows.append(("average", *(_percent(found.average) for found in detections.values())))
    rows.append(("false alarms", *(_percent(found.false_alarms) for found in detections.values())))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = f"detection rate in %, threshold at the {first.quantile:g} quantile of validation scores"
    return "\n".join([head, *lines, *_comparison(detections)])


def _comparison(detections: Mapping[str, Detection]) -> list[str]:
    (name, first), *others = detections.items()
    lines = []
    for other, found in others:
        points = 100 * (first.average - found.average)
        relation = "more than" if points >= 0.05 else "less than" if points <= -0.05 else "as many as"
        amount = "" if relation == "as many as" else f"{abs(points):.1f} points "
        lines.append(f"On average {name} finds {amount}{relation} {other}.")
    return lines


def _percent(fraction: float) -> str:
    return "-" if np.isnan(fraction) else f"{100 * fraction:.1f}"
