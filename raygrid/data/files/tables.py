"""Data files: Parquet, Arrow, CSV and numpy files into checked arrays, with the values that they hold.

A file that would need more memory than there is, is refused before it is read.
"""

from __future__ import annotations

import difflib
import logging
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.arguments import local_path
from raygrid.base.memory import require_memory
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.data.checks import as_features, as_input, as_targets, is_numeric_arrow_type, such_as
from raygrid.data.columns_apart import columns_apart
from raygrid.data.dropped_rows import DROP, ERROR, check_missing, rows_to_keep, without_rows
from raygrid.data.files.arrow_sizes import decoded_bytes
from raygrid.data.files.csv_files import CsvFile
from raygrid.data.files.csv_layout import CsvOptions, is_number
from raygrid.data.files.numpy_files import read_npy, read_npz
from raygrid.data.index_columns import NO_INDEX, is_nameless, pandas_index, row_numbers
from raygrid.data.missing_values import TRAINING, VALIDATION, MissingValues
from raygrid.data.structures import Tree
from raygrid.data.texts import is_text_type
from raygrid.errors import WRITE_AGAIN, ArgumentError, DataError, DataTypeError, literal

_LOG = logging.getLogger("raygrid")
_PARQUET = (".parquet",)
_IPC = (".arrow", ".feather")
_CSV = (".csv",)
_NUMPY = (".npz", ".npy")
_SUFFIXES = _PARQUET + _IPC + _CSV + _NUMPY
_ROLES = {
    "X": "X",
    "x": "X",
    "X_train": "X",
    "x_train": "X",
    "y": "y",
    "y_train": "y",
    "X_val": "X_val",
    "x_val": "X_val",
    "y_val": "y_val",
}
# A number takes at most eight bytes in a table, and as many in the array.
_ARRAY_BYTES = 8
_VALUE_BYTES = 8 + _ARRAY_BYTES
_MAX_PARQUET_FOOTER_BYTES = 256 * 2**20
_NAMES_IN_MESSAGE = 20
_VALUES_IN_MESSAGE = 3
_CHOOSE = "choose columns with $features"
_ENCODE = (
    "write a file with numbers in their place, such as one column of 0 and 1 per value (pandas.get_dummies), or whole "
    "numbers for an Embedding in a model of your own. Or take the columns as they are in a class with "
    "TAKES_COLUMNS = True"
)
_AS_NUMBERS_OR_TEXTS = "write them as numbers or texts, such as a time as the seconds since a start"
# Among so many rows, the values that a message shows are looked for.
_ROWS_LOOKED_AT = 10_000


@dataclass(frozen=True, eq=False)
class DataFile:
    """The arrays of one data file.

    Attributes:
        X: floats, integers or booleans as ``as_features`` gives them, shape (rows, ..., features); or a dict of
            columns, each of shape (rows,) and as ``as_input`` gives it.
        y: float32, float64, int32 or int64, shape (rows,) for one target column, (rows, targets) for several; or a dict
            of these columns; or None.
        X_val: validation features, where an .npz file holds them.
        y_val: validation targets, where an .npz file holds them.
        labels: the columns that were asked for as labels, by name, shape (rows,), of their own type.
        feature_names: the columns of ``X``; empty for .npz and .npy files, which have no names.
    """

    X: Tree
    y: Tree | None = None
    X_val: Array | None = None
    y_val: Array | None = None
    feature_names: tuple[str, ...] = ()
    labels: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class _Columns:
    """Which columns play which part; ``features`` None stands for all that play no other.

    Where they are read ``apart``, features may be texts.
    """

    features: list[str] | None
    targets: list[str]
    labels: list[str]
    apart: bool = False

    @property
    def names(self) -> list[str]:
        return [*(self.features or []), *self.targets, *self.labels]


