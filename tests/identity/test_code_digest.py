"""The digest of a builder: it changes with the code that can change the model, and with nothing else."""

from __future__ import annotations

import functools
import importlib
import itertools
import linecache
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from repository import ROOT

from raygrid.identity.code_digest import builder_digest, describe_code

Load = Callable[..., ModuleType]

MODEL = """
    import keras_like
    from raygrid.model.grid_search_model import GridSearchModel

    WIDTH = 64
    TABLE = {"a": [1, 2.5, None], "b": ("x", True)}
    ACTIVATIONS = {"relu", "gelu", "tanh", "elu"}

    def scale(value):
        return value * WIDTH

    def block(units, rate=0.1):
        return scale(units) + rate

    def unrelated():
        return 1

    class Base(GridSearchModel):
        DEPTH = 2

        def head(self):
            return TABLE, ACTIVATIONS

    class Model(Base):
        "A model."
        DEFAULT_CONFIG = {"units": 8}
        DEFAULT_PARAM_GRID = {"units": [8, 16]}

        def build_model(self, config):
            # a comment
            inner = [block(unit) for unit in config["units"]]
            return keras_like.Model(inner, self.head(), self.DEPTH)
"""


@pytest.fixture(autouse=True)
def raygrid_model_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for raygrid's model class and for Keras, which count by the names of their modules."""
    model = ModuleType("raygrid.model.grid_search_model")
    vars(model)["GridSearchModel"] = type("GridSearchModel", (), {"__module__": "raygrid.model.grid_search_model"})
    keras_like = ModuleType("keras_like")
    keras_like.__file__ = "/environment/site-packages/keras_like.py"
    for name in ("Model", "Layer"):
        vars(keras_like)[name] = type(name, (), {"__module__": "keras_like.src"})
    monkeypatch.setitem(sys.modules, "raygrid.model.grid_search_model", model)
    monkeypatch.setitem(sys.modules, "keras_like", keras_like)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Import a module, or the files of a package, from a fresh folder each time."""
    folders = (tmp_path / str(number) for number in itertools.count())
    used: set[str] = set()
    path = list(sys.path)

    def load_module(source: str | dict[str, str], name: str = "train") -> ModuleType:
        files = {f"{name}.py": source} if isinstance(source, str) else source
        folder = next(folders)
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(textwrap.dedent(text))
        sys.path[:] = [str(folder), *path]
        tops = {Path(file).parts[0].removesuffix(".py") for file in files}
        used.update(tops)
        _forget(tops)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load_module
    sys.path[:] = path
    _forget(used)


def _forget(tops: set[str]) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[module]


def _changed(source: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment"),
        ("# a comment", "'a text that stands alone'"),
        ('"A model."', '"""Another docstring.\n\n    Longer."""'),
        ("def scale(value):", "\n\n    def scale(value):\n        'Doc.'"),
        ("config):", "config: dict[str, int]) -> object:"),
        ("return value * WIDTH", "return (\n            value\n            * WIDTH\n        )"),
        ("return 1", "return 2"),
        ("def unrelated():", "def another():"),
        ('{"a": [1', "{'a': [1"),
        ("[8, 16]", "[8, 16, 32]"),
        ('{"units": 8}', '{"units": 9}'),
        ("DEFAULT_PARAM_GRID = {", "DEFAULT_PARAM_GRID: dict = {"),
    ],
)
def test_what_does_not_act_on_the_model_keeps_the_digest(load: Load, old: str, new: str) -> None:
    expected = builder_digest(load(MODEL).Model)
    assert builder_digest(load(_changed(MODEL, (old, new))).Model) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 64", "WIDTH = 65"),
        ("WIDTH = 64", "WIDTH = 64.0"),
        ("return value * WIDTH", "return value + WIDTH"),
        ("rate=0.1", "rate=0.2"),
        ("[1, 2.5, None]", "[1, 2.5, 0]"),
        ('("x", True)', '["x", True]'),
        ('"elu"', '"selu"'),
        ("DEPTH = 2", "DEPTH = 3"),
        ("return TABLE, ACTIVATIONS", "return ACTIVATIONS, TABLE"),
        ("class Model(Base):", "class Model(GridSearchModel):"),
        ('config["units"]', 'config["layers"]'),
        ("keras_like.Model", "keras_like.Other"),
        ("def build_model", "extra = 1\n\n        def build_model"),
        ("def build_model", "@functools.lru_cache\n        def build_model"),
    ],
)
def test_what_acts_on_the_model_changes_the_digest(load: Load, old: str, new: str) -> None:
    source = MODEL.replace("import keras_like", "import functools\n    import keras_like")
    expected = builder_digest(load(source).Model)
    assert builder_digest(load(_changed(source, (old, new))).Model) != expected


def test_the_folder_and_the_name_of_the_module_make_no_difference(load: Load) -> None:
    expected = builder_digest(load(MODEL).Model)
    assert builder_digest(load(MODEL).Model) == expected
    assert builder_digest(load(MODEL, "search").Model) == expected


# This value may never change: a changed digest makes saved results look foreign and costs users a retraining.
# Whoever means to change the format raises its version and says so in the changelog.
def test_the_digest_of_a_builder_is_pinned(load: Load) -> None:
    assert builder_digest(load(MODEL).Model) == "50d6a2fbb77946476cba95c3f65d76f5"


def test_the_defaults_count_when_the_code_mentions_them(load: Load) -> None:
    source = _changed(MODEL, ("self.DEPTH", "self.DEFAULT_CONFIG"))
    expected = builder_digest(load(source).Model)
    assert builder_digest(load(_changed(source, ('{"units": 8}', '{"units": 9}'))).Model) != expected
    assert builder_digest(load(_changed(source, ("[8, 16]", "[8]"))).Model) == expected


def test_the_defaults_count_when_a_function_in_a_set_mentions_them(load: Load) -> None:
    helper = "def helper(model):\n        return model.DEFAULT_CONFIG\n\n    ACTIVATIONS = {helper}"
    source = _changed(MODEL, ('ACTIVATIONS = {"relu", "gelu", "tanh", "elu"}', helper))
    expected = builder_digest(load(source).Model)
    assert builder_digest(load(_changed(source, ('{"units": 8}', '{"units": 9}'))).Model) != expected


def test_the_defaults_of_a_class_that_is_no_model_count(load: Load) -> None:
    source = "class Builder:\n    DEFAULT_CONFIG = {'units': 1}\n    def __call__(self, config): return config\n"
    assert builder_digest(load(source).Builder) != builder_digest(load(source.replace("1", "2")).Builder)


def test_an_instance_of_a_model_counts_as_its_class_with_the_attributes_that_are_passed(load: Load) -> None:
    model_class = load(MODEL).Model
    model = model_class()
    model.secret = object()
    assert builder_digest(model) == builder_digest(model_class)
    assert builder_digest(model, {"width": 1}) != builder_digest(model)
    assert builder_digest(model, {"width": 1}) != builder_digest(model, {"width": 2})
    assert builder_digest(model, {"a": 1, "b": 2}) == builder_digest(model, {"b": 2, "a": 1})


def test_a_function_passed_as_an_attribute_counts_by_its_code(load: Load) -> None:
    model = load(MODEL).Model
    one, two = (load(f"def loss(y, p): return y - {n} * p", "losses").loss for n in (1, 2))
    assert builder_digest(model, {"loss": one}) != builder_digest(model, {"loss": two})


def test_an_installed_function_passed_as_an_attribute_counts_by_its_name(load: Load) -> None:
    model = load(MODEL).Model
    digests = []
    for number in (1, 2):
        losses = load(f"def loss(y, p): return y - {number} * p\ndef other(y, p): return 0", "losses")
        losses.__file__ = "/environment/site-packages/losses.py"
        digests.append(builder_digest(model, {"loss": losses.loss}))
    assert digests[0] == digests[1] != builder_digest(model, {"loss": losses.other})


def test_a_base_class_of_an_installed_package_counts_by_its_name(load: Load) -> None:
    source = "import keras_like\nclass Builder(keras_like.Model):\n    def __call__(self, config): return 1\n"
    other = _changed(source, ("(keras_like.Model)", "(keras_like.Layer)"))
    assert builder_digest(load(source).Builder) != builder_digest(load(other).Builder)


def test_a_mixin_after_the_base_counts(load: Load) -> None:
    source = MODEL + "\n    class Mixin:\n        N = 1\n    class Mixed(Model, Mixin): pass\n"
    assert builder_digest(load(source).Mixed) != builder_digest(load(source.replace("N = 1", "N = 2")).Mixed)


PACKAGE = {
    "lab/__init__.py": "",
    "lab/train.py": """
        from lab import blocks, settings
        import lab.deep.layers
        from other import outside

        def build(config):
            return blocks.dense(config), lab.deep.layers.stack(config), settings.DEPTH, outside(config)

        def lazy(config):
            from .blocks import dense
            from . import settings
            import lab.deep.layers as layers
            return dense(config), settings.DEPTH, layers.stack(config)
    """,
    "lab/blocks.py": "from lab.more import RATE\ndef dense(config): return RATE\ndef other(): return 1\n",
    "lab/more.py": "RATE = 0.5\n",
    "lab/settings.py": "DEPTH = 1\nOTHER = 1\n",
    "lab/deep/__init__.py": "",
    "lab/deep/layers.py": "def stack(config): return 1\ndef unused(config): return 1\n",
    "other.py": "def outside(config): return 1\ndef elsewhere(config): return 1\n",
}


@pytest.mark.parametrize("name", ["build", "lazy"])
@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("lab/more.py", "0.5", "0.6", False),
        ("lab/settings.py", "DEPTH = 1", "DEPTH = 2", False),
        ("lab/deep/layers.py", "stack(config): return 1", "stack(config): return 2", False),
        ("lab/blocks.py", "other(): return 1", "other(): return 2", True),
        ("lab/settings.py", "OTHER = 1", "OTHER = 2", True),
        ("lab/deep/layers.py", "unused(config): return 1", "unused(config): return 2", True),
        ("other.py", "outside(config): return 1", "outside(config): return 2", True),
    ],
)
def test_code_is_followed_within_the_package_and_named_outside(
    load: Load, name: str, file: str, old: str, new: str, same: bool
) -> None:
    expected = builder_digest(getattr(load(PACKAGE, "lab.train"), name))
    changed = PACKAGE | {file: _changed(PACKAGE[file], (old, new))}
    assert (builder_digest(getattr(load(changed, "lab.train"), name)) == expected) is same


def test_another_function_of_another_package_changes_the_digest(load: Load) -> None:
    expected = builder_digest(load(PACKAGE, "lab.train").build)
    text = PACKAGE["lab/train.py"].replace("import outside", "import elsewhere as outside")
    assert builder_digest(load(PACKAGE | {"lab/train.py": text}, "lab.train").build) != expected


def test_what_lies_beside_a_module_that_is_in_no_package_counts_as_its_package(load: Load) -> None:
    files = {
        "train.py": "from blocks import dense\nimport shapes.wide\ndef build(c): return dense(), shapes.wide.units\n",
        "blocks.py": "def dense(): return 1\n",
        "shapes/__init__.py": "",
        "shapes/wide.py": "units = 8\n",
        "unused.py": "def dense(): return 1\n",
    }
    expected = builder_digest(load(files).build)

    def changed(name: str, old: str, new: str) -> str:
        return builder_digest(load(files | {name: _changed(files[name], (old, new))}).build)

    assert changed("blocks.py", "return 1", "return 2") != expected
    assert changed("shapes/wide.py", "8", "9") != expected
    assert changed("unused.py", "return 1", "return 2") == expected


def test_a_module_that_is_searched_by_name_counts_as_a_whole(load: Load) -> None:
    files = {
        "lab/__init__.py": "",
        "lab/train.py": "from lab import blocks\ndef build(config): return getattr(blocks, config['b'])\n",
        "lab/blocks.py": "def dense(): return 1\n",
    }
    expected = builder_digest(load(files, "lab.train").build)
    changed = files | {"lab/blocks.py": "def dense(): return 2\n"}
    assert builder_digest(load(changed, "lab.train").build) != expected


def test_of_raygrid_only_the_built_in_models_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(module: str, result: int) -> str:
        namespace = {"__name__": module}
        exec(f"def helper(): return {result}\ndef build(config): return helper()", namespace)
        builder = {"__name__": "raygrid.zoo.vae", "helper": namespace["helper"]}
        exec("def build(config): return helper()", builder)
        return builder_digest(builder["build"])

    assert made("raygrid.zoo.blocks", 1) != made("raygrid.zoo.blocks", 2)
    assert made("raygrid.training.train", 1) == made("raygrid.training.train", 2)
    assert made("raygrid.zoology", 1) == made("raygrid.zoology", 2)


def test_a_changed_closure_value_changes_the_digest() -> None:
    def factory(width: object) -> Callable[[dict[str, int]], object]:
        def build(config: dict[str, int]) -> object:
            def nested() -> object:
                return width

            return nested()

        return build

    values: list[object] = [
        1,
        2,
        True,
        None,
        "a",
        (1,),
        [1],
        {1},
        {"a": 1},
        np.zeros(2),
        np.ones(2),
        np.float32(1),
    ]
    values += [
        len,
        max,
        int,
        functools.partial(int, base=2),
        functools.partial(int, base=3),
        range(2),
        range(3),
    ]
    values += [
        slice(1),
        slice(2),
        {"a": {"b": 1}},
        {"a": {"b": 2}},
        b"a",
        1j,
        np.array([None]),
        np.array([1, None]),
    ]
    digests = [builder_digest(factory(value)) for value in values]
    assert len(set(digests)) == len(values)
    assert digests == [builder_digest(factory(value)) for value in values]


def test_a_class_defined_in_a_function_counts_with_the_variables_around_it() -> None:
    def made(width: int) -> type:
        class Builder:
            def __call__(self, config: dict[str, int]) -> int:
                return width

        return Builder

    assert builder_digest(made(1)) == builder_digest(made(1))
    assert builder_digest(made(1)) != builder_digest(made(2))


def test_a_callable_object_counts_with_its_attributes(load: Load) -> None:
    module = load("""
        class Builder:
            def __init__(self, units): self.units = units
            def __call__(self, config): return self.units
            def other(self, config): return 0
    """)
    assert builder_digest(module.Builder(1)) == builder_digest(module.Builder(1))
    assert builder_digest(module.Builder(1)) != builder_digest(module.Builder(2))
    assert builder_digest(module.Builder(1).__call__) != builder_digest(module.Builder(2).__call__)
    assert builder_digest(module.Builder(1).__call__) != builder_digest(module.Builder(1).other)


def test_the_arguments_of_a_partial_count_and_the_order_of_its_keywords_does_not(load: Load) -> None:
    module = load("def build(config, **settings): return settings\ndef a(): return 1\ndef b(): return 2\n")
    partial = functools.partial
    assert builder_digest(partial(module.build, x=1, y=2)) == builder_digest(partial(module.build, y=2, x=1))
    assert builder_digest(partial(module.build, x=1)) != builder_digest(partial(module.build, x=2))
    assert builder_digest(partial(module.build, x=module.a)) != builder_digest(partial(module.build, x=module.b))


DECORATED = """
    import functools

    def scaled(factor):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(config):
                return factor * function(config)
            return wrapper
        return decorate

    def register(function):
        return function

    @register
    @scaled(2)
    def build(config):
        return 1

    @functools.lru_cache
    def cached(config):
        return build(config)
