"""Whether a model could be published once it is trained, found out before. Importing it imports TensorFlow.

Publishing saves a model, loads it back, or builds it again where Keras alone cannot load it, and lets it predict and
evaluate. Where one of these fails, every training of the model would be in vain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raygrid.base.types import Array
from raygrid.errors import BuilderError, CorruptArtifactError
from raygrid.training.custom_objects import first_line
from raygrid.training.feeds import Feed
from raygrid.training.keras_files import complete, model_bytes, model_from_bytes
from raygrid.training.model_structure import parts

# Arguments that Keras' own get_config gives, or that no config needs.
_OF_KERAS = frozenset({"name", "dtype", "trainable", "activity_regularizer", "self", "cls"})

# Says nothing of the model.
_OF_THE_MACHINE = (MemoryError, OSError, tf.errors.ResourceExhaustedError)

# What this process has checked already, by the kinds of objects that a model is made of.
_checked: set[frozenset[str]] = set()


def publishable_model(new_model: Callable[[], keras.Model], feed_of_model: Callable[[], Feed]) -> keras.Model:
    """What ``new_model`` gives, once it is known that it could be published.

    Models that are made of the same kinds of objects are checked once a process. What the check changes, such as the
    state of random numbers, ``new_model`` sets anew.

    Args:
        new_model: begins a session and builds a compiled model.
        feed_of_model: gives what the model that was built last is fed; a validation batch of it is predicted and
            evaluated.

    Raises:
        BuilderError: it could not be published; says what to add.
    """
    model = new_model()
    if not unchecked(model):
        return model
    kinds = _kinds(model)
    _check(model, new_model, feed_of_model())
    _checked.add(kinds)
    return new_model()


def unchecked(model: keras.Model) -> bool:
    """Whether no model of such objects was checked in this process yet."""
    return _kinds(model) not in _checked


def _kinds(model: keras.Model) -> frozenset[str]:
    """The names of the classes that a model is made of, and of what else in it is not Keras' own."""
    found = {_full_name(type(model))}
    for part in parts(model):
        found.add(_full_name(part if callable(part) and hasattr(part, "__qualname__") else type(part)))
        for value in getattr(part, "__dict__", {}).values():
            for item in value if isinstance(value, list | tuple) else (value,):
                kind = item if hasattr(item, "__qualname__") else type(item)
                if not _of_keras(kind):
                    found.add(_full_name(kind))
    return frozenset(found)


def _full_name(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{kind.__qualname__}"


def _of_keras(kind: Any) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] in ("keras", "tensorflow", "builtins", "numpy")


def _check(model: keras.Model, new_model: Callable[[], keras.Model], feed: Feed) -> None:
    inputs = feed.inputs
    try:
        complete(model, inputs)
    except _OF_THE_MACHINE:
        raise
    except Exception as error:
        if _lacks_call(model):
            raise unsaveable(model, error) from error
        raise BuilderError(
            f"{type(model).__name__} could not be published once it is trained: called on a row of zeros of the shape "
            f"{inputs.shape}, which makes its variables when it is loaded, it fails ({_cause(error)}).",
            remedy="Make call() work on any row of this shape, also on zeros.",
        ) from error

    def rebuild() -> keras.Model:
        return complete(new_model(), inputs)

    try:
        data = model_bytes(model)
    except _OF_THE_MACHINE:
        raise
    except Exception as error:
        raise unsaveable(model, error) from error
    try:
        loaded = model_from_bytes(data, Path("the model"), lambda: complete(new_model(), inputs), tell=False)
    except CorruptArtifactError as error:
        raise BuilderError(
            "the model could not be published once it is trained: what is saved of it does not fit the model that "
            f"build_model gives when it is called again ({first_line(error.__cause__ or error)}).",
            remedy="Make build_model depend on nothing but its arguments.",
        ) from error
    _check_same(model, loaded, feed.val_batch())


