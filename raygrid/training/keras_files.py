"""A Keras model to bytes and back. Importing it imports TensorFlow."""

from __future__ import annotations

import io
import logging
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from raygrid.base.files import MAX_MODEL_BYTES, require_memory
from raygrid.data.structures import map_leaves
from raygrid.data.training_arrays import InputSpec
from raygrid.errors import RESTORE, CorruptArtifactError
from raygrid.training.custom_objects import CustomObjects, first_line
from raygrid.training.tensorflow_setup import quiet_tensorflow

log = logging.getLogger("raygrid")

Rebuild = Callable[[], keras.Model]


def complete(model: keras.Model, inputs: InputSpec) -> keras.Model:
    """``model`` with all its variables and those of its optimizer, as after a training on such inputs.

    Keras warns of a file without the optimizer's variables whenever it is loaded, and does not load a file with them
    into a model without them.
    """
    if not model.built:
        # Without an Input, Keras makes the variables when the model first sees a row.
        model(map_leaves(tf.convert_to_tensor, inputs.zeros()))
    model.optimizer.build(model.trainable_variables)
    return model


def model_bytes(model: keras.Model) -> bytes:
    """The model as a ``.keras`` file."""
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


@quiet_tensorflow()
def model_from_bytes(data: bytes, source: Path, rebuild: Rebuild | None, tell: bool = True) -> keras.Model:
    """The model in ``data``, which was read from ``source`` and verified.

    Keras loads from a path, so the verified bytes go to a private temporary file: the file at ``source`` could be
    another one by now. ``safe_mode`` is on: nothing in the file is run.

    Args:
        data: a ``.keras`` file.
        source: for messages.
        rebuild: gives the untrained model, see ``complete``; used where Keras cannot load the file by itself. None:
            there is no builder.
        tell: whether to warn where ``rebuild`` is used.

    Raises:
        CustomObjectError: it holds classes or code that Keras cannot find or make, and there is no ``rebuild``.
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
            custom = CustomObjects.of(data)
            if rebuild is None:
                raise custom.error(source, error) from error
            if tell:
                log.warning(
                    "Keras alone cannot load %s: %s. It is rebuilt with build_model. %s",
                    source,
                    custom.reason(error),
                    custom.for_other_tools(),
                )
            model = rebuild()
            try:
                model.load_weights(path)
            except Exception as misfit:
                raise CorruptArtifactError(
                    f"{source} is damaged, or its weights do not fit the model that build_model gives now: "
                    f"{first_line(misfit)}",
                    remedy=RESTORE,
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
            f"{source} is damaged: it is not a whole .keras file ({error}).", remedy=RESTORE
        ) from error
