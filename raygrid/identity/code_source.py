"""What a function consists of: its syntax tree without what has no effect, and the names that it mentions.

The tree is taken from the function's file only when that file, compiled, gives the function's own byte code.
A file that was edited after its import, or rewritten while it was imported, would otherwise describe code
that does not run.
"""

from __future__ import annotations
import __future__

import ast
import dis
import inspect
import linecache
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import TypeAlias

#: A description made of plain values, ready for a digest.
Token: TypeAlias = "int | str | Sequence[Token] | None"
#: A name and the attributes read from it: ``helpers.blocks.dense`` is ``("helpers", "blocks", "dense")``.
Chain: TypeAlias = tuple[str, ...]
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUTURE_FLAGS = 0
for _feature in __future__.all_feature_names:
    _FUTURE_FLAGS |= getattr(__future__, _feature).compiler_flag

# Notebooks compile their cells with this flag; on other files it only accepts what Python would have refused.
_COMPILE_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

# `kind`, `ctx` and `type_comment` follow from the spelling or the position; annotations do not act on what is
# computed.
_FIELDS_WITHOUT_EFFECT = frozenset({"annotation", "returns", "type_comment", "type_params", "ctx", "kind", "simple"})

_SHAPE_FLAGS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)

# Python 3.14 marks the functions whose first constant is a docstring; before, only a docstring could be a str
# there.
_CO_HAS_DOCSTRING = 0x4000000 if sys.version_info >= (3, 14) else inspect.CO_NEWLOCALS


class SourceFiles:
    """The source files of one digest, each parsed once."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, int], _SourceFile | None] = {}

    def tree(self, function: FunctionType) -> FunctionNode | None:
        """Return the syntax tree of a function, or None where there is none that is certainly the function's.

        None is for code without source (``exec``, generated methods), for a file that changed since its
        import, and for several lambdas in one line.
        """
        code = function.__code__
        flags = code.co_flags & _FUTURE_FLAGS
        key = (code.co_filename, flags)
        if key not in self._files:
            linecache.checkcache(code.co_filename)
            text = "".join(linecache.getlines(code.co_filename, function.__globals__))
            self._files[key] = _SourceFile.parse(text, code.co_filename, flags) if text else None
        source = self._files[key]
        return source.find(code) if source else None


class _SourceFile:
    """The functions of one file by name and first line, as nodes and as compiled code."""

    def __init__(self, tree: ast.AST, module_code: CodeType) -> None:
        self._nodes: defaultdict[tuple[str, int], list[FunctionNode]] = defaultdict(list)
        self._codes: defaultdict[tuple[str, int], list[CodeType]] = defaultdict(list)
        for node in ast.walk(tree):
            if isinstance(node, FunctionNode):
                self._nodes[_name_and_line(node)].append(node)
        for code in _nested_codes(module_code):
            self._codes[code.co_name, code.co_firstlineno].append(code)

    @classmethod
    def parse(cls, text: str, filename: str, flags: int) -> _SourceFile | None:
        try:
            tree = compile(text, filename, "exec", flags | _COMPILE_FLAGS | ast.PyCF_ONLY_AST, dont_inherit=True)
            code = compile(text, filename, "exec", flags | _COMPILE_FLAGS, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return None
        return cls(tree, code)

    def find(self, code: CodeType) -> FunctionNode | None:
        key = (code.co_name, code.co_firstlineno)
        nodes, codes = self._nodes[key], self._codes[key]
        if len(nodes) != 1 or len(codes) != 1 or code_tokens(codes[0]) != code_tokens(code):
            return None
        return nodes[0]


def tree_tokens(node: object) -> Token:
    """Describe a syntax tree without line numbers, docstrings, annotations, ``pass`` and formatting.

    Fields that are empty are left out, so that a field that a later Python adds changes nothing.
    """
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if isinstance(node, ast.AnnAssign):
        if node.value is None:
            return ["Declare", tree_tokens(node.target)]
        return ["Assign", ["targets", [tree_tokens(node.target)]], ["value", tree_tokens(node.value)]]
    if isinstance(node, ast.AST):
        fields: list[Token] = [type(node).__name__]
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in _FIELDS_WITHOUT_EFFECT:
                continue
            fields.append([name, tree_tokens(value)])
        return fields
    if isinstance(node, list):
        return [tree_tokens(item) for item in node if not _has_no_effect(item)]
    return node if node is None or isinstance(node, str) else repr(node)


def code_tokens(code: CodeType) -> Token:
    """Describe byte code without line numbers, file names and docstrings, for one version of Python."""
    constants: list[Token] = []
    # Comprehensions, whose names are in angle brackets, have no docstring but may begin with a text.
    may_have_docstring = code.co_flags & _CO_HAS_DOCSTRING and not code.co_name.startswith("<")
    for position, constant in enumerate(code.co_consts):
        if position == 0 and may_have_docstring and isinstance(constant, str):
            constant = None
        constants.append(_constant_tokens(constant))
    return [
        code.co_name,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _SHAPE_FLAGS],
        [list(code.co_names), list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)],
        constants,
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
    ]


def mentions(code: CodeType) -> set[Chain]:
    """Return the names, with attributes, that code and the code nested in it read from outside the function.

    Names of an enclosing function are among them; so are variables that only nested functions share.
    """
    chains: set[Chain] = set()
    for nested in _nested_codes(code):
        chain: Chain = ()
        for instruction in dis.get_instructions(nested):
            name = instruction.opname
            if name in ("EXTENDED_ARG", "CACHE"):
                continue
            if chain and name in ("LOAD_ATTR", "LOAD_METHOD"):
                chain = (*chain, instruction.argval)
                continue
            if chain:
                chains.add(chain)
            reads = instruction.opcode in dis.hasname or instruction.opcode in dis.hasfree
            is_variable = name.startswith("LOAD_") and not name.endswith(("ATTR", "METHOD", "CLOSURE"))
            chain = (instruction.argval,) if reads and is_variable else ()
    return chains


def words(code: CodeType) -> set[str]:
    """Return every name and every text constant of code and of the code nested in it."""
    found: set[str] = set()
    for nested in _nested_codes(code):
        found.update(nested.co_names)
        found.update(constant for constant in nested.co_consts if isinstance(constant, str))
    return found


def tree_chains(tree: ast.AST) -> Iterator[Chain]:
    """Yield the names of a tree, each with the attributes that are read from it."""
    attributes: list[str] = []
    node = tree
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        yield (node.id, *attributes)
        return
    for child in ast.iter_child_nodes(node):
        yield from tree_chains(child)


def _name_and_line(node: FunctionNode) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _has_no_effect(node: object) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_codes(constant)


def _constant_tokens(constant: object) -> Token:
    if isinstance(constant, CodeType):
        return code_tokens(constant)
    if isinstance(constant, tuple):
        return ["tuple", *(_constant_tokens(item) for item in constant)]
    if isinstance(constant, frozenset):
        return ["frozenset", *sorted(f"{type(item).__name__} {item!r}" for item in constant)]
    return [type(constant).__name__, repr(constant)]
