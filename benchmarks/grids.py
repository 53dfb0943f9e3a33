"""The grids of the comparison, and the sample of the largest one that peers run. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

Grid = Mapping[str, Sequence[Any]]
Config = dict[str, Any]

_A: Grid = {
    "encoder_layers": [[256, 128], [128, 64]],
    "latent_dim": [8, 16],
    "activation": ["relu", "selu"],
    "learning_rate": [1e-3, 5e-4],
    "batch_size": [128],
    "epochs": [20],
    "patience": [5],
}

GRIDS: Mapping[str, Grid] = {
    # Two points of one epoch: shows that every competitor runs, and measures its start.
    "tiny": {**_A, "encoder_layers": [[256, 128]], "latent_dim": [8], "activation": ["relu"], "epochs": [1]},
    "A": _A,
    "B": {**_A, "epochs": [20, 40], "patience": [5, 10]},
    "C": {
        "encoder_layers": [[256, 128], [512, 256, 128], [512, 256, 128, 64]],
        "latent_dim": [32, 64, 96],
        "activation": ["relu", "selu"],
        "learning_rate": [1e-3, 5e-4],
        "batch_size": [128, 256],
        "epochs": [120, 180],
        "patience": [15, 25],
    },
}

# Of C, peers run these: each value of each hyperparameter equally often, and pairs of values as evenly as twelve points
# allow. A row gives the position of each value in its list, in the order of the names in C.
_SAMPLE_OF_C = (
    (0, 0, 1, 0, 0, 0, 1),
    (0, 1, 0, 0, 1, 0, 0),
    (0, 1, 0, 1, 0, 1, 1),
    (0, 2, 1, 1, 1, 1, 0),
    (1, 0, 0, 0, 1, 1, 0),
    (1, 1, 1, 1, 0, 0, 0),
    (1, 2, 0, 0, 0, 1, 1),
    (1, 2, 1, 1, 1, 0, 1),
    (2, 0, 0, 1, 1, 0, 1),
    (2, 0, 1, 1, 0, 1, 0),
    (2, 1, 1, 0, 1, 1, 1),
    (2, 2, 0, 0, 0, 0, 0),
)


def points_of(grid: Grid) -> list[Config]:
    """Every combination, names sorted, the last name's values changing fastest."""
    names = sorted(grid)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(grid[name] for name in names))]


def sample_of_c() -> list[Config]:
    """The twelve points of C that peers run."""
    grid = GRIDS["C"]
    return [{name: grid[name][position] for name, position in zip(grid, row, strict=True)} for row in _SAMPLE_OF_C]


def grids_for_peers(name: str) -> list[Grid]:
    """What a peer is given: the whole grid; of C one grid of one point for each point of the sample."""
    if name != "C":
        return [GRIDS[name]]
    return [{key: [value] for key, value in point.items()} for point in sample_of_c()]
