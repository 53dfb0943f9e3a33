"""Small trainings whose results are known to the last bit: what kills and races are held against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from part import ended, forked, killed
from small_models import SmallModel, small_rows

from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore
from raygrid.store.published import CachedModel, read_cached

PREFIX = "stress"
ROWS = small_rows(400)
LIMIT_S = 240.0


class Asked(NamedTuple):
    """One config, with or without a scaler."""

    units: int
    scaler: str | None = None

    @property
    def config(self) -> dict[str, Any]:
        return {"hidden": [self.units], "epochs": 5}


class Known(NamedTuple):
    """What a training gives, whoever does it: its metrics, the digest of its weights, and what the model predicts."""

    metrics: dict[str, Any]
    weights: str
    predicted: bytes


def fitted(folder: Path, asked: Asked, *, reset: bool = False, progress: SearchListener | None = None) -> SmallModel:
    """Trains or loads what is asked for, in this process."""
    model = SmallModel(folder, PREFIX, 0, scaler=asked.scaler, progress=progress)
    model.fit(ROWS, model_config=asked.config, reset_experiment=reset)
    return model


def asked_of(cached: CachedModel) -> Asked:
    """What a published model was asked for, by its config and by whether it comes with a scaler."""
    return Asked(cached.config["hidden"][0], "standard" if cached.scaling else None)


def metrics_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics without the seconds, which no two trainings share."""
    return {name: value for name, value in metrics.items() if name != "seconds"}


def learn(folder: Path, all_asked: list[Asked]) -> dict[Asked, Known]:
    """Trains each once, in forked processes and folders of their own, since TensorFlow must not start in this one."""
    known = {}
    for number, asked in enumerate(all_asked):
        own = folder / f"known-{number}"

        def train(asked: Asked = asked, own: Path = own) -> None:
            np.save(own.with_suffix(".npy"), fitted(own, asked).predict(ROWS))

        pid = forked(train)
        if ended(pid, LIMIT_S) != 0:
            killed(pid)
            raise RuntimeError(f"an undisturbed training of {asked} failed")
        paths = ModelArtifacts.for_prefix(own, PREFIX)
        cached = read_cached(paths)
        assert cached is not None
        record = PointStore(paths.points_dir).get(cached.manifest.winner["key"])
        assert record is not None and record.weights is not None
        predicted = np.load(own.with_suffix(".npy")).tobytes()
        known[asked] = Known(metrics_of(cached.metrics), record.weights.sha256, predicted)
    return known


def difference(cached: CachedModel, known: Mapping[Asked, Known]) -> str | None:
    """Why a published set is not whole: its parts do not belong together; None where they do."""
    asked = asked_of(cached)
    if asked not in known:
        return f"{asked} is published, which nobody asked for"
    if metrics_of(cached.metrics) != known[asked].metrics:
        return f"the metrics of {asked} are {cached.metrics}, and should be {known[asked].metrics}"
    return None


def wrong_records(folder: Path, known: Mapping[Asked, Known]) -> list[str]:
    """Records of finished points without a scaler that differ from what their training gives."""
    wrong = []
    for record in PointStore(ModelArtifacts.for_prefix(folder, PREFIX).points_dir).all():
        expected = known.get(Asked(record.config["hidden"][0]))
        if expected is not None and not _same(record, expected):
            wrong.append(f"the record {record.key[:12]} of {record.config} differs from an undisturbed training's")
    return wrong


def finished_points(folder: Path) -> set[str]:
    """The keys of all points that are recorded and can be read."""
    return {record.key for record in PointStore(ModelArtifacts.for_prefix(folder, PREFIX).points_dir).all()}


def _same(record: PointRecord, expected: Known) -> bool:
    same_weights = record.weights is None or record.weights.sha256 == expected.weights
    return record.status == "done" and record.val_loss == expected.metrics["val_loss"] and same_weights
