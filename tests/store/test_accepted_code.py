"""A change of the code that alters no result: what is trained is taken over, told, recorded and still checked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from small_models import SmallModel, dense_model
from trained_models import CONFIG, OTHER, X_VAL, X, bits, small_model, trained_copy

from raygrid.errors import ArgumentError, MissingArtifactError, RebuildError, StaleCacheError
from raygrid.grid.records import PointRecord
from raygrid.identity.identity import Identity, point_key
from raygrid.store.accepted_code import accepted_codes, points_of_other_code, take_over
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest

IDENTITY = Identity(
    data={"x_train": {"digest": "d" * 32, "shape": [80, 2], "dtype": "float32"}},
    code={"name": "module:Model", "digest": "new"},
    settings={"seed": 0, "shuffle": True},
)


def record(units: int, identity: Identity = IDENTITY, code: str = "old", **fields: Any) -> PointRecord:
    """A point as the code ``code`` left it."""
    context = identity.with_code(code).context("e")
    config = {"units": units}
    values = {"status": "done", "metrics": {"val_loss": 1.0}, "code": code, **fields}
    return PointRecord(point_key(context, config, 0), context, config, 0, **values)


@pytest.fixture
def store(tmp_path: Path) -> PointStore:
    return PointStore(tmp_path / "points", "new")


def weights(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "weights"
    path.write_text(text)
    return path


def test_finished_points_that_differ_in_the_code_alone_are_found_under_todays_key(store: PointStore) -> None:
    done, diverged = record(1), record(2, status="diverged", metrics={})
    other_data = replace(IDENTITY, data={"x_train": {**IDENTITY.data["x_train"], "digest": "e" * 32}})
    other_setting = replace(IDENTITY, settings={"seed": 0, "shuffle": False})
    of_today = record(6, code="new")
    for one in (
        *(done, diverged, record(3, other_data), record(4, other_setting)),
        *(record(5, status="failed", metrics={}), of_today, replace(of_today, key="x", config={"units": 7}, code="")),
    ):
        store.add(one)
    found = points_of_other_code(store, IDENTITY, "e", None)
    today = {point_key(IDENTITY.context("e"), one.config, 0): one for one in (done, diverged)}
    assert found.origins == {key: one.key for key, one in today.items()}
    assert {(r.context, r.code, r.trained_by) for r in found.records.values()} == {
        (IDENTITY.context("e"), "new", "old")
    }
    assert not points_of_other_code(store, IDENTITY, "another experiment", None)
    assert len(points_of_other_code(store, IDENTITY, "e", None, known=[done.key])) == 1


def test_a_record_that_does_not_say_its_code_is_of_the_published_models(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points")
    old = replace(record(1), code="")
    store.add(old)
    assert not points_of_other_code(store, IDENTITY, "e", None)
    published = Manifest("", {}, {"code": {"digest": "old"}}, context=old.context)
    (found,) = points_of_other_code(store, IDENTITY, "e", published).records.values()
    assert (found.config, found.trained_by) == ({"units": 1}, "old")


def test_what_todays_code_has_trained_itself_is_not_replaced(store: PointStore) -> None:
    store.add(record(1))
    store.add(record(1, code="new", metrics={"val_loss": 2.0}))
    store.add(record(2))
    store.add(record(2, code="new", status="failed", metrics={}))
    found = points_of_other_code(store, IDENTITY, "e", None)
    assert [one.config for one in found.records.values()] == [{"units": 2}]


def test_a_further_seed_of_a_point_is_another_point_and_what_is_gone_meanwhile_is_left_out(store: PointStore) -> None:
    first, second = record(1), record(1)
    second = replace(second, key=point_key(second.context, second.config, 3), seed=3)
    store.add(first)
    store.add(second)
    found = points_of_other_code(store, IDENTITY, "e", None)
    today = {seed: point_key(IDENTITY.context("e"), {"units": 1}, seed) for seed in (0, 3)}
    assert found.origins == {today[0]: first.key, today[3]: second.key}
    (store.folder / f"{first.key}.json").unlink()
    take_over(store, found)
    assert {record.key for record in PointStore(store.folder).all()} == {second.key, today[3]}


def test_a_point_that_is_taken_over_has_its_history_its_weights_and_their_digest(
    store: PointStore, tmp_path: Path
) -> None:
    alone = store.add(record(1, history={"loss": (0.5, 0.25)}), weights(tmp_path, "weights"))
    store.add(record(2, trained_with=alone.key))
    take_over(store, points_of_other_code(store, IDENTITY, "e", None))
    one, two = (store.get(point_key(IDENTITY.context("e"), {"units": units}, 0)) for units in (1, 2))
    assert one is not None and two is not None and one.weights is not None and alone.weights is not None
    assert one.history == {"loss": (0.5, 0.25)}
    assert (one.weights.name, one.weights.sha256) == (f"{one.key}.npz", alone.weights.sha256)
    assert (store.folder / one.weights.name).read_text() == "weights"
    assert two.trained_with == one.key
    # The old ones stay, for who goes back to the old code.
    assert store.get(alone.key) == alone
    assert accepted_codes([one, two, alone]) == [{"old": "old", "new": "new", "points": 2}]


def test_weights_that_are_gone_or_damaged_are_not_made_whole_by_being_taken_over(
    store: PointStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = store.add(record(1), weights(tmp_path, "weights"))
    damaged = store.add(record(2), weights(tmp_path, "weights"))
    (store.folder / f"{gone.key}.npz").unlink()
    (store.folder / f"{damaged.key}.npz").write_text("WEIGHTS")
    take_over(store, points_of_other_code(store, IDENTITY, "e", None))
    one, two = (store.get(point_key(IDENTITY.context("e"), {"units": units}, 0)) for units in (1, 2))
    assert one is not None and two is not None
    assert store.weights(one) is None and store.weights(two) is None
    assert "is damaged or was edited" in caplog.text


def test_of_several_codes_that_of_the_published_model_counts(store: PointStore) -> None:
    for code in ("old", "older"):
        store.add(record(1, code=code))
    for code in ("old", "older"):
        context = IDENTITY.with_code(code).context("e")
        published = Manifest("", {}, {"code": {"digest": code}}, context=context)
        (found,) = points_of_other_code(store, IDENTITY, "e", published).records.values()
        assert found.trained_by == code


def test_of_two_other_codes_a_third_that_was_accepted_before_keeps_who_trained_it(store: PointStore) -> None:
    store.add(record(1, code="old", trained_by="oldest"))
    (found,) = points_of_other_code(store, IDENTITY, "e", None).records.values()
    assert (found.code, found.trained_by) == ("new", "oldest")


# With a model


class Documented(SmallModel):
    """The same model from other code."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = dense_model(config, input_shape)
        assert model.built
        return model


