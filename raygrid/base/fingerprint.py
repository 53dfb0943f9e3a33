"""Digests of settings and arrays: what a recorded result depends on, as short hexadecimal texts.

Every digest names the version of its own format in what it hashes. A changed digest makes every saved result
of every user look foreign and costs a retraining, so the formats are pinned by literal values in the tests.
The digest of a model's code is in :mod:`raygrid.identity.code_digest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import numpy as np
import xxhash

#: Version of the array format. Raise the number when the bytes that go into an array's digest change.
ARRAY_FORMAT = "raygrid-array-1"

# A block and what it is cast to stay in the cache.
_BLOCK_BYTES = 2**20


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value, the same for values that are equal as settings.

    Keys are sorted, there is no white space, tuples are written as lists. Numbers are written by value: ``1``
    and ``1.0`` give the same text, ``-0.0`` gives ``0``; ``True`` is not ``1``. Numpy scalars count as the
    Python number that they hold. This text is the format of :func:`digest_json`.

    Args:
        value: None, bool, int, float, str, a numpy scalar of these, or lists, tuples and mappings with str
            keys.

    Raises:
        TypeError: anything else; user input is checked before it comes here.
        ValueError: a number that is not finite.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_json(value: object) -> str:
    """Return the first 128 bits of the SHA-256 of :func:`canonical_json`, as 32 hexadecimal characters.

    Raises:
        TypeError, ValueError: as :func:`canonical_json`.
    """
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:32]


def digest_array(array: np.ndarray) -> str:
    """Return the XXH3 digest of an array's shape, dtype and values, as 32 hexadecimal characters.

    The digest depends on neither memory order, strides nor writability. Values are compared by their bits, so
    ``0.0`` and ``-0.0`` differ. An array that is not C-contiguous is copied in blocks of about 1 MiB, never
    whole.

    XXH3 (Y. Collet, https://xxhash.com) runs at memory speed and is no cryptographic hash: somebody who means
    to can make two arrays with one digest. That is enough here, where the digest has to notice that a user's
    own data changed; it does not defend against anybody.

    Args:
        array: any shape, zero rows and zero dimensions included; any dtype of fixed-size values.

    Raises:
        TypeError: a dtype that holds references (``object``, variable-length strings) instead of values.
    """
    if array.dtype.hasobject:
        raise TypeError(f"an array of dtype {array.dtype} holds references, which have no digest")
    return _digest(array, array.dtype)


def digest_values(array: np.ndarray) -> str:
    """Return the digest of real numbers by their values: equal values have one digest, whatever their dtype.

    It is what :func:`digest_array` gives for the first of float32, float64, int64 and uint64 that holds every value.
    Only whole numbers beyond 2**53 may have another digest as integers than as floats.

    Args:
        array: booleans, integers or floats of up to eight bytes, none of them NaN; any shape.
    """
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        low, high = int(array.min()), int(array.max())
        if low < -(2**53) or high > 2**53:
            return _digest(array, np.dtype(np.int64 if high < 2**63 else np.uint64))
    try:
        return _digest(array, np.dtype(np.float32), exactly=True)
    except _InexactError:
        return _digest(array, np.dtype(np.float64))


class _InexactError(Exception):
    pass


def _digest(array: np.ndarray, dtype: np.dtype, exactly: bool = False) -> str:
    """The digest of an array as ``dtype``; raises where ``exactly`` is asked for and a value changes."""
    digest = xxhash.xxh3_128()
    digest.update(json.dumps([ARRAY_FORMAT, dtype.str, list(array.shape)]).encode("ascii"))
    for block in _contiguous_blocks(np.asarray(array)):
        with np.errstate(over="ignore"):
            values = block.astype(dtype, copy=False)
        if exactly and values is not block and not np.array_equal(values, block):
            raise _InexactError
        digest.update(values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return int(value) if value.is_integer() else value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} of type {type(key).__qualname__} is not a str")
        return {str(key): _plain(item) for key, item in value.items()}
    raise TypeError(f"a value of type {type(value).__qualname__} has no canonical JSON")


def _contiguous_blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield C-contiguous pieces of an array that, one after the other, hold its values in C order."""
    if array.nbytes == 0:
        return
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    row_bytes = array.nbytes // array.shape[0]
    if row_bytes > _BLOCK_BYTES and not array.flags.c_contiguous:
        for row in array:
            yield from _contiguous_blocks(row)
        return
    rows = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, array.shape[0], rows):
        yield np.ascontiguousarray(array[start : start + rows])
