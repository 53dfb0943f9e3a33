"""Whether the winner stands: verdicts and text, and what a confirmation trains and leaves alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_models import LoggedModel, builds, small_rows
from trained_models import OTHER, small_model, trained_copy
from trained_models import X_VAL as SMALL_X_VAL
from trained_models import X as SMALL_X

from raygrid.errors import ArgumentError, MissingArtifactError, StaleCacheError
from raygrid.grid.records import PointRecord
from raygrid.search.confirmation import MAX_CONTENDERS, Confirmation, Contender, _close_to
from raygrid.search.winner import train_config
from raygrid.store.points import PointStore
from raygrid.store.publishing import read_manifest
from raygrid.store.resets import begin_reset
from raygrid.tuning.resources import Resources

STANDS, CLOSE, FALLS = "stands", "too close to call", "does not stand"


def contender(number: int, val_loss: float, *further: float) -> Contender:
    return Contender(number, {"units": number, "epochs": 2}, val_loss, further)


def confirmation(*contenders: Contender, seeds: int = 3) -> Confirmation:
    return Confirmation(contenders, tuple(range(1, seeds + 1)))


def test_mean_and_spread_are_those_of_the_further_seeds_alone() -> None:
    one = contender(0, 0.1, 1.0, 2.0, 3.0)
    assert (one.mean, one.spread) == (2.0, 1.0)
    assert (contender(0, 0.1, 4.0).mean, contender(0, 0.1, 4.0).spread) == (4.0, 0.0)
    assert (contender(0, 0.1).mean, contender(0, 0.1).spread) == (math.inf, 0.0)


@pytest.mark.parametrize(
    ("winner", "other", "verdict"),
    [
        ((1.0, 1.1, 0.9), (1.2, 1.3, 1.1), STANDS),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), STANDS),
        # Standard errors: 0.082 and 0.058, of the difference sqrt(0.01/3 + 0.01/3) = 0.0816.
        ((1.08, 1.18, 0.98), (1.0, 1.1, 0.9), CLOSE),
        ((1.09, 1.19, 0.99), (1.0, 1.1, 0.9), FALLS),
        ((1.0, 1.0, 1.0), (0.9, 0.9, 0.9), FALLS),
        # A mean of one seed has no error, so no difference is known to be more than chance.
        ((1.0,), (0.9,), CLOSE),
        ((1.0, 1.0, 1.0), (0.9,), CLOSE),
        ((1.0,), (1.1,), STANDS),
        # Seeds that gave no result.
        ((1.0, 1.1), (), STANDS),
        ((), (1.0, 1.1), FALLS),
        ((), (), FALLS),
    ],
)
def test_the_verdict(winner: tuple[float, ...], other: tuple[float, ...], verdict: str) -> None:
    assert confirmation(contender(0, 0.5, *winner), contender(1, 0.51, *other)).verdict == verdict


def test_a_winner_without_contenders_stands() -> None:
    alone = confirmation(contender(0, 0.5, 1.0, 1.1))
    assert (alone.verdict, alone.best.number) == (STANDS, 0)


def test_the_best_has_the_lowest_mean_and_the_winner_comes_first_among_equals() -> None:
    points = [contender(4, 0.5, 1.0), contender(2, 0.51, 0.9), contender(3, 0.52, 0.8)]
    assert confirmation(*points).best.number == 3
    assert confirmation(contender(4, 0.5, 1.0), contender(2, 0.51, 1.0)).best.number == 4


def test_the_text_names_what_differs_means_spreads_and_the_verdict() -> None:
    text = confirmation(contender(4, 0.5, 1.0, 1.1, 0.9), contender(2, 0.5125, 2.0, 2.2, 1.8)).text()
    assert text.splitlines() == [
        "3 further seeds for the winner and 1 point close to it:",
        "  point 4 (units=4): mean 1 +- 0.1, in the search 0.5",
        "  point 2 (units=2): mean 2 +- 0.2, in the search 0.5125",
        "The winner, point 4, stands.",
    ]
    close = confirmation(contender(4, 0.5, 1.08, 1.18, 0.98), contender(2, 0.5, 1.0, 1.1, 0.9)).text()
    assert close.endswith("The winner, point 4, is too close to call: point 2 has the lower mean.")
    falls = confirmation(contender(4, 0.5, 1.0, 1.0), contender(2, 0.5, 0.9, 0.9)).text()
    assert falls.endswith("The winner, point 4, does not stand: point 2 has the lower mean.")


def test_the_text_says_which_seeds_gave_no_result() -> None:
    text = confirmation(contender(4, 0.5, 1.0, 1.2), contender(2, 0.51)).text()
    assert "point 4 (units=4): mean 1.1 +- 0.14 (no result with 1 of 3 seeds), in the search 0.5" in text
    assert "point 2 (units=2): no result with any further seed, in the search 0.51" in text
    one = confirmation(contender(4, 0.5, 1.25), seeds=1).text()
    assert "  point 4: mean 1.25, in the search 0.5\n" in one
    alone = confirmation(contender(4, 0.5), seeds=1).text()
    assert alone.splitlines() == [
        "1 further seed for the winner and 0 points close to it:",
        "  point 4: no result with the further seed, in the search 0.5",
        "The winner, point 4, does not stand.",
    ]


def record(key: str, val_loss: float | None) -> PointRecord:
    return PointRecord(key, "c", {}, 0, "done", {"val_loss": val_loss})


def test_close_are_the_points_within_a_fraction_of_the_winners_val_loss_the_best_first() -> None:
    winner = record("w", 1.0)
    others = [record("far", 1.11), record("edge", 1.1), record("b", 1.05), record("a", 1.05), record("none", None)]
    assert [r.key for r in _close_to(winner, [*others, winner], 0.1)] == ["w", "a", "b", "edge"]
    assert [r.key for r in _close_to(winner, [*others, winner], 0.0)] == ["w"]


def test_a_negative_val_loss_has_points_close_to_it_too() -> None:
    winner = record("w", -1.0)
    assert [r.key for r in _close_to(winner, [winner, record("near", -0.95), record("far", -0.8)], 0.1)] == [
        "w",
        "near",
    ]


def test_only_so_many_points_are_trained_again() -> None:
    records = [record(f"{n:03}", 1.0) for n in range(100)]
    close = _close_to(records[50], records, 0.05)
    assert [r.key for r in close] == ["050", *(f"{n:03}" for n in range(MAX_CONTENDERS - 1))]


def test_a_confirmation_and_a_publication_leave_what_an_unfinished_search_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = trained_copy(tmp_path / "models")
    manifest = read_manifest(paths)
    assert manifest is not None
    winner = manifest.winner["key"]
    store = PointStore(paths.points_dir)
    one = store.get(winner)
    assert one is not None
    weights = tmp_path / "weights"
    weights.write_bytes(b"w")
    # A grid that is being grown, and a point of an earlier confirmation.
    store.add(replace(one, key="grown", config={**one.config, "hidden": (9,)}), weights)
    store.add(replace(one, key="confirmed", seed=1), weights)
    checkpoint = paths.checkpoints_dir / "c.npz"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_bytes(b"how far it is")

    def with_weights() -> set[str]:
        return {path.stem for path in paths.points_dir.glob("*.npz")}

    monkeypatch.setattr(
        "raygrid.model.grid_search_model.confirm_winner", lambda *arguments: confirmation(contender(0, 1.0, 1.0))
    )
    model, trainings = small_model(paths.model_dir)
    model.confirm(SMALL_X, SMALL_X_VAL)
    assert with_weights() == {winner, "grown"}
    assert checkpoint.exists()

    model.fit(SMALL_X, SMALL_X_VAL, model_config=OTHER)
    assert trainings == [(5,)]
    published = read_manifest(paths)
    assert published is not None
    # The one that was published before is not: it is trained again where it wins again.
    assert with_weights() == {published.winner["key"], "grown"}
    assert checkpoint.exists()

    begin_reset(paths, "asked")
    store.add(replace(one, key="of the reset", context="after the reset"), weights)
    model.fit(SMALL_X, SMALL_X_VAL, model_config={**OTHER, "epochs": 1})
    assert "of the reset" in with_weights() and checkpoint.exists()


# On Ray

X, X_VAL = small_rows(), small_rows(60, seed=1)
GRID = {"hidden": [(4,), (5,)]}


class Confirmed(NamedTuple):
    model: LoggedModel
    folder: Path
    build_log: Path
    published: dict[str, bytes]
    confirmation: Confirmation
    trained: list[tuple[int, ...]]


def files_of(folder: Path) -> dict[str, bytes]:
    """All published files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".parquet"}


