"""What a training is fed: batches of rows, or of windows over rows. Importing this module imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from raygrid.base.row_blocks import row_blocks
from raygrid.base.types import Array
from raygrid.data.class_weights import ClassWeights, class_weighted
from raygrid.data.structures import Tree, leaves, map_leaves
from raygrid.data.texts import is_text
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.data.windows import window_starts


@dataclass(frozen=True)
class Items:
    """What is counted, shuffled and batched: rows, or windows.

    Attributes:
        count: how many there are.
        gather: the batch of the items with these numbers: inputs, targets and, where there are any, weights; each a
            tensor, or a structure of tensors.
    """

    count: int
    gather: Callable[[tf.Tensor], tuple[Tree, ...]]

    def steps(self, batch_size: int) -> int:
        """Batches in one pass."""
        return math.ceil(self.count / batch_size)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """One pass, in order."""
        # As Keras batches arrays: the size of a batch is known while tracing where all have the same.
        same = self.count % batch_size == 0
        numbers = tf.data.Dataset.range(self.count).batch(batch_size, drop_remainder=same)
        return _deterministic(numbers.map(self.gather).prefetch(2))

    def epochs(self, epochs: int, batch_size: int, seed: int | None, first: int = 0) -> tf.data.Dataset:
        """The batches of the epochs from ``first`` on, one after the other; see ``epoch_order``.

        Args:
            epochs: how many passes there are in all.
            batch_size: items of a batch.
            seed: None leaves the items in order.
            first: the first epoch that is wanted, counted from 0.
        """

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            at = None if seed is None else tf.constant(seed, tf.int64)
            return tf.data.Dataset.from_tensor_slices(epoch_order(self.count, at, epoch)).batch(batch_size)

        return _deterministic(tf.data.Dataset.range(first, epochs).flat_map(one_epoch).map(self.gather).prefetch(2))


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
    return _items(arrays, arrays.train_columns(), arrays.runs_train, config, settings)


def val_items(arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> Items:
    """The items that ``val_loss`` is measured on."""
    return _items(arrays, arrays.val_columns(), arrays.runs_val, config, settings)


def validation_data(arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> Any:
    """What ``model.fit`` takes as ``validation_data``: tensors where they are what is batched, otherwise batches."""
    if settings.windowed or arrays.folder is not None:
        return val_items(arrays, config, settings).in_order(config["batch_size"])
    return tuple(map_leaves(lambda leaf: _tensor(arrays, leaf), column) for column in arrays.val_columns())


def with_class_weights(arrays: TrainingArrays, class_weight: ClassWeights) -> TrainingArrays:
    """The same arrays with the weights of the training rows times that of the class of each; equal ones are one object.

    What is not changed is shared, as tensors as well.

    Raises:
        ArgumentError, DataError: see ``class_weighted``.
    """
    made = _weighted.setdefault(arrays, {})
    key = class_weight if isinstance(class_weight, str) else str(sorted(class_weight.items()))
    if key not in made:
        w_train = class_weighted(class_weight, arrays.y_train, arrays.w_train)
        made[key] = replace(arrays, w_train=w_train)
        _tensors[made[key]] = _tensors.setdefault(arrays, {})
    return made[key]


_weighted: WeakKeyDictionary[TrainingArrays, dict[str, TrainingArrays]] = WeakKeyDictionary()


def as_keras_takes(tree: Tree) -> Tree:
    """Arrays as ``model.predict`` and ``model.evaluate`` take them: texts as tensors."""
    return map_leaves(lambda leaf: _copied(leaf) if is_text(leaf) else leaf, tree)


def _items(
    arrays: TrainingArrays,
    columns: Sequence[Tree],
    runs: Array | None,
    config: Mapping[str, Any],
    settings: TrainSettings,
) -> Items:
    # Where the targets are the inputs, both are read once.
    parts = [part for column in columns for part in leaves(column).values()]
    readers = {id(part): _reader(arrays, part) for part in parts}
    rows = len(parts[0])

    def gather_rows(wanted: tf.Tensor) -> tuple[Tree, ...]:
        found = {key: read(wanted) for key, read in readers.items()}
        return tuple(map_leaves(lambda part: found[id(part)], column) for column in columns)

    if not settings.windowed:
        return Items(rows, gather_rows)
    starts = window_starts(runs, rows, config["window"], config["stride"])
    first_rows, within = tf.constant(starts), tf.range(config["window"], dtype=tf.int64)
    return Items(len(starts), lambda order: gather_rows(tf.gather(first_rows, order)[:, None] + within))


def _reader(arrays: TrainingArrays, column: Array) -> Callable[[tf.Tensor], tf.Tensor]:
    """What gives the rows of a column with the numbers in a tensor of any shape."""
    if arrays.folder is None:
        tensor = _tensor(arrays, column)
        return lambda wanted: tf.gather(tensor, wanted)

    def from_file(wanted: tf.Tensor) -> tf.Tensor:
        rows = tf.numpy_function(lambda numbers: column[numbers], [wanted], tf.as_dtype(column.dtype))
        rows.set_shape([*wanted.shape, *column.shape[1:]])
        return rows

    return from_file


# By the arrays that they were made of, with which they go: all trainings on the same arrays share one copy.
_tensors: WeakKeyDictionary[TrainingArrays, dict[int, tf.Tensor]] = WeakKeyDictionary()


def _tensor(arrays: TrainingArrays, column: Array) -> tf.Tensor:
    made = _tensors.setdefault(arrays, {})
    if id(column) not in made:
        made[id(column)] = _copied(column)
    return made[id(column)]


def _copied(column: Array) -> tf.Tensor:
    if is_text(column):
        return tf.constant(column.tolist(), tf.string, shape=column.shape)
    # Block by block into one tensor: tf.constant makes a second copy on the way, and keeps it until its next call.
    tensor = tf.raw_ops.Empty(shape=column.shape, dtype=column.dtype)
    begin = 0
    for block in row_blocks(column):
        end = begin + len(block)
        tensor = tf.raw_ops.InplaceUpdate(x=tensor, i=tf.range(begin, end), v=block)
        begin = end
    return tensor


def _deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)
