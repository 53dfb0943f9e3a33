"""Which line of an error says what happened; ``test_common_mistakes`` makes the errors for real."""

from __future__ import annotations

import pytest

from raygrid.grid.error_lines import cause_of, same_as, same_causes, what_happened

GRAPH = """Traceback (most recent call last):
  File "/a/execute.py", line 53, in quick_execute
    tensors = pywrap_tfe.TFE_Py_Execute(ctx._handle, device_name, op_name,
              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
tensorflow.python.framework.errors_impl.InvalidArgumentError: Graph execution error:

Detected at node {node} defined at (most recent call last):
<stack traces unavailable>
Received a label value of {label} which is outside the valid range of [0, 3).  Label values: 2 {label} 0 1
\t [[{{{{function_node __inference_<lambda>_{n}}}}}{{{{node {node}}}}}]] [Op:__inference_epoch_and_validation_{n}]
"""
OF_A_GPU = """Traceback (most recent call last):
  File "/a/execute.py", line 53, in quick_execute
tensorflow.python.framework.errors_impl.InvalidArgumentError: Graph execution error:

Detected at node 'loss/Xent' defined at (most recent call last):
    File "/home/ann/plant.py", line 3, in <module>
      model.fit(x, y)
Node: 'loss/Xent'
2 root error(s) found.
  (0) INVALID_ARGUMENT:  Received a label value of 3 which is outside the valid range of [0, 3).  Label values: 3 0
\t [[{{node loss/Xent}}]]
\t [[Adam/Add/_12]]
  (1) INVALID_ARGUMENT:  Received a label value of 3 which is outside the valid range of [0, 3).  Label values: 3 0
\t [[{{node loss/Xent}}]]
0 successful operations.
0 derived errors ignored. [Op:__inference_train_function_812]
"""


@pytest.mark.parametrize(
    "error", [GRAPH.format(node="a/b_1/Xent", label=3, n=261), OF_A_GPU], ids=["on a CPU", "twice, on a GPU"]
)
def test_of_an_error_in_a_graph_the_line_that_says_what_happened(error: str) -> None:
    assert what_happened(error) == "Received a label value of 3 which is outside the valid range of [0, 3)."


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        ("ValueError: units is -1", "ValueError: units is -1"),
        ("AssertionError", "AssertionError"),
        ("ValueError: the first\nthe second\n  the third", "ValueError: the first"),
        ("ValueError: of these columns:\n  a, b", "ValueError: of these columns:"),
        ("ValueError: of these columns:\na, b", "ValueError: of these columns: a, b"),
        ("ValueError: sensor_12 is missing", "ValueError: sensor_12 is missing"),
        ("TypeError: <Dense object at 0x7f3a5c> is no layer", "TypeError: <Dense object> is no layer"),
        (
            "tensorflow.python.framework.errors_impl.NotFoundError: {{function_node __wrapped__ReadFile_device_/job}} "
            "a.txt; No such file [Op:ReadFile] name: ",
            "a.txt; No such file",
        ),
        (
            'ValueError: in user code:\n\n    File "/a/plant.py", line 3, in train_step  **\n        return f(x)\n\n'
            "    KeyError: 'x'\n",
            "KeyError: 'x'",
        ),
        (
            "ValueError: Exception encountered when calling Own.call().\n\n\x1b[1mwhat it is\n\nmore of it\x1b[0m\n\n"
            "Arguments received by Own.call():\n  \u2022 args=('<KerasTensor>',)",
            "ValueError: what it is",
        ),
        (
            "tensorflow.python.framework.errors_impl.InvalidArgumentError: Exception encountered when calling "
            "Own.call().\n\n{{function_node __wrapped__AddV2_device_/job}} Incompatible: [2,3] vs. [2,4] [Op:AddV2]",
            "Incompatible: [2,3] vs. [2,4]",
        ),
        (
            "ValueError: Exception encountered when calling Own.call().\n\nCould not compute its output.\n\n"
            "Error encountered:\n\nunits is -1\n\nArguments received by Own.call():",
            "ValueError: units is -1",
        ),
        (
            "ValueError: Dimensions must be equal, but are 4, 3 for '{{node loss/sub}} = Sub[T=DT_FLOAT](a, b)' with "
            "input shapes: [?,4], [?,3].",
            "ValueError: Dimensions must be equal, but are 4, 3 with input shapes: [?,4], [?,3].",
        ),
        ("ValueError: no gradient\t [[{{node a/b}}]] of it", "ValueError: no gradient"),
        ("KeyError: '__inference_train_step_812'", "KeyError: 'train_step'"),
        ("ValueError: these:\nArguments received by Own.call():\na", "ValueError: these:"),
        ("tensorflow.python.framework.errors_impl.NotFoundError: \na.txt", "a.txt"),
        (
            'ValueError: in user code:\n\n    File "/a/plant.py", line 3, in train_step  **\n        return f(x)\n'
            "    KeyError: 'x'\n\n    During handling of the above exception, another exception occurred:\n\n"
            '    File "/a/plant.py", line 4, in f  **\n        return g(x)\n\n    ValueError: no x\n',
            "ValueError: no x",
        ),
    ],
)
def test_of_a_message_the_first_line_without_what_is_around_it(raised: str, line: str) -> None:
    frames = 'Traceback (most recent call last):\n  File "/a/b.py", line 1, in f\n    g()\n'
    assert what_happened(frames + raised) == line
    # Of errors that led to others, the last.
    led_to = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert what_happened(f"{frames}KeyError: 'first'\n{led_to}{frames}{raised}") == line


