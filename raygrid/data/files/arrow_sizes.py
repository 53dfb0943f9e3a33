"""How much memory an Arrow file takes once it is read, from its messages alone.

A compressed file can take a thousand times its size, and pyarrow says so only once it has taken it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Fields of the flatbuffers tables Message, DictionaryBatch and RecordBatch, see Message.fbs of Apache Arrow.
_MESSAGE_TYPE, _MESSAGE_HEADER = 1, 2
_DICTIONARY_DATA = 1
_BATCH_LENGTH, _BATCH_BUFFERS, _BATCH_COMPRESSION = 0, 2, 3
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_STORED = -1


def decoded_bytes(file: Path, offset: int) -> tuple[int, int]:
    """Bytes of all buffers, decompressed, and the number of rows, of the Arrow stream that begins at ``offset``.

    Raises:
        pyarrow.ArrowException, struct.error, ValueError: it is damaged.
    """
    import pyarrow as pa

    size = rows = 0
    with pa.memory_map(str(file)) as stream:
        stream.seek(offset)
        for message in _messages(pa.ipc.MessageReader.open_stream(stream)):
            metadata = memoryview(message.metadata)
            kind, table = _root(metadata)
            if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
                continue
            batch = _follow(metadata, _field(metadata, table, _DICTIONARY_DATA)) if kind == _DICTIONARY_BATCH else table
            size += _buffer_bytes(metadata, batch, message.body)
            length = _field(metadata, batch, _BATCH_LENGTH)
            if kind == _RECORD_BATCH and length is not None:
                rows += struct.unpack_from("<q", metadata, length)[0]
    return size, rows


def _messages(reader: Any) -> Iterator[Any]:
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _buffer_bytes(metadata: memoryview, batch: int, body: Any) -> int:
    buffers = _field(metadata, batch, _BATCH_BUFFERS)
    if buffers is None:
        return 0
    compressed = _field(metadata, batch, _BATCH_COMPRESSION) is not None
    vector = _follow(metadata, buffers)
    count = struct.unpack_from("<I", metadata, vector)[0]
    present, size = memoryview(body), 0
    for offset, length in struct.iter_unpack("<qq", metadata[vector + 4 : vector + 4 + 16 * count]):
        if offset < 0 or length < 0 or offset + length > len(present):
            raise ValueError("a buffer lies outside of the file")
        if compressed and length >= 8:
            # A compressed buffer begins with its size; one that did not become smaller is stored as it is.
            decoded = struct.unpack_from("<q", present, offset)[0]
            size += length - 8 if decoded == _STORED else max(0, decoded)
        else:
            size += length
    return size


def _root(metadata: memoryview) -> tuple[int, int]:
    """The kind of a message, and where the table of its header lies."""
    table = _follow(metadata, 0)
    kind, header = _field(metadata, table, _MESSAGE_TYPE), _field(metadata, table, _MESSAGE_HEADER)
    return (0 if kind is None else metadata[kind]), _follow(metadata, header)


def _field(metadata: memoryview, table: int, number: int) -> int | None:
    """Where the value of a table's field lies; None where it is left out."""
    fields = table - struct.unpack_from("<i", metadata, table)[0]
    entry = 4 + 2 * number
    if entry >= struct.unpack_from("<H", metadata, fields)[0]:
        return None
    offset = struct.unpack_from("<H", metadata, fields + entry)[0]
    return table + offset if offset else None


def _follow(metadata: memoryview, at: int | None) -> int:
    """Where the table or vector lies that is referred to ``at`` a place."""
    if at is None:
        raise ValueError("a message has no content")
    return at + int(struct.unpack_from("<I", metadata, at)[0])
