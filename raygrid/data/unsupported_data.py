"""Kinds of data that raygrid does not train on, each with what to do instead. Nothing is imported to tell them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

from raygrid.errors import DataTypeError

_GATHER = (
    "Gather its batches with np.concatenate, and pass them as X_train and y_train: arrays in memory, or in a "
    "memory-mapped .npy file."
)
_MAKE = (
    "With a model of your own, pass a function that makes it: fit(data=lambda config: (train, validation)). Otherwise "
    f"{_GATHER[0].lower()}{_GATHER[1:]}"
)
_KEYS_IN_MESSAGE = 5
_DENSE = "Pass a dense array, for example {name}.toarray()."
# Top-level package and name of a class, or of one that it derives from, to what it is and what to do.
_BY_CLASS = {
    ("tensorflow", "DatasetV2"): ("a tf.data.Dataset", _MAKE),
    ("tensorflow", "RaggedTensor"): (
        "a tf.RaggedTensor",
        "Pad its rows to the same shape, for example with {name}.to_tensor().",
    ),
    ("tensorflow", "SparseTensor"): (
        "a tf.SparseTensor",
        "Pass a dense array, for example tf.sparse.to_dense({name}).",
    ),
    ("keras", "PyDataset"): ("a keras.utils.PyDataset", _MAKE),
    ("keras", "KerasTensor"): ("a symbol of a Keras model, without values", "Pass the data itself."),
    ("torch", "DataLoader"): ("a DataLoader of torch", _GATHER),
    ("torch", "Dataset"): ("a Dataset of torch", _GATHER),
    ("scipy", "_spbase"): ("a sparse matrix", _DENSE),
    ("scipy", "spmatrix"): ("a sparse matrix", _DENSE),
    ("polars", "LazyFrame"): ("a frame that is not computed yet", "Pass {name}.collect()."),
    ("ray", "Dataset"): ("a ray.data.Dataset", "Pass {name}.to_pandas()."),
}


def refuse_unsupported(name: str, value: object) -> None:
    """Refuses data of a kind that would otherwise fail without a hint, or be turned into something else.

    Args:
        name: what the caller calls the data.
        value: what was passed.

    Raises:
        DataTypeError: what it is, and what to do.
    """
    found = _kind_and_fix(value)
    if found is not None:
        kind, fix = found
        raise DataTypeError(f"{name} is {kind}, which raygrid cannot train on.", remedy=fix.replace("{name}", name))


def is_dataset(value: object) -> bool:
    """Whether ``value`` is a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``, which ``model.fit`` takes as well."""
    kinds = {("tensorflow", "DatasetV2"), ("keras", "PyDataset")}
    return any((base.__module__.partition(".")[0], base.__name__) in kinds for base in type(value).__mro__)


def _first_keys(value: Mapping[Any, Any]) -> str:
    more = len(value) - _KEYS_IN_MESSAGE
    shown = ", ".join(repr(key) for key in itertools.islice(value, _KEYS_IN_MESSAGE))
    return f"{shown} and {more} more" if more > 0 else shown


def _kind_and_fix(value: Any) -> tuple[str, str] | None:
    if value is None:
        return "None", "Pass an array."
    if isinstance(value, Mapping):
        return (
            f"a {type(value).__name__} with the keys {_first_keys(value)}",
            "Pass one array, or define a model of your own, which takes a dict. Where each entry is a column, pass "
            "pandas.DataFrame({name}), or np.column_stack(list({name}.values())).",
        )
    if isinstance(value, str | bytes | os.PathLike):
        return (
            f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}",
            "Read the file first, for example with pandas.read_csv. `raygrid search --data FILE` reads files itself.",
        )
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return (
            f"a {type(value).__name__} of texts",
            "Turn texts into numbers first, for example with keras.layers.TextVectorization. Encode labels as "
            "integers, for example with classes, y = np.unique(y, return_inverse=True).",
        )
    if isinstance(value, Iterator):
        return (
            f"a {type(value).__name__}, which can be read only once",
            "Pass an array, such as np.stack(list({name})).",
        )
    for base in type(value).__mro__:
        package = base.__module__.partition(".")[0]
        if (package, base.__name__) in _BY_CLASS:
            return _BY_CLASS[package, base.__name__]
        is_tensor = (package, base.__name__) == ("torch", "Tensor")
        if is_tensor and (value.requires_grad or value.device.type != "cpu"):
            return "a tensor of torch on a GPU, or with a gradient", "Pass {name}.detach().cpu().numpy()."
    return None
