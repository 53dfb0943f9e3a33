"""The data of ``raygrid search``: a file, or the embedded data, as the model needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.types import Array
from raygrid.data.column_names import NamedArray
from raygrid.data.files.tables import read_data
from raygrid.data.structures import Tree
from raygrid.datasets import TEPData, load_tep
from raygrid.errors import ArgumentError

# Beside the columns of the embedded data: the number of the fault, as text. Only its test runs have faults.
FAULT = "fault"
# The last part of each run is held out: rows next to each other are nearly equal.
_FAULT_VALIDATION_PART = 0.3


@dataclass(frozen=True)
class Columns:
    """Which columns are asked for.

    Attributes:
        features: None: all that play no other part.
        target: None: no targets.
        target_is_label: whether the target is kept as it is, text or number.
        runs: the column of run ids; None: none.
        apart: whether the model takes a dict of columns, numbers and texts.
    """

    features: Sequence[str] | None = None
    target: Sequence[str] | None = None
    target_is_label: bool = False
    runs: str | None = None
    apart: bool = False


@dataclass(frozen=True)
class SearchData:
    """The arrays for ``fit``, or dicts of columns; None where there are none."""

    X_train: Tree | NamedArray
    X_val: Array | NamedArray | None = None
    y_train: Tree | NamedArray | None = None
    y_val: Array | NamedArray | None = None
    run_ids: Array | None = None
    val_run_ids: Array | None = None

    def arguments(self) -> dict[str, Any]:
        """As keywords of ``fit`` and ``plan``."""
        return {name: value for name, value in vars(self).items() if value is not None}


def load_file(path: Path, columns: Columns, layout: Mapping[str, Any], windowed: bool = False) -> SearchData:
    """The columns of a file.

    Args:
        path: of the file.
        columns: which are asked for.
        layout: what is said about the file, as keywords of ``read_data``.
        windowed: whether rows follow each other, also where no column of run ids is named.

    Raises:
        DataError: it cannot be read, or a column is not there or not of a type that the model takes.
        ArgumentError: what is asked for contradicts itself, or is not of such a file.
    """
    target = list(columns.target or [])
    if columns.target_is_label and len(target) > 1:
        raise ArgumentError(
            f"--target names {', '.join(target)}; the labels are one column.", remedy="Name one column with --target."
        )
    _check_roles(columns)
    labels = [*(target if columns.target_is_label else []), *([columns.runs] if columns.runs else [])]
    data = read_data(
        path,
        features=columns.features,
        target=None if columns.target_is_label or not target else target,
        labels=labels or None,
        in_series=[columns.runs] if columns.runs else [] if windowed else None,
        apart=columns.apart,
        **layout,
    )
    y: Tree | NamedArray | None = data.labels[target[0]] if columns.target_is_label and target else data.y
    X: Tree | NamedArray = data.X
    if data.feature_names and not columns.apart:
        X = NamedArray(data.X, data.feature_names)
        if data.y is not None and len(target) > 1:
            y = NamedArray(data.y, tuple(target))
    return SearchData(X, data.X_val, y, data.y_val, run_ids=data.labels[columns.runs] if columns.runs else None)


def load_embedded(columns: Columns, windowed: bool) -> SearchData:
    """The simulated Tennessee Eastman data.

    Targets are measurements, or ``fault``: then rows and labels come from the test runs, and the last part of each run
    validates.

    Raises:
        ArgumentError: a column is not there.
    """
    if columns.runs is not None:
        raise ArgumentError(
            f"--run-column {columns.runs} is given, and the embedded data knows its runs.",
            remedy="Leave --run-column out, or name a file with --data.",
        )
    data = load_tep()
    names, target = list(data.feature_names), list(columns.target or [])
    by_fault = target == [FAULT]
    measured = [] if by_fault else target
    unknown = [name for name in (*(columns.features or ()), *measured) if name not in names]
    if unknown:
        raise ArgumentError(
            f"the embedded data has no column {', '.join(map(repr, unknown))}.",
            remedy=f"Choose from its columns {', '.join(names)}; or {FAULT!r}, as a target alone.",
        )
    _check_roles(columns)
    used = [names.index(name) for name in columns.features or names if name not in measured]
    if by_fault:
        return _faults(data, used)
    y_train, y_val = (_measured(X, names, measured) for X in (data.X_train, data.X_val))
    return SearchData(
        NamedArray(data.X_train[:, used], tuple(names[i] for i in used)),
        NamedArray(data.X_val[:, used], tuple(names[i] for i in used)),
        y_train,
        y_val,
        data.run_train if windowed else None,
        data.run_val if windowed else None,
    )


def _check_roles(columns: Columns) -> None:
    features = set(columns.features or ())
    for role, names in (("a target", columns.target or ()), ("the run column", [columns.runs])):
        both = [name for name in names if name in features]
        if both:
            raise ArgumentError(
                f"{', '.join(both)} is both {role} and a feature.", remedy="Leave it out of --features."
            )


def _faults(data: TEPData, used: Sequence[int]) -> SearchData:
    validates = np.zeros(len(data.run), bool)
    for run in np.unique(data.run):
        rows = np.flatnonzero(data.run == run)
        validates[rows[int(len(rows) * (1 - _FAULT_VALIDATION_PART)) :]] = True
    labels = np.array([f"fault {number}" if number else "normal" for number in data.fault])
    X, names = data.X_test[:, used], tuple(data.feature_names[i] for i in used)
    return SearchData(
        NamedArray(X[~validates], names), NamedArray(X[validates], names), labels[~validates], labels[validates]
    )


def _measured(X: Array, names: Sequence[str], wanted: Sequence[str]) -> Array | NamedArray | None:
    if not wanted:
        return None
    columns = [names.index(name) for name in wanted]
    return X[:, columns[0]] if len(wanted) == 1 else NamedArray(X[:, columns], tuple(wanted))
