"""f28, f29: values that JSON cannot carry, and mappings that Ray Tune would evaluate, at any depth and in any file."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child_processes import run_script
from commands import Command, write
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused_by_fit

from raygrid.errors import GridError, GridTypeError
from raygrid.grid.values import normalize_config, normalize_grid

NESTS: list[Callable[[Any], Any]] = [lambda v: v, lambda v: [1, v], lambda v: {"deep": [[v]]}, lambda v: ({"a": (v,)},)]
# What a person would find in the working folder if a text had been evaluated.
TRAP = "__import__('os').system('touch owned')"


# f28


@pytest.mark.parametrize(
    "value", [lambda: 1, threading.Lock(), object(), 1j, b"x", {1, 2}, int, Path("p"), range(2), np.dtype("f4")]
)
@pytest.mark.parametrize("nest", NESTS)
def test_f28_what_json_cannot_carry_is_refused_by_name(tmp_path: Path, value: Any, nest: Any) -> None:
    message = refused_by_fit(tmp_path, GridTypeError, param_grid={"activation": ["relu", nest(value)]})
    assert message.startswith("param_grid['activation'][1]")
    assert f"is {value!r} of type {type(value).__name__}, which JSON cannot carry" in message
    assert "turn it into the object you need inside build_model" in message
    message = refused_by_fit(tmp_path, GridTypeError, model_config={"activation": nest(value)})
    assert message.startswith("config['activation']")
    assert "which JSON cannot carry" in message


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan"), np.array([[np.inf]])])
@pytest.mark.parametrize("nest", NESTS)
def test_f28_a_number_that_is_not_finite_is_refused(tmp_path: Path, number: Any, nest: Any) -> None:
    message = refused_by_fit(tmp_path, GridError, param_grid={"activation": [nest(number)]})
    assert message.startswith("param_grid['activation'][0]")
    assert "which JSON cannot carry. Use a finite number, or None for 'off'" in message


def test_f28_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for key in (3, None, ("a",), b"a"):
        message = refused_by_fit(tmp_path, GridTypeError, param_grid={"activation": [{"in": [{key: 1}]}]})
        assert f"param_grid['activation'][0]['in'][0] has the key {key!r}" in message


def test_f28_what_holds_itself_or_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    itself: list[Any] = [1]
    itself.append(itself)
    mapping: dict[str, Any] = {}
    mapping["again"] = [mapping]
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (itself, mapping, deep):
        message = refused_by_fit(tmp_path, GridError, param_grid={"activation": ["relu", value]})
        assert message.startswith("param_grid['activation'][1]")
        assert "nested more than 50 deep, or holds itself" in message


def test_f28_every_bad_value_is_named_at_once(tmp_path: Path) -> None:
    grid = {"activation": [len], "hidden": [[math.nan]], "epochs": [0], "units": [1]}
    lines = refused_by_fit(tmp_path, GridTypeError, param_grid=grid).splitlines()
    assert len(lines) == 4
    for name in ("'units' is not", "'activation'][0] is <built-in", "'epochs'][0] is 0", "'hidden'][0][0] is nan"):
        assert any(name in line for line in lines)


# f29


@pytest.mark.parametrize("key", ["eval", "grid_search"])
@pytest.mark.parametrize("nest", NESTS)
def test_f29_what_ray_tune_would_evaluate_is_refused_at_any_depth(tmp_path: Path, key: str, nest: Any) -> None:
    trap = nest({key: TRAP})
    for asked in (
        {"param_grid": {"activation": ["relu", trap]}},
        {"model_config": {"activation": trap}},
        {"param_grid": {key: [TRAP]}},
        {"model_config": {key: TRAP}},
    ):
        message = refused_by_fit(tmp_path, GridError, **asked)
        assert f"has the key {key!r}, which Ray Tune would evaluate. Rename the key" in message


@settings(deadline=None)
@given(
    st.recursive(
        st.just({"eval": TRAP}) | st.just({"grid_search": [1]}),
        lambda inner: (
            st.tuples(inner, st.integers())
            | st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "Eval", "grid search"]), inner, min_size=1)
        ),
        max_leaves=4,
    )
)
def test_f29_no_depth_hides_it(trap: Any) -> None:
    with pytest.raises(GridError, match="which Ray Tune would evaluate"):
        normalize_grid({"x": [trap]}, {}, None)
    with pytest.raises(GridError, match="which Ray Tune would evaluate"):
        normalize_config({"x": trap}, {}, None)


def test_f29_a_grid_in_the_words_of_ray_tune_is_refused_for_these_words(tmp_path: Path) -> None:
    message = refused_by_fit(tmp_path, GridError, param_grid={"activation": {"grid_search": ["relu"]}})
    assert "param_grid['activation'] has the key 'grid_search'" in message


EVAL = {"eval": TRAP}
FILES = {
    "g.json": [
        json.dumps({"latent_dim": EVAL}),
        json.dumps({"latent_dim": [EVAL]}),
        json.dumps({"encoder_layers": [[[EVAL]]]}),
        json.dumps({"latent_dim": {"grid_search": [1, 2]}}),
        json.dumps(EVAL),
        '{"\\u0065val": "' + TRAP + '"}',
        json.dumps({"autoencoder": EVAL}),
    ],
    "g.yaml": [
        f'latent_dim: [1, {{eval: "{TRAP}"}}]\n',
        f'latent_dim: &a\n  eval: "{TRAP}"\nactivation: [*a]\n',
        f'latent_dim:\n  <<: {{eval: "{TRAP}"}}\n',
        f'eval: "{TRAP}"\n',
        "latent_dim: {grid_search: [1, 2]}\n",
        "latent_dim: !!python/object/apply:os.system ['touch owned']\n",
        "latent_dim: !!python/object/new:os.system ['touch owned']\n",
        "!!python/object/apply:os.system ['touch owned']\n",
        "latent_dim: [!!python/name:os.system '']\n",
        "latent_dim: !!python/module:owned ''\n",
        "latent_dim: !<tag:yaml.org,2002:python/object/apply:subprocess.getoutput> ['touch owned']\n",
    ],
    "g.toml": [
        f'encoder_layers = [[[{{eval = "{TRAP}"}}]]]\n',
        f'[[latent_dim]]\neval = "{TRAP}"\n',
        f'eval = "{TRAP}"\n',
        "[latent_dim]\ngrid_search = [1, 2]\n",
        f'latent_dim.eval = "{TRAP}"\n',
    ],
}


@pytest.mark.parametrize("option", ["--grid", "--config"])
@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FILES.items() for text in texts])
def test_f29_nothing_in_a_file_is_executed(command: Command, folder: Path, option: str, name: str, text: str) -> None:
    write(folder, name, text)
    ended = command("search", "--data", "table.csv", "--features", "a,b", option, name)
    assert ended.code == 2
    assert ended.err.startswith("raygrid: ") and "Traceback" not in ended.err
    assert any(found in ended.err for found in ("'eval'", "'grid_search'", "is not valid YAML", "'autoencoder' is not"))
    assert sorted(os.listdir(folder)) == sorted([name, "table.csv"])


@pytest.mark.parametrize("text", ['{"eval": "1"}', '[{"eval": "1"}]', '[[{"grid_search": [1]}]]'])
def test_f29_an_option_is_refused_as_a_file_is(command: Command, text: str) -> None:
    ended = command("search", "--data", "table.csv", "--features", "a,b", "--set", f"latent_dim={text}")
    assert ended.code == 2
    assert "which Ray Tune would evaluate" in ended.err


def test_f28_an_option_that_is_nested_without_end_is_refused(command: Command) -> None:
    for depth in (900, 100_000):
        ended = command("search", "--set", f"latent_dim={'[' * depth}{']' * depth}")
        assert ended.code == 2
        assert "Traceback" not in ended.err


# In a process of its own

_SCRIPT = """
    import os, sys, threading
    import numpy as np
    from raygrid.cli import main
    from raygrid.errors import RaygridError
    from small_models import SmallModel, small_rows

    X = small_rows()
    holes = X.copy()
    holes[3, 1] = np.nan
    attempts = {
        "f24 f25": dict(X_train=X, param_grid={"hidden": []}),
        "f26": dict(X_train=X, param_grid={"activation": "relu"}),
        "f28": dict(X_train=X, param_grid={"activation": [threading.Lock()]}),
        "f29": dict(X_train=X, param_grid={"activation": [{"eval": "__import__('os').system('touch owned')"}]}),
        "f30": dict(X_train=X, param_grid={"hidden": [[i] for i in range(1, 1001)], "epochs": range(1, 1001)}),
        "f31": dict(X_train=holes, param_grid={"hidden": [[2], [3]]}),
        "f32": dict(X_train=X.astype(object), param_grid={"hidden": [[2], [3]]}),
    }
    for row, asked in attempts.items():
        try:
            SmallModel("models", "small", 0).fit(**asked)
        except RaygridError as error:
            print(row, type(error).__name__, str(error).splitlines()[0][:60])
    try:
        SmallModel("models", "../small")
    except RaygridError as error:
        print("f34", type(error).__name__)
    with open("g.yaml", "w") as file:
        file.write("latent_dim: [!!python/object/apply:os.system ['touch owned']]")
    for arguments in (["--grid", "g.yaml"], ["--set", "latent_dim=[{\\"eval\\": \\"1\\"}]"], ["--prefix", "a/b"]):
        try:
            main(["search", *arguments])
        except SystemExit as ended:
            print("code", ended.code)
    print("heavy", {"tensorflow", "keras", "ray"} & set(sys.modules))
    print("left", sorted(name for name in os.listdir() if not name.startswith(("script", "output"))))
"""


def test_f24_to_f34_refusals_come_before_tensorflow_ray_and_any_file(tmp_path: Path) -> None:
    lines = run_script(_SCRIPT, tmp_path).splitlines()
    said = dict(line.rsplit(" Error", 1)[0].split(" ", 1) for line in lines if line.startswith("f"))
    assert {line.split(" ")[0] for line in lines if line.startswith("f")} == {
        "f24", "f26", "f28", "f29", "f30", "f31", "f32", "f34",
    }  # fmt: skip
    assert "1,000,000 points" in said["f30"]
    assert [line for line in lines if line.startswith("code")] == ["code 2"] * 3
    assert lines[-2:] == ["heavy set()", "left ['g.yaml']"]
