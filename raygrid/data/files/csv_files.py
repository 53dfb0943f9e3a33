"""CSV files as Arrow tables: what their layout means for numbers, missing values and texts, whatever their size."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raygrid.base.memory import available_memory, require_memory
from raygrid.base.wording import counted
from raygrid.data.files.csv_layout import (
    COMMENT,
    DECIMAL_COMMA,
    CsvLayout,
    CsvOptions,
    find_layout,
    first_wrong_row,
    is_comment,
    is_number,
)
from raygrid.errors import WRITE_AGAIN, DataError

_LOG = logging.getLogger("raygrid")
# Missing in any column, text as well. Compared in lower case and without spaces around them.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "#na", "#n/a n/a", "<na>", "nan", "-nan", "null"})
# Missing in a column of numbers; a label may be called so.
_MISSING_NUMBERS = _MISSING | {"?", "-", "--", ".", "none", "missing", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
# 1,234 can be a bit more than one, or a thousand and more.
_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(,\d{3})+$"
_WHOLE = r"^[-+]?\d+$"
# A row must fit into one of Arrow's blocks.
_BLOCK_BYTES = 2**20
_BLOCK_BYTES_PER_COLUMN = 64
_MAX_BLOCK_BYTES = 2**31 - 1
_NAMES_IN_MESSAGE = 20


class CsvFile:
    """A CSV file whose layout is known.

    Attributes:
        names: of its columns, without spaces around them.
        decimal: the decimal mark, once it is read.
    """

    def __init__(self, file: Path, options: CsvOptions) -> None:
        """Looks through the file.

        Raises:
            DataError: it is too large for the memory, no text, or has no header.
        """
        self._file = file
        self._options = options
        self.decimal = options.decimal or "."
        self._size = file.stat().st_size
        # A number takes six characters or more in most files.
        require_memory(file, 2 * self._size)
        self._layout = find_layout(file, options)
        self.names = list(self._layout.names)
        if all(is_number(name) for name in self.names):
            listed = ", ".join(map(repr, self.names[:_NAMES_IN_MESSAGE]))
            raise DataError(f"{file} has numbers in its first line ({listed}).", remedy="Add a line of column names.")

    def read(self, numbers: Sequence[str], labels: Sequence[str], value_bytes: int) -> Any:
        """A ``pyarrow.Table`` of the named columns, in this order.

        Args:
            numbers: columns that should be of numbers; one that is not is of text in the table.
            labels: columns that keep their texts, without spaces around them.
            value_bytes: what a value takes in memory.

        Raises:
            DataError: a row has more or fewer values than there are columns, or the file needs too much memory.
        """
        available = available_memory()
        if available is not None and self._size * value_bytes // 2 > available:
            # It may hold numbers of one digit: their rows are counted before memory is taken for them.
            require_memory(self._file, self._layout.lines * (len(numbers) + len(labels)) * value_bytes)
        names = [*numbers, *labels]
        reading = _Reading(self._file, self._layout, names)
        given = self._options.missing_values
        markers = ["", *given] if given is not None else None
        table = reading.table(self.decimal, markers)
        texts = {name: table.column(name) for name in numbers if _is_text(table.column(name))}
        missing = frozenset(map(str.lower, markers)) if markers else _MISSING_NUMBERS
        spellings = [text for column in texts.values() for text in _missing_texts(column, missing)]
        use_comma = self._options.decimal is None and _has_decimal_commas(self._file, texts, missing)
        if use_comma or spellings:
            # Not before: the first texts of a long file may be numbers in either way, and their columns whole numbers.
            del table, texts
            self.decimal = "," if use_comma else self.decimal
            table = reading.table(self.decimal, [*(markers or reading.usual_markers()), *spellings])
        self._say(reading)
        stripped = frozenset(map(str.lower, markers)) if markers else _MISSING
        columns = [_without_missing(table.column(name), stripped, given or ()) for name in names]
        return _table(columns, names)

    def _say(self, reading: _Reading) -> None:
        layout, options = self._layout, self._options
        said = []
        if options.delimiter is None and layout.delimiter != ",":
            said.append(f"delimiter {layout.delimiter!r}")
        if options.decimal is None and self.decimal != ".":
            said.append(f"decimal {self.decimal!r}")
        if options.encoding is None and layout.encoding != "utf-8":
            said.append(f"encoding {layout.encoding!r}")
        if layout.named_in_comment:
            said.append("the column names in a comment")
        comments = layout.skipped_comments + reading.comments
        if comments:
            said.append(f"{counted(comments, 'line')} beginning with '#' left out as comments")
        if said:
            _LOG.warning(
                "%s is read with %s. If that is wrong, say what is right with delimiter=, decimal= or encoding=, on "
                "the command line --delimiter and so on.",
                self._file,
                ", ".join(said),
            )
        if reading.rows_like_comments:
            _LOG.warning(
                "%s: %s with a value for every column begin with '#', and are taken as data. Delete what is a comment.",
                self._file,
                counted(reading.rows_like_comments, "row"),
            )


class _Reading:
    """Reads the same columns of a file, with one meaning of its texts or another.

    Attributes:
        comments: the lines that the last reading left out below the header.
        rows_like_comments: the rows of the last reading that begin like a comment.
    """

    def __init__(self, file: Path, layout: CsvLayout, names: Sequence[str]) -> None:
        self._file = file
        self._layout = layout
        self._names = list(names)
        self.comments = 0
        self.rows_like_comments = 0

    @staticmethod
    def usual_markers() -> list[str]:
        """What Arrow takes for missing."""
        from pyarrow import csv

        return list(csv.ConvertOptions().null_values)

    def table(self, decimal: str, markers: Sequence[str] | None) -> Any:
        """The columns.

        Args:
            decimal: the decimal mark.
            markers: the exact texts that are missing values, in columns of numbers; None: the usual ones.
        """
        import pyarrow as pa

        if not self._layout.has_rows:
            return _table([pa.chunked_array([], pa.null())] * len(self._names), self._names)
        size = self._file.stat().st_size
        block_bytes = min(max(_BLOCK_BYTES, _BLOCK_BYTES_PER_COLUMN * len(self._layout.names)), _MAX_BLOCK_BYTES)
        try:
            return self._read(decimal, markers, block_bytes)
        except pa.ArrowInvalid as error:
            self._refuse_wrong_row()
            if size <= block_bytes:
                raise self._damaged(error) from error
        try:
            # A row, or what comes before the first one, is longer than a block.
            return self._read(decimal, markers, min(size + 1, _MAX_BLOCK_BYTES))
        except pa.ArrowInvalid as error:
            raise self._damaged(error) from error

    def _read(self, decimal: str, markers: Sequence[str] | None, block_bytes: int) -> Any:
        import pyarrow.compute as pc
        from pyarrow import csv

        layout = self._layout
        # By number: names may be empty or come twice.
        numbers = {name: str(i) for i, name in enumerate(layout.names)}
        places = [numbers[name] for name in self._names]
        first = [] if not layout.comments or "0" in places else ["0"]
        comments: list[str] = []

        def leave_out_comments(row: Any) -> str:
            if not is_comment(row.text):
                return "error"
            comments.append("")
            return "skip"

        table = csv.read_csv(
            self._file,
            csv.ReadOptions(
                column_names=[str(i) for i in range(len(layout.names))],
                skip_rows=layout.skipped_lines,
                encoding="utf8" if layout.encoding == "utf-8" else layout.encoding,
                block_size=block_bytes,
            ),
            csv.ParseOptions(
                delimiter=layout.delimiter,
                newlines_in_values=layout.quoted,
                invalid_row_handler=leave_out_comments if layout.comments else None,
            ),
            csv.ConvertOptions(
                include_columns=[*places, *first],
                decimal_point=decimal,
                null_values=None if markers is None else list(markers),
            ),
        )
        self.comments = len(comments)
        self.rows_like_comments = 0
        if layout.comments and _is_text(table.column("0")):
            like = pc.starts_with(table.column("0"), COMMENT)
            self.rows_like_comments = pc.sum(like).as_py() or 0
        return _table([table.column(place) for place in places], self._names)

    def _refuse_wrong_row(self) -> None:
        wrong = first_wrong_row(self._file, self._layout)
        if wrong is None:
            return
        line, values = wrong
        columns = len(self._layout.names)
        remedy = "Correct the line, or name the right delimiter, such as $delimiter."
        if line == self._layout.skipped_lines + 1 and values == columns + 1:
            remedy += " R's write.table writes the names of rows like that: write it with row.names=FALSE."
        raise DataError(
            f"{self._file} is damaged: line {line:,} has {counted(values, 'value')}, and the header has "
            f"{counted(columns, 'column')} (delimiter {self._layout.delimiter!r}).",
            remedy=remedy,
        )

    def _damaged(self, error: Exception) -> DataError:
        reason = str(error).splitlines()[0]
        return DataError(f"{self._file} is damaged, or not a .csv file: {reason}.", remedy=WRITE_AGAIN)


def _missing_texts(column: Any, missing: frozenset[str]) -> list[str]:
    """How missing values are written in a column of texts, with the spaces around them."""
    import pyarrow.compute as pc

    different = pc.unique(column)
    return list(pc.filter(different, _is_missing(different, missing)).to_pylist())


def _has_decimal_commas(file: Path, texts: Mapping[str, Any], missing: frozenset[str]) -> bool:
    """Whether any of these columns is one of numbers once a comma is taken for the decimal mark.

    Raises:
        DataError: the comma of all such numbers could stand after the thousands as well.
    """
    import pyarrow.compute as pc

    decimal: list[str] = []
    either: list[str] = []
    for name, column in texts.items():
        values = pc.unique(column)
        values = pc.utf8_trim_whitespace(pc.filter(values, pc.invert(_is_missing(values, missing))))
        comma = pc.match_substring_regex(values, f"^{DECIMAL_COMMA.pattern}$")
        if pc.any(comma).as_py() and pc.all(pc.or_(comma, pc.match_substring_regex(values, _WHOLE))).as_py():
            numbers = pc.filter(values, comma)
            thousands = pc.all(pc.match_substring_regex(numbers, _THOUSANDS)).as_py()
            (either if thousands else decimal).append(f"{name!r} (such as {numbers[0].as_py()!r})")
    if either and not decimal:
        raise DataError(
            f"{file}: the numbers in {', '.join(either[:_NAMES_IN_MESSAGE])} can have a decimal comma or a comma after "
            "the thousands.",
            remedy="Say $decimal_comma for the first; write the file without thousands separators for the second.",
        )
    return bool(decimal)


def _is_missing(texts: Any, missing: frozenset[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), value_set=pa.array(sorted(missing), pa.string()))


def _without_missing(column: Any, missing: frozenset[str], given: Sequence[str]) -> Any:
    """Texts without spaces around them, and null for what stands for a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_text(column):
        column = pc.utf8_trim_whitespace(column)
        is_missing = _is_missing(column, missing)
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        # The same number can be written in another way: -999 as -999.0.
        numbers = [float(text) for text in given if is_number(text)]
        if not numbers:
            return column
        is_missing = pc.is_in(column.cast(pa.float64(), safe=False), value_set=pa.array(numbers))
    else:
        return column
    return pc.if_else(is_missing, pa.scalar(None, column.type), column) if pc.any(is_missing).as_py() else column


def _is_text(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _table(columns: Sequence[Any], names: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.table(list(columns), names=list(names))
