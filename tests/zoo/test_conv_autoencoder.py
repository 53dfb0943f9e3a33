"""Models of windows: the convolutional autoencoder, and what every model of windows has."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from raygrid import ConvAutoencoder, GridSearchModel
from raygrid.errors import ArgumentError, DataError, GridError, RebuildError, StaleCacheError

Array = np.ndarray[Any, Any]

WINDOW, STRIDE, BATCH_SIZE, EPOCHS = 6, 2, 8, 3
CONFIG = {
    "window": WINDOW,
    "stride": STRIDE,
    "filters": (4,),
    "kernel_size": 3,
    "latent_dim": 5,
    "learning_rate": 0.01,
    "batch_size": BATCH_SIZE,
    "epochs": EPOCHS,
    "patience": None,
}
RUNS, VAL_RUNS = np.repeat(["a", "b", "c"], [31, 6, 20]), np.repeat([4, 5], [17, 12])


def waves(rows: int, phase: float = 0.0) -> Array:
    """float32, shape (rows, 3): sines of different lengths and units."""
    time = np.arange(rows)[:, None] + phase
    return np.asarray(np.sin(time / [3.0, 5.0, 8.0]) * [1.0, 10.0, 100.0] + [0.0, 5.0, -50.0], np.float32)


X, X_VAL = waves(len(RUNS)), waves(len(VAL_RUNS), 100.0)


def windows_by_hand(x: Array, ids: Array, stride: int) -> Array:
    """All windows of each run, copied out."""
    found = []
    for run in dict.fromkeys(ids.tolist()):
        rows = x[ids == run]
        found += [rows[i : i + WINDOW] for i in range(0, len(rows) - WINDOW + 1, stride)]
    return np.stack(found)


class Fitted(NamedTuple):
    folder: Path
    model: ConvAutoencoder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("models")
    model = ConvAutoencoder(folder, "conv", 0, shuffle=False)
    model.fit(X, X_VAL, model_config=CONFIG, run_ids=RUNS, val_run_ids=VAL_RUNS)
    return Fitted(folder, model)


def test_training_is_that_of_plain_keras_on_windows_made_by_hand(fitted: Fitted) -> None:
    import keras

    model = fitted.model
    scale = model.published.scaling.scale_inputs
    windows, val_windows = (windows_by_hand(scale(x), ids, STRIDE) for x, ids in ((X, RUNS), (X_VAL, VAL_RUNS)))
    assert windows.shape == (13 + 1 + 8, WINDOW, 3)
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    plain = ConvAutoencoder().build_model(model.best_config, (WINDOW, 3))
    history = plain.fit(
        windows,
        windows,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(val_windows, val_windows),
        validation_batch_size=BATCH_SIZE,
        shuffle=False,
        verbose=0,
    ).history
    assert model.history["loss"] == history["loss"]
    assert model.history["val_loss"] == history["val_loss"]
    # Per element, so that windows of different length compare.
    error = plain.predict(val_windows, verbose=0) - val_windows
    assert history["val_loss"][-1] == pytest.approx(float(np.mean(np.square(error))), rel=1e-5)


def test_evaluate_on_the_validation_data_gives_val_loss(fitted: Fitted) -> None:
    found = fitted.model.evaluate(X_VAL, run_ids=VAL_RUNS)
    assert found == pytest.approx({"loss": fitted.model.best_metrics["val_loss"]}, rel=1e-6)
    assert fitted.model.evaluate(X_VAL)["loss"] != found["loss"]


def test_predict_gives_each_row_in_original_units_as_the_mean_over_its_windows(fitted: Fitted) -> None:
    model = fitted.model
    scale = model.published.scaling
    expected = []
    for run in dict.fromkeys(VAL_RUNS.tolist()):
        rows = X_VAL[run == VAL_RUNS]
        windows = windows_by_hand(scale.scale_inputs(rows), np.zeros(len(rows)), 1)
        outputs = scale.unscale_inputs(model.best_model.predict(windows, verbose=0))
        for row in range(len(rows)):
            held = [outputs[start, row - start] for start in range(len(windows)) if 0 <= row - start < WINDOW]
            expected.append(np.mean(held, axis=0))
    predicted = model.predict(X_VAL, VAL_RUNS)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-4)


def test_score_is_one_error_a_row_in_scaled_units(fitted: Fitted) -> None:
    scale = fitted.model.published.scaling.scale_inputs
    error = scale(fitted.model.predict(X, run_ids=RUNS)) - scale(X)
    score = fitted.model.anomaly_scores(X, run_ids=RUNS)
    assert score.shape == (len(X),) and score.dtype == np.float32
    np.testing.assert_allclose(score, np.mean(np.square(error), axis=1), rtol=1e-3, atol=1e-6)


def test_a_loaded_model_predicts_the_same_to_the_last_bit_whatever_class_loads_it(fitted: Fitted) -> None:
    expected = fitted.model.predict(X, RUNS).tobytes()
    for model_class in (ConvAutoencoder, GridSearchModel):
        loaded = model_class.load(fitted.folder, "conv", verbose=0)
        assert loaded.predict(X, RUNS).tobytes() == expected
        assert loaded.evaluate(X_VAL, run_ids=VAL_RUNS) == fitted.model.evaluate(X_VAL, run_ids=VAL_RUNS)


def test_other_run_ids_make_the_saved_model_stale(fitted: Fitted) -> None:
    model = ConvAutoencoder(fitted.folder, "conv", 0, shuffle=False)
    with pytest.raises(StaleCacheError, match="runs_train"):
        model.fit(X, X_VAL, model_config=CONFIG, run_ids=np.zeros(len(X)), val_run_ids=VAL_RUNS)
    # The names of the runs do not matter, only where they begin.
    model.fit(X, X_VAL, model_config=CONFIG, run_ids=np.repeat([7, 8, 9], [31, 6, 20]), val_run_ids=VAL_RUNS)
    assert model.best_metrics == fitted.model.best_metrics


def test_new_data_with_a_run_shorter_than_the_window_is_refused(fitted: Fitted) -> None:
    for method in (fitted.model.predict, fitted.model.evaluate, fitted.model.anomaly_scores):
        with pytest.raises(DataError, match=r"window of 6 rows is longer than a run of X: rows 7 to 10, 4 rows"):
            method(X[:11], run_ids=[0] * 7 + [1] * 4)
    with pytest.raises(DataError, match=r"run_ids has shape \(3,\)\. It must hold one id per row \(8 rows\)"):
        fitted.model.predict(X[:8], [0, 0, 0])
    with pytest.raises(ArgumentError, match="Leave y and sample_weight out"):
        fitted.model.evaluate(X_VAL, X_VAL)


@pytest.mark.parametrize("latent_dim", [None, 3])
@pytest.mark.parametrize("filters", [(), (4,), (4, 3, 2)])
def test_every_window_length_comes_back_whole(filters: tuple[int, ...], latent_dim: int | None) -> None:
    config = {**ConvAutoencoder.DEFAULT_CONFIG, "filters": filters, "latent_dim": latent_dim}
    for window in (1, 2, 5, 13):
        model = ConvAutoencoder().build_model({**config, "window": window}, (window, 3))
        assert model.output_shape == (None, window, 3)


def test_window_and_stride_are_axes_of_a_grid_with_their_own_number_of_windows(tmp_path: Path) -> None:
    planned = ConvAutoencoder(tmp_path / "models", "conv", 0).plan(
        X, X_VAL, param_grid={"window": [6, 3], "stride": [2, 5]}, run_ids=RUNS, val_run_ids=VAL_RUNS
    )
    items, points = planned.run.prepared.items, planned.plan.points
    found = {(p.config["window"], p.config["stride"]): items(p.config) for p in points}
    assert found == {(6, 2): 13 + 1 + 8, (6, 5): 6 + 1 + 3, (3, 2): 15 + 2 + 9, (3, 5): 6 + 1 + 4}


@pytest.mark.parametrize(
    ("grid", "error", "message"),
    [
        ({"window": [3, 7]}, DataError, "a window of 7 rows is longer than a run of X_train: rows 31 to 36, 6 rows"),
        ({"stride": [1, 0]}, GridError, "stride is 0. It must be a whole number of rows, of at least 1"),
        ({"window": [0]}, GridError, "window is 0. It must be a whole number of rows, of at least 1"),
        ({"window": [2.5]}, GridError, "window is 2.5. It must be a whole number of rows, of at least 1"),
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_windows_that_cannot_be_are_refused_before_anything_is_written(
    grid: dict[str, Any], error: type[Exception], message: str, reset: bool, tmp_path: Path
) -> None:
    model = ConvAutoencoder(tmp_path / "models", "conv", 0)
    arrays = {"run_ids": RUNS, "val_run_ids": VAL_RUNS}
    with pytest.raises(error, match=message):
        model.fit(X, X_VAL, param_grid=grid, reset_experiment=reset, **arrays)
    with pytest.raises(error, match=message):
        model.plan(X, X_VAL, param_grid=grid, **arrays)
    assert not (tmp_path / "models").exists()


def test_targets_weights_and_runs_go_where_they_belong(tmp_path: Path) -> None:
    model = ConvAutoencoder(tmp_path / "models", "conv", 0)
    with pytest.raises(ArgumentError, match="Leave y_train and y_val out"):
        model.fit(X, y_train=X)
    with pytest.raises(ArgumentError, match="Leave targets and sample weights out"):
        model.fit(X, sample_weight=np.ones(len(X)))
    with pytest.raises(ArgumentError, match="run_ids and val_run_ids go together"):
        model.fit(X, X_VAL, run_ids=RUNS)
    rows = GridSearchModel(tmp_path / "models", "rows", 0, build_model=row_model)
    with pytest.raises(ArgumentError, match=r"sees single rows, not windows, .*Leave run_ids out"):
        rows.fit(X, run_ids=RUNS)
    rows.fit(X, model_config={"epochs": 1})
    for method in (rows.predict, rows.evaluate):
        with pytest.raises(ArgumentError, match=r"sees single rows, not windows, .*Leave run_ids out"):
            method(X, run_ids=RUNS)


def row_model(config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    import keras

    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(*input_shape)])
    model.compile("sgd", "mse")
    return model


class SmallWindows(GridSearchModel):
    """A user's own model of windows, as short as it gets."""

    DEFAULT_CONFIG = {"window": 4, "stride": 1, "epochs": 1}  # noqa: RUF012
    WINDOWED = True

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(input_shape[1])])
        model.compile("sgd", "mse", metrics=["mae"])
        return model


