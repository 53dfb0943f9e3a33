"""Images: uint8 from the file to the model, which scales them itself. Run it again: it loads in seconds."""

import numpy as np

from raygrid import GridSearchModel


def data() -> tuple[np.ndarray, np.ndarray]:
    """600 images of a bar that stands or lies, in noise."""
    rng = np.random.default_rng(0)
    images, lies = rng.integers(0, 80, (600, 16, 16, 1), dtype=np.uint8), rng.integers(0, 2, 600)
    for image, lying, at in zip(images, lies, rng.integers(2, 14, 600), strict=True):
        (image if lying else image.transpose(1, 0, 2))[at, 3:13] += 120
    return images, lies


class BarClassifier(GridSearchModel):
    DEFAULT_CONFIG = {"filters": 4, "learning_rate": 1e-2, "batch_size": 50, "epochs": 4}

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        stack = [keras.Input(input_shape), layers.Rescaling(1 / 255), layers.Conv2D(config["filters"], 3)]
        model = keras.Sequential([*stack, layers.GlobalMaxPooling2D(), layers.Dense(2, "softmax")])
        optimizer = keras.optimizers.Adam(config["learning_rate"])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


if __name__ == "__main__":
    model = BarClassifier("models", "images")
    model.fit(data(), param_grid={"filters": [4, 8], "learning_rate": [1e-2, 3e-2]})
    model.summary()
