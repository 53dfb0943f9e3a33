"""Points that failed are tried again by the same call, also where a model is published; a flag leaves them."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_models import SmallModel, small_rows

from raygrid import GridSearchModel
from raygrid.errors import AllTrialsFailedError
from raygrid.model import grid_search_model as model_module
from raygrid.search.winner import train_config
from raygrid.store.publishing import read_manifest
from raygrid.store.retries import failed_points

X, X_VAL = small_rows(60), small_rows(30, seed=1)
# The second is far better.
GRID = {"learning_rate": [1e-6, 0.05, 0.0]}
FILES = ("manifest.json", "config.json", "metrics.json", "model.keras")


class Plant(SmallModel):
    """Fails for the learning rates in a file, with what else stands there; a line in a log for each training.

    Args:
        notes: the folder of both.
    """

    DEFAULT_CONFIG = SmallModel.DEFAULT_CONFIG | {"epochs": 3}

    def __init__(self, *args: Any, notes: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.notes = notes

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        rate = config["learning_rate"]
        with open(Path(self.notes, "builds.txt"), "a") as log:
            log.write(f"{rate}\n")
        broken = Path(self.notes, "broken.txt").read_text().split()
        if str(rate) in broken:
            raise OSError(f"broken: {broken[-1]}")
        return super().build_model(config, input_shape)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids are searched without Ray."""
    monkeypatch.setattr(model_module, "search_grid", train_config)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a published grid, two of whose three points have failed."""
    folder = tmp_path_factory.mktemp("pristine") / "plant"
    folder.mkdir()
    (folder / "broken.txt").write_text("0.05 0.0 once")
    model = plant(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(model_module, "search_grid", train_config)
        model.fit(X, X_VAL, param_grid=GRID)
    assert model.best_config is not None and model.best_config["learning_rate"] == 1e-6
    (folder / "builds.txt").unlink()
    return folder


@pytest.fixture
def published(in_this_process: None, pristine: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Path]:
    """That folder, which is put back at the end: its path is an argument of the model, so a copy would be another's."""
    caplog.set_level(logging.INFO)
    kept = pristine.with_name("kept")
    shutil.copytree(pristine, kept)
    yield pristine
    shutil.rmtree(pristine)
    kept.rename(pristine)


def plant(folder: Path) -> Plant:
    return Plant(folder / "models", "plant", notes=str(folder))


def built(folder: Path) -> set[float]:
    """The learning rates that were built since; that of a winner once more, where it is published or compared."""
    path = folder / "builds.txt"
    return set(map(float, path.read_text().split())) if path.exists() else set()


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "models" / f"plant_{name}").read_bytes() for name in FILES}


def statuses(model: GridSearchModel) -> list[str]:
    return [str(status) for status in model.results.column("status").to_pylist()]


