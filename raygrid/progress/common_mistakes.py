"""What helps against the errors of Keras and TensorFlow that are met most. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# What Keras calls an identifier, and how some of that kind are written.
_IDENTIFIERS = {
    "loss": "'mse', 'mae', 'binary_crossentropy'",
    "metric": "'mae', 'accuracy', 'auc'",
    "activation function": "'relu', 'tanh', 'sigmoid'",
    "optimizer": "'adam', 'sgd', 'rmsprop'",
    "initializer": "'glorot_uniform', 'he_normal', 'zeros'",
    "regularizer": "'l1', 'l2', 'l1_l2'",
}
_SHAPE = re.compile(r"\[(\d+(?:,\d+)*)\]")
_REFUSED = re.compile(r"\binvalid value\b.*\b(\w+)=(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\w+)\.?$", re.IGNORECASE)


def mistake_remedy(cause: str, error: str, config: Mapping[str, Any]) -> str | None:
    """What to do about a point's error, in words that follow "What helps: "; None where that is not known.

    Args:
        cause: the line of the error that says what happened.
        error: all of it.
        config: the point's config.
    """
    for pattern, remedy in _REMEDIES:
        found = pattern.search(cause)
        if found:
            return remedy(found)
    if "compile_loss" in error and ("Incompatible shapes" in cause or "Dimensions must be equal" in cause):
        return _shorter_batch(cause) or _OUTPUT_AND_TARGETS
    if "Incompatible shapes" in cause:
        return _shorter_batch(cause)
    return _value_of_config(cause, config)


_OUTPUT_AND_TARGETS = (
    "an output of the shape of the targets: a last layer with as many units as the targets have columns; for targets "
    "that are class numbers, one unit per class and the loss 'sparse_categorical_crossentropy'"
)


def _labels(found: re.Match[str]) -> str:
    classes = int(found[1])
    return (
        f"labels from 0 to {classes - 1} (np.unique(y, return_inverse=True) numbers them from 0), or a last layer with "
        f"one unit per class; it has {classes} here"
    )


def _looked_up(found: re.Match[str]) -> str:
    return (
        f"an input_dim of the Embedding above the largest input; it is {found[1]} here. Inputs that are numbers of "
        "things must not be scaled: scaler=None"
    )


def _identifier(found: re.Match[str]) -> str:
    known = _IDENTIFIERS.get(found[1])
    return (
        f"the name of one that Keras has{'' if known is None else f', such as {known}'}, or the object itself instead "
        "of its name"
    )


def _axes(found: re.Match[str]) -> str:
    at_least, wanted, given = found[1], int(found[2]), int(found[3])
    return (
        f"inputs with {'at least ' if at_least else ''}{wanted} axes, the rows among them, where there are {given}: "
        "another shape of X (for a series: rows, steps, features), a keras.layers.Reshape before this layer, or, for "
        "windows of rows, WINDOWED = True"
    )


def _always(text: str) -> Callable[[re.Match[str]], str]:
    return lambda found: text


_REMEDIES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"label value of -?\d+ which is outside the valid range of \[0, (\d+)\)"), _labels),
    (re.compile(r"^indices\[[\d,]*\] = -?\d+ is not in \[0, (\d+)\)"), _looked_up),
    (re.compile(r"`target` and `output` must have the same|`output` must have rank"), _always(_OUTPUT_AND_TARGETS)),
    (
        re.compile(r"When using `stateful=True` in a RNN, the batch size must be static"),
        _always(
            "to leave stateful=True out: rows are shuffled, and the last batch of an epoch may be shorter. Rows that "
            "follow each other belong into windows (WINDOWED = True)"
        ),
    ),
    (re.compile(r"Could not interpret ([\w ]+) identifier"), _identifier),
    (re.compile(r"expected (min_)?ndim=(\d+), found ndim=(\d+)"), _axes),
    (
        re.compile(r"is incompatible with the layer: expected (?:shape=|axis )"),
        _always("a keras.Input of the input_shape that build_model is given"),
    ),
    (
        re.compile(r"Computed output size would be zero or negative"),
        _always("a smaller kernel, pool or stride, padding='same', or longer inputs"),
    ),
    (
        re.compile(
            r"has type \w+ that does not match type \w+|was expected to be an? \w+ tensor but is an? \w+ tensor"
            r"|Tensor conversion requested dtype"
        ),
        _always(
            "to cast one of them, such as keras.ops.cast(x, self.compute_dtype) in a layer; numbers and tensors made "
            "inside a layer need that dtype as well"
        ),
    ),
)


def _shorter_batch(cause: str) -> str | None:
    """Where two shapes differ in their first axis alone, which is that of the rows."""
    shapes = [shape.split(",") for shape in _SHAPE.findall(cause)]
    if len(shapes) != 2 or shapes[0][0] == shapes[1][0] or shapes[0][1:] != shapes[1][1:]:
        return None
    return (
        "a model for batches of any size (no batch_shape or batch_size in keras.Input, no stateful=True), since the "
        "last batch of an epoch may be shorter, or a batch_size that divides the number of rows, of validation too"
    )


def _value_of_config(cause: str, config: Mapping[str, Any]) -> str | None:
    """Where a layer refuses a value, most often one of the config."""
    refused = _REFUSED.search(cause)
    if refused is None:
        return None
    name, value = refused.groups()
    held_by = [known for known, held in config.items() if value in _texts(held)]
    held_by = [name] if name in held_by else held_by
    if not held_by:
        return f"another value of {name} in build_model"
    return f"another value of {' or '.join(map(repr, held_by))} in the grid or config"


def _texts(value: Any) -> set[str]:
    if isinstance(value, tuple | list):
        return {text for item in value for text in _texts(item)}
    return {str(value)}
