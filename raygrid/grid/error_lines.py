"""Which line of an error says what happened, and which errors say the same. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

# How a line ends that raygrid has put under an error: what happened and what to do about it, in one.
WHAT_HELPS = "What helps"

_TERMINAL_COLOURS = re.compile(r"\x1b\[[\d;]*m")
# Python's, and that of an error in another process, which Ray heads with what ran there.
_TRACEBACK = re.compile(r"^\s*Traceback\b|^(?:.*: )?ray::\S+ \(pid=")
# TensorFlow's classes of errors say less than their messages, and their first line says nothing.
_OF_TENSORFLOW = re.compile(r"^tensorflow\.[\w.]*errors_impl\.\w+: ?")
_GRAPH = re.compile(r"^(?:[\w.]+: )?Graph execution error:\s*$")
# What TensorFlow and Keras put around a message: where in the graph, called with what.
_BEGINS_THE_REST = re.compile(
    r"^(?:Arguments received by |Call arguments received by |Original stack trace for |Traceback \(most recent call)"
)
_AROUND = re.compile(
    r"^(?:Detected at node .*|Node: .*|<stack traces unavailable>|\d+ root error\(s\) found\.?|\[\[\{\{.*|\s.*)$"
)
_NUMBERED = re.compile(r"^\s*\(0\) (?:[A-Z_]+: )?")
_KERAS_CALLING = re.compile(r"^([\w.]+: )Exception encountered when calling [^\n]*\n")
_ENCOUNTERED = re.compile(r"^.*Error encountered:\s*$", re.MULTILINE)
# What AutoGraph, which translates the user's Python, raises: another error with its frames, indented.
_IN_USER_CODE = re.compile(r"^[\w.]+: in user code:\s*$")
_INDENTED_ERROR = re.compile(r"^    (?=[A-Za-z_][\w.]*(?:: |$))")

# Within a line: where in the graph it was, and which values a batch happened to have.
_NOISE = (
    (re.compile(r"\{\{function_node [^}]*\}\}(?:\{\{node [^}]*\}\})?\s*"), ""),
    (re.compile(r"\s*\[Op:[^\]]*\](?: name:.*)?$"), ""),
    (re.compile(r" for '\{\{node [^}]*\}\} = .*?\)'(?= with )"), ""),
    (re.compile(r"\s*\[\[\{\{.*$"), ""),
    (re.compile(r"\s+Label values: [-\d ]+.*$"), ""),
    (re.compile(r"\b__inference_(\w+?)_\d+\b"), r"\1"),
    (re.compile(r" at 0x[0-9a-fA-F]+"), ""),
)
# What differs between errors that say the same: numbers of generated names, and the value that came first.
_SAME: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?<=layer ['\"])([A-Za-z]\w*?)_\d+(?=['\"])"), r"\1"),
    (re.compile(r"(?<=name ['\"])([A-Za-z]\w*?)_\d+(?=['\"])"), r"\1"),
    (re.compile(r"\b(functional|sequential|model|input_layer|keras_tensor|data|cond|while)_\d+\b"), r"\1"),
    (re.compile(r"(?<![\w.:/-])(?:[A-Za-z]\w*/)+\w+"), lambda path: re.sub(r"_\d+\b", "", path.group())),
    (re.compile(r"\blabel value of -?\d+"), "label value"),
    (re.compile(r"\bindices\[[\d,]*\] = -?\d+"), "an index"),
    (re.compile(r"0x[0-9a-fA-F]+"), "0x"),
    (re.compile(r"\bpid[=:] ?\d+", re.IGNORECASE), "pid"),
    (re.compile(r" on \S+ \(CUDA_VISIBLE_DEVICES is [^)]*\)"), ""),
)


def cause_of(error: str | None) -> str:
    """The line of an error, most often a traceback, that says what happened.

    Where raygrid knows what helps, that is the last line, which says both.
    """
    lines = [line for line in _TERMINAL_COLOURS.sub("", error or "").splitlines() if line.strip()]
    if not lines:
        return "no cause was recorded"
    if WHAT_HELPS in lines[-1]:
        return lines[-1].strip()
    return what_happened(error or "")


def what_happened(error: str) -> str:
    """The same without regard to what helps: one line, without node names and what a layer was called with.

    A message of several lines is cut after the first, unless that ends with a colon.
    """
    raised = _in_user_code(_raised(_TERMINAL_COLOURS.sub("", error)))
    calling = _KERAS_CALLING.match(raised)
    if calling:
        raised = f"{_OF_TENSORFLOW.sub('', calling[1])}{_within_a_layer(raised[calling.end() :])}"
    first, *rest = raised.splitlines() or [""]
    if _GRAPH.match(first):
        return _cleaned(next(_sayings(rest), first))
    first = _OF_TENSORFLOW.sub("", first)
    if _cleaned(first).endswith(":") or not first.strip():
        first = f"{first.rstrip()} {next(_sayings(rest), '')}"
    return _cleaned(first)


def same_causes(causes: Iterable[str]) -> list[list[int]]:
    """The positions of those ``causes`` that say the same, apart from generated names: the most common ones first."""
    groups: dict[str, list[int]] = {}
    for position, cause in enumerate(causes):
        groups.setdefault(same_as(cause), []).append(position)
    return sorted(groups.values(), key=len, reverse=True)


def same_as(cause: str) -> str:
    """What ``cause``, a line that says what happened, has in common with others that say the same."""
    for pattern, replacement in _SAME:
        cause = pattern.sub(replacement, cause)
    return cause


def _raised(error: str) -> str:
    """What was raised last, with its message: what follows the last traceback's frames, or all, where there is none."""
    lines = error.strip().splitlines()
    begins = [i for i, line in enumerate(lines) if _TRACEBACK.match(line)]
    for begin in reversed(begins):
        for i in range(begin + 1, len(lines)):
            if lines[i].strip() and not lines[i][0].isspace():
                return "\n".join(lines[i:])
    return "\n".join(lines)


def _in_user_code(raised: str) -> str:
    """The error that AutoGraph found in the user's code; ``raised`` itself where it is another one."""
    first, *rest = raised.splitlines() or [""]
    if not _IN_USER_CODE.match(first):
        return raised
    begins = [i for i, line in enumerate(rest) if _INDENTED_ERROR.match(line)]
    return "\n".join(line[4:] for line in rest[begins[-1] :]) if begins else raised


def _within_a_layer(message: str) -> str:
    """What Keras says of an error in a layer's call: the first paragraph, or what follows what it says around one."""
    *_, said = _ENCOUNTERED.split(message)
    return said.strip().split("\n\n")[0]


def _sayings(lines: Sequence[str]) -> Iterator[str]:
    """Those of a message's lines that say something."""
    for line in lines:
        if _BEGINS_THE_REST.match(line):
            return
        if _NUMBERED.match(line):
            yield _NUMBERED.sub("", line)
        elif line.strip() and not _AROUND.match(line):
            yield line


def _cleaned(line: str) -> str:
    for pattern, replacement in _NOISE:
        line = pattern.sub(replacement, line)
    return line.strip()
