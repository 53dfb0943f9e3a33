"""Transfer learning: a frozen part that was trained before, a new head, and a learning rate that falls by itself."""

from pathlib import Path

import numpy as np

from raygrid import GridSearchModel


def images(lies, stands, seed):
    """Images of noise, each with a bar that lies, one that stands, or both, by truth values."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 80, (len(lies), 16, 16, 1), dtype=np.uint8)
    for image, lying, standing, at in zip(images, lies, stands, rng.integers(3, 13, len(lies)), strict=True):
        image[at, 3:13] += np.uint8(80 * lying)
        image[3:13, at] += np.uint8(80 * standing)
    return images


def data():
    """150 images of crosses (1) and of single bars (0)."""
    kind = np.arange(150) % 4
    return images(kind != 0, kind != 1, seed=1), (kind > 1).astype(int)


def new_encoder(input_shape):
    import keras
    from keras import layers

    filters = layers.Conv2D(8, 3, activation="relu")
    return keras.Sequential([keras.Input(input_shape), layers.Rescaling(1 / 255), filters, layers.GlobalMaxPooling2D()])


def train_encoder(path):
    """Trains it to tell lying bars from standing ones, and saves its weights."""
    import keras

    keras.utils.set_random_seed(0)
    lies = np.arange(2000) % 2
    encoder = new_encoder((16, 16, 1))
    model = keras.Sequential([encoder, keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(images(lies, 1 - lies, seed=0), lies, epochs=3, verbose=0)
    encoder.save_weights(path)


class Crosses(GridSearchModel):
    DEFAULT_CONFIG = {"dropout": 0.0, "learning_rate": 1.0, "batch_size": 10, "epochs": 10}
    depends_on = ["encoder.weights.h5"]

    def build_model(self, config, input_shape):
        import keras

        encoder = new_encoder(input_shape)
        encoder.load_weights(self.depends_on[0])
        encoder.trainable = False
        head = [keras.layers.Dropout(config["dropout"]), keras.layers.Dense(1, "sigmoid")]
        model = keras.Sequential([keras.Input(input_shape), encoder, *head])
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "binary_crossentropy", metrics=["accuracy"])
        return model

    def callbacks(self, config):
        import keras

        return [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)]


if __name__ == "__main__":
    if not Path("encoder.weights.h5").exists():
        train_encoder("encoder.weights.h5")
    model = Crosses("models", "crosses")
    model.fit(data(), param_grid={"dropout": [0.0, 0.2], "learning_rate": [1.0, 3.0]})
    rates = model.history["learning_rate"]
    print(
        f"{model.best_metrics['val_accuracy']:.0%} right; the learning rate fell from {rates[0]:.2g} to {rates[-1]:.2g}"
    )
