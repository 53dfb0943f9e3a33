"""Results of other code, taken over as today's: a change of the code that alters no result need not cost a training.

A record says which code it is of, and its context is a digest of that and of everything else. So what differs in
nothing but the code is known: with that code in place of today's, today's context is the record's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raygrid.grid.records import PointRecord
from raygrid.identity.identity import Identity, point_key
from raygrid.store.manifest import Manifest
from raygrid.store.points import PointStore


@dataclass(frozen=True)
class OtherCode:
    """The points that other code has trained.

    Attributes:
        records: each as it would be recorded today, without its history and with the weights as they were, by today's
            key.
        origins: the key under which each is recorded, by today's key.
    """

    records: Mapping[str, PointRecord]
    origins: Mapping[str, str]

    @classmethod
    def nothing(cls) -> OtherCode:
        """No points."""
        return cls({}, {})

    def __len__(self) -> int:
        return len(self.records)

    def text(self) -> str:
        """How many points, and which code: the begin of a line for people."""
        count = len(self)
        counts = Counter(str(record.trained_by) for record in self.records.values())
        today = next(iter(self.records.values())).code
        codes = ", ".join(digest[:12] for digest in sorted(counts))
        return (
            f"{count} {'point' if count == 1 else 'points'} that other code trained ({codes}; today's is {today[:12]})"
        )


def points_of_other_code(
    store: PointStore, identity: Identity, experiment: str, published: Manifest | None, known: Collection[str] = ()
) -> OtherCode:
    """The finished points that differ from today's in the code alone, and that today's code has not trained itself.

    Args:
        store: the records.
        identity: what results depend on today.
        experiment: the experiment of today.
        published: the published set's manifest, which says what code the records of before version 0.2 are of.
        known: keys that need not be looked at.
    """
    context, today = identity.context(experiment), identity.code["digest"]
    of_published = {} if published is None else {published.context: published.depends_on.get("code", {}).get("digest")}
    contexts: dict[str, str] = {}
    found: dict[str, PointRecord] = {}
    for record in store.all(but=known):
        code = record.code or of_published.get(record.context)
        if not record.final or code in (None, "", today):
            continue
        if code not in contexts:
            contexts[code] = identity.with_code(code).context(experiment)
        key = point_key(context, record.config, record.seed)
        own = store.get(key)
        if record.context != contexts[code] or (own is not None and own.final):
            continue
        # Of several codes, that of the published model counts, and otherwise always the same one.
        earlier = found.get(key)
        if earlier is None or record.context in of_published:
            found[key] = replace(record, code=code)
    origins = {key: record.key for key, record in found.items()}
    todays = {origin: key for key, origin in origins.items()}
    records = {
        key: replace(
            record,
            key=key,
            context=context,
            code=today,
            trained_by=record.trained_by or record.code,
            trained_with=todays.get(record.trained_with or "", record.trained_with),
        )
        for key, record in found.items()
    }
    return OtherCode(records, origins)


def take_over(store: PointStore, other: OtherCode) -> None:
    """Records the points of other code under today's keys, with their histories and weights."""
    for key, record in other.records.items():
        origin = store.get(other.origins[key])
        if origin is not None:
            store.add_copy(replace(record, history=origin.history), origin.key)


def accepted_codes(records: Iterable[PointRecord]) -> list[dict[str, Any]]:
    """As it stands in the manifest: which other code trained some of ``records``, which are all of today's context."""
    counts = Counter((record.trained_by, record.code) for record in records if record.trained_by is not None)
    return [{"old": old, "new": new, "points": counts[old, new]} for old, new in sorted(counts)]
