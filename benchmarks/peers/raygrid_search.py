"""raygrid, in a new model folder. The data is scaled already, so that all competitors see equal numbers."""

from __future__ import annotations

import math
import time

from task import Config, note_times, read_task

from raygrid import Autoencoder, SearchListener


class Results(SearchListener):
    """Keeps what the others' result tables tell."""

    def __init__(self) -> None:
        self.begin: dict[str, float] = {}
        self.times: list[tuple[float, float]] = []
        self.results: list[tuple[Config, float]] = []

    def point_started(self, point) -> None:
        self.begin[point.key] = time.time()

    def point_finished(self, point, record) -> None:
        self.times.append((self.begin[point.key], time.time()))
        self.results.append((point.config, math.nan if record.val_loss is None else record.val_loss))


def main() -> None:
    task = read_task()
    x, x_val = task.data()
    heard = Results()
    model = Autoencoder(task.folder / "models", "bench", verbose=0, seed=task.seed, scaler=None, progress=heard)
    model.fit(x, x_val, param_grid=task.grids[0])
    for begin, end in heard.times:
        note_times(task.folder, begin, end)
    task.finish(heard.results)


if __name__ == "__main__":
    main()
