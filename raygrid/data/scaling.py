"""How inputs and targets are scaled, and the file that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygrid.base.types import Array
from raygrid.data.scaler import StandardScaler
from raygrid.errors import RESTORE, CorruptArtifactError


@dataclass(frozen=True)
class Scaling:
    """The scalers of a model.

    Attributes:
        inputs: over the last axis of the inputs; None where they are left as they are.
        targets: over the last axis of the targets; None where they are left as they are, or are the inputs.
    """

    inputs: StandardScaler | None = None
    targets: StandardScaler | None = None

    def __bool__(self) -> bool:
        return self.inputs is not None or self.targets is not None

    def scale_inputs(self, x: Array) -> Array:
        """Inputs in the units that the model sees; float32 where they are scaled, otherwise ``x`` itself."""
        return x if self.inputs is None else self.inputs.transform(x)

    def scale_targets(self, y: Array) -> Array:
        """Targets in the units that the model sees, as inputs; a single target may be of shape (rows,)."""
        return y if self.targets is None else _as_columns(y, self.targets.transform)

    def unscale_inputs(self, x: Array) -> Array:
        """What a model of its own inputs gives, in original units; see ``StandardScaler`` for its dtype."""
        return x if self.inputs is None else self.inputs.inverse_transform(x)

    def unscale_targets(self, y: Array) -> Array:
        """What a model of targets gives, in original units; see ``StandardScaler`` for its dtype."""
        return y if self.targets is None else _as_columns(y, self.targets.inverse_transform)

    def to_json(self) -> dict[str, Any]:
        """As ``{prefix}_scaler.json`` holds it; ``from_json`` gives it back bit for bit."""
        value: dict[str, Any] = {}
        for name, scaler in (("inputs", self.inputs), ("targets", self.targets)):
            if scaler is not None:
                own = scaler.to_json()
                value |= {"format": own["format"], name: own["inputs"]}
        return value

    @classmethod
    def from_json(cls, value: Any, source: str) -> Scaling:
        """What ``to_json`` wrote, or the plain form of other implementations, which scales inputs.

        Raises:
            VersionError: written in a newer format.
            CorruptArtifactError: it is not a scaler.
        """
        if not isinstance(value, Mapping) or "format" not in value:
            return cls(inputs=StandardScaler.from_json(value, source))
        present = {name: value[name] for name in ("inputs", "targets") if name in value}
        if not present:
            # Says that the format is newer, where it is.
            StandardScaler.from_json(value, source)
            raise CorruptArtifactError(f"{source} is damaged: it scales neither inputs nor targets.", remedy=RESTORE)
        return cls(
            **{
                name: StandardScaler.from_json({"format": value["format"], "inputs": fields}, source)
                for name, fields in present.items()
            }
        )


def _as_columns(y: Array, change: Any) -> Array:
    return np.asarray(change(y[:, None]))[:, 0] if y.ndim == 1 else np.asarray(change(y))
