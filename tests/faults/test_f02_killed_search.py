"""A search whose driver is killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_searches import POINTS, kill_searches, same_result, search
from small_models import builds

from raygrid.search.winner import train_config
from raygrid.tuning.resources import Resources


@pytest.mark.ray
def test_f02_a_search_killed_at_random_times_trains_only_what_is_missing_and_ends_as_one_undisturbed(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    killed.mkdir()
    undisturbed.mkdir()
    # With this seed once while Ray starts, and once while points are trained.
    came = kill_searches(killed, rounds=2, seed=6)
    assert came.kills == 2
    assert came.finished == tuple(sorted(came.finished))
    assert 0 < came.finished[-1] < POINTS
    assert (came.lost, came.trained_again) == (0, 0)
    assert not (killed / "models/small_manifest.json").exists()

    before = len(builds(killed / "builds.txt"))
    resumed = search(killed, resources=Resources(max_concurrent=1))
    assert len(builds(killed / "builds.txt")) - before == POINTS - came.finished[-1]
    # In this process, where one point is trained after the other and no worker has to start.
    monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
    assert same_result(resumed, search(undisturbed))
    assert not list((killed / "models/small_runs/tune").iterdir())
