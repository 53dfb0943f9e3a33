"""The published model as a call finds it: read, checked, and held against the data, code and versions of today."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raygrid.base.files import decode_json
from raygrid.data.scaling import Scaling
from raygrid.errors import RESTORE, CorruptArtifactError, StaleCacheError, VersionError
from raygrid.grid.plan import STOP_KEYS
from raygrid.grid.records import tuples
from raygrid.grid.request import Request
from raygrid.identity.identity import Identity, installed_version, major
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import read_published

log = logging.getLogger("raygrid")


_WAYS_OUT = "\nTo train anew: $train_anew. To keep both: $another_prefix. To take the saved model as it is: $load."
_IF_ONLY_CODE_DIFFERS = (
    " If the change of the code alters no result, to take over all that is trained: $accept_code_change."
)


@dataclass(frozen=True)
class CachedModel:
    """A published model whose bytes are verified; the Keras model itself is still to be loaded.

    Attributes:
        manifest: what it depends on; that of a set without a manifest is empty.
        config: the winner's config, sequences as tuples.
        metrics: the winner's metrics.
        scaling: of inputs and targets.
        files: the verified bytes of every published file by name; the model is among them.
        legacy: whether another implementation of the pattern made it, so that nothing is known of data and code.
    """

    manifest: Manifest
    config: dict[str, Any]
    metrics: dict[str, Any]
    scaling: Scaling
    files: Mapping[str, bytes]
    legacy: bool

    @property
    def request(self) -> Request:
        """What was asked for when it was published; the one config of a set of another implementation."""
        return Request(config=self.config) if self.legacy else Request.from_json(self.manifest.request)

    def answers(self, request: Request | None) -> bool:
        """Whether it is what ``request`` asks for: the same grid or config, or its winner's config; None asks for any.

        Of a set of another implementation nothing is known; it is taken as it is.
        """
        if self.legacy or request is None:
            return True
        as_config = Request(config=self.config, extras=self.manifest.request.get("extras", {})).to_json()
        return any(request.same_as(saved) for saved in (self.manifest.request, as_config))


def read_cached(paths: ModelArtifacts, warn: bool = True) -> CachedModel | None:
    """The published model, None where there is none.

    Args:
        paths: the names of the prefix.
        warn: whether to warn of a set of another implementation, or of another Keras; once a call of ``fit``.

    Raises:
        CorruptArtifactError: a file is damaged, missing or edited.
        VersionError: another major version of Keras, or a newer raygrid, wrote it.
    """
    published = read_published(paths)
    if published is None:
        return None
    if published.legacy and warn:
        log.warning(
            "%s has no manifest of raygrid: it was made by another implementation, and nothing is known of its data "
            "and code. It is loaded as it is; fit(..., reset_experiment=True), or --reset, trains anew.",
            paths.config_path,
        )
    if not published.legacy:
        _check_keras(paths, published.manifest, warn)
    files = published.files
    config = decode_json(files[paths.config_path.name], paths.config_path)
    metrics = decode_json(files[paths.metrics_path.name], paths.metrics_path)
    for path, value in ((paths.config_path, config), (paths.metrics_path, metrics)):
        if not isinstance(value, dict):
            raise CorruptArtifactError(
                f"{path} is damaged: it holds {type(value).__name__}, not a mapping.", remedy=RESTORE
            )
    scaling = Scaling()
    if paths.scaler_path.name in files:
        value = decode_json(files[paths.scaler_path.name], paths.scaler_path)
        scaling = Scaling.from_json(value, str(paths.scaler_path))
    return CachedModel(published.manifest, tuples(config), metrics, scaling, files, published.legacy)


def _check_keras(paths: ModelArtifacts, manifest: Manifest, warn: bool) -> None:
    written, installed = manifest.versions.get("keras", "unknown"), installed_version("keras")
    if major(written) != major(installed):
        raise VersionError(
            f"{paths.model_path} was written by Keras {written}, and Keras {installed} is installed.",
            remedy=f"Install 'keras=={major(written)}.*' to load it, or $train_anew to train anew.",
        )
    if written != installed and warn:
        log.warning("%s was written by Keras %s; Keras %s loads it.", paths.model_path, written, installed)


# Before, a model that kept its config and read when to stop while it trained could get the result of another point.
_SHARING_IS_PROVED_SINCE = 3


def _wrongly_shared(manifest: Manifest) -> list[str]:
    """A line where a published result may be that of another point, by the training rules of then; else nothing."""
    rules, grid = manifest.depends_on.get("rules", 0), manifest.request.get("grid") or {}
    stops = sorted(name for name in STOP_KEYS if len(grid.get(name, ())) > 1)
    if rules >= _SHARING_IS_PROVED_SINCE or not stops:
        return []
    return [
        f"training rules: an earlier raygrid trained points that differ only in {' or '.join(stops)} in one, also "
        "where these have an effect on the training itself"
    ]


def require_current(paths: ModelArtifacts, cached: CachedModel, identity: Identity) -> None:
    """Refuses a model of other data, code or settings.

    Raises:
        StaleCacheError: what differs, old and new, and the ways out.
    """
    if cached.legacy:
        return
    differences = identity.differences(cached.manifest.depends_on) or _wrongly_shared(cached.manifest)
    if differences:
        raise StaleCacheError(
            f"the model saved as {paths.model_path} does not belong to what fit was given:\n  "
            + "\n  ".join(differences),
            remedy=_WAYS_OUT
            + (_IF_ONLY_CODE_DIFFERS if identity.only_code_differs(cached.manifest.depends_on) else ""),
        )
