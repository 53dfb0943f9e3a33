"""Arguments are checked where they are given, for all constructors, calls and options alike."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SmallModel, small_rows

from raygrid import AutoencoderDetector, AutoencoderResidualRegressor, GridSearchModel, Resources, SearchListener
from raygrid.base.arguments import dtype_policy_name, local_path
from raygrid.data.files.tables import read_data
from raygrid.errors import ArgumentError, ResourceError

X = small_rows(20)

# Each with what is wrong in it, as the message names it.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_dir": None}, r"model_dir is None. It must be a path"),
    ({"model_dir": ""}, r"model_dir is ''. It must be a path"),
    ({"model_dir": b"models"}, r"model_dir is b'models'. It must be a path"),
    ({"verbose": "yes"}, r"verbose is 'yes'. It must be a whole number from 0 to 2\."),
    ({"verbose": 3}, r"verbose is 3. It must"),
    ({"verbose": -1}, r"verbose is -1. It must"),
    ({"seed": True}, r"seed is True. It must be a whole number from 0 to 4294967295\."),
    ({"seed": 1.0}, r"seed is 1\.0. It must"),
    ({"seed": -1}, r"seed is -1. It must"),
    ({"seed": 2**32}, r"seed is 4294967296. It must"),
    ({"scaler": "standart"}, r"^scaler='standart' is unknown\. Did you mean 'standard'\?"),
    ({"target_scaler": "minmax"}, r"^target_scaler='minmax' is unknown\."),
    ({"shuffle": "no"}, r"shuffle is 'no'. It must be True or False\."),
    ({"shuffle": 1}, r"shuffle is 1. It must be True or False\."),
    (
        {"dtype_policy": "flaot32"},
        r"dtype_policy is 'flaot32', .*Did you mean 'float32'\? Use one of float16, .*or None",
    ),
    (
        {"dtype_policy": "int8_from_float32"},
        r"dtype_policy is 'int8_from_float32', which models cannot be trained with",
    ),
    ({"dtype_policy": 32}, r"dtype_policy is 32, which"),
    ({"resources": {"cpus_per_trial": 2}}, r"resources is .*. It must be an object of the class raygrid\.Resources\."),
    ({"address": 6379}, r"address is 6379. It must be text"),
    ({"max_points": "many"}, r"max_points is 'many'. It must be a whole number of at least 1\."),
    ({"max_points": 0}, r"max_points is 0. It must"),
    ({"lock_timeout_s": "x"}, r"lock_timeout_s is 'x'. It must be seconds, or None\."),
    ({"lock_timeout_s": -1}, r"lock_timeout_s is -1. It must"),
    ({"lock_timeout_s": math.nan}, r"lock_timeout_s is nan. It must"),
    ({"progress": SearchListener}, r"progress is <class .*. It must be an object of the class raygrid\.SearchListener"),
    ({"progress": print}, r"progress is .*print.*. It must be an object"),
    ({"build_model": 3}, r"build_model is 3; it must be a function"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=str)
def test_a_setting_that_cannot_be_right_is_refused_by_the_constructor(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        GridSearchModel(**settings)


def test_both_models_of_the_reference_check_their_settings() -> None:
    with pytest.raises(ArgumentError, match="verbose is 'yes'"):
        AutoencoderResidualRegressor(verbose="yes")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="shuffle is 'no'"):
        AutoencoderResidualRegressor(shuffle="no")


def test_numbers_and_truth_values_of_numpy_are_taken_and_become_those_of_python() -> None:
    model = GridSearchModel(
        seed=np.int64(3),  # type: ignore[arg-type]
        verbose=np.bool_(True),  # type: ignore[arg-type]
        shuffle=np.bool_(False),  # type: ignore[arg-type]
        max_points=np.uint8(7),  # type: ignore[arg-type]
        lock_timeout_s=np.float32(0.5),  # type: ignore[arg-type]
    )
    found = (model.seed, model.verbose, model.shuffle, model.max_points, model.lock_timeout_s)
    assert found == (3, 1, False, 7, 0.5)
    assert [type(value) for value in found] == [int, int, bool, int, float]
    asked = Resources(np.int64(2), np.float64(0.5), np.int32(3), np.int16(4))  # type: ignore[arg-type]
    assert asked == Resources(2, 0.5, 3, 4)
    assert [type(value) for value in vars(asked).values()] == [int, float, int, int]


def test_a_seed_of_numpy_and_one_of_python_plan_the_same_points() -> None:
    keys = [
        [point.key for point in SmallModel("models", "small", 0, seed=seed).plan(X, model_config={}).plan.points]
        for seed in (3, np.int64(3))  # type: ignore[list-item]
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("field", ["cpus_per_trial", "gpus_per_trial", "max_concurrent", "memory_gb"])
def test_an_amount_that_is_no_number_is_refused(field: str) -> None:
    for value in ("2", True, math.nan, -1):
        with pytest.raises(ResourceError, match=rf"{field} is {value!r}. It must"):
            Resources(**{field: value})


@pytest.mark.parametrize("call", ["fit", "plan"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reset_experiment": "no"}, r"reset_experiment is 'no'. It must be True or False\."),
        ({"validation_split": 20}, r"validation_split is 20. It must be a number between 0 and 1, both excluded"),
        ({"validation_split": "0.2", "X_val": X}, r"validation_split is '0\.2'. It must"),
        ({"param_grid": {"epochs": [1]}, "model_config": {}}, "both param_grid and model_config are given"),
    ],
)
def test_a_call_checks_its_arguments_before_anything_is_written(
    call: str, arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        getattr(SmallModel(tmp_path / "models", "small", 0), call)(X, **arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds is 0. It must be a whole number of at least 1"),
        ({"seeds": 1.5}, "seeds is 1.5. It must"),
        ({"within": "close"}, "within is 'close'. It must be a fraction of the winner's val_loss"),
        ({"within": -0.1}, "within is -0.1. It must"),
    ],
)
def test_confirm_checks_its_arguments_first(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        SmallModel(tmp_path / "models", "small", 0).confirm(X, **arguments)


def test_a_quantile_is_a_number_between_0_and_1() -> None:
    assert AutoencoderDetector(quantile=np.float32(0.5)).quantile == 0.5  # type: ignore[arg-type]
    for value in (0, 1, "0.9", True, math.nan):
        with pytest.raises(ArgumentError, match=rf"quantile is {value!r}. It must be a number between 0 and 1"):
            AutoencoderDetector(quantile=value)  # type: ignore[arg-type]


def test_a_policy_is_known_by_its_name_or_as_the_object() -> None:
    class Policy:
        name = "mixed_bfloat16"

    assert dtype_policy_name(Policy()) == dtype_policy_name("mixed_bfloat16") == "mixed_bfloat16"


# Paths


ADDRESSES = [
    "s3://bucket/x",
    "gs://bucket",
    "hdfs://node:8020/x",
    "abfss://c@a.dfs.core.windows.net/x",
    "file:///tmp/x",
    "s3:/b",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_model_dir_and_no_folder_of_its_name_is_made(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (
        GridSearchModel,
        GridSearchModel.load,
        AutoencoderResidualRegressor,
        AutoencoderResidualRegressor.load,
    ):
        for value in (address, Path(address)):
            with pytest.raises(
                ArgumentError, match=r"model_dir is '(s3|gs|hdfs|abfss|file):/.*', an address, .*mounted"
            ):
                call(value)
    with pytest.raises(ArgumentError, match=r"path is '.*', an address"):
        read_data(f"{address}/data.csv")
    assert not any(tmp_path.iterdir())


def test_a_folder_whose_name_is_like_an_address_can_be_named() -> None:
    assert local_path("model_dir", "./s3:/b") == Path.cwd() / "s3:/b"
    assert local_path("model_dir", "/data/s3:/b") == Path("/data/s3:/b")


def test_a_relative_model_dir_stays_where_it_was_when_the_object_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.chdir(first)
    model, both = SmallModel("models", "small", 0), AutoencoderResidualRegressor("models")
    monkeypatch.chdir(second)
    assert model.model_dir == model._get_artifacts().model_dir == first / "models"
    assert both.model_dir == both.autoencoder.model_dir == both.regressor.model_dir == first / "models"
    assert both._new_student().model_dir == first / "models"


def test_the_home_folder_is_known_by_its_short_name() -> None:
    assert GridSearchModel("~/models").model_dir == Path.home() / "models"


def test_a_relative_path_without_a_working_folder_is_refused_and_raygrid_can_still_be_imported(tmp_path: Path) -> None:
    from child_processes import run_script

    output = run_script(
        """
        import os

        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        from raygrid import GridSearchModel
        from raygrid.errors import ArgumentError

        assert str(GridSearchModel("/models").model_dir) == "/models"
        try:
            GridSearchModel("models")
        except ArgumentError as error:
            print(error)
        """,
        tmp_path,
    )
    assert output == "model_dir is 'models', relative to a working folder that was removed. Pass an absolute path.\n"
