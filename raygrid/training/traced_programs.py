"""Programs that were traced before, for models of the same structure. Importing this module imports TensorFlow.

Tracing a small model takes longer than twenty of its epochs, and the points of a grid that differ only in the learning
rate or the seed are one model with other values in its variables.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import keras

from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.training.batches import train_items, val_items
from raygrid.training.epoch_program import EpochProgram, all_variables, make_variables
from raygrid.training.model_structure import structure_of

# What all kept programs may hold in variables. A larger model is traced anew each time: it trains for longer than that.
_KEPT_BYTES = 256 * 2**20
_KEPT_PROGRAMS = 8


@dataclass(frozen=True)
class _Kept:
    program: EpochProgram
    # Keeps the arrays alive, whose identity is part of the key.
    arrays: TrainingArrays
    size: int


class TracedPrograms:
    """The last programs of a worker, by what their traces depend on."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def program(self, model: keras.Model, arrays: TrainingArrays, config: Any, settings: TrainSettings) -> EpochProgram:
        """A traced program that trains ``model``, or an equal model that was given all its values.

        The model that it trains is its attribute ``model``.

        Args:
            model: compiled, with its initial values.
            arrays: what is trained on.
            config: ``batch_size`` and, for windows, ``window`` and ``stride`` are read.
            settings: shuffling and windows.

        Raises:
            Exception: whatever the model's steps raise while they are traced.
        """
        make_variables(model)
        structure = structure_of(model) if model.optimizer.built else None
        key = (
            structure,
            id(arrays),
            settings,
            *(config[name] for name in ("batch_size", *(("window", "stride") if settings.windowed else ()))),
        )
        kept = self._kept.pop(key, None) if structure is not None else None
        if kept is None:
            program = EpochProgram(
                model,
                train_items(arrays, config, settings),
                val_items(arrays, config, settings),
                config["batch_size"],
                settings.shuffle,
            )
            kept = _Kept(program, arrays, _variable_bytes(model))
        else:
            kept.program.take_values_of(model)
        if structure is not None and kept.size <= _KEPT_BYTES:
            self._kept[key] = kept
            self._drop_oldest()
        return kept.program

    def _drop_oldest(self) -> None:
        while len(self._kept) > _KEPT_PROGRAMS or sum(kept.size for kept in self._kept.values()) > _KEPT_BYTES:
            del self._kept[next(iter(self._kept))]


def _variable_bytes(model: keras.Model) -> int:
    return sum(v.value.dtype.size * v.shape.num_elements() for v in all_variables(model))
