"""Two inputs and two outputs, by their names: numbers and a city go in, a price and a probability come out."""

import numpy as np

from raygrid import GridSearchModel

CITIES = ["Bern", "Köln", "Lyon", "Oslo"]


def data():
    """600 flats: size, age, rooms and city of each; its price, and whether it is let."""
    rng = np.random.default_rng(0)
    flat, city = rng.normal([80, 20, 3], [20, 10, 1], (600, 3)), rng.integers(0, 4, 600)
    price = 3000 * flat[:, 0] - 500 * flat[:, 1] + 50_000 * city
    return {"flat": flat, "city": np.array(CITIES)[city]}, {"price": price, "let": (flat[:, 2] > 3).astype(int)}


class Flats(GridSearchModel):
    DEFAULT_CONFIG = {"units": 8, "learning_rate": 0.01, "batch_size": 50, "epochs": 5}
    DEFAULT_SCALER = "standard"  # for the numbers; the city stays a text
    DEFAULT_TARGET_SCALER = {"price": "standard"}

    def build_model(self, config, input_shape):
        import keras
        from keras import layers

        flat = keras.Input(input_shape["flat"], name="flat")
        city = keras.Input(input_shape["city"], name="city", dtype="string")
        known = layers.StringLookup(vocabulary=CITIES, output_mode="one_hot")(city)
        x = layers.Dense(config["units"], "relu")(layers.Concatenate()([flat, known]))
        outputs = {"price": layers.Dense(1)(x), "let": layers.Dense(1, "sigmoid")(x)}
        model = keras.Model({"flat": flat, "city": city}, outputs)
        losses = {"price": "mse", "let": "binary_crossentropy"}
        model.compile(keras.optimizers.Adam(config["learning_rate"]), losses, loss_weights={"price": 1, "let": 0.5})
        return model


if __name__ == "__main__":
    inputs, targets = data()
    model = Flats("models", "flats")
    model.fit(inputs, y_train=targets, param_grid={"units": [8, 16], "learning_rate": [0.01, 0.03]})
    found = model.predict(inputs)
    print(f"price {found['price'][0, 0]:,.0f} (it is {targets['price'][0]:,.0f})")
    print(f"let   {found['let'][0, 0]:.2f} (it is {targets['let'][0]})")
