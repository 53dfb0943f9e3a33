from __future__ import annotations

import json
from pathlib import Path

import pytest

from raygrid.errors import CorruptArtifactError, VersionError
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import publish
from raygrid.store.resets import FIRST_EXPERIMENT, begin_reset, current_experiment, end_reset


@pytest.fixture
def paths(tmp_path: Path) -> ModelArtifacts:
    return ModelArtifacts.for_prefix(tmp_path / "models", "a")


def publish_experiment(paths: ModelArtifacts, experiment: str) -> None:
    files = {path.name: b"{}" for path in paths.required}
    publish(paths, files, Manifest("", {}, depends_on={"data": {}}, experiment=experiment))


def test_the_first_experiment_needs_no_file(paths: ModelArtifacts) -> None:
    assert current_experiment(paths) == FIRST_EXPERIMENT == ""
    assert not paths.model_dir.exists()


def test_a_call_without_a_reset_belongs_to_the_published_experiment(paths: ModelArtifacts) -> None:
    publish_experiment(paths, "published")
    assert current_experiment(paths) == "published"


def test_a_reset_begins_an_experiment_that_never_was(paths: ModelArtifacts) -> None:
    experiments = {FIRST_EXPERIMENT}
    for _ in range(5):
        experiment = begin_reset(paths, "asked")
        assert experiment not in experiments
        experiments.add(experiment)
        publish_experiment(paths, experiment)
        end_reset(paths, experiment)


def test_a_reset_that_was_killed_goes_on_when_the_same_is_asked_again(paths: ModelArtifacts) -> None:
    publish_experiment(paths, "old")
    experiment = begin_reset(paths, "asked")
    assert begin_reset(paths, "asked") == experiment
    assert current_experiment(paths) == "old"


def test_a_reset_that_asks_for_something_else_begins_anew(paths: ModelArtifacts) -> None:
    first = begin_reset(paths, "asked")
    second = begin_reset(paths, "something else")
    assert second != first
    assert begin_reset(paths, "asked") not in (first, second)


def test_a_reset_after_a_published_one_begins_anew_even_where_the_first_could_not_tidy_up(
    paths: ModelArtifacts,
) -> None:
    first = begin_reset(paths, "asked")
    publish_experiment(paths, first)
    # Killed before end_reset.
    assert begin_reset(paths, "asked") != first
    assert current_experiment(paths) == first


def test_a_published_reset_is_forgotten_and_another_one_is_not(paths: ModelArtifacts) -> None:
    experiment = begin_reset(paths, "asked")
    end_reset(paths, "another")
    assert paths.reset_path.is_file()
    end_reset(paths, experiment)
    assert not paths.reset_path.exists()
    end_reset(paths, experiment)


def test_a_first_reset_that_was_killed_goes_on_without_a_reset(paths: ModelArtifacts) -> None:
    experiment = begin_reset(paths, "asked")
    assert current_experiment(paths) == experiment


def test_the_same_reset_in_a_new_process_sees_what_is_on_the_disk_only(paths: ModelArtifacts) -> None:
    experiment = begin_reset(paths, "asked")
    assert json.loads(paths.reset_path.read_text()) == {"experiment": experiment, "asked": "asked"}


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b'"text"', b"null", b"{}", b'{"asked": "x"}', b"\xff"])
def test_a_damaged_record_of_a_reset_counts_as_none(paths: ModelArtifacts, data: bytes) -> None:
    first = begin_reset(paths, "asked")
    paths.reset_path.write_bytes(data)
    assert current_experiment(paths) == FIRST_EXPERIMENT
    end_reset(paths, first)
    assert begin_reset(paths, "asked") != first


def test_a_reset_of_another_raygrid_that_says_more_or_less_still_goes_on(paths: ModelArtifacts) -> None:
    begin_reset(paths, "asked")
    paths.reset_path.write_text('{"experiment": "x", "begun": "2026-01-02"}')
    assert current_experiment(paths) == "x"
    paths.reset_path.write_text('{"experiment": "x", "asked": "asked", "begun": "2026-01-02"}')
    assert begin_reset(paths, "asked") == "x"


def test_a_damaged_manifest_stops_a_call_but_not_a_reset(paths: ModelArtifacts) -> None:
    publish_experiment(paths, "old")
    paths.manifest_path.write_bytes(b"{")
    with pytest.raises(CorruptArtifactError):
        current_experiment(paths)
    experiment = begin_reset(paths, "asked")
    assert begin_reset(paths, "asked") == experiment != "old"


def test_a_manifest_of_a_newer_raygrid_stops_a_reset_before_it_begins(paths: ModelArtifacts) -> None:
    publish_experiment(paths, "old")
    value = json.loads(paths.manifest_path.read_text())
    paths.manifest_path.write_text(json.dumps(value | {"format": 2}))
    with pytest.raises(VersionError):
        begin_reset(paths, "asked")
    assert not paths.reset_path.exists()
