"""Scaling of features to zero mean and unit variance, and its JSON form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.types import Array, Float32Array
from raygrid.base.wording import counted, did_you_mean
from raygrid.errors import RESTORE, ArgumentError, CorruptArtifactError, DataError, VersionError

# Format 1 has mean and scale in float32, and its models were trained on values that had been rounded to float32.
_FLOAT32_FORMAT, _FORMAT = 1, 2
# The step between neighbouring float32 numbers, as a part of the scale, from which on original units are float64.
_COARSE = 1e-3
# Blocks are computed in float64, so a block and its temporaries stay at a few MiB.
_BLOCK_VALUES = 2**18
_KINDS = ("standard",)
_MEAN_NAMES = ("mean", "mean_")
_SCALE_NAMES = ("scale", "scale_", "std", "std_")


@dataclass(frozen=True, eq=False)
class StandardScaler:
    """Scales each feature (the last axis) to zero mean and unit variance, in float64, and gives float32.

    Attributes:
        mean: float64, shape (features,), in original units. float32, as ``scale`` then is, of a model that an earlier
            version trained: it rounds values to float32 before it scales them, as in that training.
        scale: float64, shape (features,), in original units, always above zero.
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, x: Array) -> StandardScaler:
        """Return the scaler of ``x``, of shape (rows, ..., features): population standard deviation.

        ``x`` may be of any real dtype; it is not cast as a whole.

        Sums run in float64 over blocks of rows: first the means, then the squares of the differences from
        them, with the correction for rounding of Chan, Golub and LeVeque (1983), "Algorithms for computing
        the sample variance". A constant feature gets scale 1, by the rule of scikit-learn's
        ``_is_constant_feature`` (``sklearn/preprocessing/_data.py``): a variance within its own rounding
        error counts as none.

        Raises:
            DataError: fewer than two axes, no values, values that are not finite, or whose squares are not.
        """
        if x.ndim < 2 or x.size == 0:
            raise DataError(
                f"A scaler cannot be fitted on shape {x.shape}.", remedy="Pass rows and features, at least one each."
            )
        width = x.shape[-1]
        count = x.size // width
        total = np.zeros(width, dtype=np.float64)
        for rows in _row_slices(x):
            total += x[rows].reshape(-1, width).sum(axis=0, dtype=np.float64)
        mean = total / count
        if not np.isfinite(mean).all():
            broken = int(np.count_nonzero(~np.isfinite(mean)))
            raise DataError(
                f"A scaler cannot be fitted: {broken} of {counted(width, 'feature')} hold NaN or infinity.",
                remedy="Drop these rows, or fill the values.",
            )
        squares = np.zeros(width, dtype=np.float64)
        rest = np.zeros(width, dtype=np.float64)
        for rows in _row_slices(x):
            difference = np.subtract(x[rows].reshape(-1, width), mean, dtype=np.float64)
            rest += difference.sum(axis=0)
            with np.errstate(over="ignore"):
                squares += np.square(difference, out=difference).sum(axis=0)
        if not np.isfinite(squares).all():
            raise DataError(
                f"A scaler cannot be fitted: {np.count_nonzero(~np.isfinite(squares))} of {width} features hold values "
                "whose squares are beyond float64.",
                remedy="Divide these features by a constant.",
            )
        variance = np.maximum(squares - rest**2 / count, 0.0) / count
        eps = np.finfo(np.float64).eps
        constant = variance <= count * eps * variance + (count * mean * eps) ** 2
        return cls(mean, np.where(constant, 1.0, np.sqrt(variance)))

    def transform(self, x: Array) -> Float32Array:
        """Return ``(x - mean) / scale`` as a new float32 array of the shape of ``x``, (rows, ..., features).

        Args:
            x: of any real dtype. NaN and infinity stay what they are.

        Raises:
            DataError: ``x`` has another number of features than the scaler, or a value that is too large for float32
                once it is scaled.
        """
        self._check_width(x)
        scaled = np.empty(x.shape, dtype=np.float32)
        mean, scale = self.mean.astype(np.float64), self.scale.astype(np.float64)
        with np.errstate(over="ignore"):
            for rows in _row_slices(x):
                values = x[rows].astype(np.float32) if self.mean.dtype == np.float32 else x[rows]
                scaled[rows] = (values - mean) / scale
                self._require_finite(x[rows], scaled[rows])
        return scaled

    def inverse_transform(self, x: Array) -> Array:
        """Return ``x * scale + mean`` as a new array of the shape of ``x``, (rows, ..., features).

        A value beyond the dtype that is given becomes infinity.

        Returns:
            float32. float64 where the step between float32 numbers, in the order of a feature's mean, is more than a
            thousandth of its scale, as for times since 1970: float32 would round away what the model says.

        Raises:
            DataError: ``x`` has another number of features than the scaler.
        """
        self._check_width(x)
        original = np.empty(x.shape, dtype=self._original_dtype())
        mean, scale = self.mean.astype(np.float64), self.scale.astype(np.float64)
        with np.errstate(over="ignore"):
            for rows in _row_slices(x):
                original[rows] = x[rows] * scale + mean
        return original

    def to_json(self) -> dict[str, Any]:
        """Return the scaler as JSON values; `from_json` gives it back bit for bit."""
        return {
            "format": _FLOAT32_FORMAT if self.mean.dtype == np.float32 else _FORMAT,
            "inputs": {"kind": "standard", "mean": self.mean.tolist(), "scale": self.scale.tolist()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], source: str) -> StandardScaler:
        """Read what `to_json` wrote, or the plain form of other implementations.

        The plain form is ``{"mean": [...], "scale": [...]}``. It may say ``std`` for ``scale``, and may
        end its names with an underscore.

        Args:
            data: the parsed JSON.
            source: the file it came from; it appears in every message.

        Raises:
            VersionError: written in a newer format.
            CorruptArtifactError: a field is missing, the lengths differ, a number is not finite, or a scale is not
                above zero.
        """
        own = isinstance(data, Mapping) and "format" in data
        fields = _own_fields(data, source) if own else data
        dtype: np.dtype[Any] = np.dtype(np.float32 if own and data["format"] == _FLOAT32_FORMAT else np.float64)
        if not isinstance(fields, Mapping):
            raise _corrupt(source, f"holds a {type(fields).__name__} where an object with mean and scale belongs")
        mean = _numbers(fields, _MEAN_NAMES, dtype, source)
        scale = _numbers(fields, _SCALE_NAMES, dtype, source)
        if len(mean) != len(scale):
            raise _corrupt(source, f"has {counted(len(mean), 'value')} of mean and {len(scale)} of scale")
        too_small = np.flatnonzero(scale <= 0)
        if len(too_small):
            first = int(too_small[0])
            raise _corrupt(source, f"has the scale {scale[first]:g} for feature {first}; it must be above zero")
        return cls(mean, scale)

    def _original_dtype(self) -> np.dtype[Any]:
        if self.mean.dtype == np.float32:
            return np.dtype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            step = np.spacing((np.abs(self.mean) + self.scale).astype(np.float32))
        # Beyond float32 the step is no number.
        return np.dtype(np.float32 if (step <= _COARSE * self.scale).all() else np.float64)

    def _check_width(self, x: Array) -> None:
        width = len(self.mean)
        if x.ndim < 2 or x.shape[-1] != width:
            found = counted(x.shape[-1], "feature") if x.ndim >= 2 else "no rows of features"
            raise DataError(
                f"The data has {found} (shape {x.shape}), but the scaler was fitted on {width}.",
                remedy=f"Pass an array of shape (rows, {width}) with the features of the training data.",
            )

    def _require_finite(self, x: Array, scaled: Float32Array) -> None:
        if np.isfinite(scaled).all():
            return
        lost = (~np.isfinite(scaled) & np.isfinite(x)).reshape(-1, len(self.mean)).any(axis=0)
        if lost.any():
            i = int(np.argmax(lost))
            raise DataError(
                f"The data has values that are too large for float32 once they are scaled, first in column {i}: in the "
                f"training data its mean is {self.mean[i]:g} and its standard deviation {self.scale[i]:g}.",
                remedy="Correct these values, or drop their rows.",
            )


