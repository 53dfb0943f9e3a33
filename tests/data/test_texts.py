"""Arrays of texts: what counts as one, what is missing, and what tells two of them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raygrid.data.texts import as_texts, digest_texts, is_text, looks_like_texts, text_bytes
from raygrid.errors import DataTypeError

TEXTS = ["a", "größer", "a"]
GIVEN = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "numpy's texts": np.array(TEXTS),
    "variable texts": np.array(TEXTS, np.dtypes.StringDType()),
    "bytes": np.array([text.encode() for text in TEXTS]),
    "objects": np.array(TEXTS, object),
    "Series": pd.Series(TEXTS),
    "string Series": pd.Series(TEXTS, dtype="string"),
    "category": pd.Series(TEXTS, dtype="category"),
    "Arrow": pa.array(TEXTS),
    "chunks": pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "polars": pl.Series(TEXTS),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_texts_of_any_kind_are_the_same_texts(kind: str) -> None:
    found = as_texts("X", GIVEN[kind])
    assert found is not None
    assert found.tolist() == TEXTS
    assert is_text(found)
    assert {type(text) for text in found} == {str}
    assert digest_texts(found) == digest_texts(np.array(TEXTS, object))


@pytest.mark.parametrize(
    "value", [np.zeros(3), np.array([1, 2]), [1, 2], [], [[1.0]], pd.Series([1, 2]), pa.array([1]), np.array([None]), 3]
)
def test_what_holds_no_texts_is_left_to_others(value: object) -> None:
    assert as_texts("X", value) is None
    assert not looks_like_texts(value)


@pytest.mark.parametrize(
    "value", [["a", None], [None, "a"], np.array(["a", np.nan], object), pd.Series(["a", pd.NA]), pa.array(["a", None])]
)
def test_what_is_missing_is_none(value: Any) -> None:
    found = as_texts("X", value)
    assert found is not None
    assert sorted(text is None for text in found) == [False, True]


def test_texts_beside_other_objects_are_named() -> None:
    with pytest.raises(DataTypeError, match="X holds texts, and a int at 1: 3"):
        as_texts("X", ["a", 3])
    with pytest.raises(DataTypeError, match="X holds bytes that are not UTF-8 at 0"):
        as_texts("X", np.array([b"\xff"]))


def test_the_digest_tells_apart_what_a_model_would() -> None:
    def digest(*texts: str, shape: Any = (-1,)) -> str:
        return digest_texts(np.array(texts, object).reshape(shape))

    found = [
        digest("ab", "c"),
        digest("a", "bc"),
        digest("c", "ab"),
        digest("ab", "c", ""),
        digest("AB", "c"),
        digest("ab", "c", shape=(2, 1)),
    ]
    assert len(set(found)) == len(found)
    # A changed digest costs users a training of all points.
    assert digest("ab", "größer") == "11cab54b004ac21faa2cfb82379d625d"


def test_the_bytes_are_about_those_of_the_texts() -> None:
    assert 1_000_000 < text_bytes(np.array(["x" * 1000] * 1000, object)) < 1_200_000
