"""Two inputs and two outputs by name: a number and a label, learned from measurements and a city."""

import numpy as np

from raygrid import GridSearchModel

CITIES = ["Bern", "Köln", "Lyon", "Oslo"]


def data() -> tuple[dict, dict]:
    """600 flats: what is measured of them and where they are; their price and whether they are let."""
    rng = np.random.default_rng(0)
    flat, city = rng.normal([80, 20, 3], [20, 10, 1], (600, 3)), rng.integers(0, 4, 600)
    price = 3000 * flat[:, 0] - 500 * flat[:, 1] + 50_000 * city
    return {"flat": flat, "city": np.array(CITIES)[city]}, {"price": price, "let": (flat[:, 2] > 3).astype(int)}


class Flats(GridSearchModel):
    DEFAULT_CONFIG = {"units": 8, "weight": 1.0, "batch_size": 50, "epochs": 5}
    DEFAULT_SCALER = "standard"  # of floats: the city stays a text
    DEFAULT_TARGET_SCALER = {"price": "standard"}

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        flat, city = keras.Input(input_shape["flat"]), keras.Input(input_shape["city"], dtype="string")
        x = layers.Concatenate()([flat, layers.StringLookup(vocabulary=CITIES, output_mode="one_hot")(city)])
        x = layers.Dense(config["units"], "relu")(x)
        outputs = {"price": layers.Dense(1)(x), "let": layers.Dense(1, "sigmoid")(x)}
        model = keras.Model({"flat": flat, "city": city}, outputs)
        losses = {"price": "mse", "let": "binary_crossentropy"}
        model.compile(keras.optimizers.Adam(0.01), losses, loss_weights={"price": 1.0, "let": config["weight"]})
        return model


if __name__ == "__main__":
    flats, targets = data()
    model = Flats("models", "flats")
    model.fit(flats, y_train=targets, param_grid={"units": [8, 16], "weight": [0.5, 1.0]})
    print({name: values[:2].round(1).tolist() for name, values in model.predict(flats).items()})
