"""What a training is fed: batches of rows, or of windows over rows. Importing this module imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.windows import window_starts

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Items:
    """What is counted, shuffled and batched: rows, or windows.

    Attributes:
        count: how many there are.
        gather: the batch of the items with these numbers: inputs, targets and, where there are any, weights.
    """

    count: int
    gather: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]

    def steps(self, batch_size: int) -> int:
        """Batches in one pass."""
        return math.ceil(self.count / batch_size)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """One pass, in order."""
        return _deterministic(tf.data.Dataset.range(self.count).batch(batch_size).map(self.gather).prefetch(2))

    def epochs(self, epochs: int, batch_size: int, seed: int | None) -> tf.data.Dataset:
        """All epochs' batches, one after the other; see ``epoch_order``.

        Args:
            epochs: how many passes.
            batch_size: items of a batch.
            seed: None leaves the items in order.
        """

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            at = None if seed is None else tf.constant(seed, tf.int64)
            return tf.data.Dataset.from_tensor_slices(epoch_order(self.count, at, epoch)).batch(batch_size)

        return _deterministic(tf.data.Dataset.range(epochs).flat_map(one_epoch).map(self.gather).prefetch(2))


def epoch_order(count: int, seed: tf.Tensor | None, epoch: tf.Tensor) -> tf.Tensor:
    """The order in which an epoch sees its items; it depends on the seed and the epoch's number alone.

    Keras' own shuffling draws from a state that depends on what the process did before.

    Args:
        count: how many items.
        seed: int64; None leaves the items in order.
        epoch: int64, counted from 0.
    """
    order = tf.range(count, dtype=tf.int64)
    if seed is None:
        return order
    return tf.random.experimental.stateless_shuffle(order, seed=tf.stack([seed, epoch]))


def train_items(arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> Items:
    """The items that are trained on."""
    return _items(arrays.train_columns(), arrays.runs_train, config, settings)


def val_items(arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> Items:
    """The items that ``val_loss`` is measured on."""
    return _items(arrays.val_columns(), arrays.runs_val, config, settings)


def validation_data(arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> Any:
    """What ``model.fit`` takes as ``validation_data``: arrays where there are any, otherwise batches."""
    if settings.windowed:
        return val_items(arrays, config, settings).in_order(config["batch_size"])
    return arrays.val_columns()


def _items(columns: Sequence[Array], runs: Array | None, config: Mapping[str, Any], settings: TrainSettings) -> Items:
    # Where the targets are the inputs, both are one tensor.
    copies = {id(column): tf.constant(column) for column in columns}
    tensors = tuple(copies[id(column)] for column in columns)
    rows = len(columns[0])
    if not settings.windowed:
        return Items(rows, lambda order: tuple(tf.gather(tensor, order) for tensor in tensors))
    starts = window_starts(runs, rows, config["window"], config["stride"])
    first_rows, within = tf.constant(starts), tf.range(config["window"], dtype=tf.int64)

    def gather_windows(order: tf.Tensor) -> tuple[tf.Tensor, ...]:
        wanted = tf.gather(first_rows, order)[:, None] + within
        windows = {key: tf.gather(tensor, wanted) for key, tensor in copies.items()}
        return tuple(windows[id(column)] for column in columns)

    return Items(len(starts), gather_windows)


def _deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)
