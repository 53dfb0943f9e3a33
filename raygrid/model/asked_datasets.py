"""What a call of ``fit`` says of datasets, checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

from raygrid.base.arguments import flag, whole_number
from raygrid.base.types import NO_FUNCTIONS
from raygrid.data.class_weights import checked_class_weight
from raygrid.data.dataset_source import DatasetSource, TrainingDatasets, dataset_class_weight
from raygrid.errors import ArgumentError, BuilderError, DataError, RaygridError
from raygrid.grid.values import Config
from raygrid.identity.files import depended_files, file_patterns

if TYPE_CHECKING:
    from raygrid.model.grid_search_model import GridSearchModel
    from raygrid.training.feeds import DatasetFeed

# The arguments of ``fit`` that speak of datasets, and of no arrays.
DATASET_ARGUMENTS = ("data", "data_files", "steps_per_epoch", "validation_steps", "verify_data")


def dataset_source(
    model: GridSearchModel, arrays: Mapping[str, object], given: Mapping[str, Any]
) -> DatasetSource | None:
    """The datasets that a call trains on; None where it trains on arrays.

    Args:
        model: whose call it is.
        arrays: what else the call says of data, by the names of its arguments.
        given: what it says by the names ``DATASET_ARGUMENTS``.

    Raises:
        ArgumentError: both are given; or what cannot be right.
    """
    own = model.makes_datasets
    function = given.get("data")
    if function is None and not (own and arrays.get("X_train") is None):
        alone = next((name for name in DATASET_ARGUMENTS if not _left_out(given.get(name))), None)
        if alone is not None and arrays.get("X_train") is not None:
            raise ArgumentError(f"{alone} is given, and the data is arrays.", remedy=f"Leave {alone} out, or X_train.")
        if arrays.get("X_train") is None:
            of_arrays = model.SINGLE_ARRAY or model.WINDOWED
            datasets = "" if of_arrays else ", or data=function, or define datasets(self, config) in the class"
            raise ArgumentError(f"{type(model).__name__} is given no data.", remedy=f"Pass X_train{datasets}.")
        return None
    name = "data" if function is not None else f"{type(model).__name__}.datasets"
    function = function if function is not None else model.bare().datasets
    _check(model, name, function, arrays)
    if isinstance(function, MethodType) and function.__self__ is model:
        # Results and live models do not travel to workers.
        function = MethodType(function.__func__, model.bare())
    steps: dict[str, int | None] = {
        argument: None if given.get(argument) is None else whole_number(argument, given[argument], 1)
        for argument in ("steps_per_epoch", "validation_steps")
    }
    weights = dataset_class_weight(checked_class_weight(arrays.get("class_weight")))
    patterns = given.get("data_files")
    patterns = file_patterns("data_files", model.data_files if patterns is None else patterns)
    verify = flag("verify_data", given.get("verify_data") or False)
    memory = model._get_artifacts().digests_path
    files = depended_files(patterns, verify, memory, "data_files")
    return DatasetSource(
        TrainingDatasets(function, name, steps["steps_per_epoch"], steps["validation_steps"], weights), files
    )


def try_datasets(model: GridSearchModel, source: DatasetSource, config: Config) -> None:
    """Makes the datasets of one config, before workers start; what is wrong with them is raised.

    Raises:
        BuilderError: the function failed, or gave something else.
        DataError: they cannot be trained on.
    """
    from raygrid.training.tensorflow_setup import load_tensorflow, quiet_tensorflow

    load_tensorflow()
    from raygrid.data.training_arrays import TrainSettings
    from raygrid.training.custom_objects import first_line
    from raygrid.training.feeds import DatasetFeed
    from raygrid.training.user_state import user_state_kept

    with quiet_tensorflow(), user_state_kept():
        try:
            feed = DatasetFeed(source.datasets, config, TrainSettings(), None)
        except RaygridError:
            raise
        except Exception as error:
            raise BuilderError(
                f"{source.datasets.name} failed for {config}: {type(error).__name__}: {first_line(error)}.",
                remedy="Correct it; nothing was started.",
            ) from error
        if not feed.has_targets and _needs_targets(model, config, feed):
            raise DataError(
                f"the datasets that {source.datasets.name} gave hold inputs alone, and the loss of the model compares "
                "its output with targets.",
                remedy="Give (inputs, targets) in each batch; for an autoencoder, (x, x).",
            )


def _needs_targets(model: GridSearchModel, config: Config, feed: DatasetFeed) -> bool:
    """Whether what is built for ``config`` has a loss that Keras itself computes, of outputs and targets."""
    import keras

    from raygrid.training.train import build_checked

    try:
        built = build_checked(model._bare_definition(NO_FUNCTIONS).build, dict(config), feed.inputs.shape)
    except Exception:
        # The training says it better.
        return False
    own = type(built)
    of_keras = own.train_step is keras.Model.train_step and own.compute_loss is keras.Model.compute_loss
    return of_keras and built.loss is not None


def _left_out(value: object) -> bool:
    return value is None or value is False


def _check(model: GridSearchModel, name: str, function: object, arrays: Mapping[str, object]) -> None:
    own = type(model).__name__
    if not callable(function):
        raise ArgumentError(
            f"{name} is a {type(function).__name__}, which all points would share, and workers cannot be sent.",
            remedy="Pass a function that makes the datasets for a config: data=lambda config: (train, validation).",
        )
    both = [argument for argument, value in arrays.items() if argument != "class_weight" and not _left_out(value)]
    if both:
        raise ArgumentError(
            f"{own} trains on the datasets of {name}, and {', '.join(both)} {'is' if len(both) == 1 else 'are'} given.",
            remedy="Leave one of them out.",
        )
    if model.SINGLE_ARRAY or model.WINDOWED:
        raise ArgumentError(
            f"{own} trains on an array, and datasets are given.",
            remedy="Pass X_train, or define a model of your own.",
        )
    for setting, kind, leave_out in (
        ("scaler", model.scaler_kind, "$no_scaler"),
        ("target_scaler", model.target_scaler_kind, "$no_target_scaler"),
    ):
        if kind is not None:
            raise ArgumentError(
                f"{setting} is {kind!r}, and datasets are not scaled.",
                remedy=f"{leave_out}, and scale in the dataset or with a Normalization layer.",
            )
