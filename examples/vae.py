"""A variational autoencoder: a layer of its own adds to the loss. The data is the embedded one."""

import keras

from raygrid import GridSearchModel
from raygrid.datasets import load_tep


@keras.saving.register_keras_serializable("examples")
class Sampling(keras.layers.Layer):
    """Draws from the encoder's distribution, and adds to the loss how far that is from the standard one."""

    def __init__(self, weight, **settings):
        super().__init__(**settings)
        self.weight, self.seeds = weight, keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        mean, log_variance = inputs
        variance = keras.ops.exp(log_variance)
        self.add_loss(self.weight * keras.ops.mean(mean**2 + variance - log_variance - 1) / 2)
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seeds)
        return mean + keras.ops.sqrt(variance) * noise if training else mean

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


class Vae(GridSearchModel):
    DEFAULT_CONFIG = {"latent_dim": 4, "weight": 0.1, "learning_rate": 0.01, "batch_size": 100, "epochs": 4}
    DEFAULT_SCALER = "standard"

    def build_model(self, config, input_shape):
        inputs = keras.Input(input_shape)
        x = keras.layers.Dense(32, "relu")(inputs)
        mean, log_variance = (keras.layers.Dense(config["latent_dim"])(x) for _ in range(2))
        x = keras.layers.Dense(32, "relu")(Sampling(config["weight"])([mean, log_variance]))
        model = keras.Model(inputs, keras.layers.Dense(input_shape[0])(x))
        model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse")
        return model


if __name__ == "__main__":
    data = load_tep()
    model = Vae("models", "vae")
    model.fit(data.X_train, data.X_val, param_grid={"latent_dim": [2, 4, 8], "learning_rate": [0.01, 0.003]})
    model.summary()
