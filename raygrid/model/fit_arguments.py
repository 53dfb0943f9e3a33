"""Calls of ``fit`` that other libraries' users would write: each is refused with the call that does what was meant.

Python's own answer to an unknown keyword names neither a remedy nor the known ones, and a target in the place of
``X_val`` would be trained on without a word.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from raygrid.base.types import CallbacksFunction
from raygrid.base.wording import did_you_mean
from raygrid.data.structures import given_structure, is_structure, leaves
from raygrid.data.texts import looks_like_texts
from raygrid.data.training_data import prepare_data
from raygrid.errors import ArgumentError
from raygrid.model.asked_datasets import DATASET_ARGUMENTS

P = ParamSpec("P")
R = TypeVar("R")

_CHOSEN_BY = (
    "the point with the lowest val_loss is chosen. To choose by another metric, look at model.results, which has every "
    "compiled metric of every point, and train the config that you want with {method}(..., model_config={{...}})"
)
_ADVICE = {
    "callbacks": "it trains two models, without callbacks. raygrid stops early by itself (`patience`, in the grid), "
    "keeps the weights of the best epoch and writes TensorBoard logs. A subclass of GridSearchModel takes callbacks",
    "validation_batch_size": "the batch size of training is used; it changes no val_loss but by rounding",
    "steps_per_epoch": "an epoch is one pass over all rows",
    "validation_steps": "all rows of X_val are measured, after every epoch",
    "validation_freq": "all rows of X_val are measured, after every epoch",
    "initial_epoch": "a search that was stopped resumes by itself when it is called again",
    "stratify": "pass shuffle_split=True, which draws the validation rows class by class",
    "test_size": "pass validation_split=..., the fraction of rows to hold out",
    "cv": "pass X_val, or validation_split; there is no cross-validation",
    **dict.fromkeys(("objective", "monitor", "metric", "metrics", "mode", "scoring", "refit"), _CHOSEN_BY),
    **dict.fromkeys(("y", "Y", "targets", "labels"), "pass the targets as y_train=..."),
    **dict.fromkeys(("X", "x", "x_train", "data"), "pass the inputs as X_train=..., or first"),
    **dict.fromkeys(("x_val", "X_valid", "X_test", "x_test"), "pass the inputs for validation as X_val=..."),
    **dict.fromkeys(("Y_val", "y_valid", "y_test"), "pass the targets for validation as y_val=..."),
}
_IN_THE_GRID = (
    "it is a hyperparameter, which belongs in the grid, such as {{'{name}': [...]}}, or in the single config, such as "
    "{{'{name}': ...}}; see param_grid and model_config."
)
_IN_EVERY_CONFIG = ("epochs", "batch_size", "patience")
# Rows that belong together, such as noisy and clean ones, have columns that go up and down together; rows of
# validation have not.
_PAIRED_CORRELATION = 0.5


class _Model(Protocol):
    DEFAULT_CONFIG: Mapping[str, Any]
    USES_TARGETS: bool | None

    def parameter_names(self) -> Collection[str]: ...

    def fit(self, X_train: object, X_val: object = None) -> object: ...


# Of the arguments of prepare_data, those that are no user's.
_OF_THE_MODEL = {"seed", "targets_are_labels", "kept", "single_array", "in_series"}


def explains_arguments(method: Callable[P, R]) -> Callable[P, R]:
    """``method``, a method such as ``fit`` whose first arguments are ``X_train``, ``X_val`` and a grid, with checks.

    Raises:
        ArgumentError: an unknown keyword; or what looks like targets in the place of ``X_val``.
    """
    parameters = inspect.signature(method).parameters
    known = set(parameters)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        known |= ({*inspect.signature(prepare_data).parameters} - _OF_THE_MODEL) | {*DATASET_ARGUMENTS}

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        model = cast(_Model, args[0])
        _check_keywords(model, method.__name__, kwargs, known)
        _check_positions(model, method.__name__, args[1:], kwargs)
        return method(*args, **kwargs)

    return checked


def explains_settings(constructor: Callable[P, None]) -> Callable[P, None]:
    """``constructor``, that of a model, which says of an unknown keyword what would be meant by it.

    Raises:
        ArgumentError: an unknown keyword.
    """
    known = set(inspect.signature(constructor).parameters)

    @functools.wraps(constructor)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        model = cast(_Model, args[0])
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            own = type(model).__name__
            raise _unknown(f"{own} has no setting", {name: _advice_for_setting(model, name) for name in unknown})
        constructor(*args, **kwargs)

    return checked


def callbacks_function(place: str, value: object) -> CallbacksFunction | None:
    """``value``, which must be a function of a config that gives Keras callbacks; or None.

    Args:
        place: what the user calls it.
        value: what is there.

    Raises:
        ArgumentError: it is something else, such as the callbacks themselves.
    """
    if value is None:
        return None
    method = place != "callbacks"
    remedy = (
        f"Define a method in its place: def {place.rpartition('.')[2]}(self, config): return [...]."
        if method
        else "Pass a function that makes new ones for each point: callbacks=lambda config: [...]."
    )
    if isinstance(value, type) and _is_keras_callback(value):
        raise ArgumentError(f"{place} is the class {value.__name__}, not a function of a config.", remedy=remedy)
    instances = value if isinstance(value, list | tuple | set) else [value]
    if any(_is_keras_callback(type(instance)) for instance in instances):
        names = ", ".join(type(instance).__name__ for instance in instances)
        raise ArgumentError(
            f"{place} holds instances ({names}), which the points of a grid would share, each going on with the state "
            "that another one left in them.",
            remedy=remedy,
        )
    if not callable(value):
        raise ArgumentError(f"{place} is {value!r}, not a function of a config.", remedy=remedy)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        # Some callables of other languages have none; whether they take a config, the training says.
        return value
    try:
        signature.bind({})
    except TypeError as error:
        raise ArgumentError(
            f"{place} takes {signature}, and is called with one argument, the config of a point ({error}).",
            remedy=remedy,
        ) from error
    return value


def _is_keras_callback(cls: type) -> bool:
    """Whether a class is one of Keras' callbacks, without importing Keras."""
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in cls.__mro__}
    return not bases.isdisjoint({("keras", "Callback"), ("tf_keras", "Callback")})


