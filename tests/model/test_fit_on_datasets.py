"""``datasets`` of a class, or ``fit(data=function)``: trained as by ``model.fit``, and what results depend on."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataset_models
import numpy as np
import pytest
from child_processes import started
from dataset_models import (
    CONFIG,
    ROWS,
    SHAPES_OF_SEVERAL,
    VAL_ROWS,
    WIDTH,
    Bare,
    Config,
    OfDatasets,
    OfFiles,
    X,
    Y,
    augmented,
    augmented_otherwise,
    batches,
    by_number,
    generated,
    killing_search,
    of_several_inputs,
    pipelines,
    regressor,
    repeated,
)
from structured_models import several, several_model

from raygrid import GridSearchModel, MLPRegressor
from raygrid.errors import ArgumentError, BuilderError, DataError, DataTypeError, StaleCacheError
from raygrid.identity import files
from raygrid.search.winner import train_config

SEED = 5
STEPS = {"steps_per_epoch": 4, "validation_steps": 2}
WANTED: dict[str, tuple[Callable[..., Any], Any, dict[str, int]]] = {
    "augmented": (augmented, (WIDTH,), {}),
    "generated": (generated, (WIDTH,), {}),
    "repeated": (repeated, (WIDTH,), STEPS),
    "by number": (by_number, (WIDTH,), {}),
    "several inputs": (of_several_inputs, SHAPES_OF_SEVERAL, {}),
}


def bare(folder: Path, **settings: Any) -> Bare:
    return Bare(folder, "m", 0, seed=SEED, **settings)


def falling(config: Config) -> list[Any]:
    import keras

    return [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=0, min_delta=10.0)]


def plain_fit(datasets: Callable[..., Any], shape: Any, callbacks: Any = None, **steps: int) -> Any:
    """The ``val_loss`` of each epoch of ``model.fit``, without raygrid."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    train, val = datasets(dict(CONFIG))
    model = (several_model if isinstance(shape, dict) else regressor)(dict(CONFIG), shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your input ran out of data")
        history = model.fit(
            train,
            validation_data=val,
            epochs=CONFIG["epochs"],
            callbacks=callbacks,
            # Keras warns where it cannot.
            shuffle=isinstance(train, keras.utils.PyDataset),
            verbose=0,
            **steps,
        )
    return history.history["val_loss"]


@pytest.mark.parametrize("case", WANTED)
def test_each_epoch_has_the_val_loss_of_plain_keras(case: str, tmp_path: Path) -> None:
    datasets, shape, steps = WANTED[case]
    model = bare(tmp_path)
    model.fit(data=datasets, model_config={}, **steps)
    assert model.history["val_loss"] == plain_fit(datasets, shape, **steps)
    assert model.plan(data=datasets, **steps).loads


def test_callbacks_are_told_what_plain_keras_tells_them(tmp_path: Path) -> None:
    model = bare(tmp_path)
    model.fit(data=augmented, model_config={}, callbacks=falling)
    assert model.history["val_loss"] == plain_fit(augmented, (WIDTH,), falling(CONFIG))
    assert model.history["learning_rate"] == pytest.approx([0.05, 0.05, 0.025])


def test_without_shuffle_batches_by_number_come_in_order(tmp_path: Path) -> None:
    asked: list[int] = []

    def in_order(config: Config) -> tuple[Any, Any]:
        import keras

        class Noted(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 4

            def __getitem__(self, number: int) -> Any:
                asked.append(number)
                return X[number : number + 1], Y[number : number + 1]

        return Noted(), by_number(config)[1]

    for shuffle, ordered in ((False, True), (True, False)):
        bare(tmp_path / str(shuffle), shuffle=shuffle).fit(data=in_order, model_config={})
        assert ("0123" * 3 in "".join(map(str, asked))) is ordered
        asked.clear()


def test_the_strength_of_an_augmentation_is_a_hyperparameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
    model = OfDatasets(tmp_path, "m", 0)
    model.fit(param_grid={"noise": [0.0, 3.0]})
    losses = model.results.column("val_loss").to_pylist()
    assert losses[0] < losses[1]
    assert model.plan().loads


def test_points_that_differ_only_in_epochs_are_trained_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
    monkeypatch.setattr("raygrid.base.once._said", set())
    model = OfDatasets(tmp_path, "m", 1)
    model.fit(param_grid={"epochs": [1, 3]})
    assert [row["epochs_run"] for row in model.results.to_pylist()] == [1, 3]
    assert "datasets may depend on when a training stops" in caplog.text
    told = "Epochs run through model.fit, which is slower: it trains on datasets."
    assert caplog.text.count(told) == 1


def test_the_function_of_fit_takes_the_place_of_the_method(tmp_path: Path) -> None:
    by_method, by_function, other = (OfDatasets(tmp_path, name, 0, seed=SEED) for name in ("a", "b", "c"))
    by_method.fit(model_config={})
    by_function.fit(data=augmented, model_config={})
    other.fit(data=augmented_otherwise, model_config={})
    assert by_method.history["val_loss"] == by_function.history["val_loss"] != other.history["val_loss"]
    with pytest.raises(StaleCacheError, match="code: was"):
        by_method.plan(data=augmented)


def test_a_method_of_the_model_itself_can_be_given(tmp_path: Path) -> None:
    model = OfDatasets(tmp_path, "m", 0)
    model.fit(data=model.datasets, model_config={})
    model.fit(data=model.datasets)
    source = model._checked_rows("error", {}, X_train=None, data=model.datasets)
    assert source.datasets.make.__self__._published is None  # type: ignore[union-attr]


def test_the_next_call_loads_and_other_code_or_steps_are_stale(tmp_path: Path, recorded: list[str]) -> None:
    bare(tmp_path).fit(data=repeated, model_config={}, **STEPS)
    bare(tmp_path).fit(data=repeated, **STEPS)
    assert len(recorded) == 1
    for other, message in (
        ({"data": augmented, **STEPS}, r"code: was dataset_models:Bare \(\w+\), now dataset_models:Bare"),
        ({"data": repeated, **STEPS, "steps_per_epoch": 5}, "setting steps_per_epoch: was 4, now 5"),
        ({"data": repeated, "steps_per_epoch": 4, "validation_steps": 1}, "setting validation_steps: was 2, now 1"),
    ):
        with pytest.raises(StaleCacheError, match=message):
            bare(tmp_path).fit(**other)
    with pytest.raises(StaleCacheError, match="data x_train: was absent"):
        bare(tmp_path).fit(X, y_train=Y)


def test_other_code_of_the_method_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OfDatasets(tmp_path, "m", 0).fit(model_config={"epochs": 1})
    monkeypatch.setattr(dataset_models, "augmented", augmented_otherwise)
    with pytest.raises(StaleCacheError, match="code: was"):
        OfDatasets(tmp_path, "m", 0).fit()


def test_arrays_take_the_place_of_the_method(tmp_path: Path) -> None:
    model = OfDatasets(tmp_path, "m", 0)
    model.fit(X, y_train=Y, model_config={"epochs": 1})
    assert "x_train" in model.published.manifest.depends_on["data"]


# What they are made of


@pytest.fixture
def of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], OfFiles]:
    """Makes a model that reads a file which was written an hour ago."""
    monkeypatch.setattr(files, "_seen", {})
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 3600 * 10**9)
    np.save(tmp_path / "rows.npy", X)
    return lambda: OfFiles(tmp_path / "models", "m", 0, folder=str(tmp_path))


