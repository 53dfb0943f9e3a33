"""Checkpoints: how far a long training has come, in a file that it goes on from after its process was killed."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.files import MAX_MODEL_BYTES, leftovers, make_folder, read_bytes, remove_file, replacing
from raygrid.base.fingerprint import digest_array, digest_json
from raygrid.base.types import Array
from raygrid.errors import CorruptArtifactError
from raygrid.grid.early_stop import EarlyStop
from raygrid.grid.plan import STOP_KEYS, Point
from raygrid.identity.identity import installed_version
from raygrid.store.points import read_weights, save_weights

log = logging.getLogger("raygrid")


# What a killed process loses at most, beside the epoch that it was in. A training that is shorter writes nothing.
INTERVAL_S = 60.0

_FORMAT = 1
# Which can change the order of a model's variables, or what an epoch does with them.
_PACKAGES = ("keras", "tensorflow", "numpy")


def training_key(context: str, point: Point) -> str:
    """The digest of what a training depends on: the same for points that differ only in when to stop."""
    return digest_json(
        {
            "context": context,
            "config": {name: value for name, value in point.config.items() if name not in STOP_KEYS},
            "seed": point.seed,
            "versions": {package: installed_version(package) for package in _PACKAGES},
        }
    )


def stops_of(point: Point) -> dict[str, Any]:
    """What a builder could read of when a point stops."""
    return {name: point.config[name] for name in sorted(STOP_KEYS)}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training after one of its epochs.

    Attributes:
        way: how its epochs were run; another way may round otherwise.
        stops: ``stops_of`` the point that its model was built for.
        rows: the metrics of every epoch so far.
        variables: all that the next epochs depend on.
        best_epoch: the best finite epoch so far, from 1.
        best_weights: those of that epoch, in the order of ``model.get_weights()``; empty where there is none.
        seconds: how long it has trained.
        callbacks: the states of the user's callbacks, in their order.
    """

    way: str
    stops: Mapping[str, Any]
    rows: Sequence[Mapping[str, float]]
    variables: Sequence[Array]
    best_epoch: int | None
    best_weights: Sequence[Array]
    seconds: float
    callbacks: Sequence[Mapping[str, Any]] = ()

    def serves(self, point: Point) -> bool:
        """Whether ``point``, of the same training, can go on from here: the weights kept are also its best so far."""
        stop = EarlyStop(point.config["patience"], point.config["epochs"])
        for epoch, row in enumerate(self.rows, start=1):
            _, ended = stop.update(epoch, row["val_loss"])
            if ended:
                break
        return stop.best_epoch == self.best_epoch


class Checkpoints:
    """The checkpoints of a prefix, by the key of their training; written by whoever trains.

    Args:
        folder: where they are; every process that trains sees it.
        interval_s: seconds of training between two of them.
    """

    def __init__(self, folder: Path, interval_s: float = INTERVAL_S) -> None:
        self.folder = folder
        self.interval_s = interval_s

    def read(self, key: str) -> Checkpoint | None:
        """The checkpoint under ``key``; None where there is none. A damaged one counts as none, with a warning."""
        path = self._path(key)
        try:
            return _unpacked(read_weights(io.BytesIO(read_bytes(path, MAX_MODEL_BYTES))))
        except FileNotFoundError:
            return None
        except CorruptArtifactError as error:
            log.warning("%s The training begins anew.", error.what)
        except Exception as error:
            # What an archive whose bytes were changed makes its readers raise is in no list.
            log.warning("%s is damaged (%s); the training begins anew.", path, error)
        return None

    def write(self, key: str, checkpoint: Checkpoint) -> None:
        """Puts ``checkpoint`` in place of an earlier one, whole or not at all.

        Raises:
            OSError: it could not be written; the earlier one stays.
        """
        make_folder(self.folder)
        arrays = _packed(checkpoint)
        with replacing(self._path(key), sum(array.nbytes for array in arrays)) as file:
            save_weights(file, arrays)

    def remove(self, key: str) -> None:
        """Removes what is no longer needed; a file that cannot be removed goes with the next ``drop_all``."""
        with contextlib.suppress(OSError):
            remove_file(self._path(key))

    def remove_leftovers(self) -> None:
        """Removes what killed writers left half written. Only the lock's holder may."""
        for path in leftovers(self.folder):
            remove_file(path)

    def drop_all(self) -> None:
        """Removes all of them. Only the lock's holder may."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _packed(checkpoint: Checkpoint) -> list[Array]:
    arrays = [*checkpoint.variables, *checkpoint.best_weights]
    about = {
        "format": _FORMAT,
        "way": checkpoint.way,
        "stops": dict(checkpoint.stops),
        # Metrics that are not finite are kept as they are, for which JSON has no number but Python's json a word.
        "rows": [dict(row) for row in checkpoint.rows],
        "variables": len(checkpoint.variables),
        # The archive's own checksums are of its members one by one: one that is gone would not be missed.
        "digests": [digest_array(array) for array in arrays],
        "best_epoch": checkpoint.best_epoch,
        "seconds": checkpoint.seconds,
        "callbacks": [dict(state) for state in checkpoint.callbacks],
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    return [text, *arrays]


def _unpacked(arrays: Sequence[Array]) -> Checkpoint:
    about = json.loads(arrays[0].tobytes())
    if about["format"] != _FORMAT:
        raise ValueError(f"format {about['format']!r} is not {_FORMAT}")
    if about["digests"] != [digest_array(array) for array in arrays[1:]]:
        raise ValueError("an array is not the one that was written")
    end = 1 + about["variables"]
    return Checkpoint(
        way=about["way"],
        stops=about["stops"],
        rows=about["rows"],
        variables=arrays[1:end],
        best_epoch=about["best_epoch"],
        best_weights=arrays[end:],
        seconds=about.get("seconds", 0.0),
        callbacks=about.get("callbacks", ()),
    )
