"""The arrays of a training in files: where they are too large for the memory, and are read batch by batch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygrid.base.files import make_folder, room_for
from raygrid.base.row_blocks import row_blocks
from raygrid.base.types import Array
from raygrid.data.structures import Tree, filled, leaves
from raygrid.data.texts import MappedTexts, is_text, text_bytes, write_texts
from raygrid.data.training_arrays import TrainingArrays

# Which file holds which array: the structure of each argument of ``TrainingArrays``, with a file name at each leaf.
_INDEX = "arrays.json"
_TEXTS = ".arrow"


@dataclass(frozen=True)
class Fed:
    """An array in original units, and what makes of a block of its rows what a model is fed, which keeps its shape."""

    array: Array
    change: Callable[[Array], Array]

    def whole(self) -> Array:
        """All of it, as a model is fed it."""
        return self.change(self.array)

    def nothing(self) -> Array:
        """No row of it."""
        return self.change(self.array[:0])


def write_array_files(folder: Path, arrays: Mapping[str, Tree]) -> None:
    """Writes arrays to ``.npy`` files, a few MiB at a time, and texts to ``.arrow`` files.

    Args:
        folder: made if it is not there.
        arrays: by the names of ``TrainingArrays``, each a ``Fed`` or a structure of them.

    Raises:
        OSError: there is no room; the message names the folder and the bytes needed.
    """
    make_folder(folder)
    index = {}
    for name, tree in arrays.items():
        files = {}
        for number, (path, fed) in enumerate(leaves(tree).items()):
            files[path] = (f"{name}.{number}" if path else name) + (_TEXTS if is_text(fed.array) else ".npy")
            _write(folder / files[path], fed)
        index[name] = filled(tree, files)
    (folder / _INDEX).write_text(json.dumps(index))


def _write(file: Path, fed: Fed) -> None:
    if is_text(fed.array):
        with room_for(text_bytes(fed.array), file.parent):
            write_texts(file, fed.array)
        return
    dtype = fed.change(fed.array[:1]).dtype
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": fed.array.shape}
    with room_for(fed.array.size * dtype.itemsize, file.parent), open(file, "wb") as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for block in row_blocks(fed.array):
            stream.write(np.ascontiguousarray(fed.change(block)).data)
        stream.flush()
        # Nodes that share the folder see what is on its disk; a page that is on the disk can leave the memory.
        os.fsync(stream.fileno())


def open_array_files(folder: Path) -> TrainingArrays:
    """The arrays that ``write_array_files`` wrote, mapped into memory: a page is read when a batch needs it."""
    index = json.loads((folder / _INDEX).read_text())
    arrays = {name: _opened(folder, files) for name, files in index.items()}
    return TrainingArrays(**{"y_train": None, "y_val": None, **arrays}, folder=folder)


def _opened(folder: Path, files: Any) -> Tree:
    if isinstance(files, dict):
        return {key: _opened(folder, part) for key, part in files.items()}
    if isinstance(files, list):
        return tuple(_opened(folder, part) for part in files)
    # A name only: an index must not lead anywhere else.
    path = folder / Path(files).name
    return MappedTexts(path) if path.suffix == _TEXTS else np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
