"""Weights of classes: as ``model.fit`` takes them, for every model, also as a hyperparameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raygrid import GridSearchModel, MLPClassifier, MLPRegressor
from raygrid.errors import ArgumentError, StaleCacheError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
Y = (X[:, 0] > 0.8).astype(np.int64)
CONFIG: dict[str, Any] = {"units": 4, "positive": 1.0, "epochs": 3, "batch_size": 32}
SEED = 3


class Classifier(GridSearchModel):
    DEFAULT_CONFIG = CONFIG

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        layers = [keras.Input(input_shape), keras.layers.Dense(config["units"], "relu")]
        model = keras.Sequential([*layers, keras.layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model


def by_positive(config: dict[str, Any]) -> dict[int, float]:
    return {1: config["positive"]}


def plain_fit(class_weight: dict[int, float]) -> list[float]:
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    model = Classifier("models").build_model(CONFIG, (3,))
    history = model.fit(
        X[:96],
        Y[:96],
        validation_data=(X[96:], Y[96:]),
        class_weight=class_weight,
        batch_size=32,
        epochs=3,
        shuffle=False,
        verbose=0,
    )
    return list(history.history["val_loss"])


def trained(folder: Path, config: dict[str, Any] | None = None, **given: Any) -> list[Any]:
    model = Classifier(folder, "m", 0, seed=SEED, shuffle=False)
    model.fit((X[:96], Y[:96]), (X[96:], Y[96:]), model_config=config or {}, **given)
    return model.history["val_loss"]


def test_they_count_as_in_keras_however_they_are_given(tmp_path: Path) -> None:
    expected = plain_fit({0: 1.0, 1: 5.0})
    assert expected != plain_fit({0: 1.0})
    np.testing.assert_allclose(trained(tmp_path / "a", class_weight={0: 1, np.int64(1): 5}), expected, rtol=1e-6)
    found = trained(tmp_path / "b", {"positive": 5.0}, class_weight=by_positive)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    share = len(Y[:96]) / (2 * np.bincount(Y[:96]))
    balanced = plain_fit(dict(enumerate(share)))
    np.testing.assert_allclose(trained(tmp_path / "c", class_weight="balanced"), balanced, rtol=1e-6)


def test_of_datasets_they_are_those_of_model_fit(tmp_path: Path) -> None:
    def datasets(config: dict[str, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        return tuple(tf.data.Dataset.from_tensor_slices((X[r], Y[r])).batch(32) for r in (slice(96), slice(96, 120)))

    def loss(given: Any, config: dict[str, Any]) -> list[Any]:
        model = Classifier(tmp_path / str(len(list(tmp_path.iterdir()))), "m", 0, seed=SEED)
        model.fit(data=datasets, class_weight=given, model_config=config)
        return model.history["val_loss"]

    expected = plain_fit({1: 5.0})
    np.testing.assert_allclose(loss({1: 5.0}, {}), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(by_positive, {"positive": 5.0}), expected, rtol=1e-6)
    with pytest.raises(ArgumentError, match="how often each class comes in a dataset is not known"):
        loss("balanced", {})


def test_two_weights_on_the_same_arrays_do_not_touch_each_other_and_share_the_inputs() -> None:
    from raygrid.data.training_arrays import TrainingArrays, TrainSettings
    from raygrid.training.batches import train_items, with_class_weights

    arrays = TrainingArrays(X, Y.astype(np.int32), X, Y.astype(np.int32))
    light, heavy, again = (with_class_weights(arrays, {1: weight}) for weight in (1.0, 5.0, 1.0))
    assert again is light is not heavy
    batches = [train_items(each, {}, TrainSettings()).gather(np.arange(120)) for each in (light, heavy)]
    assert [float(weights.numpy().max()) for _, _, weights in batches] == [1.0, 5.0]
    assert light.x_train is heavy.x_train is X


def test_they_multiply_the_weights_of_rows(tmp_path: Path) -> None:
    weights = np.where(Y[:96] == 1, 5.0, 1.0) * np.linspace(0.5, 2, 96)
    one = trained(tmp_path / "a", sample_weight=weights)
    other = trained(tmp_path / "b", sample_weight=np.linspace(0.5, 2, 96), class_weight={1: 5.0})
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("changed", [{1: 6.0}, None, by_positive])
def test_other_weights_are_other_data_or_code(changed: Any, tmp_path: Path) -> None:
    trained(tmp_path, class_weight={1: 5.0})
    with pytest.raises(StaleCacheError, match="data w_train: was" if changed != by_positive else "code: was"):
        trained(tmp_path, class_weight=changed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": 1.0}, r"class_weight\['a'\] is 1.0"),
        ({1: -1.0}, r"class_weight\[1\] is -1.0"),
        ({}, r"class_weight is \{\}"),
        ("heavy", "class_weight is 'heavy'"),
        ({0: 0, 1: 0}, "holds only zeros as weights"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(given: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        trained(tmp_path, class_weight=given)
    assert not list(tmp_path.iterdir())


def test_without_one_output_of_labels_they_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="the model has no targets"):
        Classifier(tmp_path).fit(X, model_config={}, class_weight={1: 2.0})
    with pytest.raises(ArgumentError, match="the model has several outputs"):
        Classifier(tmp_path).fit(X, y_train={"a": Y, "b": Y}, model_config={}, class_weight={1: 2.0})
    with pytest.raises(ArgumentError, match="each row has several targets"):
        MLPRegressor(tmp_path).fit(X, y_train=np.zeros((120, 2, 3)), model_config={}, class_weight={1: 2.0})


@pytest.mark.parametrize("given", [{1: 5.0, 2: 1.0}, "balanced", by_positive])
def test_a_model_with_such_a_setting_by_labels_takes_it_there_alone(given: Any, tmp_path: Path) -> None:
    for method in ("fit", "plan", "confirm"):
        call = getattr(MLPClassifier(tmp_path), method)
        with pytest.raises(ArgumentError, match=r"class_weight is a setting of MLPClassifier, by labels"):
            call(X, y_train=Y + 1, class_weight=given)
    assert not list(tmp_path.iterdir())


def test_what_a_function_gives_wrong_fails_its_point(tmp_path: Path) -> None:
    from raygrid.errors import AllTrialsFailedError

    with pytest.raises(AllTrialsFailedError, match="what the class_weight function gave is 'heavy'"):
        trained(tmp_path, class_weight=lambda config: "heavy")
