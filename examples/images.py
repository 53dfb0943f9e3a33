"""Images: they stay uint8 on their way to the model, which scales them itself."""

import numpy as np

from raygrid import GridSearchModel


def data():
    """600 images of a bar in noise, and whether it lies (1) or stands (0)."""
    rng = np.random.default_rng(0)
    images, lies = rng.integers(0, 80, (600, 16, 16, 1), dtype=np.uint8), rng.integers(0, 2, 600)
    for image, lying, at in zip(images, lies, rng.integers(2, 14, 600), strict=True):
        (image if lying else image.swapaxes(0, 1))[at, 3:13] += 120
    return images, lies


class BarClassifier(GridSearchModel):
    DEFAULT_CONFIG = {"filters": 4, "learning_rate": 0.01, "batch_size": 50, "epochs": 4}

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        scaled = [keras.Input(input_shape), layers.Rescaling(1 / 255)]
        bars = [layers.Conv2D(config["filters"], 3, activation="relu"), layers.GlobalMaxPooling2D()]
        model = keras.Sequential([*scaled, *bars, layers.Dense(2, "softmax")])
        optimizer = keras.optimizers.Adam(config["learning_rate"])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


if __name__ == "__main__":
    model = BarClassifier("models", "images")
    model.fit(data(), param_grid={"filters": [4, 8], "learning_rate": [0.01, 0.03]})
    print(f"{model.best_config['filters']} filters, {model.best_metrics['val_accuracy']:.0%} right")