def test_what_is_in_data_files_counts_and_not_their_dates(
    tmp_path: Path, of_files: Callable[[], OfFiles], recorded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.npy"
    given = {"data_files": [str(tmp_path / "*.npy")]}
    of_files().fit(model_config={"epochs": 1}, **given)
    os.utime(path, (1, 1))
    of_files().fit(**given)
    assert len(recorded) == 1
    # With the memory of the folder alone.
    monkeypatch.setattr(files, "_seen", {})
    with monkeypatch.context() as patch:
        patch.setattr(files, "file_digest", None)
        of_files().fit(**given)
    np.save(path, X + 1)
    with pytest.raises(StaleCacheError, match=rf"file {path}: was 1,792 bytes \w+, now 1,792 bytes \w+"):
        of_files().fit(**given)
    with pytest.raises(StaleCacheError, match=rf"file {path}: was 1,792 bytes \w+, now absent"):
        of_files().fit()
    of_files().fit(reset_experiment=True, model_config={"epochs": 1}, **given)
    assert len(recorded) == 2


def test_verify_data_reads_what_looks_as_it_did(tmp_path: Path, of_files: Callable[[], OfFiles]) -> None:
    path = tmp_path / "rows.npy"
    given = {"data_files": [path]}
    of_files().fit(model_config={"epochs": 1}, **given)
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(before.st_size - 4)
        file.write(b"\0\0\0\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # The change time cannot be forged, and so what is remembered is.
    files._seen[str(path)] = files._Seen(files._state(str(path)), files._seen[str(path)].digest)
    of_files().fit(**given)
    with pytest.raises(StaleCacheError, match=f"file {path}"):
        of_files().fit(**given, verify_data=True)


def test_a_file_that_changes_while_a_search_waits_is_told(
    tmp_path: Path, of_files: Callable[[], OfFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    model = of_files()

    def waited(paths: Any) -> Any:
        np.save(tmp_path / "rows.npy", X + 1)
        return nullcontext()

    monkeypatch.setattr(model, "_locked", waited)
    with pytest.raises(ArgumentError, match=r"rows\.npy was changed since this call began"):
        model.fit(model_config={}, data_files=[tmp_path / "rows.npy"])


def test_a_class_names_its_files_and_their_places_are_no_code(tmp_path: Path) -> None:
    from raygrid.identity.code_digest import builder_digest

    names = {"datasets": OfDatasets.datasets, "build_model": OfDatasets.build_model, "__module__": "dataset_models"}
    classes = [type("M", (Bare,), {**names, "data_files": [str(tmp_path / name)]}) for name in ("a", "b")]
    assert builder_digest(classes[0]) == builder_digest(classes[1])
    with pytest.raises(ArgumentError, match=r"data_files names .*a, and there is no such file"):
        classes[0](tmp_path, "m", 0).fit(model_config={})


# What cannot be right


def none(config: Config) -> Any:
    return None


def single(config: Config) -> Any:
    return augmented(config)[0]


def arrays(config: Config) -> Any:
    return (X, Y), (X, Y)


def endless(config: Config) -> Any:
    return repeated(config)[0], augmented(config)[1]


def endless_in_validation(config: Config) -> Any:
    return augmented(config)[0], repeated(config)[1]


def empty(config: Config) -> Any:
    return augmented(config)[0].take(0), augmented(config)[1]


def filtered(config: Config) -> Any:
    return augmented(config)[0], generated(config)[1].filter(lambda x, y: False)


def unreadable(config: Config) -> Any:
    import tensorflow as tf

    def generator() -> Any:
        raise OSError("images/1.png")

    spec = (tf.TensorSpec([None, WIDTH]), tf.TensorSpec([None, 1]))
    return tf.data.Dataset.from_generator(generator, output_signature=spec), augmented(config)[1]


def unbatched(config: Config) -> Any:
    return pipelines()


def unbatched_labels(config: Config) -> Any:
    train, val = pipelines()
    return train.map(lambda x, y: (x, y[0])), val.map(lambda x, y: (x, y[0]))


def other_shapes(config: Config) -> Any:
    train, val = augmented(config)
    return train, val.map(lambda x, y: (x[:, :3], y))


def other_targets(config: Config) -> Any:
    train, val = augmented(config)
    return train, val.map(lambda x, y: x)


def raising(config: Config) -> Any:
    raise FileNotFoundError("images/")


def ragged(config: Config) -> Any:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensors((tf.ragged.constant([[1.0], [1.0, 2.0]]), tf.constant([[1.0], [2.0]])))
    return dataset, dataset


def inputs_alone(config: Config) -> Any:
    train, val = augmented(config)
    return train.map(lambda x, y: x), val.map(lambda x, y: x)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "arrays as well": (
        {"X_train": X, "y_train": Y, "data": augmented},
        ArgumentError,
        "Bare trains on the datasets of data, and X_train, y_train are given. Leave one of them out.",
    ),
    "steps for arrays": (
        {"X_train": X, "y_train": Y, "steps_per_epoch": 3},
        ArgumentError,
        "steps_per_epoch is given, and the data is arrays. Leave steps_per_epoch out, or X_train.",
    ),
    "nothing": ({}, ArgumentError, "Bare is given no data. Pass X_train, or data=function, or define datasets"),
    "no steps": ({"data": repeated, "steps_per_epoch": 0}, ArgumentError, "steps_per_epoch is 0"),
    "no file": (
        {"data": augmented, "data_files": ["nothing/*.npy"]},
        ArgumentError,
        "data_files names .*nothing/.*npy, and no file matches it. Check the path, or leave it out of data_files; a "
        "relative one begins in the working folder",
    ),
    "one path": ({"data": augmented, "data_files": "a.npy"}, ArgumentError, "data_files is 'a.npy', and no list"),
    "None": ({"data": none}, BuilderError, r"data gave None. Return \(train, validation\), two datasets"),
    "one dataset": ({"data": single}, BuilderError, r"data gave a _\w+Dataset. Return \(train, validation\)"),
    "arrays": ({"data": arrays}, BuilderError, "the training dataset that data gave is a tuple. Make it a tf.data"),
    "endless": (
        {"data": endless},
        DataError,
        r"the training dataset that data gave has no end. Pass steps_per_epoch=... to fit, or leave repeat\(\) out",
    ),
    "endless in validation": (
        {"data": endless_in_validation},
        DataError,
        "the validation dataset that data gave has no end. Pass validation_steps=... to fit",
    ),
    "empty": ({"data": empty}, DataError, "the training dataset that data gave holds no batch"),
    "filtered": ({"data": filtered}, DataError, "the validation dataset that data gave holds no batch"),
    "unreadable": ({"data": unreadable}, BuilderError, r"data failed for \{.*\}: UnknownError: .*images/1.png"),
    "unbatched": (
        {"data": unbatched},
        DataError,
        r"gives parts of different numbers of rows \(a batch\[0\]: 4, a batch\[1\]: 1\), or single rows. Where these "
        r"are single rows: end it with .batch\(config\['batch_size'\]\)",
    ),
    "unbatched labels": ({"data": unbatched_labels}, DataError, "gives single rows. End it with .batch"),
    "other shapes": (
        {"data": other_shapes},
        DataError,
        r"the inputs of the training dataset that data gave are \(4,\) float32, and those for validation \(3,\) "
        "float32. Make both of the same structure, shapes and dtypes",
    ),
    "other targets": (
        {"data": other_targets},
        DataError,
        r"the targets of the training dataset that data gave are \(1,\) float32, and those for validation nothing",
    ),
    "raising": ({"data": raising}, BuilderError, r"data failed for \{.*\}: FileNotFoundError: images/"),
    "ragged": ({"data": ragged}, DataError, r"gives a batch\[0\] of no known shape .*pad ragged ones"),
    "inputs alone": (
        {"data": inputs_alone},
        DataError,
        r"the datasets that data gave hold inputs alone, and the loss .* Give \(inputs, targets\) .*\(x, x\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_said_before_anything_starts(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", None)
    given, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        bare(tmp_path / "new").fit(param_grid={"units": [2, 3]}, **given)
    assert not (tmp_path / "new").exists()


def test_a_dataset_itself_is_refused_with_the_function_to_pass(tmp_path: Path) -> None:
    train, val = augmented(CONFIG)
    message = r"data is a _\w+Dataset, which all points would share.* data=lambda config: \(train, validation\)"
    with pytest.raises(ArgumentError, match=message):
        bare(tmp_path).fit(data=train, model_config={})
    with pytest.raises(ArgumentError, match="data is a tuple"):
        bare(tmp_path).fit(data=(train, val), model_config={})
    with pytest.raises(DataTypeError, match=r"X_train is a tf.data.Dataset.* fit\(data=lambda config: \(train, valid"):
        bare(tmp_path).fit(train, model_config={})


def test_datasets_are_not_scaled(tmp_path: Path) -> None:
    for setting in ("scaler", "target_scaler"):
        message = f"{setting} is 'standard', and datasets are not scaled. Pass {setting}=None"
        with pytest.raises(ArgumentError, match=message):
            bare(tmp_path / "new", **{setting: "standard"}).fit(data=augmented, model_config={})
    assert not (tmp_path / "new").exists()


def test_built_in_models_take_arrays(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"MLPRegressor trains on an array, and datasets are given. Pass X_train"):
        MLPRegressor(tmp_path / "new", "m", 0).fit(data=augmented, model_config={})
    with pytest.raises(ArgumentError, match=r"MLPRegressor is given no data. Pass X_train\."):
        MLPRegressor(tmp_path / "new", "m", 0).fit(model_config={})
    assert not (tmp_path / "new").exists()


def test_a_loss_of_ones_own_needs_no_targets(tmp_path: Path) -> None:
    def reproducing(config: Config, input_shape: Any) -> Any:
        import keras

        @keras.saving.register_keras_serializable("raygrid-tests")
        class Reproducing(keras.Sequential):
            def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **others: Any) -> Any:
                return keras.ops.mean(keras.ops.square(x - y_pred))

        model = Reproducing([keras.Input(input_shape), keras.layers.Dense(input_shape[0])])
        model.compile("adam")
        return model

    model = GridSearchModel(tmp_path, "m", 0, build_model=reproducing)
    model.fit(data=inputs_alone, model_config=CONFIG)
    assert len(model.history["val_loss"]) == CONFIG["epochs"]


def test_what_fails_for_one_config_alone_fails_its_point(tmp_path: Path) -> None:
    def for_few(config: Config) -> Any:
        if config["units"] > 2:
            raise ValueError("too many")
        return augmented(config)

    with pytest.raises(BuilderError, match=r"data failed for .*ValueError: too many"):
        bare(tmp_path).fit(data=for_few, model_config={})
    model = bare(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
        model.fit(data=for_few, param_grid={"units": [2, 3]})
    assert [row["status"] for row in model.results.to_pylist()] == ["done", "failed"]


# The published model


def test_what_was_trained_on_datasets_predicts_and_evaluates_both(tmp_path: Path) -> None:
    trained = OfDatasets(tmp_path, "m", 0)
    trained.fit(model_config={})
    val = augmented(CONFIG)[1]
    for model in (trained, OfDatasets.load(tmp_path, "m", 0)):
        assert model.best_metrics is not None
        predicted = model.predict(X[ROWS:])
        assert predicted.shape == (VAL_ROWS, 1)
        np.testing.assert_allclose(model.predict(val), predicted, rtol=1e-5)
        for found in (model.evaluate(X[ROWS:], Y[ROWS:]), model.evaluate(val)):
            assert found["loss"] == pytest.approx(model.best_metrics["val_loss"], rel=1e-5)
        with pytest.raises(ArgumentError, match="evaluate needs y"):
            model.evaluate(X)
        with pytest.raises(DataError, match=r"X has rows of shape \(3,\)"):
            model.predict(X[:, :3])


def test_several_inputs_are_predicted_from_arrays(tmp_path: Path) -> None:
    bare(tmp_path).fit(data=of_several_inputs, model_config={})
    model = Bare.load(tmp_path, "m", 0)
    x, y = several()
    predicted = model.predict(x)
    assert {name: part.shape for name, part in predicted.items()} == {"price": (120, 1), "kind": (120, 1)}
    of_dataset = model.predict(of_several_inputs(CONFIG)[1])
    np.testing.assert_allclose(of_dataset["kind"], predicted["kind"][96:], rtol=1e-5)
    assert model.evaluate(x, y)["loss"] > 0
    with pytest.raises(DataError, match=r'X\["city"\] is missing'):
        model.predict({name: x[name] for name in ("sensor", "image")})


def test_a_dataset_for_a_scaled_model_is_refused(tmp_path: Path) -> None:
    model = bare(tmp_path, scaler="standard")
    model.fit(X, y_train=Y, model_config={"epochs": 1})
    for method in (model.predict, model.evaluate):
        with pytest.raises(DataTypeError, match="is given a dataset, and the model was trained on arrays, which are"):
            method(augmented(CONFIG)[1])


def test_rows_of_any_length_are_published(tmp_path: Path) -> None:
    def sequences(config: Config) -> Any:
        import tensorflow as tf

        def generator() -> Any:
            for length in range(2, 34):
                yield np.arange(length) % 7, [length % 2]

        spec = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([1], tf.float32))
        dataset = tf.data.Dataset.from_generator(generator, output_signature=spec).padded_batch(8)
        return dataset, dataset

    def of_tokens(config: Config, input_shape: Any) -> Any:
        import keras

        assert input_shape == (None,)
        layers = [keras.layers.Embedding(7, 2, mask_zero=True), keras.layers.GlobalAveragePooling1D()]
        model = keras.Sequential([keras.Input(input_shape, dtype="int32"), *layers, keras.layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    GridSearchModel(tmp_path, "m", 0, build_model=of_tokens).fit(data=sequences, model_config=CONFIG)
    model = GridSearchModel.load(tmp_path, "m", 0)
    assert model.predict(np.ones((2, 5), int)).shape == model.predict(np.ones((2, 9), int)).shape == (2, 1)


def test_the_winner_is_confirmed_with_other_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from raygrid.search import confirmation
    from raygrid.search.winner import train_here

    monkeypatch.setattr("raygrid.model.grid_search_model.search_grid", train_config)
    monkeypatch.setattr(confirmation, "train_on_ray", lambda *search, meanwhile: train_here(*search))
    model = OfDatasets(tmp_path, "m", 0)
    plan = model.plan(param_grid={"units": [2, 3]})
    assert (len(plan.plan.points), plan.loads) == (2, False)
    assert not list(tmp_path.iterdir())
    model.fit(param_grid={"units": [2, 3]})
    found = model.confirm(seeds=2)
    assert len(found.seeds) == 2
    assert all(np.isfinite(contender.mean) for contender in found.contenders)


# In workers


@pytest.mark.ray
def test_workers_train_as_this_process_does(ray_session: None, tmp_path: Path) -> None:
    grid = {"noise": [0.0, 0.5], "epochs": [2]}
    # A method is searched over in tests/cli/test_own_datasets.py.
    cases: dict[str, dict[str, Any]] = {"function": {"data": lambda config: by_number(config)}}
    for name, given in cases.items():
        searched = OfDatasets(tmp_path, name, 0)
        searched.fit(param_grid=grid, **given)
        rows = searched.results.to_pylist()
        assert len(rows) == 2
        for row in rows:
            alone = OfDatasets(tmp_path, f"{name}{row['point']}", 0)
            alone.fit(model_config={"noise": row["config.noise"], "epochs": 2}, **given)
            assert alone.best_metrics is not None
            assert alone.best_metrics["val_loss"] == row["val_loss"]


_SEARCH = """
    import os
    from pathlib import Path
    from dataset_models import killing_search

    if __name__ == "__main__":
        Path({folder!r}, "driver").write_text(str(os.getpid()))
        killing_search({folder!r})
"""


@pytest.mark.long
@pytest.mark.ray
def test_a_search_killed_in_the_middle_of_a_point_trains_only_what_is_missing(
    ray_session: None, tmp_path: Path, recorded: list[str]
) -> None:
    with started(_SEARCH.format(folder=str(tmp_path)), tmp_path) as child:
        assert child.process.wait(120) == -9, child.text()
    per_point = CONFIG["epochs"] * ROWS // CONFIG["batch_size"]
    assert batches(tmp_path).count(4) == per_point
    assert batches(tmp_path).count(5) > 0
    (tmp_path / "batches").unlink()
    model = killing_search(tmp_path)
    assert batches(tmp_path) == [5] * per_point
    assert len(recorded) == 1
    assert [row["status"] for row in model.results.to_pylist()] == ["done", "done"]
