"""The names of all files that a prefix has. The only place that knows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from raygrid.errors import PrefixError

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Windows opens a device instead of a file for these names, with any ending.
_DEVICES = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check_prefix(prefix: object) -> str:
    """``prefix`` if it is a plain file name.

    Raises:
        PrefixError: it could leave the model folder, or is no file name on some system.
    """
    if (
        not isinstance(prefix, str)
        or not _PREFIX.fullmatch(prefix)
        or prefix.endswith(".")
        or _DEVICES.fullmatch(prefix)
    ):
        raise PrefixError(
            f"the prefix {prefix!r} is not a plain file name.",
            remedy="$prefix must consist of 1 to 100 of A-Z a-z 0-9 . _ -, begin with a letter or digit, not end in a "
            "dot, and be no device name of Windows such as CON.",
        )
    return prefix


@dataclass(frozen=True)
class ModelArtifacts:
    """The paths of a prefix' published files; everything else of the prefix is named after them.

    Attributes:
        config_path: the winner's config, JSON.
        model_path: the trained model, in Keras' own format.
        metrics_path: the winner's metrics at its best epoch, JSON.
        scaler_path: the scaler, JSON; the file is there only where a scaler is used.
    """

    config_path: Path
    model_path: Path
    metrics_path: Path
    scaler_path: Path

    @classmethod
    def for_prefix(cls, model_dir: Path, prefix: str) -> ModelArtifacts:
        """The paths of ``prefix`` in ``model_dir``; touches no disk."""
        return cls(
            config_path=model_dir / f"{prefix}_config.json",
            model_path=model_dir / f"{prefix}_model.keras",
            metrics_path=model_dir / f"{prefix}_metrics.json",
            scaler_path=model_dir / f"{prefix}_scaler.json",
        )

    @property
    def model_dir(self) -> Path:
        """The folder of all files."""
        return self.config_path.parent

    @property
    def prefix(self) -> str:
        """The prefix that all names begin with."""
        return self.config_path.name.removesuffix("_config.json")

    def extra_path(self, name: str) -> Path:
        """A further published file of a model that needs one, such as a detector's threshold; JSON."""
        return self.model_dir / f"{self.prefix}_{name}.json"

    def may_publish(self, name: str) -> bool:
        """Whether ``name`` can be that of the scaler or of a further published file."""
        return name.startswith(f"{self.prefix}_") and name.endswith(".json") and name != self.manifest_path.name

    @property
    def required(self) -> tuple[Path, ...]:
        """The files without which there is no model."""
        return (self.config_path, self.model_path, self.metrics_path)

    @property
    def manifest_path(self) -> Path:
        """The record that commits a set of artifacts."""
        return self.model_dir / f"{self.prefix}_manifest.json"

    @property
    def ledger_path(self) -> Path:
        """The table of all points' results."""
        return self.model_dir / f"{self.prefix}_trials.parquet"

    @property
    def runs_dir(self) -> Path:
        """Everything that is not published: points, generations, logs."""
        return self.model_dir / f"{self.prefix}_runs"

    @property
    def points_dir(self) -> Path:
        """One file a finished point, and the weights that are kept."""
        return self.runs_dir / "points"

    @property
    def checkpoints_dir(self) -> Path:
        """How far long trainings have come, while they run."""
        return self.runs_dir / "checkpoints"

    @property
    def generations_dir(self) -> Path:
        """One folder a published set."""
        return self.runs_dir / "generations"

    @property
    def tensorboard_dir(self) -> Path:
        """TensorBoard's event files, one run a point."""
        return self.runs_dir / "tensorboard"

    @property
    def tune_dir(self) -> Path:
        """Ray Tune's own files while a search runs."""
        return self.runs_dir / "tune"

    @property
    def data_dir(self) -> Path:
        """The arrays of a search that are too large for the memory, while it runs."""
        return self.runs_dir / "data"

    @property
    def digests_path(self) -> Path:
        """Digests of files that models depend on, so that they are not read again at each call."""
        return self.runs_dir / "file_digests.json"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of the prefix."""
        results = (self.points_dir, self.generations_dir, self.tensorboard_dir)
        return (self.runs_dir, *results, self.checkpoints_dir, self.tune_dir, self.data_dir)

    @property
    def lock_path(self) -> Path:
        """Held by whoever writes under this prefix."""
        return self.runs_dir / "lock"

    @property
    def reset_path(self) -> Path:
        """The reset that has begun and is not published yet."""
        return self.runs_dir / "reset.json"
