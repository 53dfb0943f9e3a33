"""Types that many modules speak of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

# Gives a compiled keras.Model for a config and the shape of one row of inputs.
Builder = Callable[[Any, tuple[int, ...]], Any]
