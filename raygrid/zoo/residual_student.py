"""The student of the reference model: a regressor of one number a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from raygrid.base.fingerprint import digest_json
from raygrid.data.dataset_source import DatasetSource
from raygrid.data.scaling import Scaling
from raygrid.data.training_data import TrainingData
from raygrid.identity.identity import Identity
from raygrid.model.grid_search_model import GridSearchModel
from raygrid.store.paths import ModelArtifacts
from raygrid.store.published import CachedModel
from raygrid.zoo.mlp import hidden_stack

if TYPE_CHECKING:
    import keras

#: The name of the teacher's digest among the data that a student depends on.
TEACHER = "teacher"


class ResidualStudent(GridSearchModel):
    """Learns to predict a number a row, such as a teacher's reconstruction error, from the row itself.

    Layers: the input, one dense layer per number in ``hidden_layers``, each followed by dropout, and one linear unit.
    Loss: mean squared error of the scaled targets, with Adam; metric: their mean absolute error. Inputs and targets are
    scaled to mean 0 and standard deviation 1 unless asked otherwise.

    Hyperparameters: ``hidden_layers`` (units of each layer), ``activation`` (a name that Keras knows), ``dropout``
    (fraction), ``learning_rate``, ``batch_size`` (rows), ``epochs``, ``patience`` (epochs).

    Attributes:
        fitted_teacher: digest of the teacher whose residuals are the targets; None: the targets are what they are.
    """

    DEFAULT_CONFIG: ClassVar[Mapping[str, Any]] = {
        "hidden_layers": (512, 256, 128),
        "activation": "relu",
        "dropout": 0.1,
        "learning_rate": 1e-3,
        "batch_size": 128,
        "epochs": 120,
        "patience": 20,
    }
    DEFAULT_PARAM_GRID: ClassVar[Mapping[str, Sequence[Any]]] = {
        "hidden_layers": [(512, 256, 128), (512, 256, 128, 64), (256, 128, 64)],
        "activation": ["relu", "selu"],
        "dropout": [0.0, 0.1, 0.3],
        "learning_rate": [1e-3, 5e-4, 1e-4],
        "batch_size": [128, 256],
        "epochs": [120, 180],
        "patience": [20],
    }
    DEFAULT_SCALER: ClassVar[str | None] = "standard"
    DEFAULT_TARGET_SCALER: ClassVar[str | None] = "standard"
    SINGLE_ARRAY: ClassVar[bool] = True
    USES_TARGETS: ClassVar[bool | None] = True

    fitted_teacher: str | None = None

    def build_model(self, config: Mapping[str, Any], input_shape: tuple[int, ...]) -> keras.Model:
        import keras

        inputs, x = hidden_stack(config, input_shape)
        model = keras.Model(inputs, keras.layers.Dense(1)(x), name="residual_student")
        model.compile(keras.optimizers.Adam(config["learning_rate"]), loss="mse", metrics=["mae"])
        return model

    def extra_digests(self) -> dict[str, dict[str, Any]]:
        return {} if self.fitted_teacher is None else {TEACHER: {"digest": self.fitted_teacher, "shape": []}}

    def identity_of(self, data: TrainingData | DatasetSource) -> Identity:
        identity = super().identity_of(data)
        if self.fitted_teacher is None:
            return identity
        # Residuals follow from the teacher and the inputs. Their own last bits differ with threads and device, and must
        # not make a student stale.
        entries = dict(identity.data)
        for targets, inputs in (("y_train", "x_train"), ("y_val", "x_val")):
            entries[targets] = {**entries[targets], "digest": digest_json(["residuals", entries[inputs]["digest"]])}
        return dataclasses.replace(identity, data=entries)

    def take_cached(self, paths: ModelArtifacts, cached: CachedModel) -> keras.Model:
        # Other implementations of the pattern keep the scaler of the targets alone, in the plain form.
        plain = cached.scaling.inputs.get("")
        if cached.legacy and not cached.scaling.targets and plain is not None and len(plain.mean) == 1:
            cached = dataclasses.replace(cached, scaling=Scaling(targets={"": plain}))
        return super().take_cached(paths, cached)
