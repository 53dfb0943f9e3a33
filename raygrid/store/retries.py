"""Which points of a published grid are to be tried again, since they failed."""

from __future__ import annotations

from collections.abc import Mapping

from raygrid.errors import CorruptArtifactError
from raygrid.grid.records import PointRecord
from raygrid.grid.request import Request
from raygrid.store.ledger import read_ledger
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore


def failed_points(paths: ModelArtifacts, manifest: Manifest, request: Request) -> dict[str, PointRecord]:
    """The points of ``request`` that are recorded as failed, by key; none where the artifacts were copied without them.

    Args:
        paths: the names of the prefix.
        manifest: that of the published model.
        request: what is asked for.
    """
    store = PointStore(paths.points_dir)
    seed = manifest.depends_on.get("settings", {}).get("seed", 0)
    return {
        record.key: record
        for record in _may_have_failed(paths, manifest, store).values()
        # Further seeds of a point are of the same context.
        if record.status == "failed" and record.seed == seed and request.asks_for(record.config)
    }


def same_failures(before: Mapping[str, PointRecord], now: Mapping[str, PointRecord]) -> bool:
    """Whether a point that had failed ``before`` has the same record ``now``, so that nobody has tried it since."""
    return any(now.get(key) == record for key, record in before.items())


def _may_have_failed(paths: ModelArtifacts, manifest: Manifest, store: PointStore) -> Mapping[str, PointRecord]:
    # One table is read faster than thousands of records; a search that was killed has left it behind.
    try:
        ledger = read_ledger(paths)
    except CorruptArtifactError:
        ledger = None
    if ledger is None:
        return {record.key: record for record in store.of_context(manifest.context)}
    rows = zip(ledger.column("key").to_pylist(), ledger.column("status").to_pylist(), strict=True)
    found = store.get_all(key for key, status in rows if status == "failed")
    return {key: record for key, record in found.items() if record.context == manifest.context}
