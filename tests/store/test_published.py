from __future__ import annotations

import dataclasses
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from raygrid.base.files import encode_json
from raygrid.data.scaler import StandardScaler
from raygrid.errors import CorruptArtifactError, StaleCacheError, VersionError
from raygrid.identity.identity import Identity, installed_versions
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel, read_cached, require_current
from raygrid.store.publishing import publish

IDENTITY = Identity(
    data={"x_train": {"digest": "d" * 32, "shape": [80, 2], "dtype": "float32"}},
    code={"name": "module:Model", "digest": "c" * 32},
    settings={"seed": 0, "scaler": "standard", "shuffle": True, "dtype_policy": "float32"},
)
CONFIG = {"units": (64, (32, 16)), "rate": 1e-3, "off": None}
METRICS = {"val_loss": 0.5, "loss": None, "best_epoch": 3}
SCALER = {"mean": [10.0, 20.0], "scale": [1.0, 2.0]}


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return ModelArtifacts.for_prefix(tmp_path, "a")


def contents(
    paths: ModelArtifacts, scaler: Any = SCALER, config: Any = CONFIG, metrics: Any = METRICS
) -> dict[str, bytes]:
    files = {
        paths.config_path.name: encode_json(config),
        paths.model_path.name: b"model",
        paths.metrics_path.name: encode_json(metrics),
    }
    return files if scaler is None else files | {paths.scaler_path.name: encode_json(scaler)}


def publish_model(paths: ModelArtifacts, versions: dict[str, str] | None = None, **values: Any) -> Manifest:
    manifest = Manifest("", {}, depends_on=IDENTITY.to_json(), versions=versions or installed_versions())
    return publish(paths, contents(paths, **values), manifest)


def write_legacy(paths: ModelArtifacts, **values: Any) -> None:
    for name, data in contents(paths, **values).items():
        (paths.model_dir / name).write_bytes(data)


def cached(paths: ModelArtifacts) -> CachedModel:
    found = read_cached(paths)
    assert found is not None
    return found


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "raygrid" and r.levelno == logging.WARNING]


def test_nothing_saved_is_none(paths: ModelArtifacts) -> None:
    assert read_cached(paths) is None


def test_a_saved_model_comes_back_with_tuples_and_without_a_warning(
    paths: ModelArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = publish_model(paths)
    found = cached(paths)
    assert (found.config, found.metrics, found.files[paths.model_path.name]) == (CONFIG, METRICS, b"model")
    assert found.manifest == manifest and not found.legacy
    scaler = found.scaling.inputs[""]
    assert isinstance(scaler, StandardScaler) and not found.scaling.targets
    assert (scaler.mean.tolist(), scaler.scale.tolist()) == ([10.0, 20.0], [1.0, 2.0])
    assert warnings_of(caplog) == []


def test_a_stray_scaler_is_not_applied(paths: ModelArtifacts) -> None:
    publish_model(paths, scaler=None)
    paths.scaler_path.write_bytes(encode_json(SCALER))
    assert not cached(paths).scaling


@pytest.mark.parametrize("value", [[], 5, None, "text"])
@pytest.mark.parametrize("part", ["config", "metrics"])
def test_a_config_or_metrics_that_are_no_mapping_are_damage(paths: ModelArtifacts, part: str, value: Any) -> None:
    publish_model(paths, **{part: value})
    with pytest.raises(CorruptArtifactError, match=rf"a_{part}\.json is damaged: it holds .*, not a mapping"):
        read_cached(paths)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "value", [{}, {"mean": [0.0]}, {"mean": [0.0], "scale": [0.0]}, [], {"mean": [0], "scale": "x"}]
)
def test_a_scaler_that_is_none_is_damage_and_never_left_out(paths: ModelArtifacts, value: Any, legacy: bool) -> None:
    (write_legacy if legacy else publish_model)(paths, scaler=value)
    with pytest.raises(CorruptArtifactError, match=re.escape(str(paths.scaler_path))):
        read_cached(paths)


# Sets of another implementation


