"""Optuna's ``GridSampler``; ``n_jobs`` threads are the second argument. Its default is 1."""

from __future__ import annotations

import sys

import keras
import optuna
from network import TrainingTimes, early_stopping, model_of
from task import read_task


def main() -> None:
    task = read_task()
    x, x_val = task.data()

    jobs = int(sys.argv[2])

    def objective(trial: optuna.Trial) -> float:
        if jobs == 1:
            # It resets the layer names of all threads: another thread's model would have two layers of one name.
            keras.backend.clear_session()
        config = task.config_of(
            {name: trial.suggest_categorical(name, values) for name, values in task.choices.items()}
        )
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
        return min(history.history["val_loss"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(task.choices, seed=task.seed))
    study.optimize(objective, n_jobs=jobs)
    task.finish((task.config_of(trial.params), trial.value) for trial in study.trials)


if __name__ == "__main__":
    main()
