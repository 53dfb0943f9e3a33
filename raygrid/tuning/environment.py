"""The environment variables with which Ray and its workers start. What the user has set stays as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

# Tune's snapshots of its own state are not needed to resume, since finished points are recorded by raygrid, which also
# answers Ctrl-C sooner than Tune.
_VARIABLES = {
    "KERAS_BACKEND": "tensorflow",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "60",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def variables_for_workers(verbose: bool) -> dict[str, str]:
    """What Ray and the workers find in their environment.

    Args:
        verbose: whether TensorFlow's own messages are to be seen.
    """
    return _VARIABLES if verbose else {**_VARIABLES, **_QUIET}


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets those of ``values`` that are not set yet, for the length of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
