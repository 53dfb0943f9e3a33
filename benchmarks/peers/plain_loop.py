"""A loop over the points with ``model.fit``, in one process, one after the other."""

from __future__ import annotations

import keras
from network import TrainingTimes, early_stopping, model_of
from task import read_task


def main() -> None:
    task = read_task()
    x, x_val = task.data()
    results, best_loss, best_model = [], float("inf"), None
    for config in task.points:
        keras.backend.clear_session()
        model = model_of(config, x.shape[1], task.seed)
        history = model.fit(
            x,
            x,
            batch_size=config["batch_size"],
            epochs=config["epochs"],
            validation_data=(x_val, x_val),
            callbacks=[early_stopping(config), TrainingTimes(task.folder)],
            verbose=0,
        )
        val_loss = min(history.history["val_loss"])
        results.append((config, val_loss))
        if val_loss < best_loss:
            best_loss, best_model = val_loss, model
    best_model.save(task.folder / "best.keras")
    task.finish(results)


if __name__ == "__main__":
    main()
