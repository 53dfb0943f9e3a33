"""``.npy`` and ``.npz`` files. What their headers claim is held against the file before memory is taken for it."""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from raygrid.base.memory import require_memory
from raygrid.base.types import Array
from raygrid.base.wording import counted
from raygrid.errors import WRITE_AGAIN, DataError, DataTypeError, literal

_MAGIC = b"\x93NUMPY"
# A header describes one array in some 100 characters; the list of an archive's arrays takes some 100 bytes each.
_MAX_HEADER_BYTES = 10_000
_MAX_PIECE_BYTES = 64 * 2**20


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    header_bytes: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class _Pieces(io.FileIO):
    """A file that refuses to be read in a piece as large as only a damaged archive asks for."""

    def read(self, size: int | None = -1, /) -> bytes:
        rest = os.fstat(self.fileno()).st_size - self.tell()
        if min(size if size is not None and size >= 0 else rest, rest) > _MAX_PIECE_BYTES:
            raise ValueError("its list of arrays is larger than that of any archive")
        return super().read(-1 if size is None else size)


def read_npy(file: Path) -> Array:
    """The array of an ``.npy`` file.

    Raises:
        DataTypeError: it holds Python objects, which are never loaded.
        DataError: it is damaged, or larger than the memory.
    """
    with file.open("rb") as stream:
        start = stream.read(len(_MAGIC))
        if start.startswith(b"PK"):
            raise DataError(f"{file} is an .npz file by its content.", remedy=f"Rename it to {literal(file.stem)}.npz.")
        if start != _MAGIC:  # numpy would take it for a pickle, and say how to load it unsafely
            raise DataError(
                f"{file} is damaged, or not a .npy file: its first bytes are {start!r}.", remedy=WRITE_AGAIN
            )
        stream.seek(0)
        try:
            header = _header(stream)
            _check_size(header, file.stat().st_size - header.header_bytes)
        except Exception as error:
            raise _unreadable(file, error) from error
    # As it is, and as float32.
    require_memory(file, header.nbytes + 4 * math.prod(header.shape))
    try:
        return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
    except Exception as error:
        raise _unreadable(file, error) from error


def read_npz(file: Path) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, by name.

    Raises:
        DataTypeError, DataError: as for ``read_npy``.
    """
    try:
        with _Pieces(file) as pieces, zipfile.ZipFile(pieces) as archive:
            entries = archive.infolist()
            # Beside the arrays as they are, a float32 copy of at most half their size.
            require_memory(file, sum(entry.file_size for entry in entries) * 3 // 2)
            for entry in entries:
                with archive.open(entry) as stream:
                    header = _header(stream)
                    _check_size(header, entry.file_size - header.header_bytes)
            pieces.seek(0)
            with np.load(pieces, allow_pickle=False) as loaded:
                return {name: loaded[name] for name in loaded.files}
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(file, error) from error


def _header(stream: IO[bytes]) -> _Header:
    """What the array that begins here claims to be. numpy would read a header of any length before it checks that."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it holds something other than arrays")
    version = tuple(stream.read(2))
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array has the format {version}, which is not known")
    length = stream.read(2 * version[0])
    size = int.from_bytes(length, "little")
    if size > _MAX_HEADER_BYTES:
        raise ValueError(f"the header of an array has {size:,} bytes")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(io.BytesIO(length + stream.read(size)))
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    return _Header(shape, dtype, len(_MAGIC) + 2 + len(length) + size)


def _check_size(header: _Header, present_bytes: int) -> None:
    if min(header.shape, default=0) < 0 or header.nbytes > present_bytes:
        raise ValueError(
            f"an array of shape {header.shape} and dtype {header.dtype} has {counted(header.nbytes, 'byte')}, and "
            f"{present_bytes:,} are there"
        )


def _unreadable(file: Path, error: Exception) -> DataError:
    # numpy and zipfile pass on what the parts raise that read a header or unpack: beside ValueError at least
    # TokenError, SyntaxError, MemoryError, NotImplementedError and zlib's own error.
    if "Object arrays" in str(error):
        return DataTypeError(
            f"{file} holds Python objects, which are not numeric and are not loaded, because loading could run code.",
            remedy="Save it with a numeric dtype: array.astype('float32').",
        )
    reason = str(error) or type(error).__name__
    return DataError(f"{file} is damaged, or not a {file.suffix} file: {reason}.", remedy=WRITE_AGAIN)