"""


@pytest.mark.parametrize("name", ["build", "cached"])
@pytest.mark.parametrize(
    ("old", "new"), [("@scaled(2)", "@scaled(3)"), ("factor *", "factor +"), ("return 1", "return 2")]
)
def test_a_decorated_function_counts_with_its_decorator(load: Load, name: str, old: str, new: str) -> None:
    expected = builder_digest(getattr(load(DECORATED), name))
    assert builder_digest(getattr(load(_changed(DECORATED, (old, new))), name)) != expected


def test_a_decorator_that_returns_the_function_itself_counts(load: Load) -> None:
    expected = builder_digest(load(DECORATED).build)
    edit = ("def register(function):", "def register(function):\n        function.tag = 1")
    assert builder_digest(load(_changed(DECORATED, edit)).build) != expected


def test_the_function_inside_a_wrapper_counts_when_the_wrapper_does_not_name_it(load: Load) -> None:
    source = """
        import functools

        def decorate(function):
            def wrapper(config): return wrapper.__wrapped__(config)
            return functools.wraps(function)(wrapper)

        @decorate
        def build(config): return 1
    """
    expected = builder_digest(load(source).build)
    assert builder_digest(load(_changed(source, ("return 1", "return 2"))).build) != expected


def test_a_decorator_of_another_package_counts_by_its_arguments(load: Load) -> None:
    retry = """
        import functools
        def retry(times):
            seen = {}
            def decorate(function):
                @functools.wraps(function)
                def wrapper(config):
                    seen[len(seen)] = config
                    return function(config), times
                return wrapper
            return decorate
    """
    train = "from retrying_like import retry\n@retry(3)\ndef build(config):\n    return 1\n"
    files = {"retrying_like.py": retry, "lab/__init__.py": "", "lab/train.py": train}
    module = load(files, "lab.train")
    expected = builder_digest(module.build)
    module.build({})
    assert builder_digest(module.build) == expected
    for old, new in [("return 1", "return 2"), ("retry(3)", "retry(4)")]:
        changed = files | {"lab/train.py": _changed(train, (old, new))}
        assert builder_digest(load(changed, "lab.train").build) != expected


def test_dataclasses_and_enums_count_by_their_values(load: Load) -> None:
    source = """
        import dataclasses, enum

        class Kind(enum.Enum):
            A = 1
            B = 2

        @dataclasses.dataclass(frozen=True)
        class Settings:
            units: int = 1
            kind: Kind = Kind.A

        SETTINGS = Settings(units=5)

        def build(config):
            return SETTINGS, Kind.A
    """
    expected = builder_digest(load(source).build)
    assert builder_digest(load(source).build) == expected
    for old, new in [("A = 1", "A = 3"), ("units=5", "units=6"), ("= Kind.A\n", "= Kind.B\n")]:
        assert builder_digest(load(_changed(source, (old, new))).build) != expected


def test_objects_without_a_value_count_by_their_type() -> None:
    def factory(thing: object) -> Callable[[], object]:
        return lambda: thing

    assert builder_digest(factory(threading.Lock())) == builder_digest(factory(threading.Lock()))
    assert builder_digest(factory(object())) == builder_digest(factory(object()))
    assert builder_digest(factory(object())) != builder_digest(factory(threading.Lock()))


def test_cycles_end(load: Load) -> None:
    source = """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        RING = []
        RING.append(RING)
        TABLE = {even, odd}
        class Builder:
            peers = TABLE
            def __call__(self, config): return even(1), RING, TABLE, Builder
    """
    expected = builder_digest(load(source).Builder)
    assert builder_digest(load(source).Builder) == expected
    assert builder_digest(load(_changed(source, ("n != 0", "n > 0"))).Builder) != expected


def test_a_chain_of_a_thousand_helpers_is_no_problem(load: Load) -> None:
    source = "".join(f"def f{n}(): return f{n + 1}()\n" for n in range(1000)) + "def f1000(): return {}\n"
    assert builder_digest(load(source.format(1)).f0) != builder_digest(load(source.format(2)).f0)


def test_the_other_code_in_a_lambdas_line_makes_no_difference(load: Load) -> None:
    one = load("build = lambda config: config['a'] + 1\n")
    other = load("unrelated = 5; build = lambda config: config['a'] + 1  # a comment\n")
    changed = load("build = lambda config: config['a'] - 1\n")
    assert builder_digest(one.build) == builder_digest(other.build)
    assert builder_digest(one.build) != builder_digest(changed.build)


def test_two_lambdas_in_one_line_are_told_apart(load: Load) -> None:
    module = load("a, b, c = (lambda x: x + 1), (lambda x: x - 1), (lambda x: x + 1)\n")
    assert builder_digest(module.a) != builder_digest(module.b)
    assert builder_digest(module.a) == builder_digest(module.c)
    one, other = (load(f"a, b = [[lambda x: x + 1]], (lambda x: x - {number})\n") for number in (1, 2))
    assert builder_digest(one.a[0][0]) == builder_digest(other.a[0][0])
    assert builder_digest(one.b) != builder_digest(other.b)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# a comment", "# another", True),
        ('"Doc."', '"Another."', True),
        ("x + 1", "x - 1", False),
        ("x + 1", "x + 2", False),
        ("WIDTH = 1", "WIDTH = 2", False),
        ("['relu' for", "['gelu' for", False),
        ("b=1", "b=2", False),
        ("N = 1", "N = 2", False),
    ],
)
def test_code_without_source_counts_by_its_byte_code(old: str, new: str, same: bool) -> None:
    source = textwrap.dedent("""
        WIDTH = 1
        def helper(x, b=1):
            "Doc."
            return x + 1, WIDTH, ['relu' for _ in x]
        class Builder:
            N = 1
            def __call__(self, config):
                # a comment
                return helper(config)
    """)

    def digest(text: str) -> str:
        namespace: dict[str, object] = {"__name__": "typed_in"}
        exec(text, namespace)
        return builder_digest(namespace["Builder"])

    assert (digest(_changed(source, (old, new))) == digest(source)) is same


def test_code_without_a_module_name_has_a_digest() -> None:
    digests = []
    for number in (1, 2):
        namespace: dict[str, object] = {}
        exec(f"def helper(): return {number}\ndef build(config): return helper()", namespace)
        digests.append(builder_digest(namespace["build"]))
    assert digests[0] != digests[1]


def test_a_notebook_cell_counts_by_its_source() -> None:
    def run(cell: str, name: str) -> str:
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(compile(cell, name, "exec"), namespace)
        return builder_digest(namespace["Builder"])

    cell = "class Builder:\n    def __call__(self, config):\n        return 1\n"
    with_docstring = _changed("\n\n" + cell, ("return 1", "'Doc.'\n        pass\n        return 1"))
    in_one_block = run(cell, "/tmp/ipykernel_1/1.py")
    assert run(with_docstring, "/tmp/ipykernel_1/2.py") == in_one_block
    assert run(cell.replace("1", "2"), "/tmp/ipykernel_1/3.py") != in_one_block


def test_a_file_that_was_edited_after_its_import_does_not_speak_for_the_code_that_runs(load: Load) -> None:
    module = load("def build(config):\n    return 1\n")
    before = builder_digest(module.build)
    Path(str(module.__file__)).write_text("def build(config):\n    return 22\n")
    stale = builder_digest(module.build)
    importlib.invalidate_caches()
    fresh = importlib.reload(module)
    assert stale != builder_digest(fresh.build)
    assert stale != before


SCRIPT = """
import sys
from raygrid.identity.code_digest import builder_digest

