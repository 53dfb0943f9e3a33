"""Ray Tune as its Keras example writes it: a function, ``tune.grid_search``, a report after each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from network import TrainingTimes, early_stopping, model_of
from ray import tune
from ray.tune.integration.keras import TuneReportCheckpointCallback
from task import Task, read_task


def train_autoencoder(config: dict[str, Any], task: Task, x: np.ndarray, x_val: np.ndarray) -> None:
    config = task.config_of(config)
    model = model_of(config, x.shape[1], task.seed)
    model.fit(
        x,
        x,
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        validation_data=(x_val, x_val),
        callbacks=[
            early_stopping(config),
            TrainingTimes(task.folder),
            TuneReportCheckpointCallback(checkpoint_on=[], metrics={"val_loss": "val_loss"}),
        ],
        verbose=0,
    )


def main() -> None:
    task = read_task()
    x, x_val = task.data()
    trainable = tune.with_parameters(train_autoencoder, task=task, x=x, x_val=x_val)
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources={"cpu": 1}),
        tune_config=tune.TuneConfig(metric="val_loss", mode="min"),
        run_config=tune.RunConfig(name="search", storage_path=str(task.folder)),
        param_space={name: tune.grid_search(values) for name, values in task.space.items()},
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    task.finish((task.config_of(result.config), result.metrics_dataframe["val_loss"].min()) for result in results)


if __name__ == "__main__":
    main()
