"""A tf.data pipeline, and augmentation as an axis of the grid. What is in the files counts as data."""

from glob import glob
from pathlib import Path

import numpy as np

from raygrid import GridSearchModel


def write_files():
    """Images of a bar that lies (1) or stands (0); those for validation are taken by night."""
    Path("bars").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, light in {"train-1": 1.0, "train-2": 1.0, "train-3": 1.0, "val": 0.3}.items():
        images, lies = rng.uniform(0, 80, (100, 16, 16, 1)).astype("float32"), np.arange(100) % 2
        for image, lying, at in zip(images, lies, rng.integers(2, 14, 100), strict=True):
            (image if lying else image.swapaxes(0, 1))[at, 3:13] += 120
        np.savez(f"bars/{name}.npz", images=light * images, lies=lies)


def load(pattern):
    files = [np.load(path) for path in sorted(glob(str(pattern)))]
    return tuple(np.concatenate([file[name] for file in files]) for name in ("images", "lies"))


class AugmentedBars(GridSearchModel):
    DEFAULT_CONFIG = {"darken": 0.0, "filters": 4, "batch_size": 30, "epochs": 5}
    data_files = ["bars/train-*.npz", "bars/val.npz"]

    def datasets(self, config):
        import tensorflow as tf

        def darker(image, lies):
            return image * (1 - tf.random.uniform([], maxval=config["darken"])), lies

        train, val = (tf.data.Dataset.from_tensor_slices(load(pattern)) for pattern in self.data_files)
        return train.shuffle(300).map(darker).batch(config["batch_size"]), val.batch(config["batch_size"])

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        scaled = [keras.Input(input_shape), layers.Rescaling(1 / 255)]
        bars = [layers.Conv2D(config["filters"], 3, activation="relu"), layers.GlobalMaxPooling2D()]
        model = keras.Sequential([*scaled, *bars, layers.Dense(2, "softmax")])
        model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
        return model


if __name__ == "__main__":
    write_files()
    model = AugmentedBars("models", "bars")
    model.fit(param_grid={"darken": [0.0, 0.8], "filters": [4, 8]})
    model.summary()
