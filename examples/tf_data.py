"""A tf.data pipeline, with augmentation as an axis of the grid. The files that it reads are declared."""

from pathlib import Path

import numpy as np

from raygrid import GridSearchModel

FOLDER = Path("bars")


def write_files() -> None:
    """400 images of a bar that stands or lies, ten files of forty."""
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        images, lies = rng.integers(0, 80, (40, 16, 16, 1), dtype=np.uint8), np.arange(40) % 2
        for image, lying, at in zip(images, lies, rng.integers(2, 14, 40), strict=True):
            (image if lying else image.transpose(1, 0, 2))[at, 3:13] += 120
        np.savez(FOLDER / f"{number}.npz", images=images, lies=lies)


class AugmentedBars(GridSearchModel):
    DEFAULT_CONFIG = {"noise": 0.0, "filters": 4, "batch_size": 40, "epochs": 4}
    data_files = ("bars/*.npz",)

    def datasets(self, config):
        import tensorflow as tf

        files = [np.load(path) for path in sorted(FOLDER.glob("*.npz"))]
        images, lies = (np.concatenate([file[name] for file in files]) for name in ("images", "lies"))
        both = tf.data.Dataset.from_tensor_slices((images.astype("float32"), lies))
        train = both.take(320).shuffle(320, seed=1)

        def noisy(image, lying):
            return image + tf.random.normal(image.shape, stddev=config["noise"], seed=2), lying

        return train.map(noisy).batch(config["batch_size"]), both.skip(320).batch(config["batch_size"])

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        stack = [keras.Input(input_shape), layers.Rescaling(1 / 255), layers.Conv2D(config["filters"], 3)]
        model = keras.Sequential([*stack, layers.GlobalMaxPooling2D(), layers.Dense(2, "softmax")])
        model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


if __name__ == "__main__":
    write_files()
    model = AugmentedBars("models", "bars")
    model.fit(param_grid={"noise": [0.0, 20.0], "filters": [4, 8]})
    model.summary()
