"""f45: a model file with code in it, in place of the model: refused, and its code is not run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from small_models import WIDTH, SmallModel
from trained_models import CONFIG, OTHER, X_VAL, X, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.errors import CorruptArtifactError, CustomObjectError
from raygrid.store.manifest import FileEntry
from raygrid.store.paths import ModelArtifacts


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """The file that the code in the model would make."""
    return tmp_path / "owned"


@pytest.fixture
def malicious(tmp_path: Path, owned: Path) -> bytes:
    """A model of the shapes of the published one, with a Lambda layer that makes a file when it runs."""
    name = str(owned)
    layers = [
        keras.Input((WIDTH,)),
        keras.layers.Dense(3, "relu"),
        keras.layers.Dense(2, "relu"),
        keras.layers.Dense(WIDTH),
        keras.layers.Lambda(lambda x: open(name, "w").close() or x),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    path = tmp_path / "malicious.keras"
    model.save(path)
    # It works where it is let.
    owned.unlink()
    keras.saving.load_model(path, safe_mode=False)
    owned.unlink()
    return path.read_bytes()


def put(paths: ModelArtifacts, data: bytes) -> None:
    """In place of the model in the export and in the generation, with manifests that vouch for it."""
    for folder in (paths.model_dir, *paths.generations_dir.iterdir()):
        (folder / paths.model_path.name).write_bytes(data)
        manifest = paths.manifest_path if folder == paths.model_dir else folder / "manifest.json"
        value = json.loads(manifest.read_bytes())
        value["files"][paths.model_path.name] = vars(FileEntry.of(data))
        manifest.write_text(json.dumps(value))


def calls(paths: ModelArtifacts) -> list[Callable[[], Any]]:
    model, _ = small_model(paths.model_dir)
    return [
        lambda: GridSearchModel.load(paths.model_dir, "small", 0),
        lambda: SmallModel.load(paths.model_dir, "small", 0),
        lambda: model.fit(X, X_VAL),
        lambda: model.fit(X, X_VAL, model_config=CONFIG),
    ]


@pytest.mark.parametrize("copy", ["export", "generation"])
def test_f45_a_model_with_code_is_not_what_was_published_and_is_not_opened(
    tmp_path: Path, malicious: bytes, owned: Path, copy: str
) -> None:
    paths = trained_copy(tmp_path / "models")
    (generation,) = paths.generations_dir.iterdir()
    path = paths.model_path if copy == "export" else generation / paths.model_path.name
    # Also of the size that it should have.
    for data in (malicious, malicious[: path.stat().st_size].ljust(path.stat().st_size, b"\0")):
        path.write_bytes(data)
        for call in calls(paths):
            with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(path))} is damaged"):
                call()
    assert not owned.exists()


@pytest.mark.parametrize("manifest", ["that vouches for it", "none"])
def test_f45_code_in_a_model_is_not_run_even_where_no_digest_speaks_against_it(
    tmp_path: Path, malicious: bytes, owned: Path, manifest: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = trained_copy(tmp_path / "models")
    if manifest == "none":
        shutil.rmtree(paths.runs_dir)
        paths.manifest_path.unlink()
        paths.model_path.write_bytes(malicious)
    else:
        put(paths, malicious)
    refusals = calls(paths)
    if manifest != "none":
        # A class with a builder takes its own model; of the file, at most the numbers.
        refusals, rebuilds = refusals[:1], refusals[1:]
        for call in rebuilds:
            caplog.clear()
            model = call()
            keras_model = getattr(model, "best_model", model)
            assert not any(isinstance(layer, keras.layers.Lambda) for layer in keras_model.layers)
            assert "It is rebuilt with build_model" in caplog.text
    for call in refusals:
        with pytest.raises(CustomObjectError, match=r"cannot be loaded by Keras alone: its Lambda layer") as caught:
            call()
        assert str(caught.value).startswith(f"{paths.model_path} ")
    assert not owned.exists()
    model, begun = small_model(paths.model_dir)
    model.fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    assert begun == [(5,)]
    assert not owned.exists()
