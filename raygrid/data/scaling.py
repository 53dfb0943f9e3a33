"""How inputs and targets are scaled, and the file that says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raygrid.base.row_blocks import by_column
from raygrid.base.types import Array
from raygrid.data.scaler import StandardScaler, check_scaler_kind, make_scaler
from raygrid.data.structures import Tree, filled, leaf_name, leaves
from raygrid.data.texts import is_text
from raygrid.errors import RESTORE, ArgumentError, CorruptArtifactError, VersionError

# Formats 1 and 2 scale data that is one array; format 3 has a scaler for each leaf of a structure that is scaled.
_BY_LEAF_FORMAT = 3

# None, a kind such as "standard", or such a kind for each leaf by its path.
ScalerSetting = str | Mapping[str, str | None] | None
ByLeaf = Mapping[str, StandardScaler]


def scaler_setting(value: Any, name: str = "scaler") -> Any:
    """``value`` if it can be a ``scaler`` or ``target_scaler``; a mapping as a dict.

    Raises:
        ArgumentError: an unknown kind.
    """
    if isinstance(value, Mapping):
        return {str(path): check_scaler_kind(kind, f'{name}["{path}"]') for path, kind in value.items()}
    return check_scaler_kind(value, name)


def scaled_leaves(setting: ScalerSetting, tree: Tree, name: str = "scaler", data_name: str = "X_train") -> set[str]:
    """The paths of the leaves of ``tree`` that are scaled.

    A single array is scaled whatever numbers it holds. Of a structure, floats are scaled and all else is left as it is,
    unless the setting names the leaves.

    Raises:
        ArgumentError: it names a leaf that is not there, or one that holds texts.
    """
    found = leaves(tree)
    if setting is None:
        return set()
    if isinstance(setting, str):
        return {path for path, array in found.items() if _scales(array, alone=path == "")}
    wanted = {path for path, kind in setting.items() if kind is not None}
    for path in setting:
        if path not in found:
            known = ", ".join(map(repr, found)) if "" not in found else "none, since it is one array"
            raise ArgumentError(
                f"{name} names {path!r}, and {data_name} has no such part.", remedy=f"Its parts are: {known}."
            )
        if path in wanted and is_text(found[path]):
            raise ArgumentError(
                f"{name} names {leaf_name(data_name, path)}, which holds texts, and texts cannot be scaled.",
                remedy=f"Leave {path!r} out of {name}.",
            )
    return wanted


def _scales(array: Array, alone: bool) -> bool:
    return not is_text(array) if alone else array.dtype.kind == "f"


def fitted_scalers(tree: Tree, scaled: Collection[str]) -> dict[str, StandardScaler]:
    """A scaler for each of the leaves ``scaled``, fitted on it over its last axis."""
    found = leaves(tree)
    scalers = {path: make_scaler("standard", by_column(found[path])) for path in sorted(scaled)}
    return {path: scaler for path, scaler in scalers.items() if scaler is not None}


@dataclass(frozen=True)
class Scaling:
    """The scalers of a model.

    Attributes:
        inputs: over the last axis of each leaf of the inputs that is scaled, by its path: that of a single array is
            empty.
        targets: the same for the targets; empty where they are the inputs.
    """

    inputs: ByLeaf = field(default_factory=dict)
    targets: ByLeaf = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.inputs or self.targets)

    def scale_inputs(self, x: Tree) -> Tree:
        """Inputs in the units that the model sees; float32 where they are scaled, otherwise the arrays themselves."""
        return _changed(x, self.inputs, StandardScaler.transform)

    def scale_targets(self, y: Tree) -> Tree:
        """Targets in the units that the model sees, as inputs; a single target may be of shape (rows,)."""
        return _changed(y, self.targets, StandardScaler.transform)

    def unscale_inputs(self, x: Tree) -> Tree:
        """What a model of its own inputs gives, in original units; see ``StandardScaler`` for its dtype."""
        return _changed(x, self.inputs, StandardScaler.inverse_transform)

    def unscale_targets(self, y: Tree) -> Tree:
        """What a model of targets gives, in original units; see ``StandardScaler`` for its dtype."""
        return _changed(y, self.targets, StandardScaler.inverse_transform)

    def to_json(self) -> dict[str, Any]:
        """As ``{prefix}_scaler.json`` holds it; ``from_json`` gives it back bit for bit."""
        value: dict[str, Any] = {}
        by_leaf = any(path for scalers in (self.inputs, self.targets) for path in scalers)
        for name, scalers in (("inputs", self.inputs), ("targets", self.targets)):
            own = {path: scaler.to_json() for path, scaler in scalers.items()}
            if by_leaf:
                value |= {"format": _BY_LEAF_FORMAT, name: {path: each["inputs"] for path, each in own.items()}}
            elif own:
                value |= {"format": own[""]["format"], name: own[""]["inputs"]}
        return value

    @classmethod
    def from_json(cls, value: Any, source: str) -> Scaling:
        """What ``to_json`` wrote, or the plain form of other implementations, which scales inputs.

        Raises:
            VersionError: written in a newer format.
            CorruptArtifactError: it is not a scaler.
        """
        if not isinstance(value, Mapping) or "format" not in value:
            return cls(inputs={"": StandardScaler.from_json(value, source)})
        if isinstance(value["format"], int) and value["format"] > _BY_LEAF_FORMAT:
            raise VersionError(
                f"{source} has the scaler format {value['format']}, and this raygrid reads up to {_BY_LEAF_FORMAT}.",
                remedy="Upgrade raygrid.",
            )
        present = {name: value[name] for name in ("inputs", "targets") if name in value}
        by_leaf = value["format"] == _BY_LEAF_FORMAT
        if not present or (by_leaf and not all(isinstance(fields, Mapping) for fields in present.values())):
            raise CorruptArtifactError(f"{source} is damaged: it scales neither inputs nor targets.", remedy=RESTORE)
        written = 2 if by_leaf else value["format"]

        def scalers(fields: Any) -> dict[str, StandardScaler]:
            leaves_of = fields if by_leaf else {"": fields}
            return {
                path: StandardScaler.from_json({"format": written, "inputs": one}, source)
                for path, one in leaves_of.items()
            }

        return cls(**{name: scalers(fields) for name, fields in present.items()})


def _changed(tree: Tree, scalers: ByLeaf, change: Callable[[StandardScaler, Array], Array]) -> Tree:
    if not scalers:
        return tree
    found = leaves(tree)
    changed = {path: by_columns(scalers[path], array, change) for path, array in found.items() if path in scalers}
    return filled(tree, {**found, **changed})


def by_columns(scaler: StandardScaler, array: Array, change: Callable[[StandardScaler, Array], Array]) -> Array:
    """``array`` as ``change`` makes it with ``scaler``; an array of one axis is one column."""
    changed = np.asarray(change(scaler, by_column(array)))
    return changed[:, 0] if array.ndim == 1 else changed
