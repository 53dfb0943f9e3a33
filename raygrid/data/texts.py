"""Arrays of texts: inputs of layers such as ``StringLookup`` and ``TextVectorization``. Pure.

They are kept as numpy arrays of Python texts, since numpy's own texts take four bytes for each character of the
longest one in every row.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from raygrid.base.types import Array
from raygrid.errors import DataTypeError

#: What stands for the dtype of texts in manifests.
TEXT = "string"
# Version of the digest's format.
_FORMAT = "raygrid-texts-1"
_BLOCK_ROWS = 65_536
# Of a list, so many of the first items are looked at for texts.
_LOOKED_AT = 1_000


def as_texts(name: str, value: object) -> Array | None:
    """``value`` as an array of texts, with None where one is missing; None where it holds no texts.

    Args:
        name: what the caller calls the data.
        value: an array of numpy's texts, bytes in UTF-8 or Python texts, a list of texts, a Series or an Arrow array.

    Returns:
        dtype object, each a ``str`` or None, of the shape of ``value``.

    Raises:
        DataTypeError: texts and other objects side by side, or bytes that are not UTF-8.
    """
    array = _as_array(value)
    if array is None or array.dtype.kind not in "OUST":
        return None
    if array.dtype.kind in "UST":
        array = array.astype(object)
    flat = array.reshape(-1)
    kinds = set(map(type, flat))
    if not any(issubclass(kind, str | bytes) for kind in kinds):
        return None
    texts = np.empty(len(flat), object)
    for i, item in enumerate(flat):
        texts[i] = _text(name, i, item)
    return texts.reshape(array.shape)


def looks_like_texts(value: object) -> bool:
    """Whether ``value`` is an array or list of texts, judged by its dtype and its first items; nothing is copied."""
    if isinstance(value, list | tuple):
        return any(isinstance(item, str | bytes) for item in value[:_LOOKED_AT])
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in ("U", "S", "T"):
        return True
    first = getattr(value, "ravel", lambda: ())()[:_LOOKED_AT] if kind == "O" else ()
    return any(isinstance(item, str | bytes) for item in first)


def is_text(array: Array) -> bool:
    """Whether a checked array holds texts."""
    return array.dtype.kind == "O"


def is_text_type(arrow_type: Any) -> bool:
    """Whether a column of this ``pyarrow.DataType`` holds texts, written out or as a dictionary."""
    from pyarrow import types  # slow to import; most callers hold arrays

    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    return any(check(arrow_type) for check in (types.is_string, types.is_large_string, types.is_string_view))


def texts_of_arrow(column: Any) -> Array:
    """The texts of a ``pyarrow.ChunkedArray``, with None where one is missing; equal ones are the same object."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.large_string()).dictionary_encode()
    chunk = column.combine_chunks()
    distinct = chunk.dictionary.to_pylist()
    texts = np.empty(len(distinct) + 1, object)
    texts[: len(distinct)] = distinct
    return np.asarray(texts[np.asarray(pc.fill_null(chunk.indices.cast(pa.int64()), len(distinct)))])


def text_bytes(array: Array) -> int:
    """About what the texts of a checked array take in memory, in bytes."""
    return sum(sys.getsizeof(text) for text in array.flat) + array.nbytes


def digest_texts(array: Array) -> str:
    """The digest of texts and their places, as 32 hexadecimal characters."""
    digest = xxhash.xxh3_128()
    digest.update(json.dumps([_FORMAT, list(array.shape)]).encode("ascii"))
    flat = array.reshape(-1)
    for start in range(0, len(flat), _BLOCK_ROWS):
        parts = [text.encode("utf-8", "surrogatepass") for text in flat[start : start + _BLOCK_ROWS]]
        # With the lengths, so that no text can run into the next.
        digest.update(np.array([len(part) for part in parts], "<i8").tobytes())
        digest.update(b"".join(parts))
    return digest.hexdigest()


def write_texts(path: Path, array: Array) -> None:
    """Writes texts to an Arrow file that ``open_texts`` maps into memory."""
    import pyarrow as pa

    column = pa.array(array.reshape(-1), pa.large_string())
    schema = pa.schema([("texts", pa.large_string())], {b"shape": json.dumps(list(array.shape)).encode()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(pa.table([column], schema))


class MappedTexts:
    """Texts in a file that is mapped into memory: what is read of them is read when it is asked for.

    Attributes:
        shape: of the array.
        dtype: object, as that of texts in memory.
    """

    dtype = np.dtype(object)

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        self._column = table.column(0)
        self.shape: tuple[int, ...] = tuple(json.loads(table.schema.metadata[b"shape"]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Array | slice) -> Array:
        """The rows with these numbers."""
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        wanted = (numbers.reshape(-1, 1) * width + np.arange(width)).reshape(-1)
        found = np.empty(len(wanted), object)
        found[:] = self._column.take(wanted).to_pylist()
        return found.reshape(*numbers.shape, *self.shape[1:])


def in_memory(array: Array | MappedTexts) -> Array:
    """``array`` itself, or all of the texts that are mapped from a file."""
    return array[:] if isinstance(array, MappedTexts) else array


def _as_array(value: Any) -> Array | None:
    if isinstance(value, list | tuple):
        if not looks_like_texts(value):
            return None
        array = np.empty(len(value), object)
        array[:] = value
        return array
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "to_pylist"):
        return np.array(value.to_pylist(), dtype=object)
    if hasattr(value, "iloc") and hasattr(value, "dtype"):
        # Of pandas' own types of texts the missing one is no float.
        return np.asarray(value.astype(object).to_numpy())
    return np.asarray(value) if hasattr(value, "__array__") else None


def _text(name: str, i: int, item: object) -> str | None:
    if isinstance(item, str):
        return str(item)
    if isinstance(item, bytes):
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataTypeError(
                f"{name} holds bytes that are not UTF-8 at {i}: {item[:20]!r}.", remedy="Decode them to texts first."
            ) from error
    if item is None or item != item or type(item).__name__ in ("NAType", "NaTType"):
        return None
    raise DataTypeError(
        f"{name} holds texts, and a {type(item).__name__} at {i}: {item!r}.",
        remedy=f"Make all of them texts, for example with {name}.astype(str), or all of them numbers.",
    )