@dataclass(frozen=True)
class _Rows:
    """What is done about rows with missing values, see ``read_data``."""

    drop: bool
    in_series: tuple[str, ...] | None

    def kept_of(self, file: Path, part: int, arrays: Mapping[str, Any], runs: Any = None) -> dict[str, Any]:
        """``arrays``, which belong to the same rows, without those that are to be dropped."""
        what = str(file) if part == TRAINING else f"the validation data of {file}"
        found = rows_to_keep(arrays, runs, self.in_series is not None, what) if self.drop else None
        if found is None:
            return dict(arrays)
        found.say(what)
        return {name: without_rows(value, found.rows) for name, value in arrays.items()}

    def missing_values(self) -> MissingValues:
        """What looks at the arrays."""
        return MissingValues("$drop_missing_of_file", self.in_series is not None)


def read_data(
    path: str | os.PathLike[str],
    *,
    features: Sequence[str] | None = None,
    target: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    missing_values: Sequence[str] | None = None,
    missing: str = ERROR,
    in_series: Sequence[str] | None = None,
    apart: bool = False,
) -> DataFile:
    """Read a data file, chosen by its suffix.

    ``.parquet``, ``.arrow`` and ``.feather`` (file or stream) and ``.csv`` (with a header line) hold columns.
    ``.npz`` holds ``X`` and ``y``, or ``X_train``, ``y_train``, ``X_val`` and ``y_val``, or one array of any name;
    ``.npy`` holds ``X``.

    Args:
        path: a local file.
        features: the columns of ``X``, in this order. None: all but targets, labels and the index of a pandas frame.
        target: the columns of ``y``. None: no targets.
        labels: columns that are kept as they are, such as class labels or run ids, text or numbers.
        delimiter: of a CSV file. None: a comma, semicolon, tab, ``|`` or space, whichever the file has.
        decimal: the decimal mark of a CSV file, ``"."`` or ``","``. None: the one that the file has.
        encoding: of a CSV file, such as ``"latin-1"``. None: what its first bytes say, else UTF-8 or, where it is not
            that, cp1252. What was found out and is not comma, point and UTF-8 is said in one line of the log.
        missing_values: texts that stand for a missing value in a CSV file, beside an empty one. None: ``NA``, ``nan``,
            ``null`` and the like; in columns of numbers also ``?``, ``-``, ``.`` and ``none``.
        missing: ``"error"``: missing values are refused, with their counts; ``"drop"``: rows that have one in any of
            the columns are left out, and one line of the log says how many.
        in_series: where rows follow each other, the column among ``labels`` that says which run a row belongs to, or
            none for a single run; no row is dropped from within a run then. None: each row is by itself.
        apart: whether ``X`` is a dict of its columns, each of its own type: whole numbers, floats, truth values or
            texts. So is ``y`` with several target columns.

    Raises:
        DataTypeError: a column or array that is not numeric, or, of features that are read apart, no text either.
        DataError: a file that is missing, empty, damaged, of an unknown kind or too big for the memory; a
            column that is unknown, chosen twice, without a name, or has missing values, or that only numbers the rows.
        ArgumentError: ``path`` is an address such as ``s3://...``; columns are chosen from a file that has no names; an
            option that cannot be right, or that is for CSV files.
    """
    options = CsvOptions(delimiter, decimal, encoding, _texts(missing_values))
    options.check()
    rows = _Rows(check_missing(missing) == DROP, None if in_series is None else tuple(in_series))
    # The address of a store would be read as a path below this folder.
    local_path("path", path)
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    _check_file(file, suffix)
    features = _column_list("features", features)
    target = _column_list("target", target)
    labels = _column_list("labels", labels)
    if options.given and suffix not in _CSV:
        raise ArgumentError(
            f"{' and '.join(options.given)}: such options are for .csv files, and {file} is none.",
            remedy="Leave them out.",
        )
    if suffix not in _NUMPY:
        return _read_columns(file, suffix, _Columns(features, target or [], labels or [], apart), options, rows)
    if apart:
        raise DataError(
            f"{file}: a {suffix} file has no column names, and the model takes its columns by name.",
            remedy="Write a Parquet, Arrow or CSV file.",
        )
    if features or target or labels:
        raise ArgumentError(
            f"{file}: a {suffix} file has no column names to choose by.",
            remedy="Leave $columns out, store y as an array named 'y' in an .npz file, or use Parquet or CSV.",
        )
    return _read_npy(file, rows) if suffix == ".npy" else _read_npz(file, rows)


