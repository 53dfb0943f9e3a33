"""The errors: each is also a builtin, and the tree that people read is the tree that Python sees."""

from __future__ import annotations

import builtins
import inspect
import pickle
import re

import pytest

from raygrid import errors
from raygrid.errors import RaygridError

CLASSES = {name: c for name, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, RaygridError)}


def drawn_tree() -> dict[str, tuple[str, str | None]]:
    """From the module's docstring: each class to its parent in the drawing and the builtin beside it."""
    found: dict[str, tuple[str, str | None]] = {}
    parents = {0: "RaygridError"}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r" {4}([│ ]*)[├└]── (\w+)(?: \((\w+)\))?  ", line)
        if match:
            depth = len(match[1]) // 4
            found[match[2]] = (parents[depth], match[3])
            parents[depth + 1] = match[2]
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    tree = drawn_tree()
    assert {*tree, "RaygridError"} == set(CLASSES)
    for name, (parent, builtin) in tree.items():
        expected = {parent} | ({builtin} if builtin else set())
        assert {base.__name__ for base in CLASSES[name].__bases__} == expected, name


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"RaygridError"}))
def test_code_that_knows_nothing_of_raygrid_can_catch_every_error(name: str) -> None:
    other = [c for c in CLASSES[name].__mro__ if c.__module__ == builtins.__name__]
    assert any(c not in (Exception, BaseException, object) for c in other)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_keeps_its_message_on_the_way_from_a_worker(name: str) -> None:
    error = CLASSES[name]("point 3: units is -1; use 1 or more")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is CLASSES[name]
    assert str(back) == str(error) == "point 3: units is -1; use 1 or more"


def test_ctrl_c_is_still_a_keyboard_interrupt() -> None:
    assert issubclass(errors.SearchInterrupted, KeyboardInterrupt)
