"""The training of a single point in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raygrid.base.types import ModelDefinition
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.grid.plan import Point


def train_point(
    build: Any,
    point: Point,
    context: str,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    device: str,
    on_epoch: Callable[[int, Any], None] = lambda epoch, logs: None,
    programs: Any = None,
) -> Any:
    """What ``train_points`` gives for one point."""
    from raygrid.training.train import train_points

    finished: list[Any] = []
    train_points(
        ModelDefinition(build),
        [point],
        context,
        arrays,
        settings,
        device=device,
        on_epoch=lambda points, epoch, logs: on_epoch(epoch, logs),
        on_finished=finished.append,
        programs=programs,
    )
    return finished[0]