def _check_file(file: Path, suffix: str) -> None:
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{file} has the suffix {suffix!r}.", remedy=f"Use a file of a known kind: {', '.join(_SUFFIXES)}."
        )
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise DataError(f"{file} is not a regular file.", remedy="Pass the path of one data file.")
        file.open("rb").close()
    except OSError as error:
        raise DataError(
            f"{file.absolute()} cannot be read: {error.strerror}.",
            remedy=f"Check the path; a relative one starts at {literal(Path.cwd())}.",
        ) from error
    if size == 0:
        raise DataError(f"{file} is empty: 0 bytes.", remedy=WRITE_AGAIN)


def _column_list(name: str, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    if isinstance(columns, str):
        raise DataTypeError(
            f"{name}={columns!r} is one string.",
            remedy=f"Pass a list of column names: {name}=[{literal(repr(columns))}].",
        )
    listed = list(columns)
    if not listed:
        raise DataError(f"{name} is an empty list.", remedy=f"Name at least one column, or leave {name} out.")
    twice = [column for column, count in Counter(listed).items() if count > 1]
    if twice:
        raise DataError(f"{name} names {_quoted(twice)} more than once.", remedy="Name each column once.")
    return listed


def _texts(values: Sequence[str] | None) -> tuple[str, ...] | None:
    # One text is a sequence of texts as well, and refused as what it is.
    return values if values is None or isinstance(values, str) else tuple(values)  # type: ignore[return-value]


def _read_columns(file: Path, suffix: str, asked: _Columns, options: CsvOptions, rows: _Rows) -> DataFile:
    import pyarrow as pa  # slow to import, and not needed for numpy files

    try:
        if suffix in _CSV:
            table, chosen = _read_csv(file, asked, options)
        else:
            table, chosen = (_read_parquet if suffix in _PARQUET else _read_ipc)(file, asked)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{file} does not fit into the memory.", remedy="Write a file with fewer rows or columns."
        ) from error
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} is damaged, or not a {suffix} file: {reason}.", remedy=WRITE_AGAIN) from error
    names = chosen.features or []
    if asked.features is None:
        _refuse_row_numbers(file, table, names)
    # What was asked for is data, also if pandas used it as an index.
    table = table.replace_schema_metadata(NO_INDEX)
    table = _without_missing(file, table, [*names, *chosen.targets, *chosen.labels], rows)
    missing = rows.missing_values()
    X: Tree
    if asked.apart:
        columns = columns_apart(str(file), table.select(names))
        assert isinstance(columns, Mapping)
        X = {name: as_input(_column_of(file, name), a, missing, alone=False) for name, a in columns.items()}
    else:
        X = as_features(f"X of {file.name}", table.select(names), missing)
    labels = {name: _as_labels(file, name, table.column(name)) for name in chosen.labels}
    y: Tree | None = None
    if asked.apart and len(chosen.targets) > 1:
        y = {
            name: as_targets(_column_of(file, name), table.select([name]), table.num_rows, missing).reshape(-1)
            for name in chosen.targets
        }
    elif chosen.targets:
        y = as_targets(f"y of {file.name}", table.select(chosen.targets), table.num_rows, missing)
        y = y.reshape(-1) if len(chosen.targets) == 1 else y
    missing.require_none()
    return DataFile(X, y, feature_names=tuple(names), labels=labels)


def _column_of(file: Path, name: str) -> str:
    return f"column {name!r} of {file.name}"


def _without_missing(file: Path, table: Any, names: list[str], rows: _Rows) -> Any:
    runs = next((table.column(name) for name in rows.in_series or ()), None)
    return rows.kept_of(file, TRAINING, {file.name: table.select(names)}, runs)[file.name]


def _as_labels(file: Path, name: str, column: Any) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        raise DataError(
            f"{file}: column {name!r} has {counted(column.null_count, 'missing value')}.",
            remedy="Fill them, or drop the rows; $drop_missing_of_file does.",
        )
    if pa.types.is_nested(column.type):
        raise DataTypeError(
            f"{file}: column {name!r} is of type {column.type}.", remedy="Write labels as text or numbers."
        )
    texts = column
    if pa.types.is_dictionary(column.type) and column.num_chunks:
        texts = column.unify_dictionaries().chunk(0).dictionary
    if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
        # An array of texts takes four bytes a character of the longest one in every row.
        require_memory(file, len(column) * 4 * (pc.max(pc.utf8_length(texts)).as_py() or 0))
    return np.asarray(column.to_pylist())


