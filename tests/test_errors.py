"""The errors: each is also a builtin, and the tree that people read is the tree that Python sees."""

from __future__ import annotations

import ast
import builtins
import inspect
import pickle
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from repository import ROOT

from raygrid import GridSearchModel, errors
from raygrid.cli.failures import COMMAND
from raygrid.cli.inputs import find_model
from raygrid.errors import (
    ArgumentError,
    BackendError,
    BuilderError,
    GridError,
    GridTypeError,
    RaygridError,
    SearchInterrupted,
    UserCodeError,
    literal,
)
from raygrid.training.tensorflow_setup import check_backend

DEFINED = {name: c for name, c in vars(errors).items() if inspect.isclass(c) and c.__module__ == errors.__name__}
CLASSES = {name: c for name, c in DEFINED.items() if issubclass(c, RaygridError)}


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


@pytest.mark.parametrize("name", sorted(DEFINED))
def test_an_error_keeps_its_message_on_the_way_from_a_worker(name: str) -> None:
    remedy = {"remedy": "Use 1 or more."} if name in CLASSES else {}
    error = DEFINED[name]("point 3: units is -1.", **remedy)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is DEFINED[name]
    assert str(back) == str(error) == " ".join(["point 3: units is -1.", *remedy.values()])


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_keeps_its_remedy_on_the_way_from_a_worker_in_the_words_of_whoever_reads_it(name: str) -> None:
    error = CLASSES[name]("the split holds one class.", remedy="Pass $shuffle_split.")
    back = pickle.loads(pickle.dumps(error))
    assert (
        (back.what, back.remedy) == (error.what, error.remedy) == ("the split holds one class.", "Pass $shuffle_split.")
    )
    assert str(back) == "the split holds one class. Pass shuffle_split=True."
    assert back.said(COMMAND) == "the split holds one class. Pass --shuffle-split."


def test_python_and_the_command_line_have_the_same_words_in_the_same_order() -> None:
    assert [*errors.PYTHON] == [*COMMAND]


def test_what_ctrl_c_raises_is_a_keyboard_interrupt_alone_and_no_exception_that_a_loop_may_catch() -> None:
    assert set(DEFINED) - set(CLASSES) == {"SearchInterrupted"}
    assert SearchInterrupted.__bases__ == (KeyboardInterrupt,)
    assert not issubclass(SearchInterrupted, Exception)


# What people read of them


def documented() -> dict[str, set[str]]:
    """From docs/errors.md: each class to what stands in the parentheses of its heading."""
    text = (ROOT / "docs" / "errors.md").read_text()
    found = re.findall(r"^##+ (\w+) \(([\w, ]+)\)$", text, re.MULTILINE)
    assert len(found) == len({name for name, _ in found})
    return {name: set(parents.split(", ")) for name, parents in found}


def test_the_page_of_errors_lists_every_class_with_its_parents_and_what_to_do() -> None:
    page = documented()
    assert set(page) == set(DEFINED)
    for name, parents in page.items():
        assert parents == {base.__name__ for base in DEFINED[name].__bases__} - {"RaygridError"}, name


# What happened, and what to do


SOURCES = sorted((ROOT / "raygrid").rglob("*.py"))
# Packages, and modules beside them.
PARTS = sorted({path.relative_to(ROOT / "raygrid").parts[0] for path in SOURCES})


def without_remedy(tree: ast.AST) -> list[int]:
    """The lines where an error of raygrid is made, and nothing says what to do about it."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute | ast.IfExp)
        and any(name in CLASSES for part in parts_of(node.func) for name in names_in(part))
        and not any(keyword.arg == "remedy" for keyword in node.keywords)
    ]


def parts_of(called: ast.expr) -> list[ast.expr]:
    return [called.body, called.orelse] if isinstance(called, ast.IfExp) else [called]


@pytest.mark.parametrize("part", PARTS)
def test_each_error_says_what_to_do(part: str) -> None:
    files = [path for path in SOURCES if path.is_relative_to(ROOT / "raygrid" / part)]
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in files for line in without_remedy(ast.parse(path.read_text()))
    ]
    assert not found


def test_an_error_without_a_remedy_is_found() -> None:
    script = "raise GridError('x')\nraise GridError('x', remedy='Do y.')\nraise (DataError if z else GridError)('x')"
    assert without_remedy(ast.parse(script)) == [1, 3]


def test_each_word_of_a_remedy_is_one_of_python_and_of_the_command() -> None:
    assert list(COMMAND) == list(errors.PYTHON)
    texts = [n.value for path in SOURCES for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
    used = {name for text in texts if isinstance(text, str) for name in re.findall(r"\$\{?([a-z]\w*)", text)}
    assert used == set(errors.PYTHON)


def test_a_remedy_is_said_in_the_words_of_python_or_of_the_command_and_a_value_in_it_as_it_is() -> None:
    error = ArgumentError("x is 3.", remedy=f"Pass $features, such as {literal('$none, $$')}.")
    assert str(error) == "x is 3. Pass features=[...], such as $none, $$."
    assert error.said(COMMAND) == "x is 3. Pass --features a,b,c, such as $none, $$."


def test_several_errors_in_one_are_said_line_by_line_in_the_same_words() -> None:
    further = [GridError("epochs is 0.", remedy="Give 1."), GridError("lr is nan.", remedy="Use $none.")]
    error = pickle.loads(pickle.dumps(GridTypeError("units is 'x'.", remedy="Give a number.", others=further)))
    lines = ["units is 'x'. Give a number.", "epochs is 0. Give 1."]
    assert str(error).splitlines() == [*lines, "lr is nan. Use None."]
    assert error.said(COMMAND).splitlines() == [*lines, "lr is nan. Use null."]


# Every class is raised somewhere in the tests: in ``pytest.raises``, or in a script that a test runs in a process of
# its own and that ends in the handler of an ``except``. A name that is only imported or printed does not count.


def names_in(node: ast.expr | None) -> set[str]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    return {n.id if isinstance(n, ast.Name) else n.attr for n in nodes if isinstance(n, ast.Name | ast.Attribute)}


def raised_in(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "raises":
            found |= names_in(node.args[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "except" in node.value:
            found |= {name for h in handlers(node.value) for name in names_in(h.type)}
    return found


def handlers(script: str) -> Iterator[ast.ExceptHandler]:
    # Some scripts are templates.
    filled = re.sub(r"\{\w+(!r)?\}", "0", script).replace("{{", "{").replace("}}", "}")
    for text in (script, filled):
        try:
            tree = ast.parse(textwrap.dedent(text))
        except SyntaxError:
            continue
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


def test_every_class_is_raised_somewhere_in_the_tests() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name.startswith("test_")]
    found = set().union(*(raised_in(ast.parse(path.read_text())) for path in files))
    assert set(DEFINED) - {"RaygridError"} <= found


# Those that no other test raises in its own process


def test_another_backend_that_keras_has_loaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax")))
    with pytest.raises(BackendError, match=r"backend 'jax', and .*unchanged: set os\.environ"):
        check_backend()


def test_a_model_without_a_builder_says_how_to_give_it_one() -> None:
    with pytest.raises(BuilderError, match=r"GridSearchModel has no build_model\. Define build_model"):
        GridSearchModel().build_model({}, (4,))


def test_a_module_of_ones_own_that_fails_while_it_is_imported_is_named_and_keeps_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails_at_import.py").write_text("raise ValueError('no such unit')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserCodeError, match="'fails_at_import:Plant': fails_at_import failed while") as caught:
        find_model("fails_at_import:Plant")
    assert isinstance(caught.value.__cause__, ValueError)
