"""Custom gradients that live as long as the graph they were traced in. Importing this module imports TensorFlow.

TensorFlow keeps the gradient function of every traced ``tf.custom_gradient`` in a registry for good, and with it the
whole graph around it. Every optimizer of Keras traces one, and so do some activations: a process grows by 2 to 4 MB
with each training of even a small model, whatever is cleared. See https://github.com/tensorflow/tensorflow/issues/97697
and https://github.com/keras-team/tf-keras/pull/898, which forgets all of them at once; here one that can still be asked
for is kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from raygrid.training.keras_internals import registered_gradients

# As custom_gradient names what it registers.
_PREFIX = "CustomGradient-"
# Where a graph holds its own.
_HELD = "_raygrid_custom_gradients"
# A gradient function, the wrapper that TensorFlow registers, and the function with the gradient.
_DEPTH = 3


def release_custom_gradients() -> None:
    """Leaves each registered custom gradient to its graph, and forgets it when the graph is gone.

    The registry is not public; where a TensorFlow has it no longer, nothing is done and nothing fails.
    """
    registered = registered_gradients()
    if registered is None:
        return
    # Names alone: what a list of pairs allocates can set off a collection, which ends graphs, and so changes the
    # registry while it is gone through.
    for name in list(registered):
        entry = registered.get(name) if name.startswith(_PREFIX) else None
        if not isinstance(entry, dict):
            continue
        gradient = entry.get("type")
        # One of several graphs is none that its life could hang on. What is released already closes over none.
        graphs = {id(graph): graph for graph in _graphs(gradient, _DEPTH)}
        if len(graphs) != 1:
            continue
        (graph,) = graphs.values()
        setattr(graph, _HELD, {**getattr(graph, _HELD, {}), name: gradient})
        entry["type"] = _OfItsGraph(graph, name)
        weakref.finalize(graph, registered.pop, name, None).atexit = False


class _OfItsGraph:
    """What is registered in place of a gradient function: finds it in its graph."""

    def __init__(self, graph: Any, name: str) -> None:
        self._graph = weakref.ref(graph)
        self._name = name

    def __call__(self, op: Any, *upstream: Any) -> Any:
        return getattr(self._graph(), _HELD)[self._name](op, *upstream)


def _graphs(function: Any, depth: int) -> Iterator[Any]:
    """The graphs of all tensors that a function has in its closure, or in that of a function there."""
    for value in _closed_over(function):
        for item in value if isinstance(value, list | tuple) else (value,):
            # Eager tensors have none.
            if isinstance(item, tf.Tensor) and isinstance(graph := getattr(item, "graph", None), tf.Graph):
                yield graph
        if depth > 1 and callable(value):
            yield from _graphs(value, depth - 1)


def _closed_over(function: Callable[..., Any]) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # not assigned yet
