"""f41: nothing is decided by wall-clock time: dates of files and in files may be anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from child_processes import started
from trained_models import CONFIG, OTHER, X_VAL, X, bits, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.base.files import temporary_name
from raygrid.errors import LockTimeoutError
from raygrid.store.lock import locked
from raygrid.store.paths import ModelArtifacts

YEARS = {"1970": 0, "2099": 4_070_908_800}


def dated(folder: Path, year: str) -> None:
    """Gives everything under ``folder`` dates of this year."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (YEARS[year], YEARS[year]))


def history_of(paths: ModelArtifacts, year: str | None) -> list[object]:
    """What a sequence of calls does and leaves, with everything dated anew before each."""
    seen: list[object] = []
    for path in (paths.manifest_path, *paths.generations_dir.glob("*/manifest.json")):
        if year is not None:
            value = json.loads(path.read_bytes())
            path.write_text(json.dumps(value | {"created": f"{year}-01-01T00:00:00+00:00"}))
    (paths.model_dir / temporary_name(paths.config_path.name)).touch()
    (paths.points_dir / temporary_name("x.json")).touch()
    for arguments in (
        {},
        {"model_config": CONFIG},
        {"model_config": OTHER},
        {"model_config": CONFIG, "reset_experiment": True},
    ):
        if year is not None:
            dated(paths.model_dir, year)
        model, begun = small_model(paths.model_dir)
        plan = model.plan(X, X_VAL, param_grid={"hidden": [(3, 2), (5,), (6,)], "epochs": [2]}).plan
        model.fit(X, X_VAL, **arguments)
        files = sorted(p.name.replace(_generation(paths), "") for p in paths.model_dir.rglob("*") if p.is_file())
        seen.append((begun, sorted(plan.done), model.best_config, bits(model.best_model), len(files)))
    return seen


def _generation(paths: ModelArtifacts) -> str:
    return str(json.loads(paths.manifest_path.read_bytes())["generation"])


def test_f41_files_dated_1970_or_2099_change_nothing_that_is_done(tmp_path: Path) -> None:
    expected, *others = (history_of(trained_copy(tmp_path / str(year)), year) for year in (None, *YEARS))
    assert [begun for begun, *_ in expected] == [[], [], [(5,)], [(3, 2)]]
    assert others == [expected, expected]


HOLDS = """
    import time
    from pathlib import Path
    from raygrid.store.lock import locked

    with locked(Path("lock"), None, print):
        Path("held").touch()
        time.sleep(600)
"""


@pytest.mark.parametrize("year", YEARS)
def test_f41_a_lock_is_held_and_free_whatever_its_date(tmp_path: Path, year: str) -> None:
    with started(HOLDS, tmp_path) as child:
        child.wait_until((tmp_path / "held").exists)
        dated(tmp_path, year)
        with pytest.raises(LockTimeoutError), locked(tmp_path / "lock", 0.3, lambda holder: None):
            raise AssertionError("an old lock was taken from its holder")
        child.process.kill()
        child.process.wait()
    dated(tmp_path, year)
    with locked(tmp_path / "lock", 0, lambda holder: pytest.fail(f"waited for {holder}")):
        pass


@pytest.mark.parametrize("year", YEARS)
def test_f41_a_publish_that_was_cut_short_is_judged_by_its_contents(tmp_path: Path, year: str) -> None:
    paths = trained_copy(tmp_path / "models")
    old = paths.manifest_path.read_bytes()
    generation = paths.generations_dir / _generation(paths)
    kept = generation.rename(tmp_path / "kept")
    small_model(paths.model_dir)[0].fit(X, X_VAL, model_config=OTHER, reset_experiment=True)
    # The newer set is whole in its generation and in its exports, and only the manifest is still the old one.
    kept.rename(generation)
    paths.manifest_path.write_bytes(old)
    dated(paths.model_dir, year)
    assert GridSearchModel.load(paths.model_dir, "small", 0).best_config["hidden"] == (3, 2)
