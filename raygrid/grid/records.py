"""What is known of one point of a grid, and which point wins. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from raygrid.base.known_fields import known_fields, require
from raygrid.errors import CorruptArtifactError
from raygrid.grid.error_lines import cause_of

Status = Literal["done", "diverged", "failed"]
RECORD_FORMAT = 1


def tuples(value: Any) -> Any:
    """A value read from JSON with its lists as tuples, as configs are in memory."""
    if isinstance(value, list):
        return tuple(tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return value


def finite_or_none(value: float) -> float | None:
    """``value`` as a float that JSON can carry: None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights: its name in the point store, its size in bytes and its SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PointRecord:
    """The result of one point.

    Attributes:
        key: digest of everything the result depends on.
        context: digest of all that the key holds but the config and the seed.
        config: the whole config.
        seed: the seed of this point.
        status: ``done``; ``diverged`` (no finite epoch, or its best weights are not finite); ``failed`` (an error).
        metrics: at the best epoch: ``loss``, ``val_loss`` and every compiled metric with and without ``val_``;
            None where a number is not finite.
        best_epoch: the best finite epoch, counted from 1.
        epochs_run: how many epochs were trained.
        seconds: wall-clock seconds of building and training.
        history: every metric by epoch, the first epoch first.
        worker: host and process id of where it was trained.
        device: ``CPU``, or the name of the GPU.
        threads: intra-op threads that TensorFlow used; 0 where it chose by itself.
        error: the cause, where the point failed or diverged.
        weights: the best weights, where they are kept.
        trained_with: key of the point whose training this one shared, since they differ only in when to stop.
        code: digest of the builder that the context holds; empty in records of before there was this field.
        trained_by: digest of the builder that trained it, where that is another one whose results were accepted.
    """

    key: str
    context: str
    config: dict[str, Any]
    seed: int
    status: Status
    metrics: dict[str, float | None] = field(default_factory=dict)
    best_epoch: int | None = None
    epochs_run: int = 0
    seconds: float = 0.0
    history: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    worker: str = ""
    device: str = ""
    threads: int = 0
    error: str | None = None
    weights: WeightsFile | None = None
    trained_with: str | None = None
    code: str = ""
    trained_by: str | None = None

    @property
    def val_loss(self) -> float | None:
        """The best epoch's ``val_loss``, None where there is none."""
        return self.metrics.get("val_loss")

    @property
    def final(self) -> bool:
        """Whether training this point again would give the same: a failure may have been the machine's."""
        return self.status != "failed"

    @property
    def cause(self) -> str:
        """The line of the error that says why the point failed or diverged, with what helps where that is known."""
        return cause_of(self.error)

    def without_history(self) -> PointRecord:
        """The record without its epochs, which take most of its memory; the point store keeps them."""
        return dataclasses.replace(self, history={})

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; ``from_json`` gives an equal record back."""
        return {"format": RECORD_FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Any, source: str) -> PointRecord:
        """The record in ``value``, which was read from ``source``; see ``known_fields``.

        Raises:
            CorruptArtifactError: it is not a record of a known format.
        """
        try:
            if value["format"] != RECORD_FORMAT:
                raise ValueError(f"format {value['format']!r} is not {RECORD_FORMAT}")
            fields = known_fields(cls, value)
            if fields["status"] not in ("done", "diverged", "failed"):
                raise ValueError(f"status {fields['status']!r} is unknown")
            require(_FIELD_CHECKS, fields)
            if not all(number is None or _is_number(number) for number in fields.get("metrics", {}).values()):
                raise ValueError("a metric is not a number")
            if fields["status"] == "done" and "metrics" not in fields:
                raise ValueError("it is done and has no metrics")
            fields["config"] = tuples(fields["config"])
            fields["history"] = {name: tuple(column) for name, column in fields.get("history", {}).items()}
            if fields.get("weights") is not None:
                fields["weights"] = WeightsFile(**known_fields(WeightsFile, fields["weights"]))
                if not isinstance(fields["weights"].sha256, str):
                    raise ValueError("the digest of its weights is no text")
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptArtifactError(
                f"{source} is not a point's record ({error}).",
                remedy="Remove the file, and the point is trained again.",
            ) from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


_FIELD_CHECKS = {
    **dict.fromkeys(("config", "metrics", "history"), _is_mapping),
    **dict.fromkeys(("key", "context", "worker", "device", "code"), _is_text),
    **dict.fromkeys(("error", "trained_with", "trained_by"), _or_none(_is_text)),
    **dict.fromkeys(("seed", "epochs_run", "threads"), _is_whole),
    "best_epoch": _or_none(_is_whole),
    "seconds": _is_number,
}


def pick_best(records: Mapping[int, PointRecord] | Iterable[tuple[int, PointRecord]]) -> tuple[int, PointRecord] | None:
    """The point number and record with the lowest finite ``val_loss``; ties go to the lowest number.

    Points that failed or diverged never win. None where no point can win.
    """
    items = records.items() if isinstance(records, Mapping) else records
    candidates = [
        (record.val_loss, number, record)
        for number, record in items
        if record.status == "done" and record.val_loss is not None and math.isfinite(record.val_loss)
    ]
    if not candidates:
        return None
    _, number, record = min(candidates, key=lambda candidate: candidate[:2])
    return number, record
