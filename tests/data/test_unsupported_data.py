"""Kinds of data that cannot be trained on: what they are, and what to do, is said before anything starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from raygrid.data.checks import as_features, as_sample_weights, as_targets
from raygrid.errors import DataError, DataTypeError

X = np.ones((3, 2), np.float32)


def stand_in(module: str, name: str, **attributes: Any) -> Any:
    """An object of a class of a package that is not installed here, or slow to import."""
    return type(name, (), {"__module__": module, **attributes})()


@pytest.mark.parametrize(
    ("value", "kind", "fix"),
    [
        (
            {"a": [1, 2], "b": [3, 4]},
            "a dict with the keys 'a', 'b'",
            r"pandas.DataFrame\(X_train\), or np.column_stack",
        ),
        (
            {key: [1] for key in "abcdefg"},
            "a dict with the keys 'a', 'b', 'c', 'd', 'e' and 2 more,",
            "pandas.DataFrame",
        ),
        (["good", "bad"], "a list of texts", "TextVectorization"),
        (("good", "bad"), "a tuple of texts", "TextVectorization"),
        ("plant.csv", "the text 'plant.csv'", "pandas.read_csv"),
        (b"plant.csv", "a bytes", "pandas.read_csv"),
        (Path("plant.csv"), "a PosixPath", "pandas.read_csv"),
        (None, "None", "Pass an array"),
        ((row for row in X), "a generator", r"np.stack\(list\(X_train\)\)"),
        (pl.LazyFrame({"a": [1]}), "not computed yet", r"X_train.collect\(\)"),
        (stand_in("scipy.sparse._csr", "_spbase"), "a sparse matrix", r"X_train.toarray\(\)"),
        (stand_in("scipy.sparse._matrix", "spmatrix"), "a sparse matrix", r"X_train.toarray\(\)"),
        (stand_in("torch.utils.data.dataset", "Dataset"), "a Dataset of torch", "np.concatenate"),
        (stand_in("torch.utils.data.dataloader", "DataLoader"), "a DataLoader of torch", "np.concatenate"),
        (stand_in("ray.data.dataset", "Dataset"), "a ray.data.Dataset", r"X_train.to_pandas\(\)"),
        (
            stand_in("torch", "Tensor", requires_grad=True, device=SimpleNamespace(type="cpu")),
            "a tensor of torch on a GPU, or with a gradient",
            r"X_train.detach\(\).cpu\(\).numpy\(\)",
        ),
        (
            stand_in("torch", "Tensor", requires_grad=False, device=SimpleNamespace(type="cuda")),
            "a tensor of torch on a GPU, or with a gradient",
            r"X_train.detach\(\).cpu\(\).numpy\(\)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_it_is_named_with_what_to_do(value: Any, kind: str, fix: str) -> None:
    with pytest.raises(DataTypeError, match=rf"X_train is .*{kind}.*{fix}"):
        as_features("X_train", value)


def test_a_tensor_of_torch_that_numpy_can_read_is_taken() -> None:
    tensor = stand_in(
        "torch", "Tensor", requires_grad=False, device=SimpleNamespace(type="cpu"), __array__=lambda *_, **__: X
    )
    np.testing.assert_array_equal(as_features("X", tensor), X)


def test_an_empty_list_holds_no_texts() -> None:
    with pytest.raises(DataError, match=r"X has shape \(0,\)"):
        as_features("X", [])


def test_targets_and_weights_are_looked_at_too() -> None:
    for check in (as_targets, as_sample_weights):
        with pytest.raises(DataTypeError, match="y is a dict"):
            check("y", {"out": [1, 2, 3]}, 3)


def test_data_of_tensorflow_and_keras_is_known_by_its_class() -> None:
    import keras
    import tensorflow as tf

    class Batches(keras.utils.PyDataset):
        pass

    ragged = tf.ragged.constant([[1.0], [1.0, 2.0]])
    values = [
        (tf.data.Dataset.from_tensor_slices(X), "tf.data.Dataset, .*np.concatenate"),
        (tf.data.Dataset.from_tensor_slices((X, X)).batch(2), "tf.data.Dataset, .*np.concatenate"),
        (ragged, r"tf.RaggedTensor, .*X.to_tensor\(\)"),
        (tf.sparse.from_dense(X), r"tf.SparseTensor, .*tf.sparse.to_dense\(X\)"),
        (Batches(), "keras.utils.PyDataset, .*np.concatenate"),
        (keras.Input((2,)), "symbol of a Keras model"),
    ]
    for value, message in values:
        with pytest.raises(DataTypeError, match=message):
            as_features("X", value)
    np.testing.assert_array_equal(as_features("X", tf.constant(X)), X)
