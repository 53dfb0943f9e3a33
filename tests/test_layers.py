"""The layers of the package, held against the imports in its files, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import raygrid

PACKAGE = Path(raygrid.__file__).parent

# A module imports from lower layers, and from its own layer only what SAME_LAYER lists. A name with modules below it
# (tuning, zoo, datasets, cli) stands for all of them, and how these import each other is its own affair.
LAYERS: dict[int, tuple[str, ...]] = {
    0: ("errors", "known_fields", "wording"),
    1: (
        "arguments",
        "artifacts",
        "code_digest",
        "code_scope",
        "code_source",
        "column_names",
        "error_lines",
        "fingerprint",
        "grid",
        "identity",
        "index_columns",
        "keras_settings",
        "records",
        "request",
        "row_blocks",
        "stop_signals",
        "stopping",
        "target_classes",
        "training_inputs",
        "unsupported_data",
        "watched_config",
        "windows",
    ),
    2: (
        "arrow_sizes",
        "backend",
        "csv_files",
        "csv_layout",
        "common_mistakes",
        "data",
        "data_arrays",
        "data_files",
        "datasets",
        "failure_causes",
        "manifest",
        "memory",
        "missing_values",
        "numpy_files",
        "plan",
        "precision",
        "row_labels",
        "scaler",
        "scaling",
        "space",
        "splitting",
        "storage",
        "time_left",
    ),
    3: (
        "accepted_code",
        "array_files",
        "batches",
        "cache",
        "checkpoints",
        "custom_gradients",
        "custom_objects",
        "epoch_program",
        "experiments",
        "followers",
        "keras_internals",
        "ledger",
        "model_files",
        "model_structure",
        "point_store",
        "prefix_lock",
        "progress",
        "publishable",
        "publishing",
        "rebuild",
        "resuming",
        "search_run",
        "shared_training",
        "tensorboard_log",
        "tensorboard_server",
        "traced_programs",
        "training",
        "training_state",
        "user_state",
    ),
    4: ("first_failures", "fit_plan", "housekeeping", "retries", "tensorboard_listener", "tuning", "window_prediction"),
    5: ("configured", "confirmation", "fit_arguments", "fitted", "model", "search"),
    6: ("plots", "zoo"),
    7: ("cli",),
}
SAME_LAYER: dict[str, tuple[str, ...]] = {
    "code_digest": ("code_scope", "code_source", "fingerprint"),
    "code_scope": ("code_source",),
    "grid": ("fingerprint",),
    "column_names": ("index_columns",),
    "identity": ("column_names", "fingerprint", "training_inputs"),
    "keras_settings": ("arguments",),
    "training_inputs": ("keras_settings",),
    "records": ("error_lines",),
    "request": ("fingerprint", "grid", "records"),
    "failure_causes": ("common_mistakes",),
    "data": ("data_arrays", "missing_values", "precision", "row_labels", "splitting"),
    "data_arrays": ("missing_values", "precision"),
    "csv_files": ("csv_layout", "memory"),
    "data_files": (
        "arrow_sizes",
        "csv_files",
        "csv_layout",
        "data_arrays",
        "memory",
        "missing_values",
        "numpy_files",
    ),
    "numpy_files": ("memory",),
    "precision": ("missing_values",),
    "manifest": ("storage",),
    "splitting": ("data_arrays",),
    "storage": ("memory",),
    "cache": ("publishing",),
    "checkpoints": ("point_store",),
    "experiments": ("publishing",),
    "model_files": ("custom_objects",),
    "publishable": ("batches", "custom_objects", "model_files", "model_structure"),
    "rebuild": ("batches", "custom_objects", "model_files", "publishable", "training", "user_state"),
    "scaling": ("scaler",),
    "custom_gradients": ("keras_internals",),
    "epoch_program": ("batches", "keras_internals"),
    "model_structure": ("keras_internals",),
    "user_state": ("keras_internals",),
    "traced_programs": ("batches", "epoch_program", "model_structure"),
    "training_state": ("epoch_program", "keras_internals"),
    "followers": ("checkpoints", "training_state"),
    "resuming": ("checkpoints", "followers", "training_state"),
    "training": (
        "batches",
        "checkpoints",
        "custom_gradients",
        "epoch_program",
        "followers",
        "keras_internals",
        "progress",
        "publishable",
        "resuming",
        "shared_training",
        "traced_programs",
    ),
    "accepted_code": ("point_store",),
    "search_run": ("accepted_code", "array_files", "checkpoints", "ledger", "point_store", "publishing"),
    "confirmation": ("search",),
    "configured": ("fitted", "search"),
    "fit_arguments": ("configured",),
    "model": ("configured", "confirmation", "fit_arguments", "search"),
    "plots": ("zoo",),
}
# Where a module may import these when it is itself imported; everywhere else inside a function, if at all.
AT_IMPORT = {
    "tensorflow": {
        "batches",
        "custom_gradients",
        "custom_objects",
        "epoch_program",
        "followers",
        "keras_internals",
        "model_files",
        "model_structure",
        "publishable",
        "rebuild",
        "resuming",
        "training",
        "training_state",
    },
    "keras": {
        "custom_objects",
        "epoch_program",
        "followers",
        "keras_internals",
        "model_files",
        "model_structure",
        "publishable",
        "rebuild",
        "resuming",
        "shared_training",
        "traced_programs",
        "training",
        "training_state",
        "user_state",
    },
    "ray": {"tuning.callbacks", "tuning.head_watch", "tuning.neighbours", "tuning.waves"},
    "pyarrow": set(),
    "pandas": set(),
    "matplotlib": set(),
}
PUBLIC_NAMES = {
    "Autoencoder": "raygrid.zoo.autoencoder",
    "AutoencoderDetector": "raygrid.zoo.detector",
    "AutoencoderResidualRegressor": "raygrid.zoo.residual_regressor",
    "ConvAutoencoder": "raygrid.zoo.conv_autoencoder",
    "GridSearchModel": "raygrid.model",
    "MLPClassifier": "raygrid.zoo.mlp_classifier",
    "MLPRegressor": "raygrid.zoo.mlp_regressor",
    "ModelArtifacts": "raygrid.artifacts",
    "Resources": "raygrid.tuning.resources",
    "SearchListener": "raygrid.progress",
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


def entry_of(name: str) -> str:
    """The table's name for a module."""
    return name.partition(".")[0]