NAMES = {"relu", "gelu", "tanh", "elu", "selu"}
def first(): return NAMES, object()
def second(): return __file__
TABLE = frozenset([first, second, len, ("a", 1)])

class Builder:
    def __call__(self, config):
        import threading
        return config in {"a", "b", "c"}, TABLE, NAMES

lambdas = [lambda x: x in {"a", "b", "c"}, lambda x: x]
if __name__ == "__main__":
    print(builder_digest(Builder), builder_digest(lambdas[0]))
"""


def _output(*command: str, cwd: Path, hash_seed: str) -> str:
    root = str(ROOT)
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_digest_is_the_same_in_every_process_and_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "script.py").write_text(SCRIPT)
    call = "import script as s; d = s.builder_digest; print(d(s.Builder), d(s.lambdas[0]))"
    outputs = {
        _output("script.py", cwd=tmp_path / "one", hash_seed="1"),
        _output("one/script.py", cwd=tmp_path, hash_seed="2"),
        _output("-m", "script", cwd=tmp_path / "two", hash_seed="3"),
        _output("-c", call, cwd=tmp_path / "two", hash_seed="4"),
    }
    assert len(outputs) == 1


def test_a_module_of_a_package_has_the_same_digest_run_as_a_script(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").write_text("")
    (tmp_path / "lab" / "train.py").write_text(
        "from lab.blocks import dense\nfrom raygrid.identity.code_digest import builder_digest\n"
        "def build(config): return dense()\nif __name__ == '__main__': print(builder_digest(build))\n"
    )
    call = "import lab.train as t; print(t.builder_digest(t.build))"
    digests = []
    for number in (1, 2):
        (tmp_path / "lab" / "blocks.py").write_text(f"def dense(): return {number}{number * ' '}\n")
        run = _output("-B", "-m", "lab.train", cwd=tmp_path, hash_seed="1")
        assert _output("-B", "-c", call, cwd=tmp_path, hash_seed="2") == run
        digests.append(run)
    assert digests[0] != digests[1]


def test_the_digest_loads_neither_tensorflow_nor_ray(tmp_path: Path) -> None:
    call = "import sys, raygrid.identity.code_digest; print({'ray', 'keras', 'tensorflow'} & set(sys.modules))"
    assert _output("-c", call, cwd=tmp_path, hash_seed="1").strip() == "set()"


def test_a_builder_is_described_by_its_module_and_name(load: Load) -> None:
    module = load(DECORATED)
    model = load(MODEL, "models").Model
    assert describe_code(model) == describe_code(model()) == "models:Model"
    assert describe_code(module.build) == describe_code(functools.partial(module.build)) == "train:build"
    assert describe_code(module.cached) == "train:cached"
    assert describe_code(model().head) == "models:Base.head"
    assert describe_code(len) == "builtins:len"


@pytest.mark.parametrize(
    "setting",
    [
        "types.SimpleNamespace(depth={})",
        "argparse.Namespace(depth={})",
        "collections.deque([{}])",
        "bytearray([{}])",
        "array.array('i', [{}])",
        "datetime.timedelta({})",
        "operator.itemgetter({})",
        "Slotted({})",
        "Named({})",
    ],
)
def test_an_object_that_holds_a_setting_counts_by_what_it_holds(load: Load, setting: str) -> None:
    source = """
        import argparse, array, collections, datetime, operator, types

        class Slotted:
            __slots__ = ("depth",)
            def __init__(self, depth): self.depth = depth

        class Named(Slotted):
            pass

        SETTING = {}

        def build(config):
            return SETTING
    """
    one, again, two = (load(source.replace("{}", setting.format(n))).build for n in (1, 1, 2))
    assert builder_digest(one) == builder_digest(again) != builder_digest(two)


@pytest.mark.parametrize(
    "setting",
    [
        "keras.regularizers.L2(1e-{})",
        "keras.optimizers.schedules.ExponentialDecay(0.1, {}, 0.5)",
        "keras.losses.Huber(delta={})",
        "keras.initializers.RandomNormal(stddev={})",
        "keras.optimizers.SGD(momentum=0.{})",
        "[keras.constraints.MaxNorm({})]",
    ],
)
def test_an_object_of_keras_that_holds_a_setting_counts_by_its_config(load: Load, setting: str) -> None:
    source = "import keras\nSETTING = {}\ndef build(config):\n    return SETTING"
    one, again, two = (load(source.replace("{}", setting.format(n))).build for n in (1, 1, 2))
    assert builder_digest(one) == builder_digest(again) != builder_digest(two)


def test_a_layer_of_keras_counts_by_its_type(load: Load) -> None:
    source = "import keras\nLAYER = keras.layers.Dense({})\ndef build(config):\n    return LAYER"
    digests = {builder_digest(load(source.replace("{}", str(n))).build) for n in (1, 2)}
    assert len(digests) == 1


def test_of_a_built_in_model_only_what_builds_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from raygrid.zoo.mlp_regressor import MLPRegressor

    before = builder_digest(MLPRegressor)
    monkeypatch.setattr(MLPRegressor, "predict", lambda self, X: X)
    monkeypatch.setattr(MLPRegressor, "metrics", None)
    assert builder_digest(MLPRegressor) == before
    monkeypatch.setattr(MLPRegressor, "build_model", lambda self, config, input_shape: self.widened(config))
    changed = builder_digest(MLPRegressor)
    monkeypatch.setattr(MLPRegressor, "widened", lambda self, config: config, raising=False)
    assert len({before, changed, builder_digest(MLPRegressor)}) == 3
