"""A user's Keras callbacks: made anew, checked, and what is known of them. Importing it imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from raygrid.base.types import CallbacksFunction
from raygrid.errors import BuilderError

# What raygrid has of its own for the same end. A subclass has code of the user's, and runs.
_IN_PLACE_OF = {
    "EarlyStopping": "EarlyStopping (raygrid stops by `patience` in the config, on val_loss, where any improvement "
    "counts; monitor, min_delta and the other settings are not used)",
    "ModelCheckpoint": "ModelCheckpoint (raygrid keeps and publishes the weights of the best epoch)",
    "BackupAndRestore": "BackupAndRestore (raygrid writes checkpoints of its own, and goes on from them)",
    "TensorBoard": "TensorBoard (raygrid writes its logs to {prefix}_runs/tensorboard)",
}
# What fit calls between batches and around a validation, which has no place in an epoch that is one graph.
_WITHIN_EPOCHS = tuple(
    f"on_{kind}{moment}"
    for kind in ("batch", "train_batch", "test_batch", "predict_batch", "test", "predict")
    for moment in ("_begin", "_end")
)
# Of Keras' own callbacks what they remember from epoch to epoch, where it is known.
_REMEMBERS = {"ReduceLROnPlateau": ("best", "wait", "cooldown_counter"), "TerminateOnNaN": ()}


def new_callbacks(
    give: CallbacksFunction | None, config: Mapping[str, Any], on_left_out: Callable[[str], None]
) -> list[keras.callbacks.Callback]:
    """The callbacks of one training, without those of Keras' own that raygrid does the work of.

    Args:
        give: gives them for a config; None: there are none.
        config: the point's.
        on_left_out: called with a text for people where some are left out.

    Raises:
        BuilderError: ``give`` gave something else than new callbacks.
    """
    given = [] if give is None else give(dict(config))
    if not isinstance(given, list | tuple):
        raise BuilderError(
            f"callbacks returned {type(given).__name__}, not a list of keras.callbacks.Callback.",
            remedy="End it with 'return [...]'.",
        )
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BuilderError(
                f"callbacks returned a list with {callback!r} in it, no keras.callbacks.Callback.",
                remedy="Call the class to make one." if isinstance(callback, type) else "Leave it out.",
            )
        if getattr(callback, "model", None) is not None:
            raise BuilderError(
                f"callbacks returned a {type(callback).__name__} that another training has used already, and whose "
                "state it would go on with.",
                remedy="Make it inside the function, anew each time.",
            )
    left_out = [name for name in _IN_PLACE_OF if any(_is_exactly(name, callback) for callback in given)]
    if left_out:
        on_left_out(f"Callbacks that do not run: {'; '.join(_IN_PLACE_OF[name] for name in left_out)}.")
    return [callback for callback in given if not any(_is_exactly(name, callback) for name in left_out)]


def why_within_epochs(callbacks: Sequence[keras.callbacks.Callback]) -> str | None:
    """Why epochs with these callbacks cannot run as one graph each; None where they can."""
    for callback in callbacks:
        for name in _WITHIN_EPOCHS:
            # Also where it was set on the instance, as LambdaCallback does.
            if getattr(getattr(callback, name), "__func__", None) is not getattr(keras.callbacks.Callback, name):
                return f"the callback {type(callback).__name__} has {name}, which is called within epochs"
    return None


def change_the_rate_alone(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether all that these callbacks change of a model is a variable, the learning rate."""
    return all(_is_exactly("ReduceLROnPlateau", c) or _is_exactly("LearningRateScheduler", c) for c in callbacks)


def why_unknown_state(callbacks: Sequence[keras.callbacks.Callback]) -> str | None:
    """Why a training with these callbacks cannot go on from a checkpoint; None where it can."""
    unknown = [type(c).__name__ for c in callbacks if not any(_is_exactly(name, c) for name in _REMEMBERS)]
    if not unknown:
        return None
    return f"what the callback {unknown[0]} remembers from epoch to epoch is not known"


def states_of(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """What each of the callbacks, for which ``why_unknown_state`` gives None, remembers, as JSON values."""
    return [{name: getattr(callback, name) for name in _REMEMBERS[type(callback).__name__]} for callback in callbacks]


def put_states(callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]) -> None:
    """Gives callbacks what ``states_of`` gave."""
    for callback, state in zip(callbacks, states, strict=True):
        for name in _REMEMBERS[type(callback).__name__]:
            setattr(callback, name, state[name])


def number_in_logs(value: object) -> float | None:
    """What a callback put into ``logs``, if it is one number; arrays and tensors without a dimension are."""
    if isinstance(value, bool | str | bytes) or value is None:
        return None
    try:
        array = np.asarray(value)
        return float(array) if array.shape == () and array.dtype.kind in "iuf" else None
    except Exception:
        # Whatever it is, it is no number.
        return None


def _is_exactly(name: str, callback: keras.callbacks.Callback) -> bool:
    return type(callback) is getattr(keras.callbacks, name)