def test_a_legacy_set_loads_with_one_warning_that_names_it(
    paths: ModelArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    write_legacy(paths)
    found = cached(paths)
    model = found.files[paths.model_path.name]
    assert (found.config, found.metrics, model, found.legacy) == (CONFIG, METRICS, b"model", True)
    assert found.scaling.inputs[""].mean.tolist() == [10.0, 20.0]
    (message,) = warnings_of(caplog)
    assert str(paths.config_path) in message and "another implementation" in message


def test_a_legacy_set_is_taken_as_it_is(paths: ModelArtifacts) -> None:
    write_legacy(paths)
    require_current(paths, cached(paths), IDENTITY)


# Versions


def test_a_newer_scaler_format_asks_for_a_newer_raygrid(paths: ModelArtifacts) -> None:
    publish_model(paths, scaler={"format": 99})
    with pytest.raises(VersionError, match=re.escape(str(paths.scaler_path))):
        read_cached(paths)


# Data, code and settings of today


def test_the_same_data_code_and_settings_are_current(paths: ModelArtifacts) -> None:
    publish_model(paths)
    require_current(paths, cached(paths), IDENTITY)


def changed(part: str, value: dict[str, Any]) -> Identity:
    return dataclasses.replace(IDENTITY, **{part: value})


@pytest.mark.parametrize(
    ("identity", "line"),
    [
        (
            changed("data", {"x_train": {"digest": "e" * 32, "shape": [90, 2], "dtype": "float32"}}),
            r"data x_train: was \(80, 2\) dddddddddddd, now \(90, 2\) eeeeeeeeeeee",
        ),
        (
            changed("data", {**IDENTITY.data, "y_train": {"digest": "e" * 32, "shape": [80, 1], "dtype": "float32"}}),
            r"data y_train: was absent, now \(80, 1\) eeeeeeeeeeee",
        ),
        (
            changed("code", {"name": "module:Other", "digest": "f" * 32}),
            r"code: was module:Model \(cccccccccccc\), now module:Other \(ffffffffffff\)",
        ),
        (changed("settings", {**IDENTITY.settings, "seed": 7}), "setting seed: was 0, now 7"),
        (changed("settings", {**IDENTITY.settings, "scaler": None}), "setting scaler: was 'standard', now None"),
    ],
)
def test_what_differs_is_an_error_with_old_and_new_and_the_ways_out(
    paths: ModelArtifacts, identity: Identity, line: str
) -> None:
    publish_model(paths)
    with pytest.raises(StaleCacheError, match=line) as caught:
        require_current(paths, cached(paths), identity)
    message = str(caught.value)
    assert str(paths.model_path) in message
    assert all(way in message for way in ("reset_experiment=True", "cache_prefix", "load()"))


def test_code_that_only_moved_is_current(paths: ModelArtifacts) -> None:
    publish_model(paths)
    require_current(paths, cached(paths), changed("code", {"name": "elsewhere:Model", "digest": "c" * 32}))


def test_all_differences_are_said_at_once(paths: ModelArtifacts) -> None:
    publish_model(paths)
    other = Identity({}, {"name": "m:X", "digest": "x"}, {**IDENTITY.settings, "seed": 1})
    with pytest.raises(StaleCacheError) as caught:
        require_current(paths, cached(paths), other)
    assert len(re.findall(r"\n  (data x_train|code|setting seed): was", str(caught.value))) == 3


def test_metrics_keep_null_as_none_and_numbers_to_the_last_bit(paths: ModelArtifacts) -> None:
    publish_model(paths, metrics={"val_loss": 0.1 + 0.2, "loss": None})
    assert cached(paths).metrics == {"val_loss": 0.30000000000000004, "loss": None}
    assert json.loads(paths.metrics_path.read_text())["loss"] is None


@pytest.mark.parametrize(
    ("grid", "rules", "refused"),
    [
        ({"epochs": [2, 4], "units": [3]}, None, True),
        ({"epochs": [2], "patience": [1, None]}, 2, True),
        ({"epochs": [2], "units": [3, 4]}, None, False),
        (None, None, False),
        ({"epochs": [2, 4]}, 3, False),
    ],
)
def test_what_earlier_rules_may_have_shared_wrongly_is_refused(
    paths: ModelArtifacts, grid: Any, rules: int | None, refused: bool
) -> None:
    depends_on = {name: value for name, value in IDENTITY.to_json().items() if name != "rules"}
    depends_on |= {} if rules is None else {"rules": rules}
    request = {"config": {}} if grid is None else {"grid": grid, "defaults": {}}
    manifest = Manifest("", {}, depends_on=depends_on, request=request, versions=installed_versions())
    publish(paths, contents(paths), manifest)
    if not refused:
        require_current(paths, cached(paths), IDENTITY)
        return
    with pytest.raises(StaleCacheError, match=r"points that differ only in (epochs|patience) in one"):
        require_current(paths, cached(paths), IDENTITY)
