"""A model's search space: which hyperparameters there are, their defaults, and what a call asks for in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raygrid.errors import ArgumentError
from raygrid.grid.request import Request
from raygrid.grid.values import TRAINING_DEFAULTS, Config, normalize_config, normalize_grid


class SearchSpace:
    """The hyperparameters of a model.

    Args:
        model: the model's name, for messages.
        default_config: name to default value.
        default_grid: what is searched where nothing is asked.
        max_points: the largest grid that may be asked for.
        extras: what else a published set depends on; see ``Request``.
    """

    def __init__(
        self,
        model: str,
        default_config: Mapping[str, Any],
        default_grid: Mapping[str, Sequence[Any]],
        max_points: int,
        extras: Config,
    ) -> None:
        self._model = model
        self._default_grid = default_grid
        self._max_points = max_points
        self._extras = extras
        self._defaults = normalize_config({**TRAINING_DEFAULTS, **default_config}, {}, None)
        # Where nothing is declared, nothing is known to be wrong.
        declared = default_config or default_grid
        self._known = {*TRAINING_DEFAULTS, *default_config, *default_grid} if declared else None

    def config(self, config: Mapping[str, Any]) -> Config:
        """The whole config: defaults filled in, types coerced, sequences as tuples."""
        return normalize_config(config, self._defaults, self._known)

    def asked(self, param_grid: Mapping[str, Any] | None, model_config: Mapping[str, Any] | None) -> Request | None:
        """What a call asks for; None where it asks for nothing in particular.

        Raises:
            ArgumentError: both are given, or one of them cannot be.
        """
        if param_grid is not None and model_config is not None:
            raise ArgumentError(
                "both param_grid and model_config are given.",
                remedy="Pass param_grid to search, or model_config to train one config, not both.",
            )
        if param_grid is not None:
            return self.grid(param_grid)
        if model_config is not None:
            return Request(config=self.config(model_config), extras=self._extras)
        return None

    def grid(self, grid: Mapping[str, Any]) -> Request:
        """The request for a grid."""
        normalized = normalize_grid(grid, self._defaults, self._known, self._max_points)
        return Request.for_grid(normalized, self._defaults, self._extras)

    def default(self) -> Request:
        """The request for the default grid.

        Raises:
            ArgumentError: there is none.
        """
        if not self._default_grid:
            raise ArgumentError(
                f"{self._model} has no DEFAULT_PARAM_GRID, and neither a grid nor a config is given.",
                remedy="Pass one of them, such as $a_grid.",
            )
        return self.grid(self._default_grid)
