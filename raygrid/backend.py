"""Prepares a process for TensorFlow, before and after its import. Imports it only where asked to."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from raygrid.errors import BackendError
from raygrid.keras_settings import keras_json

log = logging.getLogger("raygrid")

# What CUDA itself takes beside the memory that TensorFlow manages, in MiB.
_CUDA_CONTEXT_MIB = 600


def check_backend() -> None:
    """Refuses a Keras backend other than TensorFlow, without importing Keras.

    Raises:
        BackendError: ``KERAS_BACKEND``, ``keras.json`` or the Keras that is loaded already names another one.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        name = str(keras.backend.backend())
        fix = 'set os.environ["KERAS_BACKEND"] = "tensorflow" before Keras is imported'
    elif os.environ.get("KERAS_BACKEND"):
        name, fix = os.environ["KERAS_BACKEND"], "export KERAS_BACKEND=tensorflow"
    else:
        path, saved = keras_json()
        name = str(saved.get("backend", "tensorflow"))
        fix = f'export KERAS_BACKEND=tensorflow (or put "backend": "tensorflow" into {path})'
    if name != "tensorflow":
        raise BackendError(f"Keras is set to the backend {name!r}, and raygrid trains with TensorFlow. Fix: {fix}")


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, which it writes past every setting of its log level.

    They go to the log ``raygrid`` at level DEBUG.
    """
    if "tensorflow" in sys.modules:
        return
    with _without_collecting_garbage():
        _load_quietly()


@contextlib.contextmanager
def _without_collecting_garbage() -> Iterator[None]:
    """An import makes objects to stay, and looking among them for garbage is a fifth of TensorFlow's import."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _load_quietly() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
    except (OSError, AttributeError):
        # Without a standard error there is nothing to keep clean.
        import tensorflow

        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held_back.seek(0)
            log.debug("%s", held_back.read().decode(errors="replace"))


def prepare_worker(threads: int, gpus: float) -> None:
    """Sets up TensorFlow in a fresh worker: threads, and the GPUs that it may see.

    Args:
        threads: intra-op threads; on one thread the arithmetic is deterministic.
        gpus: GPUs that Ray granted. 0 hides all of them: Ray leaves ``CUDA_VISIBLE_DEVICES`` alone then. Whole GPUs
            grow their memory as needed; a fraction gets a real cap, since Ray's fractions are only scheduling.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    load_tensorflow()
    import tensorflow as tf

    # A reused worker has set all this already, and TensorFlow refuses another value once it runs.
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    found = tf.config.list_physical_devices("GPU")
    if gpus <= 0 or not found:
        if found:
            tf.config.set_visible_devices([], "GPU")
        return
    if gpus < 1 and not tf.config.get_logical_device_configuration(found[0]):
        limit = _memory_limit_mib(gpus)
        if limit is not None:
            tf.config.set_logical_device_configuration(
                found[0], [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
            )


def _memory_limit_mib(fraction: float) -> int | None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    try:
        total = subprocess.run(
            ["nvidia-smi", f"--id={visible}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        return max(256, int(float(total.strip()) * fraction) - _CUDA_CONTEXT_MIB)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("The memory of GPU %s is unknown (%s); trials that share it are not capped.", visible, error)
        return None
