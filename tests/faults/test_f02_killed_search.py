"""A search whose driver is killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_searches import POINTS, kill_searches, same_result, search
from small_models import builds

from raygrid.tuning.resources import Resources


@pytest.mark.ray
def test_f02_a_search_killed_at_random_times_trains_only_what_is_missing_and_ends_as_one_undisturbed(
    ray_session: None, tmp_path: Path
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
    resumed = search(killed)
    assert len(builds(killed / "builds.txt")) - before == POINTS - came.finished[-1]
    assert same_result(resumed, search(undisturbed, resources=Resources(max_concurrent=1)))
    assert not list((killed / "models/small_runs/tune").iterdir())
