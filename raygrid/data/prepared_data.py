"""The data of a search as models are fed it: scaled, cast, and in memory or in files. Pure, but for these files."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.memory import Shortage, available_memory, data_shortage
from raygrid.base.types import Array
from raygrid.data.mapped_arrays import Fed, open_array_files, write_array_files
from raygrid.data.precision import cast
from raygrid.data.scaler import StandardScaler
from raygrid.data.scaling import ScalerSetting, Scaling, by_columns, fitted_scalers, scaled_leaves
from raygrid.data.structures import Tree, array_name, filled, leaves, map_leaves
from raygrid.data.texts import is_text, text_bytes
from raygrid.data.training_arrays import InputSpec, TrainingArrays, input_spec
from raygrid.data.training_data import TrainingData
from raygrid.data.windows import window_starts

log = logging.getLogger("raygrid")

# What a training in this process holds beside the user's data: the scaled arrays, and the tensors made of them.
COPIES_HERE = 2


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
    def _scalers(self) -> tuple[ScalerSetting, ScalerSetting]:
        return self._settings["scaler"], self._settings["target_scaler"]

    @cached_property
    def _dtypes(self) -> dict[str, np.dtype[Any]]:
        return self._data.fed_dtypes(*self._scalers)

    @property
    def bytes(self) -> int:
        """What one copy of the data takes, as a model is fed it."""
        return self._bytes_of(self._dtypes)

    def _bytes_of(self, names: Iterable[str]) -> int:
        arrays, scaled, sizes = self._data.arrays(), self._data.scaled(*self._scalers), {}
        for name in names:
            array, role = arrays[name], name.partition("_")[0]
            size = text_bytes(array) if is_text(array) else array.size * self._dtypes[name].itemsize
            # Unscaled targets that are the very array of the inputs are held once.
            sizes[id(array), role if name in scaled else ""] = size
        return sum(sizes.values())

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the training data."""
        data, (scaler, target_scaler) = self._data, self._scalers
        targets = {}
        if data.y_train is not None:
            scaled = scaled_leaves(target_scaler, data.y_train, "target_scaler", "y_train")
            targets = fitted_scalers(data.y_train, scaled)
        return Scaling(fitted_scalers(data.x_train, scaled_leaves(scaler, data.x_train)), targets)

    def inputs(self, config: Mapping[str, Any]) -> InputSpec:
        """What a model sees at a time, of the dtypes that were given."""
        return input_spec(self._data.x_train, config, self._windowed)

    def arrays(self, shortage: Shortage | None) -> TrainingArrays:
        """The data in the units that the model sees; in memory it is made anew at every call, and kept by nobody else.

        Args:
            shortage: why it must not be held in memory; it is then in files, which ``files`` removes. None: it is
                in memory.

        Raises:
            OSError: there is no room for the files.
        """
        if shortage is None:
            return _arrays({name: map_leaves(Fed.whole, tree) for name, tree in self._changes().items()})
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

    def validation_arrays(self, limit_gb: float | None, with_inputs: bool = False) -> TrainingArrays:
        """The same to measure ``val_loss`` with; the arrays for training may be empty.

        Args:
            with_inputs: whether the inputs for training are needed as well.
            limit_gb: what the data may take in memory, see ``Resources.memory_gb``.
        """
        if self._folder.exists():
            return open_array_files(self._folder)

        def needed(name: str) -> bool:
            return name.endswith("_val") or (with_inputs and name == "x_train")

        size = self._bytes_of(name for name in self._dtypes if needed(name.partition("/")[0]))
        shortage = data_shortage(size, COPIES_HERE, available_memory(), limit_gb)
        if shortage is not None:
            return self.arrays(shortage)
        return _arrays(
            {
                name: map_leaves(Fed.whole if needed(name) else Fed.nothing, tree)
                for name, tree in self._changes().items()
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

    def _changes(self) -> dict[str, Tree]:
        """Each array that is there, in original units, with what makes of a block of its rows what a model is fed."""
        scalers = {"x": self.scaling.inputs, "y": self.scaling.targets}

        def fed(name: str, path: str, array: Array) -> Fed:
            scaler, dtype = scalers.get(name[0], {}).get(path), self._dtypes[array_name(name, path)]
            if scaler is None:
                return Fed(array, _as_it_is if is_text(array) else lambda block: cast(block, dtype))
            return Fed(array, lambda block: cast(by_columns(scaler, block, StandardScaler.transform), dtype))

        return {
            name: filled(tree, {path: fed(name, path, array) for path, array in leaves(tree).items()})
            for name, tree in self._data.trees().items()
        }

    def items(self, config: Mapping[str, Any]) -> int:
        """How many rows, or windows, a config trains on."""
        rows = self._data.rows
        if not self._windowed:
            return rows
        cut = (config["window"], config["stride"])
        if cut not in self._windows:
            self._windows[cut] = len(window_starts(self._data.runs_train, rows, *cut))
        return self._windows[cut]


def _arrays(present: Mapping[str, Tree]) -> TrainingArrays:
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
