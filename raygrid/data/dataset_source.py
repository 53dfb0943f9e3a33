"""Data that is no array: datasets that a function of the user's makes, in each worker anew. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raygrid.base.fingerprint import digest_json
from raygrid.data.precision import Unscaled
from raygrid.data.scaling import ScalerSetting, Scaling
from raygrid.errors import ArgumentError

#: Stands among the data that results depend on where it is datasets.
DATASETS = "datasets"

# Gives (train, validation), each a tf.data.Dataset or a keras.utils.PyDataset, for a config.
DatasetsFunction = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class TrainingDatasets:
    """What a training gets in the place of arrays; it travels to the workers.

    Attributes:
        make: gives the datasets of a config.
        name: what users call it, for messages.
        steps_per_epoch: how many batches an epoch has; None: all that there are.
        validation_steps: the same for validation.
        class_weight: weights of classes, as ``model.fit`` takes them; None: all count alike.
        folder: there is none.
    """

    make: DatasetsFunction
    name: str
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    class_weight: Any = None
    folder: None = None


def dataset_class_weight(class_weight: Any) -> Any:
    """``class_weight`` if a dataset can be trained with it: how often a class comes is not known.

    Raises:
        ArgumentError: it is "balanced".
    """
    if isinstance(class_weight, str):
        raise ArgumentError(
            f"class_weight is {class_weight!r}, and how often each class comes in a dataset is not known.",
            remedy="Pass a mapping of the numbers of classes to weights, such as {0: 1.0, 1: 5.0}.",
        )
    return class_weight


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """What ``TrainingData`` is for arrays.

    Attributes:
        datasets: how they are made.
        files: digest and size of each file that they are made of, by what tells them apart.
    """

    datasets: TrainingDatasets
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    x_train: None = None
    x_val: None = None
    w_train: None = None
    runs_train: None = None
    supervised: bool = True
    rows: int = 0
    val_rows: int = 0

    def unscaled(self, scaler: ScalerSetting, target_scaler: ScalerSetting) -> list[Unscaled]:
        """Nothing is known of what they hold."""
        return []

    def digests(self, scaler: ScalerSetting = None) -> dict[str, dict[str, Any]]:
        """``{"digest", "shape", "path"}`` of each file, whose shape is its size; and that it is no arrays."""
        files = {
            f"file {name}": {"digest": file["digest"], "shape": [file["size"]], "path": file["path"]}
            for name, file in self.files.items()
        }
        return {DATASETS: {"digest": digest_json(DATASETS), "shape": []}, **files}

    def settings(self) -> dict[str, Any]:
        """What else results depend on."""
        weights = self.datasets.class_weight
        by_class = (
            {} if weights is None else {"class_weight": {str(label): weights[label] for label in sorted(weights)}}
        )
        return {
            "steps_per_epoch": self.datasets.steps_per_epoch,
            "validation_steps": self.datasets.validation_steps,
            **by_class,
        }


class PreparedDatasets:
    """What ``PreparedData`` is for arrays: nothing is prepared, and each training makes its own."""

    bytes = 0
    scaling = Scaling()

    def __init__(self, source: DatasetSource) -> None:
        self._datasets = source.datasets

    def arrays(self, shortage: object) -> TrainingDatasets:
        """How the datasets are made."""
        return self._datasets

    def validation_arrays(self, limit_gb: float | None, with_inputs: bool = False) -> TrainingDatasets:
        """The same."""
        return self._datasets

    def files(self) -> contextlib.AbstractContextManager[None]:
        """There are none."""
        return contextlib.nullcontext()

    def items(self, config: Mapping[str, Any]) -> int:
        """How many rows there are is not known: all configs are taken to have as many."""
        return 1
