"""How trials are run, which their results do not depend on."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from raygrid.progress.listeners import SearchListener
from raygrid.tuning.resources import Resources


@dataclass(frozen=True)
class SearchOptions:
    """How trials are run, which their results do not depend on.

    Attributes:
        resources: what each trial asks for.
        address: a Ray cluster; None: ``RAY_ADDRESS``, or a Ray of its own.
        user_modules: modules that a cluster's nodes need to unpickle the builder.
        progress: who hears of the search.
        verbose: whether Ray's own messages are shown.
    """

    resources: Resources
    address: str | None
    user_modules: tuple[ModuleType, ...]
    progress: SearchListener
    verbose: bool