class Doubled(SmallModel):
    """Another model from other code."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        dense = dense_model(config, input_shape)
        model = keras.Sequential([keras.Input(input_shape), keras.layers.Rescaling(2.0), *dense.layers])
        model.compile("adam", "mse")
        return model


def test_a_published_model_of_other_code_is_taken_over_without_training_and_the_manifest_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = trained_copy(tmp_path / "models")
    before = read_manifest(paths)
    old, _ = small_model(paths.model_dir)
    old.fit(X, X_VAL)
    model, trainings = small_model(paths.model_dir, Documented)
    with pytest.raises(StaleCacheError, match=r"alters no result.*fit\(\.\.\., accept_code_change=True\)"):
        model.fit(X, X_VAL, model_config=CONFIG)
    planned = model.plan(X, X_VAL, accept_code_change=True)
    assert (planned.plan.to_train, len(planned.run.accepted), planned.loads, planned.retrained) == (0, 1, False, None)
    assert read_manifest(paths) == before
    model.verbose = 1
    with caplog.at_level(logging.INFO):
        model.fit(X, X_VAL, accept_code_change=True)
    assert trainings == []
    assert bits(model.best_model) == bits(old.best_model)
    after = read_manifest(paths)
    assert before is not None and after is not None
    digests = {"old": before.depends_on["code"]["digest"], "new": after.depends_on["code"]["digest"]}
    assert after.accepted_code == [{**digests, "points": 1}]
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Taken over")]
    assert "1 point that other code trained" in line and digests["new"][:12] in line
    # From now on it is today's.
    again, trainings = small_model(paths.model_dir, Documented)
    again.fit(X, X_VAL)
    assert trainings == [] and bits(again.best_model) == bits(old.best_model)
    # A later winner of today's code does not hide who trained the other.
    again.fit(X, X_VAL, model_config=OTHER)
    assert trainings == [(5,)]
    published = read_manifest(paths)
    assert published is not None and published.accepted_code == after.accepted_code


def test_code_that_gives_another_model_is_refused_and_nothing_is_taken_over(tmp_path: Path) -> None:
    paths = trained_copy(tmp_path / "models")
    before = {path.name: path.read_bytes() for path in paths.points_dir.iterdir()}
    model, trainings = small_model(paths.model_dir, Doubled)
    with pytest.raises(RebuildError, match="Nothing is taken over of what other code has trained"):
        model.fit(X, X_VAL, accept_code_change=True)
    assert trainings == []
    assert {path.name: path.read_bytes() for path in paths.points_dir.iterdir()} == before
    with pytest.raises(StaleCacheError, match="code: was"):
        model.fit(X, X_VAL)


def test_what_differs_in_more_than_the_code_is_stale_as_before(tmp_path: Path) -> None:
    paths = trained_copy(tmp_path / "models")
    model, _ = small_model(paths.model_dir, Documented)
    with pytest.raises(StaleCacheError, match="data x_train") as caught:
        model.fit(X + 1, X_VAL, accept_code_change=True)
    assert "accept_code_change" not in str(caught.value)


def test_points_of_an_unpublished_search_are_told_of_and_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = trained_copy(tmp_path / "models")
    # As where the search ended before it could publish.
    for path in (*paths.required, paths.scaler_path, paths.manifest_path):
        path.unlink()
    for path in paths.points_dir.glob("*.json"):
        assert json.loads(path.read_text())["code"]
    model, trainings = small_model(paths.model_dir, Documented)
    with caplog.at_level(logging.INFO, "raygrid"):
        model.fit(X, X_VAL, model_config=CONFIG, accept_code_change=True)
    assert trainings == []
    for path in (*paths.required, paths.scaler_path, paths.manifest_path):
        path.unlink()
    caplog.clear()
    # A third code, without the word: told, and trained.
    third, trainings = small_model(paths.model_dir, ThirdCode)
    third.verbose = 1
    with caplog.at_level(logging.INFO, "raygrid"):
        third.fit(X, X_VAL, model_config=CONFIG)
    assert trainings == [(3, 2)]
    (line,) = [r.getMessage() for r in caplog.records if "They are not used" in r.getMessage()]
    assert "--accept-code-change" in line


class ThirdCode(SmallModel):
    """The same once more."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        return dense_model(dict(config), input_shape)


