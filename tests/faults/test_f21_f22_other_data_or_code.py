"""f21, f22: a model of other data or of other builder code is refused; a comment or docstring is no other code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from child_processes import run_script
from small_models import SmallModel, small_rows

from raygrid.errors import StaleCacheError
from raygrid.model.grid_search_model import GridSearchModel

X, X_VAL = small_rows(60), small_rows(20, seed=1)
CONFIG = {"hidden": (2,), "epochs": 1}
WAYS_OUT = ("reset_experiment=True", "cache_prefix", "load()")

BUILDER = """
from my_models.layers import hidden_layer

UNITS = 3


def build(config, input_shape):
    import keras

    model = keras.Sequential([keras.Input(input_shape), hidden_layer(UNITS), keras.layers.Dense(4)])
    model.compile("adam", "mse")
    return model
"""
LAYERS = """
def hidden_layer(units):
    import keras

    return keras.layers.Dense(units, "relu")
"""
DOCUMENTED = (
    BUILDER.replace("UNITS = 3", "# The best so far.\nUNITS = 3  # not 4")
    .replace("    import keras", '    """Builds it.\n\n    In two lines.\n    """\n    import keras')
    .replace("keras.Input(input_shape), hidden", "keras.Input(input_shape),\n        hidden")
)


class Trained(NamedTuple):
    """A model that is published, and the bytes of its files."""

    folder: Path
    files: dict[str, bytes]


def files_of(folder: Path) -> dict[str, bytes]:
    """The files that a load reads; those of the lock belong to nobody."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and "lock" not in p.name
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A config trained on ``X``."""
    folder = tmp_path_factory.mktemp("f21") / "models"
    SmallModel(folder, "small", 0).fit(X, X_VAL, y_train=X, y_val=X_VAL, model_config=CONFIG)
    return Trained(folder, files_of(folder))


def changed(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One value of all is another one, by the least that float32 can tell."""
    copy = array.copy()
    copy[17, 2] = np.nextafter(copy[17, 2], np.float32(np.inf))
    return copy


@pytest.mark.parametrize(
    ("name", "other", "shapes"),
    [
        ("x_train", {"X_train": changed(X)}, ("(60, 4)", "(60, 4)")),
        ("x_val", {"X_val": changed(X_VAL)}, ("(20, 4)", "(20, 4)")),
        ("y_train", {"y_train": changed(X)}, ("(60, 4)", "(60, 4)")),
        ("y_val", {"y_val": changed(X_VAL)}, ("(20, 4)", "(20, 4)")),
        ("x_train", {"X_train": X[:-1], "y_train": X[:-1]}, ("(60, 4)", "(59, 4)")),
        ("x_train", {"X_train": X[::-1].copy()}, ("(60, 4)", "(60, 4)")),
        ("w_train", {"sample_weight": np.ones(60)}, ("absent", "(60,)")),
    ],
)
def test_f21_one_changed_value_of_the_data_is_refused_with_old_and_new_digest_and_shape(
    trained: Trained, name: str, other: dict[str, Any], shapes: tuple[str, str]
) -> None:
    right = {"X_train": X, "X_val": X_VAL, "y_train": X, "y_val": X_VAL}
    for asked in ({}, {"model_config": CONFIG}, {"param_grid": {"hidden": [(2,), (3,)]}}):
        model = SmallModel(trained.folder, "small", 0)
        with pytest.raises(StaleCacheError) as caught:
            model.fit(**(right | other), **asked)
        (line,) = re.findall(rf"data {name}: was (.*), now (.*)", str(caught.value))
        (old_shape, old_digest), (new_shape, new_digest) = (
            re.findall(r"(\(.*\)|absent) ?(\w*)", text)[0] for text in line
        )
        assert (old_shape, new_shape) == shapes
        assert old_digest != new_digest and len(new_digest) == 12
        assert all(way in str(caught.value) for way in WAYS_OUT)
    assert files_of(trained.folder) == trained.files


def test_f21_all_that_differs_is_said_at_once_and_each_way_out_is_one(trained: Trained, tmp_path: Path) -> None:
    other = {"X_train": changed(X), "X_val": changed(X_VAL), "y_train": X, "y_val": X_VAL}
    with pytest.raises(StaleCacheError) as caught:
        SmallModel(trained.folder, "small", 0, seed=1).fit(**other)
    lines = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]]
    assert lines == ["data x_train", "data x_val", "setting seed"]
    assert GridSearchModel.load(trained.folder, "small", 0).best_config["hidden"] == (2,)
    SmallModel(tmp_path, "other", 0, seed=1).fit(**other, model_config=CONFIG)
    SmallModel(tmp_path, "other", 0).fit(**other, model_config=CONFIG, reset_experiment=True)
    assert SmallModel.load(tmp_path, "other", 0).best_config["hidden"] == (2,)


# f22, with files that are edited between two processes


_ASK = """
    import sys
    sys.path.insert(0, {modules!r})
    from my_models.builder import build
    from raygrid import GridSearchModel, SearchListener
    from raygrid.errors import StaleCacheError
    from small_models import small_rows

    heard = []

    class Heard(SearchListener):
        def search_started(self, plan):
            heard.append(plan)

    model = GridSearchModel("models", "mine", 1, build_model=build, progress=Heard())
    try:
        model.fit(small_rows(60), small_rows(20, seed=1), model_config={{"hidden": [], "epochs": 1}})
        print("trained" if heard else "loaded")
    except StaleCacheError as error:
        print(error)
    print("heavy", sorted({{"tensorflow", "ray"}} & set(sys.modules)))
"""


def ask(folder: Path, builder: str = BUILDER, layers: str = LAYERS) -> list[str]:
    """What ``fit`` says in a new process, with the modules of these texts."""
    package = folder / "modules" / "my_models"
    package.mkdir(parents=True, exist_ok=True)
    for name, text in (("__init__.py", ""), ("builder.py", builder), ("layers.py", layers)):
        (package / name).write_text(text)
    return run_script(_ASK.format(modules=str(package.parent)), folder, PYTHONDONTWRITEBYTECODE="1").splitlines()


def test_f22_an_edited_builder_is_refused_and_a_comment_or_docstring_is_no_change(tmp_path: Path) -> None:
    assert ask(tmp_path)[-2:] == ["trained", "heavy ['tensorflow']"]
    files = files_of(tmp_path / "models")
    for builder, layers in (
        (BUILDER.replace("UNITS = 3", "UNITS = 4"), LAYERS),
        (BUILDER, LAYERS.replace('"relu"', '"selu"')),
    ):
        said = ask(tmp_path, builder, layers)
        name = r"my_models\.builder:build"
        ((old, new),) = re.findall(rf"code: was {name} \((\w{{12}})\), now {name} \((\w{{12}})\)", "\n".join(said))
        assert old != new
        assert all(way in "\n".join(said) for way in WAYS_OUT)
        assert said[-1] == "heavy []"
    assert files_of(tmp_path / "models") == files
    said = ask(tmp_path, DOCUMENTED, LAYERS.replace("def hidden", "# One of two.\ndef hidden"))
    assert said[-2:] == ["loaded", "heavy ['tensorflow']"]
    assert any("Loaded from cache" in line for line in said)
