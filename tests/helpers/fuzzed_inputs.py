"""Inputs for readers, made from valid ones with hypothesis: bytes are changed, or values in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"[]", b"{}", b'""', b"[" * 3000, b"9" * 5000, b"\\ud800", b"\xff",
    b"\x00", b"{", b"}", b",", b":", b"\n", b"&a [*a, *a]", b"<<: *a", b"!!timestamp x", b"!!bool x", b"\xef\xbb\xbf",
    b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"<f8", b"|O", b"PK\x03\x04", b"ARROW1", b"PAR1",
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**70,
    0.5,
    1e308,
    "",
    "x",
    "../x",
    "a\0b",
    [],
    [[]],
    {},
    [{}],
)
_POSITION = st.floats(0, 1, exclude_max=True)
_EDITS = st.tuples(
    st.sampled_from(("replace", "insert", "remove", "repeat", "cut")),
    _POSITION,
    st.integers(1, 40),
    st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from(_TOKENS)),
)
_VALUES = st.one_of(
    st.sampled_from(_ODD_VALUES),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)


def inputs_like(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs that resemble ``samples``, and now and then one of them."""
    changed = st.builds(edited, st.sampled_from(samples), st.lists(_EDITS, max_size=4))
    trees = [tree for tree in map(_parsed, samples) if isinstance(tree, dict)]
    if not trees:
        return changed
    return st.one_of(
        changed, st.builds(_with_values, st.sampled_from(trees), st.lists(st.tuples(_POSITION, _VALUES), max_size=3))
    )


def edited(data: bytes, edits: Sequence[tuple[str, float, int, bytes]]) -> bytes:
    """``data`` after changes, each at a relative position, over so many bytes, with other bytes."""
    for kind, position, length, other in edits:
        at = int(position * len(data))
        end = at + length
        if kind == "replace":
            data = data[:at] + other + data[at + len(other) :]
        elif kind == "insert":
            data = data[:at] + other + data[at:]
        elif kind == "remove":
            data = data[:at] + data[end:]
        elif kind == "repeat":
            data = data[:end] + data[at:end] + data[end:]
        else:
            data = data[:at]
    return data


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _with_values(tree: dict[str, Any], changes: Sequence[tuple[float, Any]]) -> bytes:
    tree = json.loads(json.dumps(tree))
    for position, value in changes:
        places = [
            (node, key) for node in _nodes(tree) for key in (node if isinstance(node, dict) else range(len(node)))
        ]
        if not places:
            break
        node, key = places[int(position * len(places))]
        if value == "x" and isinstance(node, dict):
            del node[key]
        else:
            # A copy, so that no value comes to hold itself.
            node[key] = json.loads(json.dumps(value))
    return json.dumps(tree).encode()


def _nodes(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(node for item in inner for node in _nodes(item))]
