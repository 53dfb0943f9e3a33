"""CSV files as other programs write them: read as what they hold, or refused with the line, the value and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raygrid.data.files.tables import read_data
from raygrid.errors import ArgumentError, DataError, DataTypeError

# Arrow reads a file in blocks of 1 MiB.
FEW, MANY = 20, 60_000
SIZES = pytest.mark.parametrize("rows", [FEW, MANY], ids=["small", "large"])


def file_of(folder: Path, text: str | bytes) -> Path:
    path = folder / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def large_enough(path: Path, rows: int) -> None:
    assert rows == FEW or path.stat().st_size > 3 * 2**20


def expected(rows: int) -> np.ndarray[Any, Any]:
    numbers = np.arange(rows)
    return np.column_stack([numbers % 7 + 0.5, numbers % 5]).astype(np.float32)


def lines(rows: int, row: str) -> str:
    """The numbers of ``expected``, as ``row`` writes them."""
    period = [row.format(whole=i % 7, half=HALF, other=i % 5) for i in range(35)]
    return ("".join(period) * (rows // 35 + 1))[: sum(len(period[i % 35]) for i in range(rows))]


# Long, so that a file of few rows has many blocks.
HALF = "5" + "0" * 50
PAD = " " * 50
# What is put before the rows, how one is written, and what is said.
LAYOUTS: dict[str, tuple[str, str, str, str]] = {
    "plain": ("a,b\n", "{whole}.{half},{other}\n", "utf-8", ""),
    "semicolons": ("a;b\n", "{whole}.{half};{other}\n", "utf-8", "delimiter ';'."),
    "semicolons and decimal commas": ("a;b\n", "{whole},{half};{other}\n", "utf-8", "delimiter ';', decimal ','."),
    "tabs": ("a\tb\n", "{whole}.{half}\t{other}\n", "utf-8", r"delimiter '\\t'."),
    "tabs and decimal commas": ("a\tb\n", "{whole},{half}\t{other}\n", "utf-8", r"delimiter '\\t', decimal ','."),
    "bars": ("a|b\n", "{whole}.{half}|{other}\n", "utf-8", "delimiter '|'."),
    "spaces": ("a b\n", "{whole}.{half} {other}\n", "utf-8", "delimiter ' '."),
    "spaces around all": (" a , b \n", " {whole}.{half} , {other}\n", "utf-8", ""),
    "spaces and decimal commas": ("a ;b\n", " {whole},{half} ; {other}\n", "utf-8", "delimiter ';', decimal ','."),
    "lines of Windows": ("a,b\r\n", "{whole}.{half},{other}\r\n", "utf-8", ""),
    "lines of an old Mac": ("a,b\r", "{whole}.{half},{other}\r", "utf-8", ""),
    "a mark of UTF-8": ("\ufeffa,b\n", "{whole}.{half},{other}\n", "utf-8", ""),
    "UTF-16 with tabs": ("a\tb\n", "{whole}.{half}\t{other}\n", "utf-16", r"delimiter '\\t', encoding 'utf-16'."),
    "UTF-32": ("a,b\n", "{whole}.{half},{other}\n", "utf-32", "encoding 'utf-32'."),
    "a header with a comma in quotes": ('"a";"b"\n', '{whole}.{half};"{other}"      \n', "utf-8", "delimiter ';'."),
    "quoted decimal commas": ("a,b\n", '"{whole},{half}",{other}\n', "utf-8", "decimal ','."),
    "Excel's own line": ("sep=;\r\na;b\r\n", "{whole},{half};{other}\r\n", "utf-8", "delimiter ';', decimal ','."),
    "comments first": ("# by a logger\n# of 2 values\n\na,b\n", "{whole}.{half},{other}\n", "utf-8", "2 lines beg"),
    "names in a comment": ("# a,b\n", "{whole}.{half},{other}\n", "utf-8", "the column names in a comment."),
    "empty lines": ("\n\na,b\n\n", "{whole}.{half},{other}\n\n", "utf-8", ""),
}  # fmt: skip


@SIZES
@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_layout_is_understood_and_said_whatever_the_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, rows: int
) -> None:
    header, row, encoding, said = LAYOUTS[kind]
    path = file_of(tmp_path, (header + lines(rows, row)).encode(encoding))
    large_enough(path, rows)
    data = read_data(path)
    assert data.feature_names == ("a", "b")
    np.testing.assert_array_equal(data.X, expected(rows))
    assert len(caplog.records) == bool(said)
    assert said.replace("\\\\", "\\") in caplog.text


def test_of_several_possible_delimiters_numbers_decide_and_comments_do_not(tmp_path: Path) -> None:
    data = read_data(file_of(tmp_path, "T, C;b\n1,5;2\n2,5;3\n"))
    assert data.feature_names == ("T, C", "b")
    assert data.X.tolist() == [[1.5, 2], [2.5, 3]]
    path = file_of(tmp_path, "a,b;c\n1,x;y\n# 1;2\n# 3;4\n# 5;6\n")
    assert read_data(path, features=["a"], labels=["b;c"]).labels["b;c"].tolist() == ["x;y"]


def test_what_the_user_says_is_not_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file_of(tmp_path, "a;b\n1,5;ä\n2,5;b\n".encode("latin-1"))
    data = read_data(path, features=["a"], labels=["b"], delimiter=";", decimal=",", encoding="latin-1")
    np.testing.assert_array_equal(data.X, [[1.5], [2.5]])
    assert data.labels["b"].tolist() == ["ä", "b"]
    assert not caplog.records


@SIZES
def test_the_first_decimal_comma_may_come_late(tmp_path: Path, rows: int) -> None:
    path = file_of(tmp_path, "a;b\n" + f"1;2{PAD}\n" * rows + "1,5;3\n")
    large_enough(path, rows)
    X = read_data(path).X
    assert X.shape == (rows + 1, 2) and X[-1].tolist() == [1.5, 3]


@SIZES
def test_a_number_with_a_point_in_a_file_of_decimal_commas_is_named(tmp_path: Path, rows: int) -> None:
    path = file_of(tmp_path, "a;b\n" + f"1,5;1{PAD}\n" * rows + "2,5;1.234\n")
    with pytest.raises(DataTypeError, match=r"'b' \(string, such as '1.234'\)"):
        read_data(path)
    with pytest.raises(DataTypeError, match=r"'a' \(string, such as '1,5'"):
        read_data(path, decimal=".")


def test_a_text_beside_numbers_with_commas_makes_no_decimal_comma(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a;b\n1,5;1.5\noff;2.5\n")
    with pytest.raises(DataTypeError, match=r"not numeric: 'a' \(string, such as '1,5', 'off'\)\. "):
        read_data(path)


def test_a_comma_that_can_stand_after_the_thousands_is_asked_about(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a;b\n1,234;5\n20,125;6\n7;8\n")
    with pytest.raises(DataError, match=r"'a' \(such as '1,234'\) can have a decimal comma.*Say decimal=','"):
        read_data(path)
    np.testing.assert_array_equal(read_data(path, decimal=",").X, [[1.234, 5], [20.125, 6], [7, 8]])
    with pytest.raises(DataTypeError, match=r"'a' \(string, such as '1,234'"):
        read_data(path, decimal=".")
    # One that cannot be a thousand decides for all.
    path = file_of(tmp_path, "a;b\n1,234;0,125\n20,125;6\n")
    np.testing.assert_array_equal(read_data(path).X, [[1.234, 0.125], [20.125, 6]])


@SIZES
def test_text_that_is_not_utf_8_is_taken_as_that_of_windows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: int
) -> None:
    path = file_of(tmp_path, ("Größe,kind\n" + f"1.5,plain text{PAD}\n" * rows + "2,süß €\n").encode("cp1252"))
    large_enough(path, rows)
    data = read_data(path, labels=["kind"])
    assert data.feature_names == ("Größe",)
    assert data.labels["kind"][-1] == "süß €"
    assert "data.csv is read with encoding 'cp1252'" in caplog.text


def test_text_that_ends_within_a_character_of_utf_8_is_none(tmp_path: Path) -> None:
    data = read_data(file_of(tmp_path, b"a,kind\n1,x\n2,\xc3"), labels=["kind"])
    assert data.labels["kind"].tolist() == ["x", "\xc3"]


def test_a_byte_that_windows_does_not_know_is_one_of_latin_1(tmp_path: Path) -> None:
    data = read_data(file_of(tmp_path, b"a,kind\n1,\x81\n2,b\n"), labels=["kind"])
    assert data.labels["kind"].tolist() == ["\x81", "b"]


@SIZES
def test_a_file_of_another_encoding_than_was_said_is_refused(tmp_path: Path, rows: int) -> None:
    path = file_of(tmp_path, ("a,b\n" + f"1.5,2{PAD}\n" * rows + "3,ä\n").encode("latin-1"))
    with pytest.raises(DataError, match=r"is not of the encoding 'utf-8': .*0xe4.*encoding='latin-1'"):
        read_data(path, encoding="utf-8")


@SIZES
def test_a_quoted_text_may_have_several_lines(tmp_path: Path, rows: int) -> None:
    path = file_of(tmp_path, '"a\nb",note\n' + f'1.5,"one{PAD}\ntwo, three"\n' * rows)
    large_enough(path, rows)
    data = read_data(path, labels=["note"])
    assert data.feature_names == ("a\nb",)
    assert data.X.shape == (rows, 1) and data.labels["note"][-1] == f"one{PAD}\ntwo, three"


def test_a_row_may_be_longer_than_a_block_of_the_reader(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(300)]
    row = ",".join(f"{i + 0.5:.10000f}" for i in range(300))
    X = read_data(file_of(tmp_path, ",".join(names) + f"\n{row}\n{row}\n")).X
    np.testing.assert_array_equal(X, np.tile(np.arange(300, dtype=np.float32) + 0.5, (2, 1)))
    text = "x" * 3 * 2**20
    data = read_data(file_of(tmp_path, f"a,note\n1,{text}\n2,y\n"), labels=["note"])
    assert data.labels["note"].tolist() == [text, "y"]


@SIZES
def test_comments_among_the_rows_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: int
) -> None:
    body = lines(rows, "{whole}.{half},{other}\n")
    path = file_of(tmp_path, f"# first\na,b\n# second\n{body}# paused, at noon, again\n# end\n")
    large_enough(path, rows)
    np.testing.assert_array_equal(read_data(path).X, expected(rows))
    assert "with 4 lines beginning with '#' left out as comments." in caplog.text


def test_a_comment_is_seen_wherever_a_block_of_the_file_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raygrid.data.files.csv_layout._SCAN_BYTES", 1)
    assert read_data(file_of(tmp_path, "a,b\n1,2\n# paused\n3,4\n")).X.tolist() == [[1, 2], [3, 4]]


def test_a_comment_names_the_columns_only_where_it_can(tmp_path: Path) -> None:
    assert read_data(file_of(tmp_path, "# by me, today\na,b\n1,2\n")).feature_names == ("a", "b")
    for comment in ("# by a logger", "# 5,6"):
        with pytest.raises(DataError, match=r"numbers in its first line \('1', '2'\)"):
            read_data(file_of(tmp_path, f"{comment}\n1,2\n3,4\n"))


def test_a_row_with_too_few_values_is_no_comment_where_there_are_comments(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,b\n# paused\n1,2\n3\n")
    with pytest.raises(DataError, match="is damaged: line 4 has 1 value"):
        read_data(path)


def test_a_row_that_looks_like_a_comment_is_never_dropped_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(tmp_path, "id,b\n#1,2\n#2,3\n")
    np.testing.assert_array_equal(read_data(path, features=["b"]).X, [[2], [3]])
    assert "2 rows with a value for every column begin with '#'" in caplog.text
    with pytest.raises(DataTypeError, match=r"'id' \(string, such as '#1', '#2'\)"):
        read_data(path)


# Missing values


@SIZES
@pytest.mark.parametrize("marker", ["?", "NA", "na", "-", "None", "nan", " ", " ? ", "N/A", ".", "<NA>", '""'])
def test_missing_values_are_counted_by_column_however_they_are_written(tmp_path: Path, marker: str, rows: int) -> None:
    path = file_of(tmp_path, "a,b\n" + f"1.5,2{PAD}\n" * rows + f"{marker},3\n4,5\n{marker},{marker}\n")
    with pytest.raises(DataError, match=r"X of data.csv .* 3 values .*'a' \(2\), column 'b' \(1\)"):
        read_data(path)


def test_each_column_may_write_missing_values_in_its_own_way(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,b\n1.5,2\n?,\n3,NA\n")
    with pytest.raises(DataError, match=r"column 'a' \(1\), column 'b' \(2\)"):
        read_data(path)


def test_missing_values_with_decimal_commas_are_counted_too(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a;b\n1,5;2\n?;3,5\n-;?\n")
    with pytest.raises(DataError, match=r"column 'a' \(2\), column 'b' \(1\)"):
        read_data(path)


def test_the_user_says_what_is_missing(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,b,c\n1.5,2,1\n -999,off,1\n-999.0,3,1\n")
    with pytest.raises(DataTypeError, match=r"'b' \(string, such as 'off'\)"):
        read_data(path)
    with pytest.raises(DataError, match=r"column 'a' \(2\), column 'b' \(1\)"):
        read_data(path, missing_values=["-999", "OFF"])
    with pytest.raises(DataError, match="column 'a' has 2 missing values"):
        read_data(path, labels=["a"], features=["c"], missing_values=["-999", "off"])


def test_a_label_that_is_missing_is_no_class(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,kind\n1,none\n2,NA\n3,\n4, high \n")
    with pytest.raises(DataError, match="column 'kind' has 2 missing values"):
        read_data(path, labels=["kind"])
    for text in ("n/a", "NaN", "null", "<NA>", "#N/A"):
        with pytest.raises(DataError, match="column 'kind' has 1 missing value"):
            read_data(file_of(tmp_path, f"a,kind\n1,none\n2, {text}\n"), labels=["kind"])
    path = file_of(tmp_path, "a,kind\n1,none\n2,NA\n3,\n4, high \n")
    with pytest.raises(DataError, match=r"column 'kind' has 1 missing value\."):
        read_data(path, labels=["kind"], missing_values=[])
    path = file_of(tmp_path, "a,kind\n1,none\n2,NA\n3,-\n4, high \n")
    assert read_data(path, labels=["kind"], missing_values=[]).labels["kind"].tolist() == ["none", "NA", "-", "high"]


# What is damaged


@SIZES
@pytest.mark.parametrize(("row", "values"), [("1.5,2,3", "3 values"), ("1.5", "1 value")])
def test_a_row_with_another_number_of_values_is_named(tmp_path: Path, rows: int, row: str, values: str) -> None:
    path = file_of(tmp_path, "a,b\n" + f'1.5,"2\n"{PAD}\n' * rows + f"{row}\n1,2\n")
    line = 2 * rows + 2
    with pytest.raises(DataError, match=rf"is damaged: line {line:,} has {values}, and the header has 2 columns"):
        read_data(path)


def test_empty_lines_are_no_rows_with_too_few_values(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is damaged: line 4 has 1 value"):
        read_data(file_of(tmp_path, "a,b\n1,2\n\n3\n"))


def test_row_names_of_r_without_a_column_name_are_explained(tmp_path: Path) -> None:
    path = file_of(tmp_path, '"a","b"\n"1",5.1,3.5\n"2",4.9,3\n')
    with pytest.raises(DataError, match=r"line 2 has 3 values.*row\.names=FALSE"):
        read_data(path)
    with pytest.raises(DataError, match=r"line 2 has 4 values") as caught:
        read_data(file_of(tmp_path, '"a","b"\n"1",5.1,3.5,7\n"2",4.9,3,7\n'))
    assert "row.names" not in str(caught.value)


@pytest.mark.parametrize("text", ["\0\0\0", b"a,b\n1,2\n" + bytes(1000), "a,b\n1,2\0\n"])
def test_what_is_no_text_is_damaged(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(DataError, match="is damaged"):
        read_data(file_of(tmp_path, text))


@SIZES
def test_a_quote_that_is_not_closed_swallows_no_rows(tmp_path: Path, rows: int) -> None:
    path = file_of(tmp_path, "a,note\n" + f'1.5,"x\n"{PAD}\n' * rows + '2,"y\n3,z\n')
    with pytest.raises(DataError, match=rf"is damaged: the row at line {2 * rows + 2:,} opens a quote"):
        read_data(path, features=["a"])
    # One within a text is none, however many there are.
    path = file_of(tmp_path, "a,note\n" + f'1.5,a 5" pipe{PAD}\n' * rows + '2,"y ""z"""\n3,5"')
    assert read_data(path, features=["a"], labels=["note"]).labels["note"][-2:].tolist() == ['y "z"', '5"']


