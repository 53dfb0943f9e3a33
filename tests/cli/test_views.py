"""``search --plan`` and the commands that look at what is saved: what they say, and that they import nothing slow."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from commands import (
    OWN_MODELS,
    Command,
    commands_and_imports,
    write,
)

from raygrid.cli.data import Columns, load_file
from raygrid.cli.inputs import find_model
from raygrid.grid.records import PointRecord
from raygrid.identity.identity import point_key
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.publishing import publish

CONFIG = {"units": 2, "batch_size": 4, "epochs": 2, "patience": None}


def record(number: int, val_loss: float, context: str = "c") -> PointRecord:
    config = {**CONFIG, "units": number}
    metrics = {"val_loss": val_loss, "loss": 1.0}
    return PointRecord(point_key(context, config, 0), context, config, 0, "done", metrics, 1, 2, 1.5)


def publish_by_hand(folder: Path, prefix: str) -> ModelArtifacts:
    paths = ModelArtifacts.for_prefix(folder, prefix)
    store = PointStore(paths.points_dir)
    records = [record(1, 0.5), record(2, 0.25), record(3, 0.75), record(4, 0.1, context="of other data")]
    for one in records:
        store.add(one, write(folder, "weights", f"weights {one.key}"))
    files = {
        paths.config_path.name: json.dumps(records[1].config).encode(),
        paths.model_path.name: b"a model",
        paths.metrics_path.name: json.dumps(records[1].metrics).encode(),
    }
    depends_on = {"data": {}, "code": {"name": "own:Mine", "digest": "d"}, "settings": {"seed": 0}}
    manifest = Manifest(
        "",
        {},
        depends_on,
        {"grid": {"units": [1, 2, 3]}, "defaults": CONFIG},
        context="c",
        winner={"key": records[1].key, "point": 1},
        model_class="own:Mine",
        versions={"keras": "3.15.1"},
    )
    publish(paths, files, manifest)
    return paths


def test_a_plan_and_the_views_import_neither_tensorflow_nor_ray_and_a_plan_writes_nothing(folder: Path) -> None:
    models = folder / "models"
    models.mkdir()
    paths = publish_by_hand(models, "mine")
    write(folder, "own_models.py", OWN_MODELS)
    data = ["--data", "table.csv", "--features", "a,b"]
    plans = [
        ["search", *data, "--plan", "--model-dir", "nowhere", "--model", model]
        for model in ("autoencoder", "detector", "own_models:Mine", "residual-regressor")
    ]
    plans += [
        ["search", "--plan", "--model-dir", "nowhere", "--model", "mlp-classifier"],
        ["search", "--plan", "--model-dir", "nowhere", "--model", "mlp-regressor"],
        ["search", "--plan", "--model-dir", "nowhere", "--model", "conv-autoencoder"],
    ]
    views = [[name, "--prefix", "mine"] for name in ("results", "show", "clean")]
    output = commands_and_imports([*plans, *views], folder, ("tensorflow", "keras", "ray"))
    assert f"codes {[0] * 10}" in output
    assert "imported []" in output
    assert not (folder / "nowhere").exists()

    assert "points          16\nalready done    0\nto train        16\nestimated time  at most " in output
    assert "workers (a guess: nothing is measured yet)" in output
    assert "residuals\n216 points; what is done is known once the autoencoder is trained" in output

    assert "3 points: 3 done" in output
    assert not paths.ledger_path.exists() and "all columns" not in output
    assert "class      own:Mine" in output
    assert "  units              2\n" in output
    assert "  val_loss           0.25\n" in output
    assert "removed 1 record of other data, code, settings or experiments" in output
    assert [path.stem for path in paths.points_dir.glob("*.npz")] == [record(2, 0.25).key]


def test_the_best_points_come_first_and_only_as_many_as_asked_for(command: Command, folder: Path) -> None:
    (folder / "models").mkdir()
    publish_by_hand(folder / "models", "mine")
    ended = command("results", "--prefix", "mine", "--rows", "2")
    assert ended.code == 0
    header, *rows = (line.split() for line in ended.out.partition("3 points: 3 done")[0].splitlines())
    assert header[:3] == ["point", "val_loss", "units"]
    assert [row[:3] for row in rows] == [["1", "0.25", "2"], ["0", "0.5", "1"]]


def test_a_plan_counts_what_is_recorded(command: Command, folder: Path) -> None:
    write(folder, "own_models.py", OWN_MODELS)
    arguments = ["--model", "own_models:Mine", "--data", "table.csv", "--features", "a,b", "--plan"]
    assert "already done    0\nto train        3\n" in command("search", *arguments).out

    model = find_model("own_models:Mine")(folder / "models", "mine")
    # Whole numbers, as the file has them: without a scaler, they stay what they are.
    table = np.array([[i, i % 3] for i in range(20)])
    found = model.plan(table)
    run, plan = found.run, found.plan
    for point in plan.points[:2]:
        run.store.add(PointRecord(point.key, run.context, point.config, 0, "done", {"val_loss": 1.0}, 1, 10, 5.0))
    ended = command("search", *arguments)
    assert "points          3\nalready done    2\nto train        1\nonce more       point 0, " in ended.out
    assert "unless a new point is better\nestimated time  at most " in ended.out
    assert "(from the speed of earlier points)" in ended.out
    ended = command("search", *arguments, "--set", "units=[2,3]")
    counts = "points          2\nalready done    2\nto train        0\n"
    assert ended.out == f"{counts}once more       point 0, the best so far: its weights were not kept\n"


def test_a_plan_says_what_would_be_taken_over_of_other_code_and_writes_nothing(command: Command, folder: Path) -> None:
    arguments = ["--model", "own_models:Mine", "--data", "table.csv", "--features", "a,b", "--plan"]
    write(folder, "own_models.py", OWN_MODELS)
    model = find_model("own_models:Mine")(folder / "models", "mine")
    found = model.plan(**load_file(folder / "table.csv", Columns(["a", "b"]), {}).arguments())
    run, plan = found.run, found.plan
    for point in plan.points[:2]:
        run.store.add(PointRecord(point.key, run.context, point.config, 0, "done", {"val_loss": 1.0}, 1, 10, 5.0))
    # The same class, whose builder reaches other code now.
    write(folder, "own_models.py", OWN_MODELS.replace("raise NotImplementedError", "raise NotImplementedError(1)"))
    del sys.modules["own_models"]
    before = sorted(path.name for path in run.paths.points_dir.iterdir())
    assert "already done    0\nto train        3\n" in command("search", *arguments).out
    ended = command("search", *arguments, "--accept-code-change")
    assert "already done    2\ntaken over      2 points that other code trained (" in ended.out, ended
    assert "to train        1\n" in ended.out
    assert sorted(path.name for path in run.paths.points_dir.iterdir()) == before


def test_to_reset_and_to_accept_other_code_exclude_each_other(command: Command) -> None:
    ended = command("search", "--data", "table.csv", "--reset", "--accept-code-change")
    assert ended.code == 2
    assert "--reset and --accept-code-change exclude each other" in ended.err


def test_what_a_search_that_is_not_finished_needs_stays_and_the_command_says_so(command: Command, folder: Path) -> None:
    (folder / "models").mkdir()
    paths = publish_by_hand(folder / "models", "mine")
    grown = record(9, 0.2)
    PointStore(paths.points_dir).add(grown, write(folder, "weights", "of a grid that is being grown"))
    ended = command("clean", "--prefix", "mine")
    assert "a search is not finished: its weights and checkpoints are kept until it is\n" in ended.out
    kept = {path.stem for path in paths.points_dir.glob("*.npz")}
    assert kept == {record(2, 0.25).key, grown.key}
