"""What a call to ``fit`` asks for: a grid, or one config. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raygrid.base.fingerprint import canonical_json
from raygrid.base.known_fields import known_fields
from raygrid.grid.records import tuples
from raygrid.grid.values import Config, Grid, count_points, iter_groups, iter_param_grid, point_at, varying_names


@dataclass(frozen=True)
class Request:
    """A grid with the defaults under it, or a single whole config; normalised.

    Attributes:
        grid: None where a single config is asked for.
        config: the whole config; None where a grid is asked for.
        defaults: the values of the hyperparameters that the grid leaves out.
        extras: what else the published set depends on, though no training does, such as a detector's quantile.
    """

    grid: Grid | None = None
    config: Config | None = None
    defaults: Config = field(default_factory=dict)
    extras: Config = field(default_factory=dict)

    @classmethod
    def for_grid(cls, grid: Grid, defaults: Mapping[str, Any], extras: Config | None = None) -> Request:
        """A grid over ``defaults``."""
        under = {name: value for name, value in defaults.items() if name not in grid}
        return cls(grid=grid, defaults=under, extras=extras or {})

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Request:
        """What ``to_json`` gave, after JSON; see ``known_fields``.

        Raises:
            ValueError: it is something else.
        """
        fields = known_fields(cls, saved)
        for name, value in fields.items():
            if not isinstance(value, dict):
                raise ValueError(f"{name!r} with {type(value).__name__} is no part of a request")
        request = cls(**{name: tuples(value) for name, value in fields.items()})
        for name, values in (request.grid or {}).items():
            if not isinstance(values, tuple):
                raise ValueError(f"the grid has no list of values for {name!r}")
        return request

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        asked = {"config": self.config} if self.grid is None else {"grid": self.grid, "defaults": self.defaults}
        return {**asked, "extras": self.extras} if self.extras else asked

    def same_as(self, saved: Mapping[str, Any]) -> bool:
        """Whether a manifest's request asks for the same points."""
        return canonical_json(self.to_json()) == canonical_json(dict(saved))

    def asks_for(self, config: Mapping[str, Any]) -> bool:
        """Whether ``config``, a whole one, is that of one of the points."""
        fixed = self.config or {} if self.grid is None else self.defaults
        choices = {**{name: (value,) for name, value in fixed.items()}, **(self.grid or {})}
        return config.keys() == choices.keys() and all(
            canonical_json(value) in map(canonical_json, choices[name]) for name, value in config.items()
        )

    def configs(self) -> Iterator[Config]:
        """The whole config of each point, in the order of the points' numbers."""
        if self.grid is None:
            yield dict(self.config or {})
            return
        for point in iter_param_grid(self.grid):
            yield self._whole(point)

    @property
    def count(self) -> int:
        """How many points there are."""
        return 1 if self.grid is None else count_points(self.grid)

    def config_at(self, number: int) -> Config:
        """The whole config of the point ``number``."""
        return dict(self.config or {}) if self.grid is None else self._whole(point_at(self.grid, number))

    def groups(self, differ_in: Collection[str]) -> Iterator[tuple[tuple[int, Config], ...]]:
        """The points, as number and whole config, in groups that differ only in the names ``differ_in``."""
        if self.grid is None:
            yield ((0, dict(self.config or {})),)
            return
        for group in iter_groups(self.grid, differ_in):
            yield tuple((number, self._whole(point)) for number, point in group)

    def _whole(self, point: Config) -> Config:
        return dict(sorted({**self.defaults, **point}.items()))

    @property
    def varying(self) -> tuple[str, ...]:
        """The hyperparameters that differ between the points."""
        return () if self.grid is None else varying_names(self.grid)