@pytest.mark.parametrize("asked", [{"param_grid": GRID}, {}])
def test_the_same_call_tries_what_failed_again_says_so_and_publishes_what_is_better(
    published: Path, asked: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    (published / "broken.txt").write_text("0.0 again")
    model = plant(published)
    model.fit(X, X_VAL, **asked)
    told = [record.getMessage() for record in caplog.records]
    again = "2 failed points are tried again (retry_failed=False, or --keep-failed, leaves them)"
    assert told.count(again) == 1
    assert told.index(again) < next(i for i, line in enumerate(told) if line.startswith("2/3  point"))
    assert model.best_config is not None and model.best_config["learning_rate"] == 0.05
    assert built(published) == {0.05, 0.0}
    assert statuses(model) == ["done", "done", "failed"]
    assert GridSearchModel.load(published / "models", "plant").best_config == model.best_config


def test_where_they_fail_again_what_is_published_stays_as_it_is(
    published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = files(published)
    (published / "broken.txt").write_text("0.05 0.0 again")
    model = plant(published)
    model.fit(X, X_VAL, param_grid=GRID)
    assert files(published) == before
    assert model.best_config is not None and model.best_config["learning_rate"] == 1e-6
    assert caplog.records[-1].getMessage().startswith("Loaded from cache: ")
    assert statuses(model) == ["done", "failed", "failed"]
    # The table beside the artifacts knows of it.
    shutil.rmtree(published / "models" / "plant_runs" / "points")
    errors = model.results.column("error").to_pylist()
    assert [error.splitlines()[-1] for error in errors[1:]] == ["OSError: broken: again"] * 2


@pytest.mark.parametrize("asked", [{"param_grid": GRID}, {}])
def test_a_flag_leaves_them_and_loads(published: Path, asked: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    (published / "broken.txt").write_text("none")
    model = plant(published)
    model.fit(X, X_VAL, retry_failed=False, **asked)
    assert built(published) == set()
    told = [record.getMessage() for record in caplog.records]
    assert told[-1].startswith("Loaded from cache: ")
    assert not any("tried again" in line for line in told)


def test_a_grid_that_grew_leaves_them_too_where_it_is_asked_to(published: Path) -> None:
    (published / "broken.txt").write_text("none")
    model = plant(published)
    model.fit(X, X_VAL, param_grid={"learning_rate": [*GRID["learning_rate"], 1e-5]}, retry_failed=False)
    assert built(published) == {1e-5}
    assert sorted(statuses(model)) == ["done", "done", "failed", "failed"]


def test_the_plan_says_the_same(published: Path) -> None:
    for asked in ({"param_grid": GRID}, {}):
        found = plant(published).plan(X, X_VAL, **asked)
        assert not found.loads
        assert (len(found.plan.points), found.plan.to_train, found.plan.failed_before) == (3, 2, 2)
        left = plant(published).plan(X, X_VAL, retry_failed=False, **asked)
        assert left.loads
        assert (len(left.plan.points), left.plan.to_train, left.plan.failed_before) == (3, 0, 0)


def test_the_plan_of_a_grid_that_grew_leaves_them_where_it_is_asked_to(published: Path) -> None:
    grown = {"learning_rate": [*GRID["learning_rate"], 1e-5]}
    for retry, to_train in ((True, 3), (False, 1)):
        assert plant(published).plan(X, X_VAL, param_grid=grown, retry_failed=retry).plan.to_train == to_train


def test_the_winner_as_a_single_config_and_artifacts_without_points_are_loaded(published: Path) -> None:
    (published / "broken.txt").write_text("none")
    plant(published).fit(X, X_VAL, model_config={"learning_rate": 1e-6})
    shutil.rmtree(published / "models" / "plant_runs" / "points")
    plant(published).fit(X, X_VAL, param_grid=GRID)
    assert built(published) == set()


def test_without_the_table_the_records_themselves_are_asked(published: Path) -> None:
    (published / "broken.txt").write_text("none")
    (published / "models" / "plant_trials.parquet").unlink()
    plant(published).fit(X, X_VAL, param_grid=GRID)
    assert built(published) == {0.05, 0.0}


def test_who_waited_for_another_that_tried_them_does_not_try_them_once_more(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (published / "broken.txt").write_text("0.05 0.0 again")
    waiting, lock = plant(published), GridSearchModel._locked

    @contextlib.contextmanager
    def after_the_other(model: GridSearchModel, paths: Any) -> Iterator[None]:
        if model is waiting:
            plant(published).fit(X, X_VAL, param_grid=GRID)
        with lock(model, paths):
            yield

    # The class itself is code that its models depend on.
    monkeypatch.setattr(GridSearchModel, "_locked", after_the_other)
    waiting.fit(X, X_VAL, param_grid=GRID)
    tried = (published / "builds.txt").read_text().split()
    assert tried.count("0.05") == tried.count("0.0") == 1
    assert waiting.best_model is not None


def test_where_no_worker_starts_what_is_published_is_loaded_with_a_warning(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_worker(*args: Any) -> Any:
        raise AllTrialsFailedError("no worker can start")

    monkeypatch.setattr(model_module, "search_grid", no_worker)
    model = plant(published)
    model.fit(X, X_VAL, param_grid=GRID)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning == "What failed before could not be tried again: no worker can start"
    assert model.best_config is not None and model.best_config["learning_rate"] == 1e-6


def test_failures_of_other_grids_and_of_further_seeds_are_not_meant(published: Path) -> None:
    model = plant(published)
    paths = model._get_artifacts()
    manifest = read_manifest(paths)
    assert manifest is not None
    asked = model._space().grid(GRID)
    assert len(failed_points(paths, manifest, asked)) == 2
    assert len(failed_points(paths, manifest, model._space().grid({"learning_rate": [1e-6, 0.0]}))) == 1
    assert failed_points(paths, manifest, model._space().grid({**GRID, "epochs": [2]})) == {}
    manifest.depends_on["settings"]["seed"] = 1
    assert failed_points(paths, manifest, asked) == {}
