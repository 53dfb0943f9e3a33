"""How a CSV file is written: its encoding, its delimiter and its header, found in the file or as the user says."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from raygrid.errors import WRITE_AGAIN, ArgumentError, DataError

_SAMPLE_CHARACTERS = 2**16
_SCAN_BYTES = 2**20
# Where several fit, the first.
_DELIMITERS = (",", ";", "\t", "|", " ")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Begins like the mark of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Text that is not UTF-8 was most probably written by Windows; the last one has a character for every byte.
_WITHOUT_MARK = ("utf-8", "cp1252", "latin-1")
_MARK = "\ufeff"
_END = "end of the file"
COMMENT = "#"
# Excel's line for itself.
_EXCEL_DELIMITER = re.compile(r"sep=(.)\s*", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


@dataclass(frozen=True)
class CsvOptions:
    """What the user says about a CSV file; None is found out.

    Attributes:
        delimiter: one character between two values.
        decimal: ``"."`` or ``","``.
        encoding: a text encoding that Python knows.
        missing_values: what stands for a missing value beside an empty one, instead of the usual texts.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing_values: tuple[str, ...] | None = None

    @property
    def given(self) -> list[str]:
        """The names of those that are said."""
        return [name for name, value in vars(self).items() if value is not None]

    def check(self) -> None:
        """Raises ``ArgumentError`` for what cannot be right."""
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ArgumentError(
                f"delimiter is {self.delimiter!r}.", remedy="It must be one character, such as $delimiters."
            )
        if self.decimal not in (None, ".", ","):
            raise ArgumentError(f"decimal is {self.decimal!r}.", remedy="It must be '.' or ','.")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
                codecs.getincrementaldecoder(self.encoding)
            except (LookupError, ValueError) as error:
                raise ArgumentError(
                    f"encoding is {self.encoding!r}, which Python does not know.",
                    remedy="Use for example 'utf-8', 'latin-1', 'cp1252' or 'utf-16'.",
                ) from error
        if isinstance(self.missing_values, str) or not all(isinstance(v, str) for v in self.missing_values or ()):
            raise ArgumentError(
                f"missing_values is {self.missing_values!r}.",
                remedy="It must be a list of texts, such as ['?', '-999'].",
            )


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is written.

    Attributes:
        encoding: Python's name of it.
        delimiter: between two values.
        names: of the columns, without spaces around them; may be empty or come twice.
        skipped_lines: those before the first row.
        has_rows: whether anything follows.
        lines: of the whole file, at least as many as rows.
        quoted: whether there is any quote, within which a line may end.
        comments: whether any line but the first begins with ``#``.
        skipped_comments: how many of them lie before the first row, and are not the header.
        named_in_comment: whether the header is such a line itself.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    skipped_lines: int
    has_rows: bool
    lines: int
    quoted: bool
    comments: bool
    skipped_comments: int
    named_in_comment: bool


def find_layout(file: Path, options: CsvOptions) -> CsvLayout:
    """Reads the whole file once for its encoding, and its beginning for the rest.

    Raises:
        DataError: it is no text, or not of the encoding that was said; or it has no header.
    """
    encoding, lines, quotes, comments = _scanned(file, options.encoding)
    with open_text(file, encoding) as stream:
        skipped, delimiter, first = _before_the_header(stream)
        if not first.strip():
            raise DataError(f"{file} holds no rows, only empty lines and comments.", remedy=WRITE_AGAIN)
        sample = first + stream.read(_SAMPLE_CHARACTERS)
        whole = len(sample) - len(first) < _SAMPLE_CHARACTERS
    delimiter = options.delimiter or delimiter or _delimiter(sample, whole)
    with open_text(file, encoding) as stream:
        for _ in skipped:
            stream.readline()
        header = csv.reader(stream, delimiter=delimiter)
        names = next(_rows(header), None)
        if names is None:
            raise DataError(f"{file} is damaged, or not a .csv file: its header has no end.", remedy=WRITE_AGAIN)
        header_lines = header.line_num
        has_rows = any(line.strip() for line in stream)
    notes = [line for line in skipped if is_comment(line)]
    named = _names_in_comment(notes, names, delimiter)
    if named is not None:
        names, header_lines, has_rows = named, 0, True
    layout = CsvLayout(
        encoding,
        delimiter,
        tuple(name.strip() for name in names),
        len(skipped) + header_lines,
        has_rows,
        lines,
        quotes > 0,
        comments,
        len(notes) - (named is not None),
        named is not None,
    )
    if quotes % 2:
        _refuse_open_quote(file, layout)
    return layout


def _refuse_open_quote(file: Path, layout: CsvLayout) -> None:
    """A quote that is not closed makes one value of all rows that follow, which Arrow takes as it is."""
    with open_text(file, layout.encoding) as stream:
        for _ in islice(stream, layout.skipped_lines):
            pass
        # In a row of its own, unless it lies within quotes.
        reader = csv.reader(chain(stream, ["\n", _END]), delimiter=layout.delimiter)
        begin, end, row = 0, 0, [""]
        for row in _rows(reader):
            if row != [_END]:
                begin, end = end, reader.line_num
    if row != [_END]:
        raise DataError(
            f'{file} is damaged: the row at line {layout.skipped_lines + begin + 1:,} opens a quote (") that is not '
            "closed.",
            remedy="Close it, or write two quotes for one.",
        )