def test_where_it_is_known_what_helps_the_last_line_says_both() -> None:
    assert cause_of("Traceback\n  g()\nValueError: a\na. What helps: b.\n") == "a. What helps: b."
    assert cause_of("ValueError: a\n\x1b[1ma. What helps: b.\x1b[0m") == "a. What helps: b."
    assert cause_of("val_loss was not finite in any epoch") == "val_loss was not finite in any epoch"
    assert cause_of(None) == cause_of(" \n") == "no cause was recorded"


def test_errors_that_differ_in_generated_names_are_the_same() -> None:
    causes = [cause_of(GRAPH.format(node=f"a/b_{n}/Xent", label=n, n=n)) for n in (3, 4, 5)]
    other = "ValueError: units is -1"
    assert same_causes([other, *causes]) == [[1, 2, 3], [0]]
    for a, b in (
        ("Input 0 of layer 'functional_1' is wrong", "Input 0 of layer 'functional_12' is wrong"),
        ("Layer name 'own_1' is taken", "Layer name 'own_7' is taken"),
        ("Input 0 of layer 'own_1' is wrong", "Input 0 of layer 'own_3' is wrong"),
        ("no gradient for sequential_1", "no gradient for sequential_2"),
        ("<Own 0x7f3a> is no layer", "<Own 0x7f4b> is no layer"),
        ("ended (PID: 12)", "ended (PID: 13)"),
        ("x (sequential_1/chk_1/Sum:0) is wrong", "x (sequential/chk/Sum:0) is wrong"),
        ("indices[0,0] = 66 is not in [0, 3)", "indices[7,1] = 5 is not in [0, 3)"),
    ):
        assert same_as(a) == same_as(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("units is -1", "units is -2"),
        ("no column sensor_1", "no column sensor_2"),
        ("no file /a/b_1.csv", "no file /a/b_2.csv"),
    ],
)
def test_errors_that_differ_in_what_the_user_wrote_are_not(a: str, b: str) -> None:
    assert same_causes([a, b]) == [[0], [1]]


_IN_A_WORKER = """its worker died or could not start: ray::ImplicitFunc.train() (pid={pid}, ip=127.0.0.1)
  File "/venv/ray/tune/trainable/trainable.py", line 330, in train
    raise skipped from exception_cause(skipped)
  File "/venv/raygrid/backend.py", line 192, in prepare_worker
    raise ResourceError(text)
raygrid.errors.ResourceError: Ray granted this trial 1 GPU on {node} (CUDA_VISIBLE_DEVICES is '{gpu}'), and TensorFlow \
sees none. Install CUDA."""


def test_the_cause_of_an_error_in_another_process_is_the_error_and_the_same_on_every_node_and_gpu() -> None:
    causes = [cause_of(_IN_A_WORKER.format(pid=n, node=f"node{n}", gpu=n)) for n in (1, 2)]
    assert causes[0].startswith("raygrid.errors.ResourceError: Ray granted this trial 1 GPU on node1 (CUDA_VISIBLE")
    assert same_as(causes[0]) == same_as(causes[1])