def _advice_for_setting(model: _Model, name: str) -> str:
    if name in _IN_EVERY_CONFIG or name in model.DEFAULT_CONFIG:
        return _IN_THE_GRID.format(name=name)
    if name in inspect.signature(type(model).fit).parameters:
        return f"it is an argument of fit: fit(..., {name}=...)."
    if name in _ADVICE:
        return _ADVICE[name].format(method="fit") + "."
    names = sorted(model.parameter_names())
    return f"its settings are {', '.join(names)}.{did_you_mean(name, names)}"


def _check_keywords(model: _Model, method: str, given: Iterable[str], known: set[str]) -> None:
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    raise _unknown(f"{method} has no argument", {name: _advice(model, method, name, known) for name in unknown})


def _unknown(what: str, advice: Mapping[str, str]) -> ArgumentError:
    """The error of unknown keywords.

    Args:
        what: that there is no such keyword.
        advice: for each of them, what to do instead.
    """
    if len(advice) == 1:
        return ArgumentError(f"{what} {next(iter(advice))}:", remedy=next(iter(advice.values())))
    lines = "".join(f"\n  {name}: {text}" for name, text in advice.items())
    return ArgumentError(f"{what} {', '.join(advice)}:", remedy=lines)


def _advice(model: _Model, method: str, name: str, known: set[str]) -> str:
    if name in model.parameter_names():
        return f"it is a setting of the model: {type(model).__name__}(..., {name}=...)."
    if name in _IN_EVERY_CONFIG or name in model.DEFAULT_CONFIG:
        return _IN_THE_GRID.format(name=name)
    if name in _ADVICE:
        return _ADVICE[name].format(method=method) + "."
    names = sorted(known - {"self"})
    return f"its arguments are {', '.join(names)}.{did_you_mean(name, names)}"