def _check_same(model: keras.Model, loaded: keras.Model, batch: tuple[tf.Tensor, ...]) -> None:
    """Requires that ``loaded`` predicts and evaluates as ``model`` does, from whose file it was loaded."""
    for results_of, what in ((_predictions, "predict"), (_evaluation, "evaluate")):
        try:
            expected = results_of(model, batch)
        except Exception as error:
            if _lacks_call(model):
                raise unsaveable(model, error) from error
            # What is wrong with the data or the step, the training says better.
            return
        try:
            found = results_of(loaded, batch)
        except Exception as error:
            raise BuilderError(
                f"the model could not be published once it is trained: loaded from its file, it cannot {what} "
                f"({_cause(error)}).",
                remedy=_what_get_config_lacks(model),
            ) from error
        # A model that is random by nature gives something else each time.
        if not _agree(expected, found) and _agree(expected, results_of(model, batch)):
            raise BuilderError(
                "the model could not be published once it is trained: loaded from its file, it gives other results "
                f"for the same rows ({what}).",
                remedy=_what_get_config_lacks(model),
            )


def _predictions(model: keras.Model, batch: tuple[tf.Tensor, ...]) -> list[Array]:
    _run_eagerly(model)
    return [np.asarray(output) for output in keras.tree.flatten(model.predict_on_batch(batch[0]))]


def _evaluation(model: keras.Model, batch: tuple[tf.Tensor, ...]) -> list[Array]:
    _run_eagerly(model)
    model.reset_metrics()
    logs = model.test_on_batch(*batch, return_dict=True)
    # By which the winner is chosen and checked. Keras drops metrics of an earlier compile when a model is loaded; where
    # there is no loss, the training says so.
    return [np.asarray(logs["loss"])] if "loss" in logs else []


def _run_eagerly(model: keras.Model) -> None:
    # To trace a graph for one batch takes longer than the batch.
    model.run_eagerly, model.steps_per_execution = True, 1


def _agree(one: list[Array], other: list[Array]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape
        and np.allclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-3, atol=1e-6, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def unsaveable(model: keras.Model, error: Exception) -> BuilderError:
    """Why a model cannot be published, which ``error`` was raised by, and what to add to its classes."""
    begin = f"{type(model).__name__} could not be published once it is trained"
    if _lacks_call(model):
        return BuilderError(
            f"{begin}: it has no call(), without which it cannot be saved and predicts nothing.",
            remedy="Define call(self, inputs), which gives what predict is to return, such as "
            "self.decoder(self.encoder(inputs)).",
        )
    for part in _all_parts(model):
        try:
            part.get_config()
        except Exception as raised:
            names = _arguments(type(part))
            entries = ", ".join(f'"{name}": self.{name}' for name in names)
            return BuilderError(
                f"{begin}: {type(part).__name__} has no get_config that Keras could save it with "
                f"({type(raised).__name__}).",
                remedy=f"Add to the class: def get_config(self): return {{**super().get_config()"
                f"{', ' if entries else ''}{entries}}}. An argument that is itself a layer or a function goes through "
                "keras.saving.serialize_keras_object, and back in from_config.",
            )
    return BuilderError(
        f"{begin}: it cannot be saved ({_cause(error)}).",
        remedy="Check that get_config of each of its classes returns only what Keras can write as JSON.",
    )


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _lacks_call(model: keras.Model) -> bool:
    return type(model).call in (keras.Model.call, keras.Layer.call)


def _all_parts(model: keras.Model) -> Iterator[Any]:
    """Every object with a config, the inner ones first."""
    for part in [*reversed([*parts(model)]), model]:
        if hasattr(part, "get_config") and not isinstance(part, type):
            yield part


def _arguments(cls: type) -> list[str]:
    """The names of the arguments of a class' constructor that are its own."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    return [name for name, p in signature.parameters.items() if p.kind in kinds and name not in _OF_KERAS]


def _what_get_config_lacks(model: keras.Model) -> str:
    lacking = {}
    for part in _all_parts(model):
        if not _of_keras(type(part)):
            names = [name for name in _arguments(type(part)) if name not in part.get_config()]
            if names:
                lacking[type(part).__name__] = names
    if not lacking:
        return "Make get_config and from_config of its classes carry all that call() depends on."
    return " ".join(
        f"get_config of {cls} leaves out {_quoted(names)}; add to what it returns: "
        + ", ".join(f'"{name}": self.{name}' for name in names)
        + "."
        for cls, names in lacking.items()
    )


def _quoted(names: list[str]) -> str:
    return f"the argument{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))} of its constructor"
