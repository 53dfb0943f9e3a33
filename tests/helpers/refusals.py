"""What ``fit`` and the command line say of what cannot be right, and that nothing was begun by then."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from small_models import SmallModel, small_rows

from raygrid.errors import RaygridError

# What a refusal must come before.
HEAVY = ("tensorflow", "keras", "ray", "jax", "torch")


def refused_by_fit(
    folder: Path, error: type[RaygridError], X_train: Any = None, X_val: Any = None, cls: Any = SmallModel, **asked: Any
) -> str:
    """The message of ``fit``, called as a person calls it; no file was written, and no package of ``HEAVY`` loaded.

    Args:
        folder: an empty folder.
        error: what is raised.
        X_train, X_val, asked: arguments of ``fit``; without data, rows that are right.
        cls: the model's class.
    """
    loaded = set(sys.modules)
    model = cls(folder / "models", "small", 0)
    with pytest.raises(error) as caught:
        model.fit(small_rows() if X_train is None else X_train, X_val=X_val, **asked)
    assert not any(folder.iterdir())
    assert not set(HEAVY) & (set(sys.modules) - loaded)
    return str(caught.value)
