"""What a training is fed where its data is datasets: looked at without leaving a mark on them."""

from __future__ import annotations

from typing import Any

import dataset_models
import numpy as np
import pytest
from dataset_models import CONFIG, WIDTH, X, Y, augmented, by_number, repeated

from raygrid.data.dataset_source import TrainingDatasets
from raygrid.data.training_arrays import TrainSettings
from raygrid.errors import BuilderError, DataError
from raygrid.training.feeds import DatasetFeed


def feed(make: Any, begin: Any = None, **steps: int) -> DatasetFeed:
    return DatasetFeed(TrainingDatasets(make, "data", **steps), CONFIG, TrainSettings(), begin)


def batches_by_number(*batches: Any) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, number: int) -> Any:
            return batches[number]

    return Batches()


def test_inputs_are_what_a_row_is() -> None:
    for make in (augmented, by_number):
        found = feed(make)
        assert found.inputs.shape == (WIDTH,)
        assert found.inputs.dtypes_json() == {"": "float32"}
        assert found.has_targets
    texts = batches_by_number(({"a": np.array(["x", "y"]), "b": np.ones((2, 3), np.uint8)}, np.ones(2)))
    found = feed(lambda config: (texts, texts))
    assert found.inputs.shape == {"a": (), "b": (3,)}
    assert found.inputs.dtypes_json() == {"a": "string", "b": "uint8"}


def test_looking_at_batches_by_number_draws_nothing_from_those_that_are_trained_on() -> None:
    begun = []

    def begin() -> None:
        begun.append(1)
        np.random.seed(0)

    def first_two(dataset: Any) -> Any:
        return [dataset[number][0] for number in range(2)]

    begin()
    looked_at = first_two(feed(by_number, begin).fit_arguments(1, 0, 0)["x"])
    begin()
    np.testing.assert_array_equal(looked_at, first_two(by_number(CONFIG)[0]))
    assert len(begun) == 3


def test_datasets_are_made_once_where_looking_draws_nothing() -> None:
    made = []

    def make(config: Any) -> Any:
        made.append(config)
        return augmented(config)

    feed(make, lambda: None)
    assert made == [CONFIG]
    # What a function does to its config is its own affair.
    made[0]["units"] = 99
    assert CONFIG["units"] != 99


def test_only_batches_by_number_are_shuffled_by_keras() -> None:
    assert feed(by_number).fit_arguments(1, 0, 0)["shuffle"] is True
    assert feed(augmented).fit_arguments(1, 0, 0)["shuffle"] is False
    assert feed(repeated, steps_per_epoch=1, validation_steps=1).fit_arguments(1, 0, 0)["shuffle"] is False


def test_targets_may_be_left_out() -> None:
    alone = batches_by_number((X[:2], None))
    found = feed(lambda config: (alone, alone))
    assert (found.inputs.shape, found.has_targets) == ((WIDTH,), False)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], DataError, "the training dataset that data gave holds no batch"),
        ([(np.float32(1), np.float32(1))], DataError, "the training dataset that data gave gives single rows"),
    ],
)
def test_batches_by_number_that_cannot_be_right(batches: Any, error: type[Exception], message: str) -> None:
    dataset = batches_by_number(*batches)
    with pytest.raises(error, match=message):
        feed(lambda config: (dataset, dataset))


def test_other_kinds_of_data_are_named() -> None:
    with pytest.raises(BuilderError, match="data gave a tuple of 3"):
        feed(lambda config: (X, Y, X))
    with pytest.raises(BuilderError, match="the validation dataset that data gave is a ndarray"):
        feed(lambda config: (dataset_models.augmented(config)[0], X))
