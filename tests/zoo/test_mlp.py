"""The supervised models: labels and targets in, labels and targets out, and what is refused before training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import WIDTH, small_rows

from raygrid import MLPClassifier, MLPRegressor
from raygrid.errors import ArgumentError, CorruptArtifactError, DataError, DataTypeError, StaleCacheError
from raygrid.zoo.regression_scores import regression_scores

X, X_VAL = small_rows(), small_rows(60, seed=1)
CONFIG = {"hidden_layers": (8,), "epochs": 6, "batch_size": 16, "learning_rate": 0.02}


def kind_of(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A label of three that follows from the first feature."""
    return np.array(["low", "normal", "high"])[np.digitize(x[:, 0], [-0.5, 0.5])]


def two_targets(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of very different size."""
    return np.column_stack([1000 + 100 * x[:, 0], 0.01 * x[:, 1]]).astype(np.float32)


Y, Y_VAL = kind_of(X), kind_of(X_VAL)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> MLPClassifier:
    model = MLPClassifier(tmp_path_factory.mktemp("classifier"), "small", 0)
    model.fit(X, X_VAL, y_train=Y, y_val=Y_VAL, model_config=CONFIG)
    return model


@pytest.fixture(scope="module")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> MLPRegressor:
    model = MLPRegressor(tmp_path_factory.mktemp("regressor"), "small", 0)
    model.fit(X, X_VAL, y_train=two_targets(X), y_val=two_targets(X_VAL), model_config=CONFIG)
    return model


def test_a_classifier_gives_back_labels_as_it_got_them(classifier: MLPClassifier) -> None:
    assert classifier.classes.tolist() == ["high", "low", "normal"]
    found = classifier.predict(X_VAL)
    assert set(found.tolist()) <= {"high", "low", "normal"}
    assert np.mean(found == Y_VAL) > 0.8


def test_probabilities_are_a_row_of_classes_each(classifier: MLPClassifier) -> None:
    probabilities = classifier.predict_proba(X_VAL)
    assert probabilities.shape == (len(X_VAL), 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (classifier.classes[probabilities.argmax(axis=1)] == classifier.predict(X_VAL)).all()


def test_evaluate_takes_labels_and_measures_what_training_measured(classifier: MLPClassifier) -> None:
    measured = classifier.evaluate(X_VAL, Y_VAL)
    assert classifier.best_metrics is not None
    assert measured["accuracy"] == pytest.approx(np.mean(classifier.predict(X_VAL) == Y_VAL))
    assert measured["loss"] == pytest.approx(classifier.best_metrics["val_loss"], rel=1e-5)
    with pytest.raises(ArgumentError, match="needs y"):
        classifier.evaluate(X_VAL)
    with pytest.raises(DataError, match="y has labels that the training data has not: 'odd'"):
        classifier.evaluate(X_VAL[:1], ["odd"])


def test_the_score_of_a_classifier_is_its_accuracy(classifier: MLPClassifier) -> None:
    assert classifier.score(X_VAL, Y_VAL) == (classifier.predict(X_VAL) == Y_VAL).mean()


def test_recall_is_the_part_of_each_class_that_is_recognised(classifier: MLPClassifier) -> None:
    right = classifier.predict(X_VAL) == Y_VAL
    assert classifier.recall(X_VAL, Y_VAL) == {label: right[label == Y_VAL].mean() for label in sorted({*Y_VAL})}
    assert list(classifier.recall(X_VAL[:1], Y_VAL[:1])) == [Y_VAL[0]]
    with pytest.raises(DataError, match="y holds 1 label and X 60 rows"):
        classifier.recall(X_VAL, Y_VAL[:1])


@pytest.mark.usefixtures("no_training")
def test_a_published_classifier_is_loaded_with_its_classes(classifier: MLPClassifier) -> None:
    assert json.loads((classifier.model_dir / "small_classes.json").read_text()) == {
        "format": 1,
        "classes": ["high", "low", "normal"],
    }
    again = MLPClassifier(classifier.model_dir, "small", 0)
    again.fit(X, X_VAL, y_train=Y.tolist(), y_val=Y_VAL.astype(object), model_config=CONFIG)
    for model in (MLPClassifier.load(classifier.model_dir, "small", 0), again):
        assert (model.predict(X_VAL) == classifier.predict(X_VAL)).all()
        assert (model.predict_proba(X_VAL) == classifier.predict_proba(X_VAL)).all()


def test_renamed_classes_make_the_saved_model_stale_and_leave_the_loaded_one_alone(classifier: MLPClassifier) -> None:
    model = MLPClassifier.load(classifier.model_dir, "small", 0)
    renamed = {"low": "a low one", "normal": "a normal one", "high": "a high one"}
    with pytest.raises(StaleCacheError, match=r"data classes: was \(3,\)") as caught:
        model.fit(X, X_VAL, y_train=[renamed[y] for y in Y], y_val=[renamed[y] for y in Y_VAL], model_config=CONFIG)
    assert "code" not in str(caught.value).partition("To train anew")[0]
    assert "y_train" not in str(caught.value)
    assert (model.predict(X_VAL) == classifier.predict(X_VAL)).all()


def test_where_keras_cannot_load_the_file_the_models_are_built_anew(
    classifier: MLPClassifier, regressor: MLPRegressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def refuse(*args: Any, **settings: Any) -> None:
        raise ValueError("unknown layer")

    monkeypatch.setattr(keras.saving, "load_model", refuse)
    for model in (classifier, regressor):
        loaded = type(model).load(model.model_dir, "small", 0)
        assert (loaded.predict(X_VAL) == model.predict(X_VAL)).all()


def test_whole_numbers_and_class_weights_with_an_unsplit_training_set(tmp_path: Path) -> None:
    codes = np.where(X[:, 0] > 1, 70, 50)
    config = {**CONFIG, "epochs": 2}
    model = MLPClassifier(tmp_path, "weighted", 0, class_weight={70: 1000.0, 50: 0.001})
    model.fit(X, y_train=codes, model_config=config)
    assert set(model.predict(X_VAL).tolist()) == {50, 70}
    assert model.predict(X_VAL).dtype.kind == "i"

    rows = int(len(X) * 0.8)
    weights = np.where(codes[:rows] == 70, 1000.0, 0.001)
    by_hand = MLPClassifier(tmp_path, "by_hand", 0)
    by_hand.fit(
        X[:rows],
        X[rows:],
        y_train=codes[:rows],
        y_val=codes[rows:],
        sample_weight=weights,
        model_config=config,
    )
    assert by_hand.history == model.history
    with pytest.raises(StaleCacheError, match="data w_train"):
        MLPClassifier(tmp_path, "weighted", 0, class_weight={70: 5}).fit(X, y_train=codes, model_config=config)


def test_class_weights_multiply_sample_weights(tmp_path: Path) -> None:
    given = np.linspace(1, 2, len(X))
    model = MLPClassifier(tmp_path, class_weight={"low": 3})
    run = model.plan(X, X_VAL, model_config=CONFIG, y_train=Y, y_val=Y_VAL, sample_weight=given).run
    assert run.data.w_train is not None
    np.testing.assert_allclose(run.data.w_train, given * np.where(Y == "low", 3, 1), rtol=1e-6)
    assert run.data.w_val is None


Fit = Callable[[MLPClassifier], object]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("class_weight", "fit", "error", "message"),
    [
        (None, lambda m: m.fit(X, X_VAL), ArgumentError, "Pass them as y_train"),
        (None, lambda m: m.fit(X, X_VAL, y_train=Y), ArgumentError, "not y_val"),
        (None, lambda m: m.fit(X, X_VAL, y_val=Y_VAL), ArgumentError, "y_val is given without y_train"),
        (None, lambda m: m.fit(X, y_train=Y[:-1]), DataError, "y_train has 199 rows"),
        (None, lambda m: m.fit(X, y_train=[*Y[:-1], None]), DataError, "y_train has 1 missing label. Drop"),
        (None, lambda m: m.fit(X, y_train=X[:, 0]), DataTypeError, "labels of type float"),
        (
            None,
            lambda m: m.fit(X, X_VAL, y_train=Y, y_val=np.where(Y_VAL == "low", "odd", Y_VAL)),
            DataError,
            r"y_val has labels that the training data has not: 'odd'.*Leave these rows out",
        ),
        (
            None,
            lambda m: m.fit(X, y_train=["a", "b"] * 80 + ["c"] * 40),
            DataError,
            "the validation part, the last rows of y_train, has labels that the training part has not: 'c'. Pass "
            "shuffle_split=True",
        ),
        (None, lambda m: m.fit(X, y_train=["a"] * 200), DataError, "one class only, 'a'.*two classes or more"),
        (
            {"odd": 2},
            lambda m: m.fit(X, y_train=Y),
            ArgumentError,
            "class_weight has labels that y_train has not: 'odd'",
        ),
        (
            dict.fromkeys(["low", "normal", "high"], 0),
            lambda m: m.fit(X, y_train=Y),
            DataError,
            "holds only zeros as weights",
        ),
    ],
)
def test_what_cannot_be_classified_is_refused_before_training(
    tmp_path: Path, class_weight: Any, fit: Fit, error: type[Exception], message: str
) -> None:
    model = MLPClassifier(tmp_path / "models", "small", 0, class_weight=class_weight)
    with pytest.raises(error, match=message):
        fit(model)
    assert not (tmp_path / "models").exists()


def test_classes_are_not_scaled() -> None:
    with pytest.raises(ArgumentError, match="target_scaler='standard' cannot scale classes"):
        MLPClassifier(target_scaler="standard")


def test_a_model_without_classes_says_what_to_do(classifier: MLPClassifier, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier.model_dir, tmp_path / "models"))
    shutil.rmtree(folder / "small_runs")
    for name in ("small_manifest.json", "small_classes.json"):
        (folder / name).unlink()
    with pytest.raises(CorruptArtifactError, match=r"small_classes\.json.*reset_experiment=True"):
        MLPClassifier.load(folder, "small", 0).predict(X_VAL)


def test_a_regressor_predicts_several_targets_in_their_own_units(regressor: MLPRegressor) -> None:
    y = two_targets(X_VAL)
    predicted = regressor.predict(X_VAL)
    assert predicted.shape == (len(X_VAL), 2)
    assert predicted.dtype == np.float32
    assert regressor.metrics(X_VAL, y) == regression_scores(y, predicted)
    assert regressor.score(X_VAL, y) == regressor.metrics(X_VAL, y)["r2"] > 0.7
    assert (MLPRegressor.load(regressor.model_dir, "small", 0).predict(X_VAL) == predicted).all()


def test_evaluate_of_a_regressor_is_in_scaled_units(regressor: MLPRegressor) -> None:
    y, spread = two_targets(X_VAL), two_targets(X).std(axis=0, dtype=float)
    measured = regressor.evaluate(X_VAL, y)
    error = (regressor.predict(X_VAL) - y) / spread
    assert measured["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-3)
    weights = np.linspace(0, 2, len(X_VAL))
    weighted = regressor.evaluate(X_VAL, y, sample_weight=weights)
    squares = (error**2).mean(axis=1)
    # As Keras weighs: the sum over rows by their number.
    assert weighted["loss"] == pytest.approx((weights * squares).mean(), rel=1e-3)
    assert weighted["loss"] != pytest.approx(measured["loss"], rel=1e-3)
    for wrong in (weights[:-1], -weights):
        with pytest.raises(DataError, match="sample_weight"):
            regressor.evaluate(X_VAL, y, sample_weight=wrong)
    assert measured["loss"] == pytest.approx((error**2).mean(), rel=1e-3)
    assert regressor.best_metrics is not None
    assert measured["loss"] == pytest.approx(regressor.best_metrics["val_loss"], rel=1e-5)


def test_one_target_comes_back_in_the_shape_that_it_had(tmp_path: Path) -> None:
    y, y_val = two_targets(X)[:, 0], two_targets(X_VAL)[:, 0]
    model = MLPRegressor(tmp_path, "flat", 0)
    model.fit(X, X_VAL, y_train=y, y_val=y_val, model_config={**CONFIG, "dropout": 0.1})
    assert model.predict(X_VAL).shape == (len(X_VAL),)
    error = (model.predict(X_VAL) - y_val) / y.std(dtype=float)
    assert model.evaluate(X_VAL, y_val)["loss"] == pytest.approx((error**2).mean(), rel=1e-3)
    assert model.metrics(X_VAL, y_val)["rmse"] == pytest.approx(
        np.sqrt((error**2).mean()) * y.std(dtype=float), rel=1e-3
    )
    with pytest.raises(DataError, match="y has shape"):
        model.metrics(X_VAL, two_targets(X_VAL))


@pytest.mark.usefixtures("no_training")
def test_targets_that_cannot_be_predicted_are_refused_before_training(tmp_path: Path) -> None:
    model = MLPRegressor(tmp_path / "models", "small", 0)
    for y, error, message in (
        (None, ArgumentError, "Pass them as y_train"),
        (Y, DataTypeError, "not numeric"),
        (np.zeros((len(X), 2, 2)), DataError, r"shape \(rows,\) or \(rows, targets\)"),
    ):
        with pytest.raises(error, match=message):
            model.fit(X, y_train=y)
    assert not (tmp_path / "models").exists()


def test_rows_of_several_axes_are_flattened(tmp_path: Path) -> None:
    model = MLPClassifier(tmp_path)
    run = model.plan(X.reshape(-1, 2, WIDTH // 2), y_train=Y, model_config=CONFIG).run
    assert model.build_model(next(run.request.configs()), (2, WIDTH // 2)).output_shape == (None, 3)


def test_scores_of_several_targets_are_the_means_of_each_ones_own() -> None:
    y = np.array([[1.0, 0.0], [3.0, 0.0]])
    predicted = np.array([[2.0, 0.0], [2.0, 0.0]])
    assert regression_scores(y, predicted) == {"mae": 0.5, "rmse": 0.5, "r2": 0.5}
    assert regression_scores(y, y) == {"mae": 0.0, "rmse": 0.0, "r2": 1.0}
    assert regression_scores(np.ones(2), np.array([1.0, 2.0]))["r2"] == 0.0
    with pytest.raises(DataError, match=r"y has shape \(2, 2\) and the predictions \(2,\)"):
        regression_scores(y, y[:, 0])
