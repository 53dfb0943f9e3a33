"""Trials without TensorFlow that end their workers, and a job that no worker can load."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.grid.records import PointRecord
from raygrid.store.points import PointStore, write_weights
from raygrid.tuning.trial import decode_points, unrecorded, weights_name

DEADLY = 1e-3


def train_or_die(config: dict[str, Any], *, job: Any, data: Path) -> None:
    """A trial without TensorFlow: what is looked at is what becomes of its points."""
    from ray import tune

    for point in unrecorded(decode_points(config["points"]), PointStore(data / "points")):
        with open(data / "tries.txt", "a") as log:
            log.write(f"{point.number}\n")
        if point.config["learning_rate"] == DEADLY:
            os._exit(1)
        record = PointRecord(
            point.key, job.training.context, point.config, 0, "done", {"val_loss": 9.0 - point.config["units"]}
        )
        with tempfile.TemporaryDirectory() as folder:
            write_weights(Path(folder, weights_name(point.key)), [np.zeros(1)])
            report = {"keys": [point.key], "first_epoch": 1, "epochs": [], "record": record.to_json()}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))


class OnlyHere:
    """A builder that cannot be loaded in another process."""

    def __reduce__(self) -> Any:
        return _only_in, (os.getpid(),)


def _only_in(pid: int) -> OnlyHere:
    if os.getpid() != pid:
        raise RuntimeError("there is no licence on this machine")
    return OnlyHere()
