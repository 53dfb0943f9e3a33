"""Checks of single arguments, where they are given. What comes back is of Python's own type.

numpy's numbers and truth values are taken like Python's: they come out of arrays and tables all the time.
"""

from __future__ import annotations

import math
import numbers
import os
import re
import sys
from pathlib import Path
from typing import TypeVar

from raygrid.base.wording import did_you_mean
from raygrid.errors import ArgumentError, literal

T = TypeVar("T")

# A scheme of one letter would be a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

# What a model may compute in. Keras' quantized policies are for models that are trained already.
DTYPE_POLICIES = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")


def whole_number(
    name: str,
    value: object,
    least: int,
    most: int | None = None,
    error: type[ArgumentError] = ArgumentError,
) -> int:
    """``value`` as an int.

    Args:
        name: of the argument.
        value: what was given.
        least: the smallest that may be given.
        most: the largest; None: there is none.
        error: what is raised.

    Raises:
        ArgumentError: it is no whole number, or out of the range.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise _refused(name, value, f"a whole number {allowed}", error)


def finite_number(name: str, value: object, allowed: str, error: type[ArgumentError] = ArgumentError) -> float:
    """``value`` as an int or float, whatever its range.

    Args:
        name: of the argument.
        value: what was given.
        allowed: what may be given, to complete "it must be ...".
        error: what is raised.

    Raises:
        ArgumentError: it is no number, or not finite.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _refused(name, value, allowed, error)


def number_from_0(name: str, value: object, allowed: str, error: type[ArgumentError] = ArgumentError) -> float:
    """``value`` as a finite int or float of at least 0; see ``finite_number``."""
    number = finite_number(name, value, allowed, error)
    if number < 0:
        raise _refused(name, value, allowed, error)
    return number


def fraction(name: str, value: object, hint: str) -> float:
    """``value`` as a float between 0 and 1, both excluded.

    Args:
        name: of the argument.
        value: what was given.
        hint: an example, or what the fraction is.

    Raises:
        ArgumentError: it is something else.
    """
    allowed = f"a number between 0 and 1, both excluded, {hint}"
    number = finite_number(name, value, allowed)
    if not 0.0 < number < 1.0:
        raise _refused(name, value, allowed)
    return float(number)


def flag(name: str, value: object) -> bool:
    """``value`` as a bool.

    Raises:
        ArgumentError: it is something else: the text "no" would count as true.
    """
    if _is_bool(value):
        return bool(value)
    raise _refused(name, value, "True or False")


def text(name: str, value: object) -> str:
    """``value`` if it is text.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, str):
        return value
    raise _refused(name, value, "text")


def instance(name: str, value: object, kind: type[T]) -> T:
    """``value`` if it is of the class ``kind``.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, kind):
        return value
    raise _refused(name, value, f"an object of the class raygrid.{kind.__name__}")


def _refused(name: str, value: object, allowed: str, error: type[ArgumentError] = ArgumentError) -> ArgumentError:
    return error(f"{name} is {value!r}.", remedy=f"It must be {allowed}.")


def _is_bool(value: object) -> bool:
    # Whoever has one of numpy's has imported numpy.
    numpy = sys.modules.get("numpy")
    return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_))


def verbosity(value: object) -> int:
    """``value`` as one of raygrid's levels: 0 (or False), 1 (or True), 2.

    Raises:
        ArgumentError: it is something else.
    """
    if _is_bool(value):
        return int(bool(value))
    return whole_number("verbose", value, 0, 2)


def seed_number(value: object) -> int:
    """``value`` as a seed that numpy, TensorFlow and Python take.

    Raises:
        ArgumentError: it is something else.
    """
    return whole_number("seed", value, 0, 2**32 - 1)


def dtype_policy_name(value: object) -> str:
    """The name of a Keras dtype policy to train with, from its name or the policy itself; Keras is not imported.

    Raises:
        ArgumentError: there is no such policy, or no model can be trained with it.
    """
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if name in DTYPE_POLICIES:
        return str(name)
    hint = did_you_mean(name, DTYPE_POLICIES) if isinstance(name, str) else ""
    raise ArgumentError(
        f"dtype_policy is {value!r}, which models cannot be trained with.{hint}",
        remedy=f"Use one of {', '.join(DTYPE_POLICIES)}, or None for that of Keras.",
    )


def local_path(name: str, value: object) -> Path:
    """``value`` as an absolute path on this machine: relative to the working folder of now, ``~`` as the home folder.

    Args:
        name: of the argument or option.
        value: text, or a path.

    Raises:
        ArgumentError: it is no path, or the address of something that is not in a file system of this machine.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str) or not text:
        raise _refused(name, value, "a path, as text or pathlib.Path")
    if _SCHEME.match(text):
        raise ArgumentError(
            f"{name} is {text!r}, an address, and raygrid works with folders and files of a file system.",
            remedy="Pass the path under which the storage is mounted, such as /mnt/bucket, or a copy. (If a local "
            f"folder has this name, write ./{literal(text)}.)",
        )
    if isinstance(value, Path) and value.is_absolute():
        return value
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ArgumentError(
            f"{name} is {text!r}, and this user has no home folder.", remedy="Pass an absolute path."
        ) from None
    except FileNotFoundError:
        raise ArgumentError(
            f"{name} is {text!r}, relative to a working folder that was removed.", remedy="Pass an absolute path."
        ) from None