def test_a_quote_that_is_not_closed_in_the_header_is_damage(tmp_path: Path) -> None:
    path = file_of(tmp_path, '"a,b\n' + "1,2\n" * 50_000)
    with pytest.raises(DataError, match=r"is damaged.*its header has no end"):
        read_data(path)
    # More than the name of any column has.
    with pytest.raises(DataError, match=r"is damaged.*its header has no end"):
        read_data(file_of(tmp_path, "x" * 200_000 + ",b\n1,2\n"))


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\n\n# none\n", "\n\n", "# a,b\n"])
def test_a_csv_without_rows_is_said_to_have_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="no rows"):
        read_data(file_of(tmp_path, text))


# Columns that number the rows

FRAME = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": [4, 1, 3, 2]})


def test_the_index_that_pandas_writes_is_refused_with_the_way_to_leave_it_out(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for frame in (FRAME, FRAME.sample(frac=1, random_state=0), FRAME[FRAME.b > 1]):
        frame.to_csv(path)
        with pytest.raises(DataError, match=r"without a name: column 1 of 3.*index=False.*features=\[\.\.\.\]"):
            read_data(path)
        # pandas reads it back under a name of its own.
        pd.read_csv(path).to_csv(path, index=False)
        with pytest.raises(DataError, match="without a name: column 1 of 3"):
            read_data(path)
        assert read_data(path, features=["a", "b"]).feature_names == ("a", "b")
        frame.to_csv(path, index=False)
        assert read_data(path).feature_names == ("a", "b")


def test_other_columns_without_a_name_are_refused_unless_the_features_are_named(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,,b,\n1,2,3,4\n5,6,7,8\n")
    with pytest.raises(DataError, match="without a name: column 2, column 4 of 4"):
        read_data(path)
    np.testing.assert_array_equal(read_data(path, features=["b", "a"]).X, [[3, 1], [7, 5]])
    data = read_data(file_of(tmp_path, "a,,b\n1,x,2\n3,y,4\n"), labels=[""])
    assert data.feature_names == ("a", "b") and data.labels[""].tolist() == ["x", "y"]


@pytest.mark.parametrize("name", ["index", "Index", "rownames", "row.names", "level_0", "...1"])
def test_a_column_named_like_row_numbers_that_counts_is_refused(tmp_path: Path, name: str) -> None:
    path = file_of(tmp_path, f"{name},a\n7,1.5\n8,2.5\n9,3.5\n")
    with pytest.raises(DataError, match=rf"'{name}' counts up by one.*features=\[\.\.\.\]"):
        read_data(path)
    assert read_data(path, features=[name, "a"]).X[:, 0].tolist() == [7, 8, 9]
    assert read_data(path, target=[name]).feature_names == ("a",)
    # One that measures something does not count, nor does a single row.
    for rows in ("7,1.5\n9,2.5\n8,3.5\n", "0.2,1.5\n1.7,2.5\n2.1,3.5\n", "7,1.5\n"):
        assert read_data(file_of(tmp_path, f"{name},a\n{rows}")).feature_names == (name, "a")
    with pytest.raises(DataError, match=rf"column '{name}' \(1\)"):
        read_data(file_of(tmp_path, f"{name},a\n7,1.5\n8,2.5\n,3.5\n"))


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ";;"}, "delimiter is ';;'. It must be one character"),
        ({"delimiter": '"'}, "It must be one character"),
        ({"decimal": ";"}, r"decimal is ';'. It must be '\.' or ','"),
        ({"encoding": "utf8000"}, "encoding is 'utf8000', which Python does not know"),
        ({"encoding": "rot13"}, "encoding is 'rot13', which Python does not know"),
        ({"missing_values": "NA"}, r"missing_values is 'NA'. It must be a list of texts"),
        ({"missing_values": [-999]}, r"missing_values is \(-999,\). It must be a list of texts"),
    ],
)
def test_an_option_that_cannot_be_right_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        read_data(tmp_path / "none.csv", **options)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npz", ".npy"])
def test_options_for_csv_are_refused_for_other_files(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"data{suffix}").write_bytes(b"x")
    with pytest.raises(ArgumentError, match=r"delimiter and decimal: such options are for \.csv files"):
        read_data(tmp_path / f"data{suffix}", delimiter=";", decimal=",")


def test_a_delimiter_that_was_said_is_used(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,b;c,d\n1,2;3,4\n")
    assert read_data(path, delimiter=";", decimal=",").feature_names == ("a,b", "c,d")
    assert read_data(path, delimiter=",", labels=["b;c"]).feature_names == ("a", "d")


def test_the_delimiter_that_excel_names_is_used(tmp_path: Path) -> None:
    data = read_data(file_of(tmp_path, "sep=|\na;b|c\n1;2|3\n"), labels=["a;b"])
    assert data.X.tolist() == [[3]]
    assert data.labels["a;b"].tolist() == ["1;2"]
