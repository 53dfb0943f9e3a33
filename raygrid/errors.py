"""Every error that raygrid raises on purpose.

Each class is also a builtin, so code that knows nothing of raygrid can catch it, and each message names the
value, the place and the fix. Where the fix is written otherwise in Python than on the command line, it is a part of its
own, the ``remedy``.

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

from collections.abc import Mapping
from string import Template

# What remedies speak of, as Python users write it. The command, and a model of two parts, have words of their own.
PYTHON: Mapping[str, str] = {
    "train_anew": "call fit(..., reset_experiment=True)",
    "accept_code_change": "fit(..., accept_code_change=True)",
    "another_prefix": "another cache_prefix",
    "load": "load()",
    "shuffle_split": "shuffle_split=True",
    "drop_missing": 'fit(..., missing="drop")',
    "drop_missing_of_file": 'read_data(..., missing="drop")',
}
# Where a saved file is not what it was.
RESTORE = "Put the file back from a copy, or $train_anew to train anew."


class RaygridError(Exception):
    """Base of all errors that raygrid raises on purpose.

    Args:
        what: what happened, with the value and the place.
        remedy: what to do about it, where ``what`` does not say; ``$`` and a name of ``PYTHON`` stand for its words.

    Attributes:
        remedy: as above.
        words: those that ``str`` uses.
    """

    def __init__(self, *what: object, remedy: str = "") -> None:
        super().__init__(*what)
        self.remedy = remedy
        self.words = PYTHON

    @property
    def what(self) -> str:
        """What happened, without what to do about it."""
        return super().__str__()

    def said(self, words: Mapping[str, str]) -> str:
        """The whole message, in these words."""
        remedy = Template(self.remedy).safe_substitute(words)
        return f"{self.what}{'' if not remedy or remedy[0].isspace() else ' '}{remedy}"

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
    """``build_model`` returned no compiled ``keras.Model``, or one that could not be published once it is trained."""


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
