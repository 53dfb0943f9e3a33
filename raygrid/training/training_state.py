"""What the next epochs of a training depend on, read off its graphs. Importing this module imports TensorFlow.

Whose code a layer, a loss or a ``train_step`` is does not matter here: a traced step shows every variable that it reads
and every operation that could remember something by itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from raygrid.base.types import Array
from raygrid.training.epoch_program import all_metrics, all_variables
from raygrid.training.keras_internals import is_stateful, order_of_making

# Operations that TensorFlow calls stateful, and that keep nothing from one call to the next but in variables: those on
# variables, calls and loops with such operations in them, checks and messages, random numbers that are a function of
# their seed, and the kernels of recurrent layers on a GPU, whose own random numbers Keras does not use.
_KEEPS_NOTHING = re.compile(
    r"(Read|Assign|AssignAdd|AssignSub)VariableOp|VarIsInitializedOp|VariableShape"
    r"|Resource(Gather|GatherNd|Scatter\w+|Apply\w+|SparseApply\w+|StridedSliceAssign)"
    r"|StatefulPartitionedCall|While|If|Case|Assert|Print|PrintV2|CheckNumerics\w*"
    r"|Stateless\w+|CudnnRNN\w*"
)


class HiddenStateError(Exception):
    """Something that the next epochs depend on is in no variable."""


def state_variables(model: keras.Model, functions: Sequence[Any]) -> list[tf.Variable]:
    """Every variable that the next epochs depend on, in an order that is the same for a model that is built again.

    Metrics are not among them: each epoch resets them.

    Args:
        model: built, and so is its optimizer.
        functions: the concrete functions that train and validate.

    Raises:
        HiddenStateError: the functions depend on more than variables, such as TensorFlow's own random numbers.
    """
    listed = [variable.value for variable in all_variables(model)]
    reset = [variable.value for metric in all_metrics(model) for variable in metric.variables]
    found = listed + _others(functions, {id(variable.handle) for variable in (*listed, *reset)})
    known = {id(variable.handle) for variable in (*found, *reset)}
    for function in functions:
        _require_no_hidden_state(function, known)
    # A layer that is used twice may name a variable twice.
    return list({id(variable.handle): variable for variable in found}.values())


def _others(functions: Sequence[Any], known: set[int]) -> list[tf.Variable]:
    """The variables that are in no list of Keras', such as states of recurrent layers, or a layer's own.

    In the order in which they were made: a function has them in none, and two may have one name and one shape.
    """
    accessed = {id(variable.handle): variable for function in functions for variable in function.graph.variables}
    return sorted((variable for handle, variable in accessed.items() if handle not in known), key=order_of_making)


def _require_no_hidden_state(function: Any, known: set[int]) -> None:
    for captured in function.captured_inputs:
        if captured.dtype == tf.resource and id(captured) not in known:
            raise HiddenStateError("a step uses a table or another resource of TensorFlow that is no variable")
    graph = function.graph.as_graph_def()
    for node in itertools.chain(graph.node, *(inner.node_def for inner in graph.library.function)):
        # The call of a function is neither: its own operations are looked at.
        if is_stateful(node.op) and not _KEEPS_NOTHING.fullmatch(node.op):
            raise HiddenStateError(f"a step uses {node.op}, which may remember something from batch to batch")


def values_of(variables: Iterable[tf.Variable]) -> list[Array]:
    """Their values, which what is trained later does not change."""
    return [variable.numpy() for variable in variables]


def fits(variables: Sequence[tf.Variable], values: Sequence[Array]) -> bool:
    """Whether each of ``values`` could be the value of the variable at its place."""
    return [(tuple(v.shape), v.dtype.as_numpy_dtype) for v in variables] == [(a.shape, a.dtype.type) for a in values]


def assign(variables: Iterable[tf.Variable], values: Iterable[Array]) -> None:
    """Gives the variables these values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
