"""Parts that are trained before: frozen layers, normalisation as in inference, whole models, weights from a file."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretrained_models import (
    FromApplications,
    FrozenLayers,
    NormalisedAsInInference,
    Pretrained,
    PretrainedByClass,
    normalised_as_in_inference,
    write_weights,
)
from sklearn.base import clone
from small_models import small_rows
from trained_models import bits

from raygrid import AutoencoderResidualRegressor, GridSearchModel
from raygrid.errors import ArgumentError, StaleCacheError
from raygrid.identity import files

ROWS = small_rows(160)
X, X_VAL = ROWS[:120], ROWS[120:]
CONFIG: dict[str, Any] = {"hidden": [3], "epochs": 1}


def fitted(folder: Path, cls: type[GridSearchModel] = Pretrained, **settings: Any) -> GridSearchModel:
    model = cls(folder / "models", "part", 0, **settings)
    model.fit(X, X_VAL, model_config=CONFIG)
    return model


# Layers that do not learn


def comes_back(folder: Path, model: GridSearchModel, **settings: Any) -> None:
    """What was fitted in ``folder`` is the same once it is loaded, and measures what was published."""
    loaded = type(model).load(folder / "models", "part", 0, **settings)
    assert bits(loaded.best_model) == bits(model.best_model)
    np.testing.assert_array_equal(loaded.predict(X_VAL), model.predict(X_VAL))
    assert loaded.evaluate(X_VAL)["loss"] == pytest.approx((model.best_metrics or {})["val_loss"], rel=1e-4)


def test_frozen_layers_keep_their_weights_and_come_back_frozen(tmp_path: Path) -> None:
    model = fitted(tmp_path, FrozenLayers)
    assert model.best_model is not None
    frozen, learnt = model.best_model.layers
    assert not frozen.trainable and learnt.trainable
    comes_back(tmp_path, model)
    # As the seed draws them: another number of epochs leaves them as they are.
    other = FrozenLayers(tmp_path / "models", "longer", 0)
    other.fit(X, X_VAL, model_config={**CONFIG, "epochs": 3})
    assert other.best_model is not None
    assert bits(other.best_model.layers[0]) == bits(frozen)
    assert bits(other.best_model.layers[1]) != bits(learnt)


def test_normalisation_as_in_inference_learns_no_averages_and_comes_back(tmp_path: Path) -> None:
    model = fitted(tmp_path, NormalisedAsInInference)
    assert model.best_model is not None
    normalised = model.best_model.normalised
    assert np.all(normalised.moving_mean.numpy() == 0) and np.all(normalised.moving_variance.numpy() == 1)
    comes_back(tmp_path, model)


def test_normalisation_among_layers_that_are_called_one_by_one_learns_what_it_learns_in_keras(tmp_path: Path) -> None:
    # There, Keras 3 overrules training=False while it trains; whoever wants averages kept sets trainable=False.
    plain = normalised_as_in_inference({}, X.shape[1:])
    plain.fit(X, X, batch_size=32, epochs=1, verbose=0)
    model = fitted(tmp_path, GridSearchModel, build_model=normalised_as_in_inference)
    assert model.best_model is not None
    learnt = [bool(each.get_layer("normalised").moving_mean.numpy().any()) for each in (plain, model.best_model)]
    assert learnt[0] == learnt[1]
    comes_back(tmp_path, model)


@pytest.mark.long
def test_a_model_of_keras_applications_is_trained_on_published_and_loaded(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((24, 32, 32, 3), np.float32)
    targets = images.mean(axis=(1, 2, 3))
    model = FromApplications(tmp_path, "images", 0)
    model.fit(images, model_config={}, y_train=targets)
    loaded = FromApplications.load(tmp_path, "images", 0)
    np.testing.assert_array_equal(loaded.predict(images), model.predict(images))
    assert loaded.best_model is not None and len(loaded.best_model.trainable_variables) == 2
    assert model.fit(images, model_config={}, y_train=targets) is model.best_model


# Weights from a file


def test_a_file_that_was_changed_makes_the_saved_model_stale_and_is_named(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    model = fitted(tmp_path, depends_on=[path])
    assert model.best_model is not None
    assert np.all(model.best_model.get_layer("encoder").get_weights()[0] == 0.5)
    before = files.file_digest(path)[:12]
    write_weights(path, 0.25)
    with pytest.raises(StaleCacheError) as caught:
        fitted(tmp_path, depends_on=[path])
    size, now = path.stat().st_size, files.file_digest(path)[:12]
    assert f"\n  file {path}: was {size:,} bytes {before}, now {size:,} bytes {now}\nTo train anew" in str(caught.value)
    # It is no change of the code.
    assert "accept_code_change" not in str(caught.value)
    model.fit(X, X_VAL, model_config=CONFIG, reset_experiment=True)
    assert np.all(model.best_model.get_layer("encoder").get_weights()[0] == 0.25)


def test_a_file_that_was_moved_or_touched_changes_nothing(tmp_path: Path, recorded: list[str]) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    fitted(tmp_path, depends_on=[path])
    path.touch()
    fitted(tmp_path, depends_on=[str(path)])
    moved = tmp_path / "elsewhere" / "other.weights.h5"
    moved.parent.mkdir()
    shutil.move(path, moved)
    assert fitted(tmp_path, depends_on=[moved]).plan(X, X_VAL, model_config={"hidden": [5]}).plan.to_train == 1
    assert len(recorded) == 1


def test_the_published_model_is_loaded_without_the_file(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    model = fitted(tmp_path, depends_on=[path])
    path.unlink()
    loaded = Pretrained.load(tmp_path / "models", "part", 0, depends_on=[path])
    np.testing.assert_array_equal(loaded.predict(X_VAL), model.predict(X_VAL))


def test_a_class_names_its_files_too_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_weights(tmp_path / "encoder.weights.h5", 0.5)
    model = fitted(tmp_path, PretrainedByClass)
    assert model.depends_on == (tmp_path / "encoder.weights.h5",)
    # Where the object was made counts, and not where it is used; and what an argument says, over the class.
    monkeypatch.chdir("/")
    model.fit(X, X_VAL, model_config=CONFIG)
    moved = shutil.move(tmp_path / "encoder.weights.h5", tmp_path / "b.weights.h5")
    fitted(tmp_path, PretrainedByClass, depends_on=[moved])
    # The same class with another path in it is the same code.
    monkeypatch.setattr(PretrainedByClass, "depends_on", (moved,))
    fitted(tmp_path, PretrainedByClass)
    assert len(recorded) == 1


@pytest.mark.parametrize("asked", [{"model_config": CONFIG}, {"param_grid": {"hidden": [[2], [3]]}}])
def test_a_path_without_a_file_is_refused_before_anything_starts(
    tmp_path: Path, asked: dict[str, Any], no_training: None
) -> None:
    model = Pretrained(tmp_path / "models", "part", 0, depends_on=[tmp_path / "gone.h5"])
    for call in (model.fit, model.plan):
        with pytest.raises(ArgumentError, match=r"depends_on names .*/gone\.h5, and there is no such file\. Check"):
            call(X, X_VAL, **asked)
    assert not (tmp_path / "models").exists()


def test_a_file_that_changes_while_a_call_waits_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    model = Pretrained(tmp_path / "models", "part", 0, depends_on=[path])
    locked = Pretrained._locked

    def waiting(self: Pretrained, paths: Any) -> Any:
        write_weights(path, 0.25)
        return locked(self, paths)

    monkeypatch.setattr(Pretrained, "_locked", waiting)
    with pytest.raises(
        ArgumentError, match=r"encoder\.weights\.h5 was changed since this call began\. Call it again\."
    ):
        model.fit(X, X_VAL, model_config=CONFIG)


def test_a_plan_writes_nothing_and_a_fit_remembers_what_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    path = write_weights(tmp_path / "encoder.weights.h5", 0.5)
    fitted(tmp_path, depends_on=[path])
    memory = tmp_path / "models/part_runs/file_digests.json"
    assert str(path) in memory.read_text()
    memory.unlink()
    model = Pretrained(tmp_path / "models", "part", 0, depends_on=[path])
    model.plan(X, X_VAL)
    assert not memory.exists()
    model.fit(X, X_VAL)
    assert memory.exists()
    monkeypatch.setattr(files, "_seen", {})
    monkeypatch.setattr(files, "file_digest", functools.partial(pytest.fail, "read again"))
    model.fit(X, X_VAL)


def test_it_is_a_parameter_as_others_are(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    model = Pretrained(tmp_path, depends_on=[path])
    assert model.get_params()["depends_on"] == (path,)
    assert clone(model).depends_on == (path,)
    assert model.set_params(depends_on=[str(path), path]).depends_on == (path, path)
    assert GridSearchModel(tmp_path).depends_on == ()
    both = AutoencoderResidualRegressor(tmp_path, depends_on=[path])
    assert both.autoencoder.depends_on == both.regressor.depends_on == (path,)
    with pytest.raises(ArgumentError, match=r"depends_on is 'a\.h5', and no list of paths"):
        Pretrained(tmp_path, depends_on="a.h5")
    with pytest.raises(ArgumentError, match="it is a setting of the model"):
        model.fit(X, depends_on=[path])  # type: ignore[call-arg]