LAYER_OF = {entry: layer for layer, entries in LAYERS.items() for entry in entries}


def own_imports(name: str) -> list[tuple[str, Import]]:
    """The imports of other modules of the package, under the table's names."""
    found = [(i.target.removeprefix("raygrid."), i) for i in imports_of(file_of(name)) if i.target[:8] == "raygrid."]
    return [(entry_of(target), i) for target, i in found if entry_of(target) != entry_of(name)]


def test_the_table_names_every_module_once_and_nothing_else() -> None:
    listed = [entry for entries in LAYERS.values() for entry in entries]
    assert sorted(listed) == sorted({entry_of(name) for name in MODULES})


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_lower_layers_only(name: str) -> None:
    allowed = SAME_LAYER.get(entry_of(name), ())
    wrong = [
        f"line {found.line}: {target} (layer {LAYER_OF[target]})"
        for target, found in own_imports(name)
        if LAYER_OF[target] >= LAYER_OF[entry_of(name)] and target not in allowed
    ]
    assert not wrong, f"{name} is of layer {LAYER_OF[entry_of(name)]} and imports {wrong}"


def test_what_is_allowed_within_a_layer_is_of_that_layer_in_use_and_without_a_circle() -> None:
    used = {entry_of(name): {target for target, _ in own_imports(name)} for name in MODULES if "." not in name}
    for name, targets in SAME_LAYER.items():
        for target in targets:
            assert LAYER_OF[target] == LAYER_OF[name], (name, target)
            assert target in used[name], f"{name} no longer imports {target}"
    TopologicalSorter(SAME_LAYER).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_what_is_slow_to_import_is_imported_where_it_is_needed(name: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in imports_of(file_of(name))
        if found.at_import and name not in AT_IMPORT.get(found.target.partition(".")[0], {name})
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("name", [n for n in MODULES if LAYER_OF[entry_of(n)] <= 2 and n != "backend"])
def test_the_lowest_layers_know_neither_keras_nor_ray(name: str) -> None:
    targets = {found.target.partition(".")[0] for found in imports_of(file_of(name)) if not found.typing_only}
    assert not targets & {"tensorflow", "keras", "ray"}


def test_the_package_itself_imports_its_modules_when_they_are_asked_for() -> None:
    found = imports_of(PACKAGE / "__init__.py")
    assert [i.target for i in found if i.target.startswith("raygrid") and not i.typing_only] == []


def test_the_reader_of_imports_sees_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import os.path, ray\nfrom raygrid import errors\nfrom raygrid.grid import Config\n"
        "if TYPE_CHECKING:\n    import keras\nelse:\n    import json\n"
        "class A:\n    import a\n    async def f(self):\n        with x:\n            import b\n"
        "try:\n    import c\nexcept ImportError:\n    from d import e\n"
    )
    assert [i[:3] for i in imports_of(path)] == [
        ("os.path", True, False),
        ("ray", True, False),
        ("raygrid.errors", True, False),
        ("raygrid.grid", True, False),
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


def test_the_public_names_and_all_modules_but_three_load_nothing_slow(tmp_path: Path) -> None:
    exempt = set.union(*AT_IMPORT.values())
    lines = [f"import raygrid.{name}" for name in MODULES if name not in exempt]
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
