"""The arrays of a training in files: where they are too large for the memory, and are read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np

from raygrid.base.files import make_folder, room_for
from raygrid.base.row_blocks import row_blocks
from raygrid.base.types import Array
from raygrid.data.training_arrays import TrainingArrays

_NAMES = tuple(field.name for field in fields(TrainingArrays) if field.name != "folder")


def write_array_files(folder: Path, arrays: Mapping[str, tuple[Array, Callable[[Array], Array]]]) -> None:
    """Writes arrays to ``.npy`` files, a few MiB at a time.

    Args:
        folder: made if it is not there.
        arrays: by the names of ``TrainingArrays``, each with what to apply to a block of its rows, which keeps the
            block's shape.

    Raises:
        OSError: there is no room; the message names the folder and the bytes needed.
    """
    make_folder(folder)
    for name, (array, change) in arrays.items():
        dtype = change(array[:1]).dtype
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": array.shape}
        with room_for(array.size * dtype.itemsize, folder), open(folder / f"{name}.npy", "wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            for block in row_blocks(array):
                file.write(np.ascontiguousarray(change(block)).data)
            file.flush()
            # Nodes that share the folder see what is on its disk; a page that is on the disk can leave the memory.
            os.fsync(file.fileno())


def open_array_files(folder: Path) -> TrainingArrays:
    """The arrays that ``write_array_files`` wrote, mapped into memory: a page is read when a batch needs it."""
    arrays = {name: _mapped(folder / f"{name}.npy") for name in _NAMES}
    return TrainingArrays(**arrays, folder=folder)  # type: ignore[arg-type]


def _mapped(path: Path) -> Array | None:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) if path.exists() else None