def open_text(file: Path, encoding: str) -> TextIO:
    """The text of a file as it is, but for a mark of its encoding at the begin."""
    stream = file.open(encoding=encoding, newline="")
    if stream.read(1) != _MARK:
        stream.seek(0)
    return stream


def is_comment(line: str) -> bool:
    """Whether a line is a comment where it cannot be a row."""
    return line.startswith(COMMENT)


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether ``text`` is a number with this decimal mark, or with none."""
    if decimal != "." and "." in text:
        return False
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _scanned(file: Path, encoding: str | None) -> tuple[str, int, int, bool]:
    """Encoding, number of lines, number of quotes, and whether there are comments below the first line."""
    with file.open("rb") as stream:
        start = stream.read(4)
    marked = [name for mark, name in _MARKS if start.startswith(mark)][:1]
    for candidate in [encoding] if encoding is not None else marked or _WITHOUT_MARK:
        try:
            return candidate, *_scan(file, candidate)
        except UnicodeError as error:
            reason = str(error)
    raise DataError(
        f"{file} is not of the encoding {candidate!r}: {reason}.", remedy="Name the right one, such as $encoding."
    )


def _scan(file: Path, encoding: str) -> tuple[int, int, bool]:
    lines, quotes, comments, last = 1, 0, False, ""
    decoder = codecs.getincrementaldecoder(encoding)()
    with file.open("rb") as stream:
        while True:
            block = stream.read(_SCAN_BYTES)
            text = decoder.decode(block, final=not block)
            if "\0" in text:
                raise DataError(
                    f"{file} is damaged, or not a .csv file: it holds NUL characters, which no text has.",
                    remedy="Write the file again, or name its encoding, such as $unmarked_encoding.",
                )
            lines += max(text.count("\n"), text.count("\r"))
            quotes += text.count('"')
            comments = comments or any(end + COMMENT in last + text for end in "\r\n")
            last = text[-1:]
            if not block:
                return lines, quotes, comments


def _before_the_header(stream: TextIO) -> tuple[list[str], str | None, str]:
    """The empty lines and comments at the begin, the delimiter that Excel's own line names, and the line after them."""
    skipped: list[str] = []
    delimiter = None
    for line in iter(stream.readline, ""):
        excel = _EXCEL_DELIMITER.fullmatch(line)
        if excel:
            delimiter = excel[1]
        elif line.strip() and not is_comment(line):
            return skipped, delimiter, line
        skipped.append(line)
    # Nothing but comments: the last may be a header without rows.
    while skipped and not skipped[-1].strip():
        skipped.pop()
    return skipped[:-1], delimiter, skipped[-1] if skipped else ""


def _delimiter(sample: str, whole: bool) -> str:
    """The one by which most rows have as many values as the header; then most numbers; then most columns."""
    lines = [line for line in io.StringIO(sample, newline="") if line.strip() and not is_comment(line)]
    # The last line may be cut.
    lines = lines if whole or len(lines) < 2 else lines[:-1]
    scores = {delimiter: _score(lines, delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: scores[delimiter])


def _score(lines: Sequence[str], delimiter: str) -> tuple[float, float, int]:
    header, *rows = _split(lines, delimiter) or [[]]
    width = len(header)
    if width < 2:
        return 0.0, 0.0, 0
    fitting = [row for row in rows if len(row) == width]
    values = [value.strip() for row in fitting for value in row if value.strip()]
    numbers = sum(is_number(v) or (delimiter != "," and DECIMAL_COMMA.fullmatch(v) is not None) for v in values)
    return len(fitting) / len(rows) if rows else 1.0, numbers / len(values) if values else 0.0, width


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []


def _names_in_comment(notes: Sequence[str], first_row: Sequence[str], delimiter: str) -> list[str] | None:
    """The names that the last comment holds where a row of numbers follows, as numpy's savetxt writes them."""
    if not notes or not any(is_number(value) for value in first_row):
        return None
    text = notes[-1].removeprefix(COMMENT).strip()
    names = (_split([text], delimiter) or [[]])[0]
    return names if len(names) == len(first_row) and not any(is_number(name) for name in names) else None


def first_wrong_row(file: Path, layout: CsvLayout) -> tuple[int, int] | None:
    """Line number, from 1, and number of values of the first row that has not one for each column; None: none has.

    Takes a second for a million rows.
    """
    with open_text(file, layout.encoding) as stream:
        for _ in islice(stream, layout.skipped_lines):
            pass
        reader = csv.reader(stream, delimiter=layout.delimiter)
        for row in _rows(reader):
            if row and len(row) != len(layout.names) and not (layout.comments and is_comment(row[0])):
                return layout.skipped_lines + reader.line_num, len(row)
    return None


def _rows(reader: Iterable[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error:
        # A value of more than 128 KiB: probably a quote that is not closed.
        return
