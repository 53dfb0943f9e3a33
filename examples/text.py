"""Text: the layer that splits it into words learns its vocabulary from the training data, in every worker."""

import numpy as np

from raygrid import GridSearchModel


def data() -> tuple[np.ndarray, np.ndarray]:
    """800 short reviews, and whether they praise."""
    rng = np.random.default_rng(0)
    good, bad, other = ["great", "lovely"], ["dull", "poor"], ["the", "film", "was", "a", "plot", "and", "music"]
    praise = rng.integers(0, 2, 800)
    return np.array(
        [" ".join(rng.permutation([*rng.choice(other, 5), rng.choice(good if p else bad)])) for p in praise]
    ), praise


class ReviewClassifier(GridSearchModel):
    DEFAULT_CONFIG = {"words": 20, "width": 4, "batch_size": 50, "epochs": 5}

    def build_model(self, config, input_shape, X_train=None):
        import keras
        from keras import layers

        words = layers.TextVectorization(max_tokens=config["words"], output_sequence_length=8)
        if X_train is not None:
            words.adapt(X_train)
        text = keras.Input(input_shape, dtype="string")
        x = layers.GlobalAveragePooling1D()(layers.Embedding(config["words"], config["width"])(words(text)))
        model = keras.Model(text, layers.Dense(1, "sigmoid")(x))
        model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
        return model


if __name__ == "__main__":
    model = ReviewClassifier("models", "text")
    model.fit(data(), param_grid={"words": [5, 20], "width": [2, 4]})
    print(model.predict(np.array(["a lovely film", "the plot was dull"])).round(1).tolist())
