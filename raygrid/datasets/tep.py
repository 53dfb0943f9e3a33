"""Simulated runs of the Tennessee Eastman process, the standard benchmark for faults in sensor data."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from raygrid.base.types import Array, Float32Array

_LABELS = ("split", "run", "fault", "hour")

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, repr=False)
class TEPData:
    """SIMULATED sensor data of a chemical plant: normal operation to train on, faults to test on.

    Attributes:
        X_train: 6 runs of 25 h of normal operation, float32, shape (3000, 52), in the units of the process.
        X_val: 2 further runs, float32, shape (1000, 52).
        X_test: a normal run of 24 h and one run for each of 20 faults, float32, shape (9830, 52).
        fault: int32, shape (9830,), for each row of ``X_test``: 0 is normal, 1 to 20 is the disturbance IDV 1
            to 20, set from the moment the fault is on.
        run: int32, shape (9830,), the id of the run of each row of ``X_test``. Rows of a run are in
            order of time.
        run_train: int32, shape (3000,), the same for ``X_train``.
        run_val: int32, shape (1000,), the same for ``X_val``.
        hour: float32, shape (9830,), hours since the start of the run, for each row of ``X_test``.
        feature_names: the 52 columns: 41 measurements, then 11 manipulated variables.
    """

    X_train: Float32Array
    X_val: Float32Array
    X_test: Float32Array
    fault: IntArray
    run: IntArray
    run_train: IntArray
    run_val: IntArray
    hour: Float32Array
    feature_names: tuple[str, ...]

    def __repr__(self) -> str:
        faults = len(np.unique(self.fault[self.fault > 0]))
        parts = (("train", self.X_train, self.run_train), ("val", self.X_val, self.run_val))
        lines = [f"  X_{name:<5} {x.shape}  {len(np.unique(run))} normal runs" for name, x, run in parts]
        lines.append(f"  X_test  {self.X_test.shape}  {len(np.unique(self.run))} runs, {faults} of them with a fault")
        return "\n".join(["TEPData: simulated Tennessee Eastman process, a row every 3 minutes", *lines])


def load_tep() -> TEPData:
    """Load the built-in SIMULATED data of the Tennessee Eastman process (Downs and Vogel, 1993).

    The process is defined in J. J. Downs and E. F. Vogel, "A plant-wide industrial process control
    problem", Computers & Chemical Engineering 17(3), 1993. These are closed-loop runs simulated with the
    package tep-studio 0.2.0 (BSD-3-Clause): its native model under the decentralised control of N. L.
    Ricker, "Decentralized control of the Tennessee Eastman challenge process", Journal of Process Control
    6(4), 1996, in mode 1, sampled every 3 minutes.

    Training and validation runs are normal. Each fault of the test runs starts at hour 4. IDV 6 trips the
    plant after about 11.5 h, so its run is shorter. Two manipulated variables, ``stripper_steam_valve`` and
    ``compressor_recycle_valve``, are constant.

    Returns:
        New arrays at each call, which the caller may change.
    """
    import pyarrow as pa  # slow to import; `import raygrid.datasets` must stay light
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    content = resources.files("raygrid.datasets").joinpath("tep.parquet").read_bytes()
    table = pq.read_table(pa.BufferReader(content))
    names = tuple(name for name in table.column_names if name not in _LABELS)
    train, val, test = (table.filter(pc.field("split") == split) for split in ("train", "val", "test"))
    return TEPData(
        X_train=_matrix(train, names),
        X_val=_matrix(val, names),
        X_test=_matrix(test, names),
        fault=_column(test, "fault", np.int32),
        run=_column(test, "run", np.int32),
        run_train=_column(train, "run", np.int32),
        run_val=_column(val, "run", np.int32),
        hour=_column(test, "hour", np.float32),
        feature_names=names,
    )


def _matrix(table: Any, names: tuple[str, ...]) -> Float32Array:
    return np.column_stack([_column(table, name, np.float32) for name in names])


def _column(table: Any, name: str, dtype: type[np.generic]) -> Array:
    return np.array(table.column(name).to_numpy(), dtype=dtype)
