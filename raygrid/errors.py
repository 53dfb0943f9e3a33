"""Every error that raygrid raises on purpose.

Each class is also a builtin, so code that knows nothing of raygrid can catch it. Each message has two parts: what
happened, with the value and the place, and the ``remedy``, which is what to do. Where that is written otherwise in
Python than on the command line, the remedy holds a name such as ``$features``, and either has its own words for it.

    RaygridError
    ├── ArgumentError (ValueError)                arguments of a call that cannot be right, or contradict each other
    │   ├── GridError                             a grid or a config
    │   │   └── GridTypeError (TypeError)         a value of a type that a grid or config cannot hold
    │   ├── DataError                             arrays or data files
    │   │   └── DataTypeError (TypeError)         a type or dtype that is not numeric
    │   ├── PrefixError                           a prefix that is not a plain file name
    │   └── ResourceError                         more CPUs or GPUs than there are
    ├── BackendError (RuntimeError)               Keras runs on another backend than TensorFlow
    ├── BuilderError (TypeError)                  build_model gave something that cannot be trained or published
    ├── UserCodeError (ImportError)               the user's module or class cannot be imported
    ├── MissingExtraError (ImportError)           a package of one of raygrid's extras is not installed
    ├── NotFittedError (RuntimeError)             a result is asked for before there is one
    ├── MissingArtifactError (FileNotFoundError)  nothing is saved under the prefix
    ├── CorruptArtifactError (ValueError)         a saved file is damaged, missing or edited
    ├── CustomObjectError (TypeError)             a saved model holds classes that Keras cannot find or make by itself
    ├── StaleCacheError (RuntimeError)            the saved model is of other data, code or settings
    ├── VersionError (RuntimeError)               saved by another major version of Keras, or a newer raygrid
    ├── StorageError (OSError)                    no room, read-only, no locks, or too little memory for a file
    ├── LockTimeoutError (TimeoutError)           another process holds the prefix for too long
    ├── ClusterError (ConnectionError)            no Ray cluster at the address, or one that cannot be used
    ├── AllTrialsFailedError (RuntimeError)       no point of the grid has a usable result
    └── RebuildError (RuntimeError)               the rebuilt winner does not reproduce its val_loss

Beside the tree stands what is no error: ``SearchInterrupted (KeyboardInterrupt)``, the search was stopped and finished
points are kept. Ctrl-C must end a program whose loop has an ``except Exception``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template

# What remedies speak of, as Python users write it. The command, and a model of two parts, have words of their own.
PYTHON: Mapping[str, str] = {
    "train_anew": "call fit(..., reset_experiment=True)",
    "accept_code_change": "fit(..., accept_code_change=True)",
    "another_prefix": "another cache_prefix",
    "load": "load()",
    "shuffle_split": "shuffle_split=True",
    "prefix": "cache_prefix",
    "another_model_dir": "another model_dir",
    "shared_model_dir": "model_dir='/shared/models'",
    "features": "features=[...]",
    "columns": "features, target and labels",
    "delimiter": "delimiter=';'",
    "delimiters": "',', ';' or '\\t'",
    "decimal_comma": "decimal=','",
    "encoding": "encoding='latin-1'",
    "unmarked_encoding": "encoding='utf-16-le'",
    "other_validation": "another validation_split or X_val",
    "validation_arrays": "X_val and y_val",
    "validate_whole_runs": "pass whole runs for validation as X_val and val_run_ids",
    "none": "None",
    "max_points": "max_points",
    "a_grid": 'param_grid={"units": [32, 64]}',
    "targets": "y_train and y_val",
    "targets_of_fit": "y_train: fit(X, y_train=y)",
    "run_ids": "run_ids",
    "val_runs": "X_val and val_run_ids",
    "cpus_per_trial": "cpus_per_trial",
    "gpus_per_trial": "gpus_per_trial",
    "address": "address=...",
    "model_dir": "model_dir",
    "drop_missing": 'fit(..., missing="drop")',
    "drop_missing_of_file": 'read_data(..., missing="drop")',
    "named_columns": "Pass a DataFrame, a pyarrow.Table or a dict of columns",
    "steps_per_epoch": "steps_per_epoch=... to fit",
    "validation_steps": "validation_steps=... to fit",
    "no_scaler": "Pass scaler=None",
    "no_target_scaler": "Pass target_scaler=None",
}
# Where a saved file is not what it was.
RESTORE = "Put the file back from a copy, or $train_anew to train anew."
# Where a data file is not what it should be.
WRITE_AGAIN = "Write the file again."


def literal(value: object) -> str:
    """``value`` as a remedy holds it: a ``$`` in it begins no name of ``PYTHON``."""
    return str(value).replace("$", "$$")


class RaygridError(Exception):
    """Base of all errors that raygrid raises on purpose.

    Args:
        what: what happened, with the value and the place.
        remedy: what to do about it; ``$`` and a name of ``PYTHON`` stand for its words.
        others: what else is wrong, each said in a line of its own after this one.

    Attributes:
        remedy: as above.
        others: as above.
        words: those that ``str`` uses.
    """

    def __init__(self, *what: object, remedy: str = "", others: Sequence[RaygridError] = ()) -> None:
        super().__init__(*what)
        self.remedy = remedy
        self.others = tuple(others)
        self.words = PYTHON

    @property
    def what(self) -> str:
        """What happened, without what to do about it."""
        return super().__str__()

    def said(self, words: Mapping[str, str]) -> str:
        """The whole message, in these words."""
        remedy = Template(self.remedy).safe_substitute(words)
        own = f"{self.what}{'' if not remedy or remedy[0].isspace() else ' '}{remedy}"
        return "\n".join([own, *(error.said(words) for error in self.others)])

    def __str__(self) -> str:
        return self.said(self.words)


class ArgumentError(RaygridError, ValueError):
    """An argument that cannot be right, or two that contradict each other."""


class GridError(ArgumentError):
    """A grid or a config that cannot be searched or trained."""


class GridTypeError(GridError, TypeError):
    """A value of a type that a grid or a config cannot hold."""


class DataError(ArgumentError):
    """Arrays or data files that cannot be trained on."""


class DataTypeError(DataError, TypeError):
    """Data of a type or dtype that is not numeric."""


class PrefixError(ArgumentError):
    """A ``cache_prefix`` that is not a plain file name."""


class ResourceError(ArgumentError):
    """More CPUs or GPUs for a trial than any node has."""


class BackendError(RaygridError, RuntimeError):
    """Keras is set to another backend than TensorFlow."""


class BuilderError(RaygridError, TypeError):
    """``build_model`` gave no compiled ``keras.Model`` that could be published, or ``callbacks`` no new callbacks."""


class UserCodeError(RaygridError, ImportError):
    """A user's module, class or function cannot be imported."""