@pytest.fixture(scope="module")
def confirmed(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    """A search of two points in this process, both of them confirmed with two seeds on Ray."""
    folder = tmp_path_factory.mktemp("confirmed")
    build_log = folder / "builds.txt"
    one_worker = Resources(max_concurrent=1)
    model = LoggedModel(folder / "models", "small", 0, build_log=str(build_log), resources=one_worker)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
        model.fit(X, X_VAL, param_grid=GRID)
    published, before = files_of(folder / "models"), len(builds(build_log))
    answer = model.confirm(X, X_VAL, seeds=2, within=1e6)
    trained = [hidden for _, hidden in builds(build_log)[before:]]
    return Confirmed(model, folder / "models", build_log, published, answer, trained)


@pytest.mark.ray
def test_the_points_close_to_the_winner_are_trained_once_with_each_further_seed(confirmed: Confirmed) -> None:
    assert sorted(confirmed.trained) == [(4,), (4,), (5,), (5,)]
    answer = confirmed.confirmation
    assert answer.seeds == (1, 2)
    rows: list[dict[str, Any]] = confirmed.model.results.to_pylist()
    searched = {tuple(r["config.hidden"]): r["val_loss"] for r in rows if r["seed"] == 0}
    assert answer.contenders[0].config == confirmed.model.best_config
    for one in answer.contenders:
        again = {r["val_loss"] for r in rows if tuple(r["config.hidden"]) == one.config["hidden"] and r["seed"] > 0}
        assert set(one.further) == again
        assert one.val_loss == searched[one.config["hidden"]]
        assert len({one.val_loss, *one.further}) == 3
    assert [one.val_loss for one in answer.contenders] == sorted(searched.values())


@pytest.mark.ray
def test_a_further_seed_gives_what_a_search_with_that_seed_gives(confirmed: Confirmed, tmp_path: Path) -> None:
    best = confirmed.confirmation.contenders[0]
    model = LoggedModel(tmp_path, "other", 0, build_log=str(tmp_path / "builds.txt"), seed=2)
    model.fit(X, X_VAL, model_config=best.config)
    assert model.best_metrics is not None
    # Trained in this process: another number of threads may change the last bits.
    assert model.best_metrics["val_loss"] == pytest.approx(best.further[1], rel=1e-5)


@pytest.mark.ray
def test_asking_again_trains_nothing_and_nothing_published_changes(confirmed: Confirmed) -> None:
    before = len(builds(confirmed.build_log))
    fresh = LoggedModel(confirmed.folder, "small", 0, build_log=str(confirmed.build_log))
    assert fresh.confirm(X, X_VAL, seeds=2, within=1e6) == confirmed.confirmation
    assert fresh.confirm(X, X_VAL, seeds=1, within=1e6).seeds == (1,)
    assert len(builds(confirmed.build_log)) == before
    assert files_of(confirmed.folder) == confirmed.published
    # The winner's weights are kept, and no others.
    (weights,) = (confirmed.folder / "small_runs/points").glob("*.npz")
    assert weights.stem in confirmed.published["small_manifest.json"].decode()


@pytest.mark.ray
def test_a_confirmed_search_still_loads_from_cache(confirmed: Confirmed) -> None:
    before = len(builds(confirmed.build_log))
    model = LoggedModel(confirmed.folder, "small", 0, build_log=str(confirmed.build_log))
    model.fit(X, X_VAL, param_grid=GRID)
    assert model.best_config == confirmed.confirmation.contenders[0].config
    assert len(builds(confirmed.build_log)) == before


@pytest.mark.ray
def test_other_data_than_that_of_the_winner_is_refused(confirmed: Confirmed) -> None:
    before = len(builds(confirmed.build_log))
    other = X.copy()
    other[0, 0] += 1
    with pytest.raises(StaleCacheError, match="data x_train"):
        confirmed.model.confirm(other, X_VAL, seeds=2)
    assert len(builds(confirmed.build_log)) == before


def test_without_a_published_model_there_is_nothing_to_confirm(tmp_path: Path) -> None:
    model = LoggedModel(tmp_path / "models", "small", 0, build_log=str(tmp_path / "builds.txt"))
    with pytest.raises(MissingArtifactError, match="Call fit first"):
        model.confirm(X, X_VAL)
    for seeds in (0, -1, True, 1.5):
        with pytest.raises(ArgumentError, match="must be a whole number of at least 1"):
            model.confirm(X, X_VAL, seeds=seeds)  # type: ignore[arg-type]
    assert not (tmp_path / "models").exists()


@pytest.mark.ray
def test_artifacts_without_their_records_have_nothing_to_compare_with(confirmed: Confirmed, tmp_path: Path) -> None:
    for name, data in confirmed.published.items():
        (tmp_path / name).write_bytes(data)
    generations = "small_runs/generations"
    for path in (confirmed.folder / generations).rglob("*"):
        if path.is_file():
            copy = tmp_path / generations / path.relative_to(confirmed.folder / generations)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    model = LoggedModel(tmp_path, "small", 0, build_log=str(confirmed.build_log))
    with pytest.raises(MissingArtifactError, match="has no record of the published winner"):
        model.confirm(X, X_VAL)
