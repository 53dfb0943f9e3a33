"""The store of finished points: one file a point, written at once and whole. Resuming and growing a grid read it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from raygrid.base.files import (
    MAX_MODEL_BYTES,
    decode_json,
    leftovers,
    make_folder,
    read_bytes,
    read_checked,
    refuse_links,
    remove_file,
    room_for,
    sync_folder,
    temporary_name,
    write_json,
)
from raygrid.base.types import Array
from raygrid.errors import CorruptArtifactError
from raygrid.grid.records import PointRecord, WeightsFile

log = logging.getLogger("raygrid")

_TRAINED_AGAIN = "The point is trained again, with the same seed."


class PointStore:
    """The finished points of a prefix, by key.

    A point's record is ``<key>.json``, its weights ``<key>.npz``. The weights are there before the record names them.
    Only ``get`` gives a record with its history: with those of 10,000 points a process would hold 300 MB.

    Args:
        folder: where they are.
        code: the digest of the builder whose points are added.
    """

    def __init__(self, folder: Path, code: str = "") -> None:
        self.folder = folder
        self._code = code

    def get(self, key: str) -> PointRecord | None:
        """The record under ``key``; None where there is none. A damaged one counts as none, with a warning."""
        path = self.folder / f"{key}.json"
        try:
            record = PointRecord.from_json(decode_json(read_bytes(path), path), str(path))
            if record.key != key:
                raise CorruptArtifactError(
                    f"{path} is the record of another point, {record.key}.", remedy="Remove the file."
                )
            return record
        except FileNotFoundError:
            return None
        except CorruptArtifactError as error:
            log.warning("%s The point is trained again.", error.what)
            return None

    def get_all(self, keys: Iterable[str]) -> dict[str, PointRecord]:
        """The records of those ``keys`` that have one, without histories."""
        present = self._keys()
        if not present:
            return {}
        found = ((key, self.get(key)) for key in keys if key in present)
        return {key: record.without_history() for key, record in found if record is not None}

    def of_context(self, context: str) -> list[PointRecord]:
        """All records of a context, in the order of their keys, without histories."""
        return [record for record in self.all() if record.context == context]

    def add(self, record: PointRecord, weights: Path | None = None) -> PointRecord:
        """Records a finished point; ``weights`` is a file that its best weights are taken from.

        Returns:
            The record as it was written: with the name, size and digest of the weights.

        Raises:
            StorageError: it could not be written; it is not recorded then.
            FileNotFoundError: the weights are not there.
        """
        refuse_links(self.folder)
        make_folder(self.folder)
        record = replace(record, code=record.code or self._code)
        if weights is not None:
            record = replace(record, weights=self._take_weights(record.key, weights))
        write_json(self.folder / f"{record.key}.json", record.to_json())
        return record

    def add_copy(self, record: PointRecord, origin: str) -> None:
        """Records what is another name of the point ``origin``, whose weights it has where they are kept.

        They are named with the digest that they had: what was damaged since is not taken for whole.
        """
        if record.weights is not None:
            entry = replace(record.weights, name=f"{record.key}.npz")
            with contextlib.suppress(FileNotFoundError):
                self._take_weights(record.key, self.folder / f"{origin}.npz")
            record = replace(record, weights=entry)
        self.add(record)

    def forget(self, keys: Iterable[str]) -> None:
        """Removes the records of ``keys``, and their weights."""
        for key in keys:
            remove_file(self.folder / f"{key}.npz")
            remove_file(self.folder / f"{key}.json")

    def _take_weights(self, key: str, source: Path) -> WeightsFile:
        name = f"{key}.npz"
        temporary = self.folder / temporary_name(name)
        with room_for(source.stat().st_size, self.folder):
            try:
                try:
                    os.link(source, temporary)
                except OSError:
                    # Another file system than the trial's, or one without hard links.
                    shutil.copyfile(source, temporary)
                with open(temporary, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    size = os.fstat(file.fileno()).st_size
                    os.fsync(file.fileno())
                os.replace(temporary, self.folder / name)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
            sync_folder(self.folder)
        return WeightsFile(name, size, digest)

    def weights(self, record: PointRecord) -> list[Array] | None:
        """The best weights of a point, in the order of ``model.get_weights()``; None where they are gone or damaged.

        Damage is told with a warning: only training it again, with its seed, gives them back.
        """
        entry = record.weights
        if entry is None:
            return None
        path = self.folder / f"{record.key}.npz"
        try:
            data = read_checked(path, MAX_MODEL_BYTES, entry.size_bytes, entry.sha256)
        except FileNotFoundError:
            return None
        except CorruptArtifactError as error:
            log.warning("%s %s", error.what, _TRAINED_AGAIN)
            return None
        try:
            return read_weights(io.BytesIO(data))
        except Exception as error:  # numpy passes on whatever the parts raise that read a header or unpack
            log.warning(
                "%s was damaged when it was recorded: it holds no weights (%s). %s", path, error, _TRAINED_AGAIN
            )
            return None

    def keys_with_weights(self) -> list[str]:
        """The keys of all points whose weights are kept."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.npz"))

    def drop_weights(self, keep: Collection[str]) -> int:
        """Removes the weights of all points but ``keep``; returns the bytes that became free."""
        freed = 0
        for path in self.folder.glob("*.npz"):
            if path.stem not in keep:
                freed += path.lstat().st_size
                remove_file(path)
        for path in leftovers(self.folder):
            remove_file(path)
        return freed

    def drop_records(self, keep_context: str) -> int:
        """Removes the records of other contexts (other data, code, settings, earlier experiments); returns how many."""
        others = [record.key for record in self.all() if record.context != keep_context]
        self.forget(others)
        return len(others)

    def _keys(self) -> set[str]:
        refuse_links(self.folder.parent, self.folder)
        try:
            return {path.stem for path in self.folder.glob("[!.]*.json")}
        except FileNotFoundError:
            return set()

    def all(self, but: Collection[str] = ()) -> Iterator[PointRecord]:
        """All records but those of the keys ``but``, in the order of their keys, without histories."""
        for key in sorted(self._keys().difference(but)):
            record = self.get(key)
            if record is not None:
                yield record.without_history()


def write_weights(path: Path, weights: Sequence[Array]) -> None:
    """Writes weights in the order of ``model.get_weights()``, to the last bit, without pickle."""
    with open(path, "wb") as file:
        save_weights(file, weights)


def save_weights(file: BinaryIO, weights: Sequence[Array]) -> None:
    """As ``write_weights``, to a file that is open."""
    arrays: dict[str, Any] = {}
    for i, array in enumerate(weights):
        if array.dtype.kind == "V":
            # bfloat16 and the like, which are not numpy's own: the name keeps the type, which the file would lose.
            arrays[f"{i:05d}.{array.dtype.name}"] = array.view(f"u{array.dtype.itemsize}")
        else:
            arrays[f"{i:05d}"] = array
    np.savez(file, **arrays)


def read_weights(file: io.BytesIO) -> list[Array]:
    """What ``write_weights`` or ``save_weights`` wrote."""
    weights = []
    with np.load(file, allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            _, _, foreign = name.partition(".")
            weights.append(arrays[name].view(_foreign_dtype(foreign)) if foreign else arrays[name])
    return weights


def _foreign_dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes  # comes with TensorFlow

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype
