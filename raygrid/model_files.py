"""A trained Keras model to bytes and back, and the winner rebuilt from its weights. Importing it imports TensorFlow."""

from __future__ import annotations

import io
import logging
import math
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from raygrid.backend import quiet_tensorflow
from raygrid.batches import val_items
from raygrid.errors import CorruptArtifactError, RebuildError
from raygrid.keras_settings import KerasSettings
from raygrid.records import PointRecord
from raygrid.storage import MAX_MODEL_BYTES, require_memory
from raygrid.training import Builder, apply_keras_settings, begin_session, build_checked
from raygrid.training_inputs import TrainingArrays, TrainSettings
from raygrid.user_state import user_state_kept

log = logging.getLogger("raygrid")

# Relative difference of val_loss that a rebuilt model may show on a like device.
VAL_LOSS_TOLERANCE = 1e-4

Rebuild = Callable[[], keras.Model]


def model_bytes(model: keras.Model) -> bytes:
    """The model as a ``.keras`` file."""
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


@quiet_tensorflow()
def model_from_bytes(data: bytes, source: Path, rebuild: Rebuild | None) -> keras.Model:
    """The model in ``data``, which was read from ``source`` and verified.

    Keras loads from a path, so the verified bytes go to a private temporary file: the file at ``source`` could be
    another one by now. ``safe_mode`` is on: nothing in the file is run.

    Args:
        data: a ``.keras`` file.
        source: for messages.
        rebuild: gives the untrained model, see ``built_model``; used where Keras cannot find a custom class by
            itself. None: there is no builder.

    Raises:
        CorruptArtifactError: it is damaged, Keras cannot load it, or its weights do not fit the rebuilt model.
        StorageError: unpacked, it takes more memory than there is.
    """
    _check_archive(data, source)
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(data)
        try:
            return keras.saving.load_model(path, safe_mode=True)
        except Exception as error:
            if rebuild is None:
                raise CorruptArtifactError(
                    f"{source} cannot be loaded by Keras ({_first_line(error)}). If it holds classes of your own, "
                    "decorate them with @keras.saving.register_keras_serializable() and import them first, or call "
                    "load() on the class that trained it; otherwise call fit(..., reset_experiment=True)."
                ) from error
            log.warning(
                "Keras alone cannot load %s (%s); it is rebuilt with build_model. For other tools, decorate your "
                "classes with @keras.saving.register_keras_serializable().",
                source,
                _first_line(error),
            )
            model = rebuild()
            try:
                model.load_weights(path)
            except Exception as misfit:
                raise CorruptArtifactError(
                    f"{source} is damaged, or its weights do not fit the model that build_model gives now: "
                    f"{_first_line(misfit)} Put the file back from a copy, or call fit(..., reset_experiment=True)."
                ) from misfit
            return model


def _check_archive(data: bytes, source: Path) -> None:
    """Says of a damaged file that it is damaged, and unpacks nothing absurd; Keras calls both a missing file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            require_memory(unpacked, source)
            if unpacked > MAX_MODEL_BYTES:
                raise ValueError(f"it unpacks to {unpacked:,} bytes, more than the limit of {MAX_MODEL_BYTES:,}")
            broken = archive.testzip()
            if broken is not None:
                raise ValueError(f"the checksum of {broken} in it is wrong")
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise CorruptArtifactError(
            f"{source} is damaged: it is not a whole .keras file ({error}). Put the file back from a copy, or call "
            "fit(..., reset_experiment=True) to train anew."
        ) from error


def built_model(build: Builder, config: Mapping[str, Any], input_shape: tuple[int, ...], dtype: Any) -> keras.Model:
    """The builder's model with all its variables and those of its optimizer, as after a training.

    Keras warns of a file without the optimizer's variables whenever it is loaded, and does not load a file with them
    into a model without them.
    """
    model = build_checked(build, dict(config), input_shape)
    if not model.built:
        # Without an Input, Keras makes the variables when the model first sees a row.
        model(np.zeros((1, *input_shape), dtype))
    model.optimizer.build(model.trainable_variables)
    return model


def built_as_trained(
    build: Builder, config: Mapping[str, Any], input_shape: tuple[int, ...], dtype: Any, settings: Mapping[str, Any]
) -> keras.Model:
    """``built_model`` under Keras' settings of the training, which are among ``settings`` of its manifest.

    This process keeps its own.
    """
    with user_state_kept():
        apply_keras_settings(KerasSettings.from_json(settings))
        keras.config.set_dtype_policy(settings.get("dtype_policy", "float32"))
        return built_model(build, config, input_shape, dtype)


@quiet_tensorflow()
def rebuild_winner(
    build: Builder,
    record: PointRecord,
    weights: Sequence[np.ndarray[Any, Any]],
    arrays: TrainingArrays,
    settings: TrainSettings,
    source: Path,
) -> tuple[keras.Model, bytes]:
    """The winner's model and its ``.keras`` file, checked against the winner's ``val_loss``.

    What is checked is what the next call will load: the model as it comes back from its file.

    Raises:
        RebuildError: the weights do not fit the model, or it does not reproduce the ``val_loss``.
    """
    with user_state_kept():
        apply_keras_settings(settings.keras)

        def fresh() -> keras.Model:
            begin_session(record.seed, settings.dtype_policy)
            return built_model(build, record.config, arrays.input_shape(record.config, settings), arrays.x_val.dtype)

        model = fresh()
        try:
            model.set_weights(list(weights))
        except ValueError as error:
            raise RebuildError(
                f"the weights of the winner {record.config} do not fit the model that build_model gives now: {error}. "
                "Does build_model depend on anything but its arguments?"
            ) from error
        data = model_bytes(model)
        model = model_from_bytes(data, source, fresh)
        _check_val_loss(model, record, arrays, settings)
        return model, data


def _check_val_loss(model: keras.Model, record: PointRecord, arrays: TrainingArrays, settings: TrainSettings) -> None:
    expected = record.val_loss
    assert expected is not None
    found = val_loss(model, arrays, record.config, settings)
    if _agree(found, expected):
        return
    message = (
        f"the model rebuilt from the winner's weights has a val_loss of {found:.9g}, training reported {expected:.9g}"
    )
    if record.device != "CPU":
        log.warning("%s; it was trained on %s and is checked on the CPU.", message, record.device)
    elif not _agree(val_loss(model, arrays, record.config, settings), found):
        log.warning(
            "%s; two evaluations of the same weights differ as well, so the model is random by nature.", message
        )
    else:
        raise RebuildError(
            f"{message}, for {record.config}. Nothing is published. Does build_model, or a custom layer's call, depend "
            "on anything but its arguments?"
        )


def _agree(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=VAL_LOSS_TOLERANCE, abs_tol=1e-12)


def val_loss(model: keras.Model, arrays: TrainingArrays, config: Mapping[str, Any], settings: TrainSettings) -> float:
    """The model's loss on the validation data."""
    batch_size = config["batch_size"]
    batches = val_items(arrays, config, settings).in_order(batch_size)
    return float(model.evaluate(batches, verbose=0, return_dict=True)["loss"])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