def test_without_the_winners_record_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    paths = trained_copy(tmp_path / "models")
    for path in paths.points_dir.iterdir():
        path.unlink()
    model, trainings = small_model(paths.model_dir, Documented)
    with pytest.raises(MissingArtifactError, match="the published winner cannot be taken over"):
        model.fit(X, X_VAL, accept_code_change=True)
    assert trainings == []


def test_to_take_over_and_to_train_anew_exclude_each_other(tmp_path: Path) -> None:
    model, _ = small_model(tmp_path)
    with pytest.raises(ArgumentError, match="both accept_code_change and reset_experiment"):
        model.fit(X, X_VAL, model_config=CONFIG, reset_experiment=True, accept_code_change=True)


def test_a_folder_of_an_earlier_version_says_its_code_in_its_manifest(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(ROOT / "tests/data" / "saved_by_0.1.0", "dense")
    manifest = read_manifest(paths)
    assert manifest is not None
    saved = manifest.depends_on
    identity = Identity(saved["data"], {"name": "module:Model", "digest": "new"}, saved["settings"])
    # Its context is that of its own rules of training.
    old_context = identity.with_code(saved["code"]["digest"]).context(manifest.experiment)
    found = points_of_other_code(PointStore(paths.points_dir), identity, manifest.experiment, manifest)
    assert len(found) == (4 if old_context == manifest.context else 0)
