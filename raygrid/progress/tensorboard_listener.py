"""Keeps TensorBoard's runs of a prefix: one a point, an HParams row each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import SearchListener
from raygrid.progress.tensorboard_log import PointRun, run_name, text_hyperparameters

_KEY_CHARACTERS = 8


class TensorBoardListener(SearchListener):
    """Writes each point's curves while it trains, and its row of the HParams table.

    Args:
        folder: the prefix' TensorBoard folder.
        recorded: the points that earlier searches of the same data and code recorded.
        varying: the hyperparameters that the runs are named after.
        read: gives the record under a key with its history.
    """

    def __init__(
        self,
        folder: Path,
        recorded: Sequence[PointRecord],
        varying: Collection[str],
        read: Callable[[str], PointRecord | None],
    ) -> None:
        self._folder = folder
        self._read = read
        self._recorded = {record.key: record for record in recorded}
        self._varying = varying
        self._as_text: frozenset[str] = frozenset()
        self._runs: dict[str, PointRun] = {}

    def search_started(self, plan: Plan) -> None:
        known = [record.config for record in self._recorded.values()]
        self._as_text = text_hyperparameters([*known, *(point.config for point in plan.points)])
        # A column that mixes numbers and text cannot be sorted, so runs that wrote numbers are written again.
        mixed = self._as_text != text_hyperparameters(known)
        planned = {point.key for trial in plan.trials for point in trial.points}
        kept = {key[:_KEY_CHARACTERS] for key in self._recorded if key not in planned}
        present = {path.name[-_KEY_CHARACTERS:]: path for path in self._folder.glob("*") if path.is_dir()}
        for short, path in present.items():
            if short not in kept:
                shutil.rmtree(path, ignore_errors=True)
        for key, record in self._recorded.items():
            if key not in planned and (mixed or key[:_KEY_CHARACTERS] not in present):
                self._write_whole(record, present.get(key[:_KEY_CHARACTERS]))

    def point_started(self, point: Point) -> None:
        self._runs[point.key] = self._run(point.key, point.config)
        self._runs[point.key].start()

    def point_epochs(self, point: Point, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        self._runs[point.key].epochs(first_epoch, rows)

    def point_finished(self, point: Point, record: PointRecord) -> None:
        if point.key not in self._runs:
            # Its worker never came up.
            self.point_started(point)
        self._runs.pop(point.key).finish(record.val_loss, record.status == "done")

    def _run(self, key: str, config: Mapping[str, object], folder: Path | None = None) -> PointRun:
        if folder is None:
            folder = self._folder / run_name(config, key, self._varying)
        return PointRun(folder, config, self._as_text)

    def _write_whole(self, record: PointRecord, folder: Path | None) -> None:
        # A file that was removed meanwhile leaves a run without curves.
        record = self._read(record.key) or record
        run = self._run(record.key, record.config, folder)
        run.start()
        epochs = max((len(column) for column in record.history.values()), default=0)
        run.epochs(1, [{name: column[i] for name, column in record.history.items()} for i in range(epochs)])
        run.finish(record.val_loss, record.status == "done")
