"""f09: one resets while others load: every load is whole, the old model or the new one."""

from __future__ import annotations

import json
import time
from pathlib import Path

from child_processes import started
from published_sets import files_of, seen, write_legacy
from trained_models import X_VAL, trained_copy

from raygrid import GridSearchModel
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import read_published

PUBLISHES = """
    from pathlib import Path
    from published_sets import publish_set
    from raygrid.store.paths import ModelArtifacts

    paths = ModelArtifacts.for_prefix(Path("models").absolute(), "a")
    for i in range(100):
        publish_set(paths, f"{i:02d}", scaler=i % 2 == 0)
"""


def test_f09_a_reader_beside_a_writer_only_ever_sees_whole_sets(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path / "models", "a")
    write_legacy(paths, "legacy", scaler=True)
    labels = [seen(paths)]
    with started(PUBLISHES, tmp_path) as writer:
        while writer.process.poll() is None:
            published = read_published(paths)
            assert published is not None
            label = json.loads(published.files[paths.config_path.name])["set"]
            assert published.files == files_of(paths, label, paths.scaler_path.name in published.files)
            labels.append(label)
            time.sleep(0)
        assert writer.process.returncode == 0, writer.text()
    labels.append(seen(paths))
    assert labels[0] == "legacy" and labels[-1] == "99"
    numbers = labels[labels.count("legacy") :]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 10


RESETS = """
    from trained_models import X, X_VAL, small_model

    # Another config, other data and with them another scaler each time.
    for i in range(1, 6):
        small_model("models")[0].fit(X * i, X_VAL, model_config={"hidden": [i], "epochs": i}, reset_experiment=True)
"""


def test_f09_models_that_are_loaded_beside_resets_are_whole(tmp_path: Path) -> None:
    trained_copy(tmp_path / "models")
    loaded = []
    with started(RESETS, tmp_path) as child:
        while child.process.poll() is None:
            model = GridSearchModel.load(tmp_path / "models", "small", 0)
            assert model.best_config is not None and model.best_metrics is not None
            # Config, weights, scaler and metrics are of one training, or this could not come out.
            assert model.best_model.layers[0].units == model.best_config["hidden"][0]
            assert abs(model.evaluate(X_VAL)["loss"] / model.best_metrics["val_loss"] - 1) < 1e-5
            loaded.append(model.best_config["hidden"])
            time.sleep(0.1)
        assert child.process.returncode == 0, child.text()
    distinct = list(dict.fromkeys(loaded))
    assert distinct[0] == (3, 2) and len(distinct) > 2
    # None came back once it was replaced.
    assert [hidden for i, hidden in enumerate(loaded) if i == 0 or hidden != loaded[i - 1]] == distinct