def _read_csv(file: Path, asked: _Columns, options: CsvOptions) -> tuple[Any, _Columns]:
    source = CsvFile(file, options)
    chosen = _choose(file, source.names, asked)
    table = source.read([*(chosen.features or []), *chosen.targets], chosen.labels, _VALUE_BYTES)
    _check_numeric(file, table.schema, chosen, lambda name: _not_numbers(table.column(name), source.decimal))
    return table, chosen


def _read_parquet(file: Path, asked: _Columns) -> tuple[Any, _Columns]:
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        stream.seek(-min(8, file.stat().st_size), os.SEEK_END)
        footer_bytes = int.from_bytes(stream.read(4), "little")
    if footer_bytes > _MAX_PARQUET_FOOTER_BYTES:
        raise DataError(
            f"{file} is damaged, or not a .parquet file: its description of columns has {footer_bytes:,} bytes.",
            remedy=WRITE_AGAIN,
        )
    # Labels and texts stay in the form in which a file repeats one text at no cost.
    texts = pq.read_schema(file).names if asked.apart else asked.labels
    with pq.ParquetFile(file, read_dictionary=texts) as parquet:
        chosen = _choose(file, parquet.schema_arrow.names, asked, parquet.schema_arrow.metadata)
        _check_numeric(file, parquet.schema_arrow, chosen, lambda name: _first_of_parquet(parquet, name))
        rows, text_bytes = _parquet_sizes(parquet, set(chosen.names))
        # Of texts, twice: once in the table, once as Python's own.
        needed = rows * len(chosen.names) * _VALUE_BYTES + (2 * text_bytes if asked.apart else 0)
        require_memory(file, needed)
        return parquet.read(columns=chosen.names), chosen


def _parquet_sizes(parquet: Any, names: set[str]) -> tuple[int, int]:
    """The most rows of which any part of a Parquet file speaks, and the bytes of its texts without compression.

    The rows that a damaged file speaks of contradict each other.
    """
    metadata = parquet.metadata
    # A column in a column has both names, joined with a dot, which a plain column's name may have as well.
    paths = [parquet.schema.column(i).path for i in range(metadata.num_columns)]
    chosen = [i for i, path in enumerate(paths) if path in names or path.partition(".")[0] in names]
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    for i in range(len(groups)):
        # Raises for a damaged description of a column; asking for that itself would end the process in C++ (Arrow 26).
        next(parquet.iter_batches(1, row_groups=[i], columns=sorted(names), use_threads=False), None)
    values = [sum(group.column(i).num_values for group in groups) for i in chosen]
    texts = [i for i in chosen if parquet.schema.column(i).physical_type == "BYTE_ARRAY"]
    text_bytes = sum(max(0, group.column(i).total_uncompressed_size) for i in texts for group in groups)
    return int(max(metadata.num_rows, sum(group.num_rows for group in groups), *values, 0)), text_bytes


def _read_ipc(file: Path, asked: _Columns) -> tuple[Any, _Columns]:
    import pyarrow as pa

    with pa.OSFile(str(file)) as stream:
        is_file = stream.read(6) == b"ARROW1"
        stream.seek(0)
        # A file is a stream between its first bytes and its list of batches, which shows here that it is whole.
        reader = pa.ipc.open_file(stream) if is_file else pa.ipc.open_stream(stream)
        chosen = _choose(file, reader.schema.names, asked, reader.schema.metadata)
        _check_numeric(file, reader.schema, chosen, lambda name: _first_of_ipc(reader, name))
        start = 8 if is_file else 0
        table_bytes, rows = decoded_bytes(file, start)
        # Texts become Python's own beside those of the table.
        require_memory(file, table_bytes * (2 if asked.apart else 1) + rows * _ARRAY_BYTES * len(chosen.names))
        stream.seek(start)
        batches = pa.ipc.open_stream(stream)
        if not batches.schema.equals(reader.schema):
            raise ValueError("its first and its last description of the columns contradict each other")
        return batches.read_all().select(chosen.names), chosen


