"""Prepares a process for TensorFlow, before and after its import. Imports it only where asked to."""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from raygrid.base.keras_settings import keras_json
from raygrid.base.wording import counted
from raygrid.errors import BackendError, ResourceError

log = logging.getLogger("raygrid")

# TensorFlow's own setting of what its C++ code writes; at this level, nothing.
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_QUIET = "3"

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
        remedy = 'set os.environ["KERAS_BACKEND"] = "tensorflow" before Keras is imported.'
    elif os.environ.get("KERAS_BACKEND"):
        name, remedy = os.environ["KERAS_BACKEND"], "run 'export KERAS_BACKEND=tensorflow' first."
    else:
        path, saved = keras_json()
        name = str(saved.get("backend", "tensorflow"))
        remedy = f"""run 'export KERAS_BACKEND=tensorflow' first, or put "backend": "tensorflow" into {path}."""
    if name != "tensorflow":
        raise BackendError(
            f"Keras is set to the backend {name!r}, and raygrid trains with TensorFlow: its epochs in a graph, traced "
            "programs, batches, checkpoints and GPU set-up are written against it, and another backend would need its "
            "own, or model.fit without them.",
            remedy=f"A Keras 3 model of keras.layers and keras.ops trains on TensorFlow unchanged: {remedy}",
        )


def load_tensorflow() -> None:
    """Imports TensorFlow, which looks for GPUs, without what it writes meanwhile past every setting of its log level.

    It writes as usual where its messages are to be seen; see ``tensorflow_is_quiet``.
    """
    if not tensorflow_is_quiet():
        _import_tensorflow()
        return
    os.environ.setdefault(_LOG_LEVEL, _QUIET)
    with _standard_error_held_back():
        tensorflow = _import_tensorflow()
        # What it says of a machine without a GPU comes with the first look for one.
        tensorflow.config.list_physical_devices()


def tensorflow_is_quiet() -> bool:
    """Whether TensorFlow's own messages are kept from the terminal.

    They are shown with ``verbose=2``, and where the user asks for them with ``TF_CPP_MIN_LOG_LEVEL``.
    """
    return not log.isEnabledFor(logging.DEBUG) and os.environ.get(_LOG_LEVEL, _QUIET) == _QUIET


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps the warnings of TensorFlow's and Keras' Python code out of the output, such as those about retracing.

    A level that the user has set for their logs stays.
    """
    changed = _warn_less()
    try:
        yield
    finally:
        for logger in changed:
            logger.setLevel(logging.NOTSET)


def _warn_less() -> list[logging.Logger]:
    """Sets the logs of TensorFlow and Keras to errors only; those that were changed."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")] if tensorflow_is_quiet() else []
    unset = [logger for logger in loggers if logger.level == logging.NOTSET]
    for logger in unset:
        logger.setLevel(logging.ERROR)
    return unset


@contextlib.contextmanager
def quiet_import_of_tensorflow() -> Iterator[None]:
    """Whatever imports TensorFlow inside, such as a user's module, imports it as ``load_tensorflow`` does."""
    finder = _QuietFinder()
    if not tensorflow_is_quiet():
        yield
        return
    os.environ.setdefault(_LOG_LEVEL, _QUIET)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _QuietFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _standard_error_held_back(), _without_collecting_garbage():
            self._loader.exec_module(module)


def _import_tensorflow() -> Any:
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with _without_collecting_garbage():
        import tensorflow
    return tensorflow


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


@contextlib.contextmanager
def _standard_error_held_back() -> Iterator[None]:
    """Nothing that is written inside reaches standard error, unless it ends with an error."""
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
    except (OSError, AttributeError):
        # Without a standard error there is nothing to keep clean.
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def prepare_worker(threads: int, gpus: float, verbose: bool = False) -> None:
    """Sets up TensorFlow in a fresh worker: threads, and the GPUs that it may see.

    Args:
        threads: intra-op threads; on one thread the arithmetic is deterministic.
        gpus: GPUs that Ray granted. 0 hides all of them: Ray leaves ``CUDA_VISIBLE_DEVICES`` alone then. Whole GPUs
            grow their memory as needed; a fraction gets a real cap, since Ray's fractions are only scheduling.
        verbose: whether TensorFlow's own messages are to be seen.

    Raises:
        ResourceError: TensorFlow does not see the GPUs that Ray granted.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    if verbose:
        log.setLevel(logging.DEBUG)
    load_tensorflow()
    _warn_less()
    import tensorflow as tf

    # A reused worker has set all this already, and TensorFlow refuses another value once it runs.
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    found = tf.config.list_physical_devices("GPU")
    if gpus <= 0:
        if found:
            tf.config.set_visible_devices([], "GPU")
        return
    if len(found) < gpus:
        raise _unseen_gpus(gpus, len(found))
    if gpus < 1 and not tf.config.get_logical_device_configuration(found[0]):
        limit = _memory_limit_mib(gpus)
        if limit is not None:
            tf.config.set_logical_device_configuration(
                found[0], [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
            )


def _unseen_gpus(granted: float, seen: int) -> ResourceError:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # It is recorded as text, which both Python and the command line show.
    return ResourceError(
        f"Ray granted this trial {counted(granted, 'GPU')} on {socket.gethostname()} "
        f"(CUDA_VISIBLE_DEVICES is {'not set' if visible is None else repr(visible)}), and TensorFlow sees "
        f"{seen or 'none'}.",
        remedy="Install CUDA for TensorFlow on every node (pip install 'raygrid[gpu]') and check with nvidia-smi that "
        "the driver sees them, or train on CPUs with Resources(gpus_per_trial=0) (--gpus-per-trial 0).",
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
