"""KerasTuner's ``GridSearch``; what belongs to ``fit`` is tuned in ``HyperModel.fit``, as its guide shows."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
from network import TrainingTimes, early_stopping, model_of
from task import Task, read_task


class Autoencoder(keras_tuner.HyperModel):
    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.task = task
        self.width = width

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return model_of(self._config(hp), self.width, self.task.seed)

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        config = self._config(hp)
        callbacks = [*kwargs.pop("callbacks"), early_stopping(config), TrainingTimes(self.task.folder)]
        return model.fit(*args, batch_size=config["batch_size"], epochs=config["epochs"], callbacks=callbacks, **kwargs)

    def _config(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        return self.task.config_of({name: hp.Choice(name, values) for name, values in self.task.choices.items()})


def main() -> None:
    task = read_task()
    x, x_val = task.data()
    tuner = keras_tuner.GridSearch(
        Autoencoder(task, x.shape[1]),
        objective="val_loss",
        executions_per_trial=1,
        seed=task.seed,
        directory=task.folder,
        project_name="search",
    )
    tuner.search(x, x, validation_data=(x_val, x_val), verbose=0)
    tuner.get_best_models()[0].save(task.folder / "best.keras")
    trials = tuner.oracle.trials.values()
    task.finish((task.config_of(trial.hyperparameters.values), trial.score) for trial in trials)


if __name__ == "__main__":
    main()
