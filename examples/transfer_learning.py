"""Transfer learning: a frozen part that was trained before, a new head, and a learning rate that falls by itself."""

from pathlib import Path

import keras
import numpy as np

from raygrid import GridSearchModel

BASE = Path("models", "base.weights.h5")


def data() -> tuple[np.ndarray, np.ndarray]:
    """300 images of 32 x 32, and whether they are brighter on the left."""
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    images[::2, :, :16] //= 2
    return images, np.arange(300) % 2


def base(input_shape) -> keras.Model:
    """The part that was trained before."""
    return keras.applications.MobileNetV3Small(input_shape, weights=None, include_top=False, pooling="avg")


class Head(GridSearchModel):
    DEFAULT_CONFIG = {"dropout": 0.0, "learning_rate": 1e-2, "batch_size": 50, "epochs": 3}
    depends_on = (BASE,)

    def build_model(self, config, input_shape):
        trained = base(input_shape)
        trained.load_weights(BASE)
        trained.trainable = False
        inputs = keras.Input(input_shape)
        x = keras.layers.Dropout(config["dropout"])(trained(inputs, training=False))
        model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(x))
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "binary_crossentropy", metrics=["accuracy"])
        return model

    def callbacks(self, config):
        return [keras.callbacks.ReduceLROnPlateau(patience=1)]


if __name__ == "__main__":
    if not BASE.exists():
        BASE.parent.mkdir(exist_ok=True)
        base((32, 32, 3)).save_weights(BASE)
    model = Head("models", "head")
    model.fit(data(), param_grid={"dropout": [0.0, 0.2], "learning_rate": [1e-2, 1e-3]})
    model.summary()
