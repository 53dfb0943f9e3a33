"""The winner's model, rebuilt from its weights and checked. Importing it imports TensorFlow."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.types import Array, Builder, ModelDefinition
from raygrid.data.dataset_source import TrainingDatasets
from raygrid.data.structures import Tree
from raygrid.data.training_arrays import InputSpec, TrainingArrays, TrainSettings
from raygrid.errors import RaygridError, RebuildError
from raygrid.grid.records import PointRecord
from raygrid.training.custom_objects import first_line
from raygrid.training.feeds import Feed, feed_of
from raygrid.training.keras_files import complete, model_bytes, model_from_bytes
from raygrid.training.publishable import unsaveable
from raygrid.training.tensorflow_setup import quiet_tensorflow
from raygrid.training.train import apply_keras_settings, begin_session, build_checked
from raygrid.training.user_state import user_state_kept

log = logging.getLogger("raygrid")

# Relative difference of val_loss that a rebuilt model may show on a like device.
VAL_LOSS_TOLERANCE = 1e-4


def built_model(
    build: Builder, config: Mapping[str, Any], inputs: InputSpec, x_train: Tree | None = None
) -> keras.Model:
    """The builder's model with all its variables and those of its optimizer, as after a training."""
    return complete(build_checked(build, dict(config), inputs.shape, x_train), inputs)


def built_as_trained(
    build: Builder, config: Mapping[str, Any], inputs: InputSpec, settings: Mapping[str, Any]
) -> keras.Model:
    """``built_model`` under Keras' settings of the training, which are among ``settings`` of its manifest.

    This process keeps its own.
    """
    with user_state_kept():
        apply_keras_settings(KerasSettings.from_json(settings))
        keras.config.set_dtype_policy(settings.get("dtype_policy", "float32"))
        return built_model(build, config, inputs)


@quiet_tensorflow()
def rebuild_winner(
    definition: ModelDefinition,
    record: PointRecord,
    weights: Sequence[Array],
    arrays: TrainingArrays | TrainingDatasets,
    settings: TrainSettings,
    source: Path,
) -> tuple[keras.Model, bytes, InputSpec]:
    """The winner's model, its ``.keras`` file, and what it sees at a time, checked against the winner's ``val_loss``.

    What is checked is what the next call will load: the model as it comes back from its file.

    Raises:
        RebuildError: the weights do not fit the model, or it does not reproduce the ``val_loss``.
    """
    with user_state_kept():
        apply_keras_settings(settings.keras)

        feeds: list[Feed] = []

        def begin() -> None:
            begin_session(record.seed, settings.dtype_policy)

        def fresh() -> keras.Model:
            begin()
            feeds[:] = [feed_of(arrays, record.config, settings, begin=begin)]
            return built_model(definition.build, record.config, feeds[0].inputs, feeds[0].x_train)

        try:
            model = fresh()
        except RaygridError:
            raise
        except Exception as error:
            raise _unpublishable(
                record, f"build_model fails where the winner is rebuilt: {first_line(error)}", "Correct build_model."
            ) from error
        try:
            model.set_weights(list(weights))
        except ValueError as error:
            raise RebuildError(
                f"the weights of the winner {record.config} do not fit the model that build_model gives now: "
                f"{str(error).rstrip('.')}.",
                remedy="Make build_model depend on nothing but its arguments.",
            ) from error
        try:
            data = model_bytes(model)
        except Exception as error:
            why = unsaveable(model, error)
            raise _unpublishable(record, why.what, why.remedy) from error
        model = model_from_bytes(data, source, fresh)
        _check_val_loss(model, record, feeds[0])
        return model, data, feeds[0].inputs


def _unpublishable(record: PointRecord, why: str, remedy: str) -> RebuildError:
    return RebuildError(
        f"the winner {record.config} is trained, and nothing is published. {why.rstrip('.')}.",
        remedy=f"{remedy} Once that is mended, $accept_code_change publishes it without training again.",
    )


def _check_val_loss(model: keras.Model, record: PointRecord, feed: Feed) -> None:
    expected = record.val_loss
    assert expected is not None
    found = feed.val_loss(model)
    if _agree(found, expected):
        return
    message = (
        f"the model rebuilt from the winner's weights has a val_loss of {found:.9g}, training reported {expected:.9g}"
    )
    if record.device != "CPU":
        log.warning("%s; it was trained on %s and is checked on the CPU.", message, record.device)
    elif not _agree(feed.val_loss(model), found):
        log.warning(
            "%s; two evaluations of the same weights differ as well, so the model is random by nature.", message
        )
    else:
        raise RebuildError(
            f"{message}, for {record.config}. Nothing is published.",
            remedy="Make build_model, and the call of each custom layer, depend on nothing but their arguments.",
        )


def _agree(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=VAL_LOSS_TOLERANCE, abs_tol=1e-12)
