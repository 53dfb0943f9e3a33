"""Layers that must see the data before training: in the worker, where the winner is rebuilt, and in its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structured_models import texts

from raygrid import GridSearchModel
from raygrid.errors import StaleCacheError

RNG = np.random.default_rng(0)
X = RNG.normal(50, 9, (120, 3)).astype(np.float32)
Y = X[:, :1] * 2
CONFIG: dict[str, Any] = {"words": 5, "units": 3, "epochs": 3, "batch_size": 32}
SEED = 4


class Adapted(GridSearchModel):
    DEFAULT_CONFIG = CONFIG


def normalised(config: dict[str, Any], input_shape: tuple[int, ...], X_train: Any = None) -> Any:
    import keras

    scale = keras.layers.Normalization()
    if X_train is not None:
        assert isinstance(X_train, np.ndarray)
        scale.adapt(X_train)
    inputs = keras.Input(input_shape)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(config["units"], "relu")(scale(inputs))))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


def with_words(config: dict[str, Any], input_shape: tuple[int, ...], X_train: Any = None) -> Any:
    import keras

    words = keras.layers.TextVectorization(max_tokens=config["words"], output_mode="multi_hot", pad_to_max_tokens=True)
    if X_train is not None:
        assert X_train.dtype == object
        # Which words are kept is in no config of a layer.
        words.adapt(X_train[: config["words"] * 5])
    inputs = keras.Input(input_shape, dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(words(inputs)))
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return model


def plain_fit(builder: Any, config: dict[str, Any], x: Any, y: Any) -> list[float]:
    import keras
    import tensorflow as tf

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    model = builder(config, x.shape[1:], X_train=x[:96])
    fed = tf.constant(x.tolist()) if x.dtype == object else x
    history = model.fit(
        fed[:96],
        y[:96],
        validation_data=(fed[96:], y[96:]),
        batch_size=32,
        epochs=config["epochs"],
        shuffle=False,
        verbose=0,
    )
    return list(history.history["val_loss"])


def searched(folder: Path, builder: Any) -> GridSearchModel:
    return Adapted(folder, "m", 0, build_model=builder, seed=SEED, shuffle=False)


def data_of(builder: Any) -> tuple[Any, Any]:
    if builder is normalised:
        return X, Y
    words, labels = texts()
    return words.astype(object), labels


@pytest.mark.parametrize("builder", [normalised, with_words])
def test_it_trains_as_in_keras_and_what_it_learned_is_in_the_file(builder: Any, tmp_path: Path) -> None:
    import keras

    x, y = data_of(builder)
    model = searched(tmp_path, builder)
    model.fit((x[:96], y[:96]), (x[96:], y[96:]), model_config={})
    np.testing.assert_allclose(model.history["val_loss"], plain_fit(builder, CONFIG, x, y), rtol=1e-6)
    # Without the builder and without the data: Keras alone has all of it.
    loaded = Adapted.load(tmp_path, "m", 0)
    np.testing.assert_allclose(loaded.predict(x[:9]), model.predict(x[:9]), rtol=1e-6)
    layer = next(each for each in loaded.best_model.layers if hasattr(each, "adapt"))
    if isinstance(layer, keras.layers.Normalization):
        np.testing.assert_allclose(np.ravel(layer.mean), X[:96].mean(axis=0), rtol=1e-5)
    else:
        assert len(layer.get_vocabulary()) == CONFIG["words"]


def test_one_worker_tells_layers_apart_that_saw_other_data(tmp_path: Path) -> None:
    from one_training import train_point

    from raygrid.data.training_arrays import TrainingArrays, TrainSettings
    from raygrid.grid.plan import Point
    from raygrid.training.traced_programs import TracedPrograms

    # Equal in all configs of their layers: which numbers are known is in a table of the layer alone.
    x = np.random.default_rng(0).integers(0, 9, (120, 1)).astype(np.int32)
    y = (x[:, 0] > 4).astype(np.int32)

    def of_some_rows(config: dict[str, Any], input_shape: tuple[int, ...], X_train: Any = None) -> Any:
        import keras

        lookup = keras.layers.IntegerLookup(max_tokens=5, output_mode="multi_hot")
        lookup.adapt(np.sort(X_train, axis=0)[config["units"] : config["units"] + 40])
        inputs = keras.Input(input_shape, dtype="int32")
        model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(lookup(inputs)))
        model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
        return model

    arrays = TrainingArrays(x[:96], y[:96], x[96:], y[96:])
    points = [Point(i, {**CONFIG, "units": units, "patience": None}, SEED, str(i)) for i, units in enumerate((0, 50))]
    alone = [train_point(of_some_rows, p, "c", arrays, TrainSettings(shuffle=False), device="CPU") for p in points]
    programs = TracedPrograms()
    together = [
        train_point(of_some_rows, p, "c", arrays, TrainSettings(shuffle=False), device="CPU", programs=programs)
        for p in points
    ]
    for one, other in zip(alone, together, strict=True):
        assert one.record.history == other.record.history
    assert alone[0].record.history != alone[1].record.history


def test_texts_in_files_are_given_as_well(tmp_path: Path) -> None:
    from raygrid import Resources

    x, y = data_of(with_words)
    in_memory, in_files = searched(tmp_path / "a", with_words), searched(tmp_path / "b", with_words)
    in_files.resources = Resources(memory_gb=1e-6)
    for model in (in_memory, in_files):
        model.fit((x, y), model_config={})
    np.testing.assert_allclose(in_files.history["val_loss"], in_memory.history["val_loss"], rtol=1e-6)


def test_other_data_is_stale(tmp_path: Path) -> None:
    x, y = data_of(with_words)
    searched(tmp_path, with_words).fit((x, y), model_config={"epochs": 1})
    changed = x.copy()
    changed[5] += " plot"
    with pytest.raises(StaleCacheError, match="data x_train: was"):
        searched(tmp_path, with_words).fit((changed, y))
