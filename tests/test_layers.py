"""The packages of raygrid, held against the imports in its files, and what an import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from repository import ROOT

import raygrid

PACKAGE = Path(raygrid.__file__).parent

# The rooms of the house, from the ground up. A module imports from its own room and from those before it; within a
# room modules import each other, without a circle.
ORDER = (
    "errors",
    "base",
    "data",
    "datasets",
    "identity",
    "grid",
    "store",
    "progress",
    "training",
    "tuning",
    "search",
    "model",
    "zoo",
    "cli",
)
# Rooms that know neither Keras nor Ray, not even inside a function.
PURE = ("errors", "data", "datasets", "identity", "grid", "store", "progress")
# Rooms whose modules may import these when they are imported themselves; everywhere else inside a function, if at all.
AT_IMPORT = {
    "tensorflow": ("training",),
    "keras": ("training",),
    "ray": ("tuning",),
    "pyarrow": (),
    "pandas": (),
    "matplotlib": (),
}
PUBLIC_NAMES = {
    "Autoencoder": "raygrid.zoo.autoencoder",
    "AutoencoderDetector": "raygrid.zoo.detector",
    "AutoencoderResidualRegressor": "raygrid.zoo.residual_regressor",
    "ConvAutoencoder": "raygrid.zoo.conv_autoencoder",
    "FitPlan": "raygrid.model.fit_plan",
    "GridSearchModel": "raygrid.model.grid_search_model",
    "MLPClassifier": "raygrid.zoo.mlp_classifier",
    "MLPRegressor": "raygrid.zoo.mlp_regressor",
    "ModelArtifacts": "raygrid.store.paths",
    "Plan": "raygrid.grid.plan",
    "Point": "raygrid.grid.plan",
    "PointRecord": "raygrid.grid.records",
    "Resources": "raygrid.tuning.resources",
    "SearchListener": "raygrid.progress.listeners",
    "__version__": None,
    "datasets": None,
    "errors": None,
}


class Import(NamedTuple):
    """One import: what, whether it happens when its module is imported, whether only a type checker sees it."""

    target: str
    at_import: bool
    typing_only: bool
    line: int


def module_names() -> list[str]:
    """Every module of the package without the leading ``raygrid.``; a package by its own name."""
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    names = (".".join(path.with_suffix("").parts).removesuffix("__init__").rstrip(".") for path in paths)
    return sorted(name for name in names if name)


MODULES = module_names()


def file_of(name: str) -> Path:
    path = PACKAGE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(path: Path) -> list[Import]:
    return list(_imports(ast.parse(path.read_text()).body, at_import=True, typing_only=False))


def _imports(nodes: list[ast.AST] | list[ast.stmt], at_import: bool, typing_only: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, at_import, typing_only, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            for alias in node.names:
                # "from raygrid import errors" imports a module, "from raygrid.errors import X" a name of one.
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("raygrid.") in MODULES
                yield Import(whole if is_module else str(node.module), at_import, typing_only, node.lineno)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(list(ast.iter_child_nodes(node)), False, typing_only)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports(node.body, False, True)
            yield from _imports(node.orelse, at_import, typing_only)
        else:
            yield from _imports(list(ast.iter_child_nodes(node)), at_import, typing_only)


def room_of(name: str) -> str:
    """The package, or the single module, on the first level of the tree that holds a module."""
    return name.partition(".")[0]


def own_imports(name: str) -> list[tuple[str, Import]]:
    """The imports of modules of the package, without the leading ``raygrid.``."""
    return [
        (found.target.removeprefix("raygrid."), found)
        for found in imports_of(file_of(name))
        if found.target.startswith("raygrid.")
    ]


def loads(name: str) -> set[str]:
    """Which of the slow packages the import of a module leads to, its own imports and those of what it imports."""
    found: set[str] = set()
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        module = ahead.pop()
        if module not in seen:
            seen.add(module)
            for each in imports_of(file_of(module)):
                if each.at_import:
                    found |= {each.target.partition(".")[0]} & AT_IMPORT.keys()
                    if each.target.startswith("raygrid."):
                        ahead.append(each.target.removeprefix("raygrid."))
    return found


def test_the_order_names_every_room_once_and_nothing_else() -> None:
    assert sorted(ORDER) == sorted({room_of(name) for name in MODULES})


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_own_room_and_from_those_before_it(name: str) -> None:
    known = ORDER[: ORDER.index(room_of(name)) + 1]
    wrong = [f"line {found.line}: {target}" for target, found in own_imports(name) if room_of(target) not in known]
    assert not wrong, f"{room_of(name)} comes before what {name} imports: {wrong}"


def test_modules_import_each_other_without_a_circle() -> None:
    imports = {name: {target for target, found in own_imports(name) if not found.typing_only} for name in MODULES}
    TopologicalSorter(imports).prepare()


def test_the_page_on_the_structure_names_every_module_in_the_row_of_its_package() -> None:
    page = (ROOT / "docs/structure.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z/]+)/` \|.*\| (.*) \|$", page, re.MULTILINE))
    # What these hold is said in words: models, commands and the data.
    in_words = ("datasets", "zoo", "cli")
    expected: dict[str, set[str]] = {}
    for name in MODULES:
        if not file_of(name).name.startswith("__") and "." in name and room_of(name) not in in_words:
            folder, _, leaf = name.replace(".", "/").rpartition("/")
            expected.setdefault(folder, set()).add(leaf)
    found = {folder: set(re.findall(r"`([a-z_0-9]+)`", row)) for folder, row in rows.items()}
    for folder, modules in expected.items():
        assert modules == found[folder] & {name.rpartition(".")[2] for name in MODULES}, folder


@pytest.mark.parametrize("name", MODULES)
def test_what_is_slow_to_import_is_imported_where_it_is_needed(name: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in imports_of(file_of(name))
        if found.at_import and room_of(name) not in AT_IMPORT.get(found.target.partition(".")[0], ORDER)
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name) in PURE])
def test_what_is_pure_knows_neither_keras_nor_ray(name: str) -> None:
    targets = {found.target.partition(".")[0] for found in imports_of(file_of(name)) if not found.typing_only}
    assert not targets & {"tensorflow", "keras", "ray"}


# What stands in front of the others is code of its own: the command's, and what `raygrid.datasets` offers.
@pytest.mark.parametrize("name", sorted({*ORDER} - {"errors", "datasets", "zoo", "cli"}))
def test_the_package_of_a_room_is_empty(name: str) -> None:
    assert file_of(name).read_text() == ""


def test_the_package_itself_imports_its_modules_when_they_are_asked_for() -> None:
    found = imports_of(PACKAGE / "__init__.py")
    # The table of the built-in models imports none of them.
    assert [i.target for i in found if i.target.startswith("raygrid") and not i.typing_only] == ["raygrid.zoo"]
    assert imports_of(file_of("zoo")) == [Import("__future__", True, False, 3)]


def test_type_checkers_and_editors_are_told_of_every_public_name() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    typed = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    told = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == set(raygrid.__all__) - {"__version__"}


def test_the_reader_of_imports_sees_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import os.path, ray\nfrom raygrid import errors\nfrom raygrid.grid.values import Config\n"
        "if TYPE_CHECKING:\n    import keras\nelse:\n    import json\n"
        "class A:\n    import a\n    async def f(self):\n        with x:\n            import b\n"
        "try:\n    import c\nexcept ImportError:\n    from d import e\n"
    )
    assert [i[:3] for i in imports_of(path)] == [
        ("os.path", True, False),
        ("ray", True, False),
        ("raygrid.errors", True, False),
        ("raygrid.grid.values", True, False),
        ("keras", False, True),
        ("json", True, False),
        ("a", True, False),
        ("b", False, False),
        ("c", True, False),
        ("d", True, False),
    ]


# What is loaded


def loaded_after(code: str, folder: Path) -> set[str]:
    """Which of the slow packages a fresh process has loaded after ``code``."""
    report = f"\nimport sys\nprint('loaded', *({set(AT_IMPORT)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=folder, capture_output=True, text=True, check=True)
    first, *names = done.stdout.splitlines()[-1].split()
    assert first == "loaded"
    return set(names)


def test_importing_raygrid_loads_nothing_slow(tmp_path: Path) -> None:
    assert loaded_after("import raygrid", tmp_path) == set()


def test_the_public_names_and_all_modules_that_say_so_load_nothing_slow(tmp_path: Path) -> None:
    lines = [f"import raygrid.{name}" for name in MODULES if not loads(name)]
    assert loaded_after("\n".join(["from raygrid import *", *lines]), tmp_path) == set()


def test_a_cache_check_loads_neither_ray_nor_tensorflow(tmp_path: Path) -> None:
    code = (
        "import raygrid\n"
        "model = raygrid.GridSearchModel('models', 'net')\n"
        "assert model._cache_exists(model._get_artifacts()) is False\n"
    )
    assert not loaded_after(code, tmp_path) & {"ray", "tensorflow", "keras"}
    assert not any(tmp_path.iterdir())


def test_a_plan_loads_neither_ray_nor_tensorflow_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import numpy, raygrid\n"
        "plan = raygrid.Autoencoder('models', 'net').plan(numpy.eye(20, 4)).plan\n"
        "assert plan.to_train == len(plan.points) == 16, plan\n"
    )
    assert not loaded_after(code, tmp_path) & {"ray", "tensorflow", "keras"}
    assert not any(tmp_path.iterdir())


# The public names


def test_the_public_names_are_these_and_each_resolves() -> None:
    assert sorted(raygrid.__all__) == sorted(PUBLIC_NAMES)
    assert set(dir(raygrid)) >= set(PUBLIC_NAMES)
    for name, home in PUBLIC_NAMES.items():
        value = getattr(raygrid, name)
        if home is not None:
            assert (value.__module__, value.__name__) == (home, name)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'raygrid' has no attribute 'GridSearch'"):
        raygrid.GridSearch  # noqa: B018