def check_scaler_kind(kind: str | None, name: str = "scaler") -> str | None:
    """``kind``, the argument ``name``, if it is one that `make_scaler` knows.

    Raises:
        ArgumentError: an unknown kind.
    """
    if kind is not None and kind not in _KINDS:
        known = ", ".join(repr(name) for name in _KINDS)
        raise ArgumentError(
            f"{name}={kind!r} is unknown.{did_you_mean(str(kind), _KINDS)}",
            remedy=f"Use one of {known}, or None for no scaling.",
        )
    return kind


def make_scaler(kind: str | None, x: Array) -> StandardScaler | None:
    """Return the scaler of the given kind, fitted on ``x``; None for the kind None.

    Raises:
        ArgumentError: an unknown kind.
        DataError: see `StandardScaler.fit`.
    """
    return None if check_scaler_kind(kind) is None else StandardScaler.fit(x)


def _row_slices(x: Array) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // max(1, math.prod(x.shape[1:])))
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def _own_fields(data: Mapping[str, Any], source: str) -> Any:
    version = data["format"]
    if isinstance(version, int) and version > _FORMAT:
        raise VersionError(
            f"{source} has the scaler format {version}, and this raygrid reads up to {_FORMAT}.",
            remedy="Upgrade raygrid.",
        )
    inputs = data.get("inputs")
    known = version in (_FLOAT32_FORMAT, _FORMAT)
    if not known or not isinstance(inputs, Mapping) or inputs.get("kind") not in _KINDS:
        raise _corrupt(source, f"has no 'inputs' of a known kind ({', '.join(_KINDS)}) in format 1 to {_FORMAT}")
    return inputs


def _numbers(fields: Mapping[str, Any], names: tuple[str, ...], dtype: np.dtype[Any], source: str) -> Array:
    found = [name for name in names if name in fields]
    if len(found) != 1:
        have = ", ".join(sorted(map(str, fields))) or "nothing"
        raise _corrupt(source, f"needs exactly one field of {', '.join(names)}, and has {have}")
    values = fields[found[0]]
    if not isinstance(values, list) or not values:
        raise _corrupt(source, f"has no list of numbers in {found[0]!r}")
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _corrupt(source, f"has {value!r} in {found[0]!r} at position {position}, where a number belongs")
    try:
        with np.errstate(over="ignore"):
            array = np.array([float(value) for value in values], dtype=dtype)
    except OverflowError:
        array = np.array([np.inf])
    if not np.isfinite(array).all():
        raise _corrupt(source, f"has a number in {found[0]!r} that is not finite in {dtype}")
    return array


def _corrupt(source: str, reason: str) -> CorruptArtifactError:
    return CorruptArtifactError(f"{source} {reason}.", remedy=RESTORE)
