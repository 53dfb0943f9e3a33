"""Texts: the layer that splits them into words learns its vocabulary from the training data, in every worker."""

import numpy as np

from raygrid import GridSearchModel


def data():
    """800 short reviews, and whether they praise (1) or not (0)."""
    rng = np.random.default_rng(0)
    words, verdicts = ["the", "film", "was", "a", "plot", "and", "music"], [["dull", "poor"], ["great", "lovely"]]
    praise = rng.integers(0, 2, 800)
    reviews = [rng.permutation([*rng.choice(words, 5), rng.choice(verdicts[kind])]) for kind in praise]
    return np.array([" ".join(review) for review in reviews]), praise


class ReviewClassifier(GridSearchModel):
    DEFAULT_CONFIG = {"words": 20, "width": 4, "batch_size": 50, "epochs": 5}

    def build_model(self, config, input_shape, X_train=None):
        import keras
        from keras import layers

        words = layers.TextVectorization(max_tokens=config["words"], output_sequence_length=8)
        if X_train is not None:  # None where only a saved model is loaded
            words.adapt(X_train)
        text = keras.Input(input_shape, dtype="string")
        x = layers.Embedding(config["words"], config["width"])(words(text))
        x = layers.GlobalAveragePooling1D()(x)
        model = keras.Model(text, layers.Dense(1, "sigmoid")(x))
        model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
        return model


if __name__ == "__main__":
    model = ReviewClassifier("models", "text")
    model.fit(data(), param_grid={"words": [5, 20], "width": [2, 4]})
    for text in ("a lovely film", "the plot was dull"):
        print(f"{text}: {model.predict([text])[0, 0]:.1f}")
