"""scikit-learn's ``GridSearchCV`` over SciKeras' ``KerasRegressor``, on two processes.

One predefined split, so that all competitors validate on the same rows. ``refit=False``: the default trains the winner
once more, which no other competitor does.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from network import TrainingTimes, build_model
from scikeras.wrappers import KerasRegressor
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from task import read_task

PROCESSES = 2
ROUTES = {"batch_size": "batch_size", "epochs": "epochs", "patience": "fit__callbacks__stop__patience"}


def autoencoder(
    meta: dict[str, Any], seed: int, encoder_layers: list[int], latent_dim: int, activation: str, learning_rate: float
) -> keras.Model:
    return build_model(
        meta["n_features_in_"],
        seed,
        encoder_layers=encoder_layers,
        latent_dim=latent_dim,
        activation=activation,
        learning_rate=learning_rate,
    )


def route(name: str) -> str:
    return ROUTES.get(name, f"model__{name}")


def main() -> None:
    task = read_task()
    x, x_val = task.data()
    regressor = KerasRegressor(
        model=autoencoder,
        model__seed=task.seed,
        fit__validation_data=(x_val, x_val),
        fit__callbacks={"stop": keras.callbacks.EarlyStopping, "times": TrainingTimes(task.folder)},
        fit__callbacks__stop__monitor="val_loss",
        fit__callbacks__stop__restore_best_weights=True,
        verbose=0,
    )
    search = GridSearchCV(
        regressor,
        [{route(name): values for name, values in grid.items()} for grid in task.grids],
        scoring="neg_mean_squared_error",
        cv=PredefinedSplit(np.r_[np.full(len(x), -1), np.zeros(len(x_val))]),
        refit=False,
        n_jobs=PROCESSES,
        error_score="raise",
    )
    rows = np.vstack([x, x_val])
    search.fit(rows, rows)
    names = {route(name): name for name in task.points[0]}
    configs = [{names[key]: value for key, value in chosen.items()} for chosen in search.cv_results_["params"]]
    task.finish(zip(configs, -search.cv_results_["mean_test_score"], strict=True))


if __name__ == "__main__":
    main()