def test_a_windowed_model_of_ones_own_predicts_and_evaluates_rows(tmp_path: Path) -> None:
    model = SmallWindows(tmp_path, "own", 0, scaler="standard")
    model.fit(X, model_config={}, run_ids=np.repeat([0, 1], [25, 32]), validation_split=0.3)
    assert model.predict(X_VAL, VAL_RUNS).shape == X_VAL.shape
    assert model.evaluate(X_VAL, run_ids=VAL_RUNS).keys() == {"loss", "mae"}


class Forgetful(SmallWindows):
    """Declares no stride."""

    DEFAULT_CONFIG = {"window": 4}  # noqa: RUF012


def test_a_windowed_model_without_a_stride_is_told_to_declare_it(tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"Forgetful learns windows, but its configs have no 'stride'\. Add it to DEF"):
        Forgetful(tmp_path, "own", 0).fit(X, model_config={})


_builds: list[int] = []


class Fickle(SmallWindows):
    """Weighs its loss by the number of times that it was built."""

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        model = super().build_model(config, input_shape)
        _builds.append(1)
        model.compile("sgd", "mse", loss_weights=[float(len(_builds))])
        return model


def test_a_winner_that_does_not_reproduce_its_val_loss_over_windows_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(RebuildError, match="training reported"):
        Fickle(tmp_path, "fickle", 0).fit(X, model_config={})
    assert not list(tmp_path.glob("*.keras"))


def test_windows_are_made_batch_by_batch_from_one_copy_of_the_series() -> None:
    from raygrid.data.training_arrays import TrainingArrays, TrainSettings
    from raygrid.training.batches import train_items

    series = np.zeros((50_000, 100), np.float32)  # 20 MB; its windows of 200 rows: 4 GB
    arrays = TrainingArrays(x_train=series, y_train=None, x_val=series, y_val=None)
    config = {"window": 200, "stride": 1}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = train_items(arrays, config, TrainSettings(windowed=True))
    assert items.count == 50_000 - 199
    for batches in (items.in_order(16), items.epochs(3, 16, seed=1)):
        for inputs, targets in batches.take(10):
            assert inputs.shape == targets.shape == (16, 200, 100)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 200
