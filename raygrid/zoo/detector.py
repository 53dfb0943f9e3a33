"""Fault detection: an autoencoder, and the reconstruction error above which a row is an alarm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from raygrid.base.arguments import whole_number
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.column_names import kept_names, names_of
from raygrid.errors import RESTORE, ArgumentError, CorruptArtifactError, MissingArtifactError
from raygrid.zoo.autoencoder import Autoencoder, row_scores
from raygrid.zoo.fault_detection import alarm_threshold, check_quantile, is_alarm

if TYPE_CHECKING:
    from raygrid.search.run import SearchRun


_ARTIFACT = "detector"
_FORMAT = 1


class Alarm(NamedTuple):
    """A row that raised an alarm.

    Attributes:
        row: its number in ``X``.
        score: its reconstruction error.
        features: names and shares of the error, the largest first.
    """

    row: int
    score: float
    features: tuple[tuple[str, float], ...]


class AutoencoderDetector(Autoencoder):
    """Learns normal rows, and calls a row an alarm that it cannot reproduce.

    The score of a row is the mean over its features of the squared reconstruction error, in scaled units. The threshold
    is a quantile of the scores of the validation rows, which should be normal and not close copies of training rows; it
    is published with the model, in ``{prefix}_detector.json``. Sample weights do not enter it. Another quantile
    publishes the saved model anew, without training.

    Args:
        model_dir, cache_prefix, verbose: see ``GridSearchModel``.
        quantile: between 0 and 1: the fraction of the validation rows that raise no alarm, or more.
        settings: see ``GridSearchModel``.

    Raises:
        ArgumentError: ``quantile`` is outside (0, 1).
    """

    EXTRA_ARTIFACTS: ClassVar[tuple[str, ...]] = (_ARTIFACT,)

    def __init__(
        self,
        model_dir: str | Path = "models",
        cache_prefix: str = "model",
        verbose: int = 1,
        *,
        quantile: float = 0.99,
        **settings: Any,
    ) -> None:
        super().__init__(model_dir, cache_prefix, verbose, **settings)
        self.fitted_quantile = check_quantile(quantile)
        self.fitted_threshold: float | None = None

    @property
    def quantile(self) -> float:
        """The quantile of the validation scores at which the threshold lies."""
        return self.fitted_quantile

    @property
    def threshold(self) -> float:
        """The score above which a row is an alarm.

        Raises:
            NotFittedError: neither ``fit`` nor ``load`` was called.
            MissingArtifactError: the published model has no threshold.
        """
        published = self.published
        if self.fitted_threshold is None:
            path = published.paths.extra_path(_ARTIFACT)
            raise MissingArtifactError(
                f"{path} is not part of the published model, which was made by another class or program.",
                remedy="To train a detector, $train_anew; or use $another_prefix.",
            )
        return self.fitted_threshold

    def detect(self, X: object) -> npt.NDArray[np.bool_]:
        """Whether each row is an alarm: its score is above the threshold. Shape (rows,)."""
        return is_alarm(self.anomaly_scores(X), self.threshold)

    def contributions(self, X: object) -> npt.NDArray[np.float32]:
        """Each feature's share of the error of its row.

        Returns:
            float32, shape (rows, features), columns in the order of ``X``. A row adds up to 1, or is 0 where there is
            no error.
        """
        return _shares(self.reconstruction_errors(X))

    def alarm_features(self, X: object, feature_names: Sequence[str] | None = None, top: int = 3) -> list[Alarm]:
        """The alarms among the rows of ``X``, each with the features that carry most of its error.

        Args:
            X: inputs in original units, rows first.
            feature_names: one for each feature, in the order of ``X``; None: the names of its columns, or else those
                that were trained on, or else ``feature 0`` and on.
            top: how many features are named.

        Raises:
            ArgumentError: ``top`` is below 1, or there is another number of names than of features.
        """
        top = whole_number("top", top, 1)
        threshold = self.threshold
        errors = self.reconstruction_errors(X)
        width = errors.shape[1]
        names = self._feature_names(X, width) if feature_names is None else list(feature_names)
        if len(names) != width:
            raise ArgumentError(
                f"feature_names holds {counted(len(names), 'name')}, and X has {counted(width, 'feature')}.",
                remedy="Pass one name per feature.",
            )
        scores = row_scores(errors)
        rows = np.flatnonzero(is_alarm(scores, threshold))
        shares = _shares(errors[rows])
        order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        return [
            Alarm(int(row), float(scores[row]), tuple((names[i], float(share[i])) for i in largest))
            for row, share, largest in zip(rows, shares, order, strict=True)
        ]

    def _feature_names(self, X: object, width: int) -> list[str]:
        names = kept_names(names_of("X", X)) or self.published.manifest.column_names.get("x_train")
        return list(names) if names else [f"feature {i}" for i in range(width)]

    def extra_artifacts(self, run: SearchRun) -> dict[str, Any]:
        scores = self.anomaly_scores(run.data.x_val)
        values = {
            _ARTIFACT: {
                "format": _FORMAT,
                "threshold": alarm_threshold(scores, self.fitted_quantile),
                "quantile": self.fitted_quantile,
                "validation_rows": len(scores),
            }
        }
        self.take_extra_artifacts(values)
        return values

    def take_extra_artifacts(self, values: Mapping[str, Any]) -> None:
        saved = values.get(_ARTIFACT)
        self.fitted_threshold = None
        if saved is None:
            return
        threshold, quantile = _number(saved, "threshold"), _number(saved, "quantile")
        if threshold is None or quantile is None:
            raise CorruptArtifactError(
                f"{self._get_artifacts().extra_path(_ARTIFACT)} is damaged: it has no finite threshold and quantile.",
                remedy=RESTORE,
            )
        self.fitted_threshold, self.fitted_quantile = threshold, quantile

    def request_extras(self) -> dict[str, Any]:
        return {"quantile": self.fitted_quantile}


def _number(saved: object, name: str) -> float | None:
    value = saved.get(name) if isinstance(saved, Mapping) else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _shares(errors: Array) -> npt.NDArray[np.float32]:
    total = errors.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.divide(errors, total, out=np.zeros(errors.shape), where=total > 0)
    return np.asarray(shares, dtype=np.float32)
