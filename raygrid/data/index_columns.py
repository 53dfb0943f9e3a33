"""Columns that number the rows of a table and measure nothing: what pandas, R and others write beside the data."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

log = logging.getLogger("raygrid")

# pandas' name for an index without one, also where another program left its description of the table out.
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
# pandas gives a column without a name this one when it reads a CSV file.
_PANDAS_NAMELESS = re.compile(r"Unnamed: \d+(_level_\d+)?")
# What pandas' reset_index(), polars' with_row_index(), R and its readr call the numbers of rows.
_ROW_NUMBERS = {"index", "level_0", "rowid", "row_id", "row_nr", "row_number", "rownames", "row.names", "...1"}


# Says of a table that no column of it is an index, whatever it is called.
NO_INDEX = {b"pandas": b'{"index_columns": []}'}


def pandas_index(metadata: Mapping[bytes, bytes] | None, names: Sequence[str]) -> list[str]:
    """Which of a table's columns are the index of the pandas frame that it was written from.

    Args:
        metadata: what the schema says beside its columns. Without pandas' description, or with a damaged one, the
            names that pandas gives an index without one count.
        names: the columns of the table.
    """
    try:
        described = json.loads((metadata or {})[b"pandas"])["index_columns"]
        # An index that only counts is described by a mapping, and is no column.
        index = {name for name in described if isinstance(name, str)}
    except (ValueError, KeyError, TypeError, RecursionError):
        index = {name for name in names if _PANDAS_INDEX.fullmatch(name)}
    return [name for name in names if name in index]


def without_index(table: Any) -> Any:
    """A ``pyarrow.Table`` or ``RecordBatch`` without the columns that are such an index; says once which they are."""
    index = tuple(pandas_index(table.schema.metadata, table.schema.names))
    if not index:
        return table
    _say_left_out(index)
    return table.drop_columns(list(index))


@functools.cache  # once: every part of the data has the same index
def _say_left_out(index: tuple[str, ...]) -> None:
    log.warning(
        "%s of a pyarrow.Table is the index of the pandas frame that it was made of, and not used as data. To use it, "
        "rename it, and drop pandas' description: table.rename_columns(...).replace_schema_metadata(None).",
        ", ".join(map(repr, index)),
    )


def is_nameless(name: str) -> bool:
    """Whether a column of a CSV file had no name: empty, or what pandas makes of that."""
    return not name or _PANDAS_NAMELESS.fullmatch(name) is not None


def row_numbers(table: Any, names: Sequence[str]) -> list[str]:
    """Which columns of a ``pyarrow.Table`` have the name of row numbers, and count up by one from row to row."""
    return [name for name in names if name.lower() in _ROW_NUMBERS and _counts(table.column(name))]


def _counts(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(column) < 2 or column.null_count or not pa.types.is_integer(column.type):
        return False
    values = column.cast(pa.int64(), safe=False).combine_chunks()
    return bool(pc.all(pc.equal(pc.subtract(values[1:], values[:-1]), 1)).as_py())
