"""The words of messages."""

from __future__ import annotations

import pytest

from raygrid.base.wording import counted, did_you_mean


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 points"),
        (1, "1 point"),
        (2, "2 points"),
        (12_345, "12,345 points"),
        (1.0, "1 point"),
        (0.5, "0.5 points"),
    ],
)
def test_a_noun_is_in_the_singular_for_one_alone(count: float, text: str) -> None:
    assert counted(count, "point") == text


def test_a_plural_of_its_own_is_taken() -> None:
    assert counted(1, "class", "classes") == "1 class"
    assert counted(2, "class", "classes") == "2 classes"


def test_the_closest_name_is_asked_for_and_none_that_is_far() -> None:
    assert did_you_mean("flaot32", ("float16", "float32")) == " Did you mean 'float32'?"
    assert did_you_mean("x", ("float16", "float32")) == ""
