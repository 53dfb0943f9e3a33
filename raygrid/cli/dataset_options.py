"""The options of ``raygrid search`` that are for a class that makes its own datasets alone, or for all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raygrid.errors import ArgumentError


def dataset_arguments(
    model: str, makes_datasets: bool, of_datasets: Mapping[str, Any], of_files: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``fit``, ``plan`` and ``confirm`` are given beside arrays.

    Args:
        model: as ``--model`` names it.
        makes_datasets: whether it makes its own datasets.
        of_datasets: the options for such a class, by the names of their arguments; None and False: not given.
        of_files: the options that describe data, in the same way.

    Raises:
        ArgumentError: an option is given that the model has no use for.
    """
    given = {name: value for name, value in of_datasets.items() if value not in (None, False)}
    wrong = [name for name, value in of_files.items() if value not in (None, False)] if makes_datasets else [*given]
    if wrong:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        verb = "is" if len(wrong) == 1 else "are"
        if makes_datasets:
            raise ArgumentError(
                f"--model {model} makes its own datasets, and {options} {verb} given.",
                remedy=f"Leave {'it' if len(wrong) == 1 else 'them'} out: datasets(self, config) and data_files of the "
                "class say what it trains on.",
            )
        raise ArgumentError(
            f"{options} {verb} given, and --model {model} trains on arrays.",
            remedy="Leave what is for datasets out, or define datasets(self, config) in a class of your own.",
        )
    return given