def _choose(file: Path, names: list[str], asked: _Columns, metadata: Mapping[bytes, bytes] | None = None) -> _Columns:
    # Which of the nameless ones is meant is asked where one is used.
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DataError(
            f"{file} has more than one column named {_quoted(twice)}.", remedy="Rename them, so that each is unique."
        )
    known = set(names)
    unknown = [name for name in asked.names if name not in known]
    if unknown:
        near = {name: difflib.get_close_matches(name, names, n=1) for name in unknown}
        hints = "".join(f" Did you mean {match[0]!r} for {name!r}?" for name, match in near.items() if match)
        raise DataError(
            f"{file} has no column {_quoted(unknown)}.{hints} Its columns are {_quoted(names)}.",
            remedy="Name columns that it has.",
        )
    both = [name for name in asked.features or [] if name in asked.targets]
    if both:
        raise DataError(f"{_quoted(both)} is both a feature and the target.", remedy="Leave it out of one of the two.")
    chosen = asked.features if asked.features is not None else _features(file, names, asked, metadata)
    return _Columns(chosen, asked.targets, asked.labels, asked.apart)


def _features(file: Path, names: list[str], asked: _Columns, metadata: Mapping[bytes, bytes] | None) -> list[str]:
    """All columns that play no other part, are named, and are not the index of a pandas frame."""
    others = {*asked.targets, *asked.labels}
    index = [name for name in pandas_index(metadata, names) if name not in others]
    others |= set(index)
    chosen = [name for name in names if name not in others]
    nameless = [f"column {i}" for i, name in enumerate(names, 1) if name not in others and is_nameless(name)]
    if nameless:
        raise DataError(
            f"{file} has columns without a name: {_first_of(nameless)} of {len(names)}. Such a first column mostly "
            "numbers the rows, and is no feature.",
            remedy="Leave it out when you write the file, with df.to_csv(path, index=False) in pandas or "
            f"row.names=FALSE in R; or name all columns; or {_CHOOSE}.",
        )
    if index:
        _LOG.warning(
            "%s: %s is the index of the pandas frame that was written, and not used as a feature. To use it, name it "
            "among features=[...] (--features a,b,c); to write the file without it, reset_index(drop=True).",
            file,
            _quoted(index),
        )
    if not chosen:
        raise DataError(
            f"{file} has no columns left for features: all are targets, labels or an index "
            f"({_quoted(sorted(others))}).",
            remedy="Name fewer targets, or write a file with more columns.",
        )
    return chosen


def _refuse_row_numbers(file: Path, table: Any, features: list[str]) -> None:
    counting = row_numbers(table, features)
    if counting:
        raise DataError(
            f"{file}: {_quoted(counting)} counts up by one from row to row, so that it numbers the rows and is no "
            "feature.",
            remedy=f"Write the file without it, or {_CHOOSE}; name it there if it is a feature.",
        )


def _check_numeric(file: Path, schema: Any, chosen: _Columns, values: Callable[[str], Iterable[Any]]) -> None:
    """Refuses columns that are not numeric; features that are read apart may be texts as well.

    Args:
        file: it appears in the message.
        schema: of the file, in Arrow.
        chosen: the columns to look at.
        values: gives values of a column that make it something other than numbers.

    Raises:
        DataTypeError: names the columns, with values of each, and says what to do.
    """
    features, targets = chosen.features or [], chosen.targets
    wrong = [
        name
        for name in features + targets
        if not is_numeric_arrow_type(schema.field(name).type)
        and not (chosen.apart and name in features and is_text_type(schema.field(name).type))
    ]
    if not wrong:
        return
    shown = wrong[:_NAMES_IN_MESSAGE]
    described = [f"{name!r} ({schema.field(name).type}{such_as(values(name))})" for name in shown]
    described += [repr(name) for name in wrong[_NAMES_IN_MESSAGE:]]
    fixes = []
    if any(name in features for name in wrong):
        how = _AS_NUMBERS_OR_TEXTS if chosen.apart else f"encode them: {_ENCODE}"
        fixes.append(f"Leave them out: {_CHOOSE}. Or {how}.")
    if any(name in targets for name in wrong):
        fixes.append(
            "Encode a target of labels as integers, for example with classes, y = np.unique(y, return_inverse=True)."
        )
    what = "neither numeric nor texts" if chosen.apart and any(name in features for name in wrong) else "not numeric"
    raise DataTypeError(f"{file} has columns that are {what}: {_first_of(described)}.", remedy=" ".join(fixes))


