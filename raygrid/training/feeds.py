"""What a training is fed: the arrays of a search, or the datasets of a config. Importing it imports TensorFlow."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from raygrid.data.class_weights import checked_class_weight
from raygrid.data.dataset_source import TrainingDatasets, dataset_class_weight
from raygrid.data.structures import Tree, leaf_name, leaves, map_leaves
from raygrid.data.training_arrays import InputSpec, RowSpec, TrainingArrays, TrainSettings
from raygrid.errors import BuilderError, DataError
from raygrid.training.batches import train_items, val_items, validation_data, with_class_weights
from raygrid.training.epoch_program import EpochProgram, step_functions
from raygrid.training.traced_programs import TracedPrograms

Config = Mapping[str, Any]


class Feed(Protocol):
    """What a training asks of its data.

    Attributes:
        inputs: what a model sees of a row.
        x_train: inputs for layers that must see them before the training; None: they are not at hand.
        why_fit: why epochs run through ``model.fit``; None: they may run in a graph.
        why_no_checkpoint: why a training that is killed begins anew; None: it need not.
    """

    inputs: InputSpec
    x_train: Tree | None
    why_fit: str | None
    why_no_checkpoint: str | None

    def steps(self) -> int | None:
        """Batches of an epoch; None: not known."""

    def program(self, model: keras.Model, programs: TracedPrograms | None) -> EpochProgram:
        """An epoch of ``model`` as one graph, one of ``programs`` where these are given."""

    def step_functions(self, model: keras.Model) -> list[Any]:
        """What an epoch of ``model.fit`` is made of, traced."""

    def fit_arguments(self, epochs: int, seed: int, done: int) -> dict[str, Any]:
        """The arguments of ``model.fit`` that speak of data, to go on after ``done`` epochs."""

    def ends_quietly(self) -> contextlib.AbstractContextManager[None]:
        """Keeps Keras from warning of the end of data that has no known length."""

    def val_batch(self) -> tuple[Any, ...]:
        """A batch of the validation data."""

    def val_loss(self, model: keras.Model) -> float:
        """The loss of ``model`` on the validation data."""


def feed_of(
    data: TrainingArrays | TrainingDatasets,
    config: Config,
    settings: TrainSettings,
    class_weight: Any = None,
    begin: Callable[[], None] | None = None,
) -> Feed:
    """What a training of ``config`` is fed; datasets are made here.

    Args:
        data, config, settings: of the training.
        class_weight: what the user's function gave for the config; it multiplies the weights of the training rows.
        begin: begins its session, with its seeds, once more; None: there is none, and datasets are looked into.

    Raises:
        ArgumentError: ``class_weight`` cannot be right.
        BuilderError, DataError: the datasets cannot be trained on.
    """
    weights = checked_class_weight(class_weight, "what the class_weight function gave")
    if isinstance(data, TrainingDatasets):
        if weights is not None:
            data = replace(data, class_weight=dataset_class_weight(weights))
        return DatasetFeed(data, config, settings, begin)
    return _ArrayFeed(data if weights is None else with_class_weights(data, weights), config, settings)


class _ArrayFeed:
    why_no_checkpoint: str | None = None

    def __init__(self, arrays: TrainingArrays, config: Config, settings: TrainSettings) -> None:
        self._arrays = arrays
        self._config = config
        self._settings = settings
        self.inputs = arrays.inputs(config, settings)
        self.x_train: Tree | None = arrays.x_train
        self.why_fit = None if arrays.folder is None else f"the data is read from files in {arrays.folder}"

    def steps(self) -> int | None:
        return train_items(self._arrays, self._config, self._settings).steps(self._config["batch_size"])

    def program(self, model: keras.Model, programs: TracedPrograms | None) -> EpochProgram:
        arrays, config, settings = self._arrays, self._config, self._settings
        if programs is not None:
            return programs.program(model, arrays, config, settings)
        train, val = train_items(arrays, config, settings), val_items(arrays, config, settings)
        return EpochProgram(model, train, val, config["batch_size"], settings.shuffle)

    def step_functions(self, model: keras.Model) -> list[Any]:
        arrays, config, settings = self._arrays, self._config, self._settings
        train, val = train_items(arrays, config, settings), val_items(arrays, config, settings)
        return step_functions(model, train, val, config["batch_size"])

    def fit_arguments(self, epochs: int, seed: int, done: int) -> dict[str, Any]:
        arrays, config, settings = self._arrays, self._config, self._settings
        train, batch_size = train_items(arrays, config, settings), config["batch_size"]
        return {
            "x": train.epochs(epochs, batch_size, seed if settings.shuffle else None, first=done),
            "steps_per_epoch": train.steps(batch_size),
            "validation_data": validation_data(arrays, config, settings),
            "validation_batch_size": batch_size,
            "shuffle": False,
        }

    def ends_quietly(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def val_batch(self) -> tuple[Any, ...]:
        return next(iter(self._val_batches()))

    def val_loss(self, model: keras.Model) -> float:
        return float(model.evaluate(self._val_batches(), verbose=0, return_dict=True)["loss"])

    def _val_batches(self) -> tf.data.Dataset:
        return val_items(self._arrays, self._config, self._settings).in_order(self._config["batch_size"])


class DatasetFeed:
    """The datasets of a config, as a ``Feed``.

    Attributes:
        has_targets: whether they give targets beside inputs.
    """

    x_train: Tree | None = None
    why_fit: str | None = "it trains on datasets"
    why_no_checkpoint: str | None = "it trains on datasets, which may remember what they gave"

    def __init__(
        self, datasets: TrainingDatasets, config: Config, settings: TrainSettings, begin: Callable[[], None] | None
    ) -> None:
        name = datasets.name
        made = datasets.make(dict(config))
        if not isinstance(made, tuple | list) or len(made) != 2:
            of = f" of {len(made)}" if isinstance(made, tuple | list) else ""
            raise BuilderError(
                f"{name} gave {_kind(made)}{of}.",
                remedy="Return (train, validation), two datasets of the same structure.",
            )
        self._class_weight = datasets.class_weight
        self._shuffle = settings.shuffle
        self._steps = (datasets.steps_per_epoch, datasets.validation_steps)
        specs = []
        words = ("$steps_per_epoch", "$validation_steps")
        for which, dataset, steps, word in zip(("training", "validation"), made, self._steps, words, strict=True):
            called = f"the {which} dataset that {name} gave"
            specs.append(_spec(called, dataset, steps, word))
            if begin is None:
                _require_a_batch(called, dataset)
        _require_alike(name, *specs)
        x, y, _ = keras.utils.unpack_x_y_sample_weight(specs[0])
        self.inputs, self.has_targets = InputSpec(map_leaves(_row, _as_tree(x))), y is not None
        if begin is not None and any(isinstance(dataset, keras.utils.PyDataset) for dataset in made):
            # To look at a batch of it was to draw from it, which the training must not notice.
            begin()
            made = datasets.make(dict(config))
        self._train, self._val = made

    def steps(self) -> int | None:
        return self._steps[0]

    def program(self, model: keras.Model, programs: TracedPrograms | None) -> EpochProgram:
        raise NotImplementedError(self.why_fit)

    def step_functions(self, model: keras.Model) -> list[Any]:
        raise NotImplementedError(self.why_no_checkpoint)

    def fit_arguments(self, epochs: int, seed: int, done: int) -> dict[str, Any]:
        return {
            "x": self._train,
            "steps_per_epoch": self._steps[0],
            "validation_data": self._val,
            "validation_steps": self._steps[1],
            "class_weight": self._class_weight,
            # Keras shuffles no other ones, and warns where it is asked to.
            "shuffle": self._shuffle and getattr(self._train, "num_batches", None) is not None,
        }

    @contextlib.contextmanager
    def ends_quietly(self) -> Iterator[None]:
        with warnings.catch_warnings():
            if None in self._steps:
                warnings.filterwarnings("ignore", "Your input ran out of data")
            yield

    def val_batch(self) -> tuple[Any, ...]:
        first = self._val[0] if isinstance(self._val, keras.utils.PyDataset) else next(iter(self._val))
        return tuple(first) if isinstance(first, tuple | list) else (first,)

    def val_loss(self, model: keras.Model) -> float:
        with self.ends_quietly():
            return float(model.evaluate(self._val, steps=self._steps[1], verbose=0, return_dict=True)["loss"])


def _spec(name: str, dataset: Any, steps: int | None, how_many: str) -> Any:
    """Shapes and dtypes of a batch, the number of rows left open; ``how_many`` says in a remedy what gives ``steps``.

    Raises:
        BuilderError: it is no dataset.
        DataError: it has no known end, holds nothing, or is not in batches.
    """
    if isinstance(dataset, keras.utils.PyDataset):
        count = dataset.num_batches
        endless, empty = count is None, count == 0
    elif isinstance(dataset, tf.data.Dataset):
        cardinality = int(dataset.cardinality())
        endless, empty = cardinality == tf.data.INFINITE_CARDINALITY, cardinality == 0
    else:
        raise BuilderError(
            f"{name} is {_kind(dataset)}.", remedy="Make it a tf.data.Dataset or a keras.utils.PyDataset, in batches."
        )
    if endless and steps is None:
        raise DataError(f"{name} has no end.", remedy=f"Pass {how_many}, or leave repeat() out of the dataset.")
    if empty:
        raise _empty(name)
    if isinstance(dataset, tf.data.Dataset):
        spec = dataset.element_spec
    else:
        spec = keras.tree.map_structure(_spec_of_array, dataset[0])
    rows: dict[str, int] = {}
    for path, part in leaves(_as_tree(spec)).items():
        if part is None:
            continue
        if not isinstance(part, tf.TensorSpec) or part.shape.rank is None:
            raise DataError(
                f"{name} gives {leaf_name('a batch', path)} of no known shape ({part}).",
                remedy="Give each element a shape, for example with tf.ensure_shape, and pad ragged ones.",
            )
        if part.shape.rank == 0:
            raise DataError(f"{name} gives single rows.", remedy=_BATCH)
        if part.shape[0] is not None:
            rows[leaf_name("a batch", path)] = part.shape[0]
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{part}: {count}" for part, count in rows.items())
        raise DataError(
            f"{name} gives parts of different numbers of rows ({counts}), or single rows.",
            remedy=f"Where these are single rows: {_BATCH[0].lower()}{_BATCH[1:]}",
        )
    return spec


def _require_a_batch(name: str, dataset: Any) -> None:
    """Reads the first batch of what may hold none: a training would go through nothing, and measure nothing."""
    unknown = isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    if unknown and next(iter(dataset), None) is None:
        raise _empty(name)


def _empty(name: str) -> DataError:
    return DataError(f"{name} holds no batch.", remedy="Check the files and filters that it is made of.")


_BATCH = "End it with .batch(config['batch_size'])."


def _spec_of_array(part: Any) -> tf.TensorSpec | None:
    """What Keras makes of a part of a batch of a ``PyDataset``."""
    if part is None:
        return None
    array = np.asarray(part)
    dtype = keras.config.floatx() if array.dtype.kind == "f" else tf.as_dtype(array.dtype)
    # The last batch may have fewer rows.
    return tf.TensorSpec([None, *array.shape[1:]] if array.ndim else [], dtype)


def _require_alike(name: str, train: Any, val: Any) -> None:
    for part, one, other in zip(
        ("inputs", "targets"),
        keras.utils.unpack_x_y_sample_weight(train)[:2],
        keras.utils.unpack_x_y_sample_weight(val)[:2],
        strict=True,
    ):
        rows = [{path: _row(leaf) for path, leaf in leaves(_as_tree(each)).items()} for each in (one, other)]
        if not _agree(*rows):
            raise DataError(
                f"the {part} of the training dataset that {name} gave are {_text(rows[0])}, and those for validation "
                f"{_text(rows[1])}.",
                remedy="Make both of the same structure, shapes and dtypes.",
            )


def _agree(one: Mapping[str, RowSpec | None], other: Mapping[str, RowSpec | None]) -> bool:
    if one.keys() != other.keys():
        return False
    pairs = [(one[path], other[path]) for path in one]
    return all(
        (a is None) == (b is None)
        and (
            a is None
            or b is None
            or (
                a.dtype == b.dtype
                and len(a.shape) == len(b.shape)
                and all(None in (m, n) or m == n for m, n in zip(a.shape, b.shape, strict=True))
            )
        )
        for a, b in pairs
    )


def _row(spec: tf.TensorSpec | None) -> RowSpec | None:
    return None if spec is None else RowSpec(tuple(spec.shape.as_list()[1:]), spec.dtype.as_numpy_dtype)


def _text(rows: Mapping[str, RowSpec | None]) -> str:
    shown = [
        f"{path}: {'nothing' if row is None else f'{row.shape} {tf.as_dtype(row.dtype).name}'}".removeprefix(": ")
        for path, row in rows.items()
    ]
    return "; ".join(shown)


def _as_tree(value: Any) -> Tree:
    if isinstance(value, Mapping):
        return {key: _as_tree(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_as_tree(part) for part in value)
    return value


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
