"""f27: whatever a config may hold comes back from JSON equal and of the same types, at any depth."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_values import is_native, same
from small_models import SmallModel, dense_model, small_rows

from raygrid.base.fingerprint import canonical_json
from raygrid.grid.plan import Point
from raygrid.grid.records import tuples
from raygrid.grid.values import normalize_config
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.tuning.trial import decode_points, encode_points


class Text(str):
    """A kind of text, as enumerations of other libraries have it."""


class Whole(int):
    """A kind of whole number."""


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMPY_SCALARS = st.one_of(
    *(
        st.integers(np.iinfo(kind).min, np.iinfo(kind).max).map(kind)
        for kind in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
    ),
    st.floats(width=16, allow_nan=False, allow_infinity=False).map(np.float16),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(np.float32),
    FLOATS.map(np.float64),
    st.booleans().map(np.bool_),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(np.str_),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    FLOATS,
    st.text(st.characters(exclude_categories=["Cs"])),
    NUMPY_SCALARS,
    st.text("abc").map(Text),
    st.integers().map(Whole),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in {"eval", "grid_search", "batch_size", "epochs", "patience"}
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(FLOATS, max_size=3).map(np.array),
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=8,
)


@settings(deadline=None)  # the machine may be busy
@given(config=st.dictionaries(NAMES, VALUES, max_size=5))
def test_f27_a_config_comes_back_equal_from_json_and_from_a_trial(config: dict[str, Any]) -> None:
    normal = normalize_config(config, {}, None)
    assert is_native(normal)
    back = tuples(json.loads(json.dumps(normal, allow_nan=False)))
    assert same(back, normal)
    assert same(normalize_config(back, {}, None), normal)
    assert canonical_json(back) == canonical_json(normal)
    (point,) = decode_points(encode_points((Point(0, normal, 0, "key"),)))
    assert same(point.config, normal)


@pytest.mark.parametrize(
    ("value", "native"),
    [
        (np.int64(3), 3),
        (np.uint8(255), 255),
        (np.float16(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("relu"), "relu"),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        (np.array(3), 3),
        ([1, [2, [None]]], (1, (2, (None,)))),
        (collections.OrderedDict(a=[1]), {"a": (1,)}),
        (Text("a"), "a"),
        (Whole(7), 7),
    ],
)
def test_f27_values_become_native(value: Any, native: Any) -> None:
    assert same(normalize_config({"x": value}, {}, None)["x"], native)


NESTED = {
    "hidden": [np.int64(3), 2],
    "off": None,
    "nested": [[1, [2.5, None]], {"deep": (True, [np.float32(0.25)])}, []],
    "rate": np.float64(1e-7),
    "flag": np.bool_(False),
    "text": np.str_("größe\n"),
    "whole": 2**53 + 1,
    "epochs": np.int32(1),
}


class Nested(SmallModel):
    """Reads some of its config, and carries the rest."""

    DEFAULT_CONFIG = {}  # noqa: RUF012

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        return dense_model({**config, "activation": "relu", "learning_rate": config["rate"]}, input_shape)


def test_f27_the_best_config_is_the_same_before_and_after_a_reload(tmp_path: Path) -> None:
    model = Nested(tmp_path / "models", "nested", 0)
    model.fit(small_rows(40), model_config=NESTED)
    expected = {
        "batch_size": 32,
        "epochs": 1,
        "flag": False,
        "hidden": (3, 2),
        "nested": ((1, (2.5, None)), {"deep": (True, (0.25,))}, ()),
        "off": None,
        "patience": None,
        "rate": 1e-7,
        "text": "größe\n",
        "whole": 2**53 + 1,
    }
    assert same(model.best_config, expected)
    assert same(GridSearchModel.load(tmp_path / "models", "nested", 0).best_config, expected)
    again = Nested(tmp_path / "models", "nested", 0)
    # As a person writes it down from the file: it is the config that is saved, so nothing is trained.
    again.fit(small_rows(40), model_config=json.loads((tmp_path / "models" / "nested_config.json").read_text()))
    assert same(again.best_config, expected)
    assert again.published.manifest.generation == model.published.manifest.generation