def _not_numbers(column: Any, decimal: str) -> Iterable[str]:
    texts = (str(value) for value in (scalar.as_py() for scalar in column) if value is not None)
    return (text for text in texts if not is_number(text, decimal))


def _first_of_parquet(parquet: Any, name: str) -> Iterable[Any]:
    batch = next(parquet.iter_batches(_ROWS_LOOKED_AT, columns=[name], use_threads=False), None)
    return () if batch is None else batch.column(0).to_pylist()


def _first_of_ipc(reader: Any, name: str) -> Iterable[Any]:
    # A file knows its batches, a stream gives one after the other.
    if hasattr(reader, "get_batch"):
        batch = reader.get_batch(0) if reader.num_record_batches else None
    else:
        batch = next(iter(reader), None)
    return () if batch is None else batch.column(name).slice(0, _ROWS_LOOKED_AT).to_pylist()


def _read_npy(file: Path, rows: _Rows) -> DataFile:
    arrays, missing = rows.kept_of(file, TRAINING, {"X": read_npy(file)}), rows.missing_values()
    X = as_features(f"X of {file.name}", arrays["X"], missing)
    missing.require_none()
    return DataFile(X)


def _read_npz(file: Path, rows: _Rows) -> DataFile:
    found = read_npz(file)
    names = _roles(file, list(found))
    arrays: dict[str, Any] = {}
    for part, roles in ((TRAINING, ("X", "y")), (VALIDATION, ("X_val", "y_val"))):
        arrays |= rows.kept_of(file, part, {role: found[names[role]] for role in roles if role in names})
    labels = {role: f"{name} of {file.name}" for role, name in names.items()}
    if "y_val" in arrays and "X_val" not in arrays:
        raise DataError(f"{file} holds 'y_val' but no 'X_val'.", remedy="Add the features, or leave it out.")
    missing = rows.missing_values()
    X = as_features(labels["X"], arrays["X"], missing)
    y = as_targets(labels["y"], arrays["y"], len(X), missing) if "y" in arrays else None
    X_val = as_features(labels["X_val"], arrays["X_val"], missing) if "X_val" in arrays else None
    y_val = None
    if X_val is not None and "y_val" in arrays:
        y_val = as_targets(labels["y_val"], arrays["y_val"], len(X_val), missing)
    missing.require_none()
    return DataFile(X, y, X_val, y_val)


def _roles(file: Path, names: list[str]) -> dict[str, str]:
    """Which array of an .npz file plays which part, by name."""
    if len(names) == 1 and names[0] not in _ROLES:
        return {"X": names[0]}
    found: dict[str, str] = {}
    for name in names:
        role = _ROLES.get(name)
        if role is not None and role in found:
            raise DataError(f"{file} holds both {found[role]!r} and {name!r}.", remedy="Keep one of them.")
        if role is not None:
            found[role] = name
    if "X" not in found:
        raise DataError(
            f"{file} holds {_quoted(names) or 'no arrays'}, and none is named 'X' or 'X_train'.",
            remedy="Save it with np.savez(path, X=..., y=...).",
        )
    ignored = [name for name in names if name not in _ROLES]
    if ignored:
        _LOG.warning("%s: arrays %s are not used; known names are %s", file, _quoted(ignored), _quoted(_ROLES))
    return found


def _quoted(names: Any) -> str:
    return _first_of([repr(name) for name in names])


def _first_of(items: list[str]) -> str:
    more = len(items) - _NAMES_IN_MESSAGE
    return ", ".join(items[:_NAMES_IN_MESSAGE]) + (f" and {more} more" if more > 0 else "")