class MissingExtraError(RaygridError, ImportError):
    """A package that only one of raygrid's extras brings is not installed."""


class NotFittedError(RaygridError, RuntimeError):
    """A result is asked for before ``fit`` or ``load`` gave one."""


class MissingArtifactError(RaygridError, FileNotFoundError):
    """Nothing is saved under the prefix."""


class CorruptArtifactError(RaygridError, ValueError):
    """A saved file is damaged, missing, edited by hand, or a link."""


class CustomObjectError(RaygridError, TypeError):
    """A saved model holds classes, functions or code that Keras cannot find or make by itself; the file is whole."""


class StaleCacheError(RaygridError, RuntimeError):
    """The saved model belongs to other data, other code or other settings."""


class VersionError(RaygridError, RuntimeError):
    """The artifacts were written by a version that this one cannot read."""


class StorageError(RaygridError, OSError):
    """A folder cannot be written or locked: full, read-only, without locks; or a file is too large for the memory."""

    @property
    def what(self) -> str:
        return self.strerror or super().what


class LockTimeoutError(RaygridError, TimeoutError):
    """Another process held the prefix for longer than the wait limit."""


class ClusterError(RaygridError, ConnectionError):
    """There is no Ray cluster at the address, or it cannot be used."""


class AllTrialsFailedError(RaygridError, RuntimeError):
    """No point of the grid has a result that could win."""


class RebuildError(RaygridError, RuntimeError):
    """The model rebuilt from the winner's weights does not reproduce its ``val_loss``."""


class SearchInterrupted(KeyboardInterrupt):
    """The search was stopped from outside; every finished point is kept.

    Like Ctrl-C itself it is no ``Exception``, and so no ``RaygridError``.
    """
