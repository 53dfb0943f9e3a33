"""The ledger: the table of all points' results, a view that is made from the point store."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raygrid.base.files import read_bytes, write_bytes
from raygrid.base.wording import counted
from raygrid.errors import CorruptArtifactError
from raygrid.grid.error_lines import cause_of, same_causes
from raygrid.grid.records import PointRecord
from raygrid.store.paths import ModelArtifacts

if TYPE_CHECKING:
    import pyarrow as pa

CONFIG_PREFIX = "config."
METRIC_PREFIX = "metric."
# Without these a table is no ledger.
_NEEDED_COLUMNS = ("point", "status", "val_loss", "epochs_run", "seconds", "key")


def results_table(records: Iterable[PointRecord], numbers: Mapping[str, int]) -> pa.Table:
    """One row a point: those of the grid that was asked for in its order, then the points of earlier grids.

    Args:
        records: the points.
        numbers: point number in the grid by key.

    Returns:
        Columns ``point`` (null for a point of an earlier grid), ``status``, ``val_loss``, one ``config.<name>`` a
        hyperparameter (text, as JSON, where a column's values differ in type), one ``metric.<name>`` a metric at
        the best epoch, ``best_epoch`` (from 1), ``epochs_run``, ``seconds``, ``worker``, ``device``, ``threads``,
        ``seed``, ``error``, ``key``, ``trained_with`` (key of the point whose training it shared).
    """
    import pyarrow as pa

    rows = sorted(records, key=lambda r: (numbers.get(r.key, len(numbers)), r.key))
    columns: dict[str, Any] = {
        "point": pa.array([numbers.get(r.key) for r in rows], pa.int64()),
        "status": pa.array([r.status for r in rows], pa.string()),
        "val_loss": pa.array([r.val_loss for r in rows], pa.float64()),
    }
    for name in sorted({name for r in rows for name in r.config}):
        columns[CONFIG_PREFIX + name] = _config_column([r.config.get(name) for r in rows])
    for name in sorted({name for r in rows for name in r.metrics}):
        columns[METRIC_PREFIX + name] = pa.array([r.metrics.get(name) for r in rows], pa.float64())
    columns |= {
        "best_epoch": pa.array([r.best_epoch for r in rows], pa.int64()),
        "epochs_run": pa.array([r.epochs_run for r in rows], pa.int64()),
        "seconds": pa.array([r.seconds for r in rows], pa.float64()),
        "worker": pa.array([r.worker for r in rows], pa.string()),
        "device": pa.array([r.device for r in rows], pa.string()),
        "threads": pa.array([r.threads for r in rows], pa.int64()),
        "seed": pa.array([r.seed for r in rows], pa.int64()),
        "error": pa.array([r.error for r in rows], pa.string()),
        "key": pa.array([r.key for r in rows], pa.string()),
        "trained_with": pa.array([r.trained_with for r in rows], pa.string()),
    }
    return pa.table(columns)


def _config_column(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    given = [v for v in values if v is not None]
    kinds = {type(v) for v in given}
    if kinds <= {int, float} or len(kinds) == 1:
        try:
            if kinds and kinds <= {bool, int, float, str, tuple}:
                return pa.array([list(v) if isinstance(v, tuple) else v for v in values])
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([None if v is None else json.dumps(v) for v in values], pa.string())


def write_ledger(paths: ModelArtifacts, table: pa.Table) -> None:
    """Puts the table in place of the ledger, whole or not at all."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(paths.ledger_path, buffer.getvalue())


def read_ledger(paths: ModelArtifacts) -> pa.Table | None:
    """The ledger as it was last written; None where there is none.

    Raises:
        CorruptArtifactError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = read_bytes(paths.ledger_path)
    except FileNotFoundError:
        return None
    try:
        table = pq.read_table(io.BytesIO(data))
        table.validate(full=True)
        return _checked_ledger(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptArtifactError(
            f"{paths.ledger_path} is damaged: it is not a Parquet table of points ({error}).",
            remedy="Remove it; the next training under this prefix writes it again.",
        ) from error


def _checked_ledger(table: pa.Table) -> pa.Table:
    """``table`` with the columns that ``results_table`` gives; those that were added since it was written hold nulls.

    Raises:
        ValueError: it is none that ``results_table`` gives.
    """
    import pyarrow as pa

    for field in results_table([], {}).schema:
        found = table.schema.names.count(field.name)
        if found == 0 and field.name not in _NEEDED_COLUMNS:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        elif found != 1 or table.schema.field(field.name).type != field.type:
            raise ValueError(f"there is no column {field.name!r} of type {field.type}")
    for name in ("status", "epochs_run", "seconds"):
        if table.column(name).null_count:
            raise ValueError(f"values of {name!r} are missing")
    for field in table.schema:
        if field.name.startswith(CONFIG_PREFIX) and not _is_config_type(field.type):
            raise ValueError(f"{field.name!r} holds {field.type}, which no config holds")
    return table


def _is_config_type(kind: Any) -> bool:
    from pyarrow import types

    if types.is_list(kind):
        return _is_config_type(kind.value_type)
    if types.is_struct(kind):
        return all(_is_config_type(field.type) for field in kind)
    checks = (types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_string)
    return any(check(kind) for check in checks)


def results_text(table: pa.Table, rows: int = 10) -> str:
    """The best points as text, lowest ``val_loss`` first, with the hyperparameters that vary, then what failed.

    Args:
        table: as ``results_table`` gives it.
        rows: how many of the best points to show.
    """
    points = table.to_pylist()
    done = sorted(
        (p for p in points if p["status"] == "done" and p["val_loss"] is not None),
        key=lambda p: (p["val_loss"], p["point"] is None, p["point"] or 0),
    )
    names = [n for n in table.column_names if n.startswith(CONFIG_PREFIX) and _varies(points, n)]
    # A hyperparameter may have the name of one of the other columns; then it keeps its prefix.
    others = ("point", "val_loss", "best epoch", "epochs run", "seconds")
    settings = [n if (short := n.removeprefix(CONFIG_PREFIX)) in others else short for n in names]
    header = [*others[:2], *settings, *others[2:]]
    body = [
        [
            "-" if p["point"] is None else str(p["point"]),
            f"{p['val_loss']:.6g}",
            *(_cell(p[n]) for n in names),
            str(p["best_epoch"]),
            str(p["epochs_run"]),
            f"{p['seconds']:.1f}",
        ]
        for p in done[:rows]
    ]
    lines = _aligned([header, *body]) if body else []
    counts = {status: sum(p["status"] == status for p in points) for status in ("done", "diverged", "failed")}
    lines.append(f"{counted(len(points), 'point')}: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n))
    lines += _causes([p for p in points if p["status"] != "done"], names, rows)
    return "\n".join(lines)


def _causes(points: Sequence[Mapping[str, Any]], names: Sequence[str], rows: int) -> list[str]:
    """Why ``points`` have no result: a line for each cause, in the order of its first point."""
    causes = [f"{p['status']}: {cause_of(p['error'])}" for p in points]
    lines = []
    together = sorted(same_causes(causes))
    for alike in together[:rows]:
        status, _, cause = causes[alike[0]].partition(": ")
        some = ", ".join(_describe(points[i], names) for i in alike[:rows])
        if len(alike) == 1:
            lines.append(f"  {status}: {some}: {cause}")
        else:
            lines.append(f"  {status}: {len(alike)} points: {cause}")
            lines.append(f"    {some}" + (f" and {len(alike) - rows} more" if len(alike) > rows else ""))
    left = sum(len(alike) for alike in together[rows:])
    return [*lines, f"  and {left} more"] if left else lines


def _varies(points: Sequence[Mapping[str, Any]], name: str) -> bool:
    return len({json.dumps(p[name]) for p in points}) > 1


def _describe(point: Mapping[str, Any], names: Sequence[str]) -> str:
    number = "an earlier point" if point["point"] is None else f"point {point['point']}"
    values = ", ".join(f"{n.removeprefix(CONFIG_PREFIX)}={_cell(point[n])}" for n in names)
    return f"{number} ({values})" if values else number


def _cell(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