def _check_positions(model: _Model, method: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    if len(positional) > 2 and positional[2] is not None and not isinstance(positional[2], Mapping):
        raise ArgumentError(
            f"the third argument of {method} is the grid, and a {type(positional[2]).__name__} is given.",
            remedy=f"Pass data by name: {method}(X_train, X_val=..., y_train=..., y_val=...).",
        )
    if len(positional) < 2 or positional[1] is None or named.get("y_train") is not None:
        return
    if isinstance(positional[0], tuple):
        # Inputs and targets together: what is second is the same for validation.
        return
    if _of_other_kind(positional[0], positional[1]):
        raise ArgumentError(
            f"the second argument of {method} is X_val, the inputs for validation, and it does not have the parts of "
            "X_train.",
            remedy=_ways(model, method),
        )
    if looks_like_texts(positional[0]):
        return
    x, second = _shape(positional[0]), _shape(positional[1])
    if x is None or second is None or not x or not second:
        return
    if len(second) == 1:
        raise ArgumentError(f"{_second_is(method, second)}, which has no features.", remedy=_ways(model, method))
    if x[0] != second[0]:
        return
    if x[1:] != second[1:]:
        raise ArgumentError(
            f"{_second_is(method, second)}, with as many rows as X_train, which has shape {x}, but not its features.",
            remedy=_ways(model, method),
        )
    if model.USES_TARGETS is not False:
        raise ArgumentError(
            f"{_second_is(method, second)}, the shape of X_train, so it may be meant as targets.",
            remedy=_ways(model, method),
        )
    correlation = _correlation(positional[0], positional[1])
    if correlation > _PAIRED_CORRELATION:
        raise ArgumentError(
            f"{_second_is(method, second)}, and its rows follow those of X_train one by one (correlation "
            f"{correlation:.2f}), as targets do.",
            remedy=_ways(model, method),
        )


def _of_other_kind(x: object, second: object) -> bool:
    """Whether ``second`` cannot be inputs like ``x``: other parts, or numbers beside texts."""
    if is_structure(x) or is_structure(second):
        paths = [set(leaves(given_structure(name, value))) for name, value in (("X_train", x), ("X_val", second))]
        return paths[0] != paths[1]
    return looks_like_texts(x) and not looks_like_texts(second)


def _second_is(method: str, shape: tuple[int, ...]) -> str:
    return f"the second argument of {method} is X_val, the inputs for validation; it is of shape {shape}"


def _ways(model: _Model, method: str) -> str:
    own = type(model).__name__
    validation = f"If it holds rows for validation, pass it by name: {method}(X_train, X_val=...)."
    if model.USES_TARGETS is False:
        return (
            f"{own} learns to reproduce X_train and takes no targets; to learn other targets, such as clean rows from "
            f"noisy ones, use a model with targets, such as a subclass of GridSearchModel. {validation}"
        )
    return f"If it holds the targets, pass it by name: {method}(X_train, y_train=...). {validation}"


def _shape(value: Any) -> tuple[int, ...] | None:
    if is_structure(value):
        return None
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return tuple(shape)
    try:
        return tuple(np.shape(value))
    except (TypeError, ValueError):
        return None


def _correlation(x: Any, other: Any) -> float:
    """The mean over columns of the correlation between the rows of two arrays; 0 where it cannot be told."""
    try:
        left, right = (np.asarray(value, dtype=np.float64).reshape(len(value), -1) for value in (x, other))
    except (TypeError, ValueError):
        return 0.0
    if len(left) < 3:
        return 0.0
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    spread = np.sqrt(np.square(left).sum(axis=0) * np.square(right).sum(axis=0))
    varies = spread > 0
    return float(np.mean((left * right).sum(axis=0)[varies] / spread[varies])) if varies.any() else 0.0
