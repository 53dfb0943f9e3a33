"""Data that comes with raygrid, for examples and tests."""

from __future__ import annotations

from raygrid.datasets.tep import TEPData, load_tep

__all__ = ["TEPData", "load_tep"]
