"""Builders of models whose epochs depend on more than their weights: moments, averages, seeds, schedules."""

from __future__ import annotations

from typing import Any

from small_models import WIDTH


def chain(*layers: Any, optimizer: Any = "adam", loss: Any = "mse", **compiled: Any) -> Any:
    import keras

    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(WIDTH)])
    model.compile(optimizer, loss, **compiled)
    return model


def normalised(config: Any, shape: Any) -> Any:
    import keras.layers as k
    from keras.optimizers import SGD

    layers = k.Dense(8, "relu", kernel_regularizer="l2"), k.BatchNormalization(), k.Dropout(0.3)
    return chain(*layers, optimizer=SGD(config["learning_rate"], momentum=0.9), metrics=["mae"])


def recurrent(config: Any, shape: Any) -> Any:
    import keras.layers as k
    from keras.optimizers import RMSprop

    layers = k.Reshape((WIDTH, 1)), k.Conv1D(3, 2, activation="selu"), k.Bidirectional(k.LSTM(3, dropout=0.2))
    return chain(*layers, optimizer=RMSprop(config["learning_rate"]), loss="mae")


def branched(config: Any, shape: Any) -> Any:
    import keras
    from keras.optimizers import AdamW

    inputs = keras.Input(shape)
    left, right = keras.layers.Dense(5, "tanh")(inputs), keras.layers.GaussianNoise(0.1)(inputs)
    outputs = keras.layers.Dense(WIDTH)(keras.layers.Concatenate()([left * 2.0, right]))
    model = keras.Model(inputs, outputs)
    model.compile(AdamW(config["learning_rate"], clipnorm=1.0), "huber", metrics=[keras.metrics.MeanAbsoluteError()])
    return model


def nadam(config: Any, shape: Any) -> Any:
    """Its optimizer keeps a product over all steps."""
    import keras.layers as k
    from keras.optimizers import Nadam

    return chain(k.Dense(6, "tanh"), optimizer=Nadam(config["learning_rate"]))


def scheduled(config: Any, shape: Any) -> Any:
    """The rate falls by the step, and the optimizer keeps an average of the weights."""
    import keras.layers as k
    from keras.optimizers import Adam
    from keras.optimizers.schedules import ExponentialDecay

    falling = ExponentialDecay(config["learning_rate"], 7, 0.7)
    return chain(k.Dense(6, "relu"), optimizer=Adam(falling, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=7))


def stateful(config: Any, shape: Any) -> Any:
    """A recurrent layer that goes from batch to batch without forgetting. All batches have the same size."""
    import keras

    inputs = keras.Input(batch_shape=(config["batch_size"], *shape))
    carried = keras.layers.LSTM(3, stateful=True)(keras.layers.Reshape((WIDTH, 1))(inputs))
    model = keras.Model(inputs, keras.layers.Dense(WIDTH)(carried))
    model.compile(keras.optimizers.Adam(config["learning_rate"]), "mse")
    return model


def of_own_making(config: Any, shape: Any) -> Any:
    """A layer with a variable that Keras does not know of, and a step of its own with gradients accumulated."""
    import keras
    import tensorflow as tf

    class Fading(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            counter = tf.Variable(1.0, trainable=False)
            self.count = lambda: counter

        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                self.count().assign_add(0.1)
            return x / self.count()

    class Stepping(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            return {**super().train_step(data), "steps": self.optimizer.iterations}

    model = Stepping([keras.Input(shape), keras.layers.Dense(6, "relu"), Fading(), keras.layers.Dense(WIDTH)])
    optimizer = keras.optimizers.Adam(config["learning_rate"], gradient_accumulation_steps=3)
    model.compile(optimizer, "mse")
    return model


def falling_by_epochs(config: Any, shape: Any) -> Any:
    """Its schedule holds the config, and reads the number of epochs whenever it is called."""
    import keras

    @keras.saving.register_keras_serializable("tests")
    class Falling(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, config: Any) -> None:
            self.config = config

        def __call__(self, step: Any) -> Any:
            return 0.5 * (1 - keras.ops.cast(step, "float32") / (10 * self.config["epochs"]))

        def get_config(self) -> dict[str, Any]:
            return {"config": dict(self.config)}

    return chain(keras.layers.Dense(4, "tanh"), optimizer=keras.optimizers.SGD(Falling(config)))
