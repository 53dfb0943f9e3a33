"""Which code is the user's own, and what the names in a function stand for."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

from raygrid.identity.code_source import Chain, FunctionNode, mentions, tree_chains


def home_of(value: FunctionType | type | ModuleType) -> str:
    """Return the name of the module whose code a function, class or module is; empty if it has none.

    A function's ``__module__`` may be that of the function that it wraps; its globals tell where its code is.
    """
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, FunctionType):
        return str(value.__globals__.get("__name__") or "")
    return str(value.__module__ or "")


def package_of(module_name: str) -> str:
    """Return the top-level package of a module; raygrid has two, ``raygrid.zoo`` and ``raygrid``."""
    if module_name == "__main__":
        # `python -m package.module` runs the module under this name; a plain script has no spec.
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        module_name = spec.name if spec else module_name
    top = module_name.partition(".")[0]
    if top != "raygrid":
        return top
    return "raygrid.zoo" if f"{module_name}.".startswith("raygrid.zoo.") else "raygrid"


def is_model_class(cls: type) -> bool:
    """Tell whether a class derives from a class of raygrid itself, its built-in models left aside."""
    return any(package_of(home_of(base)) == "raygrid" for base in cls.__mro__)


def own_packages(builder: object, attributes: Mapping[str, object]) -> frozenset[str]:
    """Return the top-level packages whose code is followed: the builder's and those of code handed to it.

    Handed over are the base classes, decorated functions, closures, arguments of a partial and the
    attributes. Of these, installed packages and the standard library are left out: a builder that is handed
    an activation of Keras does not make Keras the user's code. A module that is in no package, a script or a
    notebook has the modules and packages of its folder as its package.
    """
    handed = list(_code_in(builder, set()))
    packages = {package_of(home_of(code)) for code in handed[:1]}
    packages |= {package_of(home_of(code)) for code in handed if isinstance(code, type) and is_model_class(code)}
    for value in attributes.values():
        handed.extend(_code_in(value, set()))
    packages |= {package_of(home_of(code)) for code in handed if not _is_installed(package_of(home_of(code)))}
    packages |= {beside for package in packages for beside in _modules_beside(package)}
    return frozenset(packages - {"raygrid"})


def _modules_beside(package: str) -> set[str]:
    """The top-level modules and packages in the folder of a module that is in no package; none for a package."""
    module = sys.modules.get(package)
    if module is None or hasattr(module, "__path__") or _is_installed(package):
        return set()
    file = getattr(module, "__file__", None)
    if file is None and package != "__main__":
        return set()
    # A notebook has no file, and imports from the working folder.
    folder = Path(file).parent if file else Path.cwd()
    files = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    return {path.stem for path in files if not _is_installed(path.stem)} - {"raygrid"}


def closure_of(function: FunctionType) -> dict[str, object]:
    """Return the bound variables of enclosing functions that a function uses, by name."""
    values: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    return values


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def reached_objects(function: FunctionType, tree: FunctionNode | None, packages: frozenset[str]) -> dict[str, object]:
    """Return what the names in a function stand for, by the name as it is written (``helpers.dense``).

    Names are followed through the modules of ``packages`` and end at the first thing that is no such module.
    Builtins, unbound names and the likes of ``__file__`` are left out.

    Args:
        function: the function, with its globals and closure.
        tree: its syntax tree, for its decorators and for the imports inside it; None if there is none.
        packages: the top-level packages that are the user's own.
    """
    imports: dict[str, object] = {}
    chains = mentions(function.__code__)
    if tree is not None:
        imports.update(_local_imports(function, tree, packages))
        chains |= {chain for chain in tree_chains(tree) if chain[0] in imports}
        for decorator in getattr(tree, "decorator_list", []):
            chains |= set(tree_chains(decorator))
    scopes = (closure_of(function), imports, function.__globals__)
    reached: dict[str, object] = {}
    for chain in chains:
        scope = next((scope for scope in scopes if chain[0] in scope), None)
        if scope is not None and not is_dunder(chain[0]):
            name, value = _follow(chain, scope[chain[0]], packages)
            reached[name] = value
    return reached


def _follow(chain: Chain, value: object, packages: frozenset[str]) -> tuple[str, object]:
    length = 1
    while length < len(chain) and isinstance(value, ModuleType) and package_of(value.__name__) in packages:
        value = getattr(value, chain[length], None)
        length += 1
    return ".".join(chain[:length]), value


def _local_imports(function: FunctionType, tree: ast.AST, packages: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Yield what import statements inside a function bind, as far as they import the user's own code.

    The modules are imported for this, as they are when the function runs.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = _import(alias.name, None, packages)
                if module is not None:
                    top = sys.modules[alias.name.partition(".")[0]]
                    yield (alias.asname, module) if alias.asname else (top.__name__, top)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            module = _import(name, function.__globals__.get("__package__"), packages)
            if module is None:
                continue
            for alias in node.names:
                if _bound(module, alias.name) is None:
                    _import(f"{module.__name__}.{alias.name}", None, packages)
                yield alias.asname or alias.name, _bound(module, alias.name)


def _bound(module: ModuleType, name: str) -> object:
    """What a module has under a name; None: nothing, or what makes it on demand cannot."""
    try:
        return getattr(module, name, None)
    except Exception:  # A lazy import whose package is not installed.
        return None


def _import(name: str, package: str | None, packages: frozenset[str]) -> ModuleType | None:
    try:
        name = importlib.util.resolve_name(name, package)
        return importlib.import_module(name) if package_of(name) in packages else None
    except Exception:  # Whether a module that cannot be imported is needed, only building the model can tell.
        return None


def _code_in(value: object, seen: set[int]) -> Iterator[FunctionType | type]:
    """Yield the functions and classes that a builder or attribute consists of, the main one first."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, type):
        yield from value.__mro__
        return
    wrapped = getattr(value, "__wrapped__", None)
    parts: list[object]
    if isinstance(value, functools.partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, MethodType):
        parts = [value.__func__, value.__self__]
    elif isinstance(value, FunctionType):
        kinds = (FunctionType, type, functools.partial)
        parts = [item for item in closure_of(value).values() if isinstance(item, kinds)]
        # A decorated function is the function inside; its decorator may come from anywhere.
        if wrapped is None:
            yield value
        else:
            parts.insert(0, wrapped)
    else:
        parts = [type(value) if wrapped is None else wrapped]
    for part in parts:
        yield from _code_in(part, seen)


def _is_installed(package: str) -> bool:
    if package in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(package), "__file__", None)
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts)) if file else False
