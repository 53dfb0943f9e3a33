"""f16: weights of a point that are damaged are noticed, and the point is trained again to the same result."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trained_models import CONFIG, X_VAL, X, bits, small_model, trained_copy

from raygrid import GridSearchModel
from raygrid.grid.records import PointRecord
from raygrid.store.points import PointStore, write_weights


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "raygrid" and r.levelno == logging.WARNING]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "swapped", "link", "folder"])
def test_f16_damaged_weights_are_none_with_one_warning_that_names_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = PointStore(tmp_path / "points")
    source = tmp_path / "weights.npz"
    write_weights(source, [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)])
    written = store.add(PointRecord("key", "context", {}, 0, "done"), source)
    path = store.folder / "key.npz"
    data = path.read_bytes()
    path.unlink()
    if damage == "link":
        path.symlink_to(source)
    elif damage == "swapped":
        write_weights(path, [np.zeros((2, 3), np.float32), np.ones(3, np.float32)])
    elif damage == "folder":
        path.mkdir()
    else:
        flipped = bytes([*data[:200], data[200] ^ 1, *data[201:]])
        path.write_bytes({"cut": data[:-1], "flip": flipped, "empty": b"", "other": b"PK"}[damage])
    assert store.weights(written) is None
    (message,) = warnings_of(caplog)
    assert message.startswith(str(path)) and message.endswith("The point is trained again, with the same seed.")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])


@pytest.mark.parametrize("damage", [cut, flip])
def test_f16_a_winner_whose_weights_are_damaged_is_trained_again_to_the_same_model_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    paths = trained_copy(tmp_path / "models")
    before = GridSearchModel.load(paths.model_dir, "small", 0)
    # As a search leaves it that was killed before it published.
    for path in (*paths.required, paths.scaler_path, paths.manifest_path):
        path.unlink()
    shutil.rmtree(paths.generations_dir)
    (weights,) = paths.points_dir.glob("*.npz")
    intact = weights.read_bytes()
    damage(weights)

    model, begun = small_model(paths.model_dir)
    model.fit(X, X_VAL, model_config=CONFIG)
    assert begun == [(3, 2)]
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"{weights} is damaged") and "is trained again" in warning
    assert bits(model.best_model) == bits(before.best_model)
    assert model.history == before.history
    assert model.best_metrics["val_loss"] == before.best_metrics["val_loss"]
    assert weights.read_bytes() == intact
