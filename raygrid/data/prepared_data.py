"""The data of a search as models are fed it: scaled, cast, and in memory or in files. Pure, but for these files."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.memory import Shortage, available_memory, data_shortage
from raygrid.base.row_blocks import by_column
from raygrid.base.types import Array
from raygrid.data.mapped_arrays import open_array_files, write_array_files
from raygrid.data.precision import cast
from raygrid.data.scaler import make_scaler
from raygrid.data.scaling import Scaling
from raygrid.data.training_arrays import TrainingArrays, item_shape
from raygrid.data.training_data import TrainingData
from raygrid.data.windows import window_starts

log = logging.getLogger("raygrid")

# What a training in this process holds beside the user's data: the scaled arrays, and the tensors made of them.
COPIES_HERE = 2

# The setting that says whether inputs and targets are scaled.
_SCALER_OF = {"x": "scaler", "y": "target_scaler"}


class PreparedData:
    """What models are fed of a search's data; nothing of it is made before it is asked for.

    Args:
        data: checked arrays in original units.
        settings: ``scaler``, ``target_scaler`` and ``windowed``, see ``GridSearchModel``.
        folder: where the files of ``arrays`` lie, where there are any.
    """

    def __init__(self, data: TrainingData, settings: Mapping[str, Any], folder: Path) -> None:
        self._data = data
        self._settings = settings
        self._windowed = bool(settings["windowed"])
        self._folder = folder
        self._windows: dict[tuple[int, int], int] = {}

    @cached_property
    def _dtypes(self) -> dict[str, np.dtype[Any]]:
        settings = self._settings
        return self._data.fed_dtypes(
            inputs_scaled=settings["scaler"] is not None, targets_scaled=settings["target_scaler"] is not None
        )

    @property
    def bytes(self) -> int:
        """What one copy of the data takes, as a model is fed it."""
        return self._bytes_of(self._dtypes)

    @property
    def val_bytes(self) -> int:
        """What the arrays for validation take of it."""
        return self._bytes_of(name for name in self._dtypes if name.endswith("_val"))

    def _bytes_of(self, names: Iterable[str]) -> int:
        arrays, sizes = self._data.arrays(), {}
        for name in names:
            role = name.partition("_")[0]
            scaled = self._settings.get(_SCALER_OF.get(role, "")) is not None
            # Unscaled targets that are the very array of the inputs are held once.
            sizes[id(arrays[name]), role if scaled else ""] = arrays[name].size * self._dtypes[name].itemsize
        return sum(sizes.values())

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the training data."""
        settings, data = self._settings, self._data
        targets = None
        if data.y_train is not None and settings["target_scaler"] is not None:
            targets = make_scaler(settings["target_scaler"], by_column(data.y_train))
        return Scaling(make_scaler(settings["scaler"], data.x_train), targets)

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, ...]:
        """Shape of one input of a model: of a row, or of a window of rows."""
        return item_shape(self._data.x_train.shape[1:], config, self._windowed)

    def arrays(self, shortage: Shortage | None) -> TrainingArrays:
        """The data in the units that the model sees; in memory it is made anew at every call, and kept by nobody else.

        Args:
            shortage: why it must not be held in memory; it is then in files, which ``files`` removes. None: it is
                in memory.

        Raises:
            OSError: there is no room for the files.
        """
        if shortage is None:
            return _arrays({name: change(array) for name, (array, change) in self._changes().items()})
        if not self._folder.exists():
            log.warning(
                "The data does not stay in memory: %s. It is read batch by batch from %s, and models train through "
                "model.fit, which is slower. What avoids this: more memory, fewer trials at the same time "
                "(Resources(max_concurrent=...), --max-concurrent) or a higher limit (Resources(memory_gb=...), "
                "--memory-gb).",
                shortage,
                self._folder,
            )
            write_array_files(self._folder, self._changes())
        return open_array_files(self._folder)

    def validation_arrays(self, limit_gb: float | None) -> TrainingArrays:
        """The same to measure ``val_loss`` with; the arrays for training may be empty.

        Args:
            limit_gb: what the data may take in memory, see ``Resources.memory_gb``.
        """
        if self._folder.exists():
            return open_array_files(self._folder)
        shortage = data_shortage(self.val_bytes, COPIES_HERE, available_memory(), limit_gb)
        if shortage is not None:
            return self.arrays(shortage)
        return _arrays(
            {
                name: change(array if name.endswith("_val") else array[:0])
                for name, (array, change) in self._changes().items()
            }
        )

    @contextlib.contextmanager
    def files(self) -> Iterator[None]:
        """The files of ``arrays`` live inside; what a killed search left of them is removed before."""
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _changes(self) -> dict[str, tuple[Array, Callable[[Array], Array]]]:
        """Each array that is there, in original units, with what makes of a block of its rows what a model is fed."""
        by_role: dict[str, Callable[[Array], Array]] = {
            "x": self.scaling.scale_inputs,
            "y": self.scaling.scale_targets,
            "w": _as_it_is,
            "runs": _as_it_is,
        }

        def change_of(name: str) -> Callable[[Array], Array]:
            change, dtype = by_role[name.partition("_")[0]], self._dtypes[name]
            return lambda block: cast(change(block), dtype)

        return {name: (array, change_of(name)) for name, array in self._data.arrays().items()}

    def items(self, config: Mapping[str, Any]) -> int:
        """How many rows, or windows, a config trains on."""
        rows = len(self._data.x_train)
        if not self._windowed:
            return rows
        cut = (config["window"], config["stride"])
        if cut not in self._windows:
            self._windows[cut] = len(window_starts(self._data.runs_train, rows, *cut))
        return self._windows[cut]


def _arrays(present: Mapping[str, Array]) -> TrainingArrays:
    return TrainingArrays(
        x_train=present["x_train"],
        y_train=present.get("y_train"),
        x_val=present["x_val"],
        y_val=present.get("y_val"),
        w_train=present.get("w_train"),
        w_val=present.get("w_val"),
        runs_train=present.get("runs_train"),
        runs_val=present.get("runs_val"),
    )


def _as_it_is(array: Array) -> Array:
    return array
