"""A variational autoencoder with a loss of its own, on the embedded process data."""

import keras

from raygrid import GridSearchModel
from raygrid.datasets import load_tep


@keras.saving.register_keras_serializable("examples")
class Sampling(keras.layers.Layer):
    """Draws from the distribution that the encoder gives, and adds how far it is from the standard one."""

    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight, self.seeds = weight, keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, log_variance = inputs
        divergence = 1 + log_variance - keras.ops.square(mean) - keras.ops.exp(log_variance)
        self.add_loss(-0.5 * self.weight * keras.ops.mean(divergence))
        return mean + keras.ops.exp(log_variance / 2) * keras.random.normal(keras.ops.shape(mean), seed=self.seeds)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


class Vae(GridSearchModel):
    DEFAULT_CONFIG = {"latent_dim": 4, "weight": 0.1, "batch_size": 100, "epochs": 4}
    DEFAULT_SCALER = "standard"

    def build_model(self, config, input_shape):
        inputs = keras.Input(input_shape)
        x = keras.layers.Dense(32, "relu")(inputs)
        latent = [keras.layers.Dense(config["latent_dim"])(x) for _ in range(2)]
        x = keras.layers.Dense(32, "relu")(Sampling(config["weight"])(latent))
        model = keras.Model(inputs, keras.layers.Dense(input_shape[0])(x))
        model.compile(keras.optimizers.Adam(0.01), "mse")
        return model


if __name__ == "__main__":
    data = load_tep()
    model = Vae("models", "vae")
    model.fit(data.X_train, data.X_val, param_grid={"latent_dim": [2, 4], "weight": [0.01, 0.1]})
    model.summary()
