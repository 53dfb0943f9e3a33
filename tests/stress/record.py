"""What runs of the stress program counted: each run is kept, and totals are made from all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from reporting import table


@dataclass
class StressRun:
    """One run.

    Attributes:
        date: when it began, UTC.
        seed: repeats it.
        minutes: how long it ran.
        facts: command, processor and versions.
        counts: what was counted, by what and kind.
        largest: the largest of what was measured.
        losses: what was lost, mixed or not refused as it should be.
        broken: readers that an input broke, though nothing was lost.
    """

    date: str
    seed: int
    minutes: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Takes what a part told."""
        for event in events:
            if "count" in event:
                kinds = self.counts.setdefault(event["count"], {})
                kinds[event["kind"]] = kinds.get(event["kind"], 0) + event["number"]
            elif "largest" in event:
                what = event["largest"]
                self.largest[what] = max(event["value"], self.largest.get(what, event["value"]))
            elif "lost" in event and event["lost"] not in self.losses:
                self.losses.append(event["lost"])
            elif "broke" in event and event["broke"] not in self.broken:
                self.broken.append(event["broke"])


def totals(runs: Sequence[StressRun]) -> dict[str, dict[str, int]]:
    """The counts of all runs together."""
    added: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        for what, kinds in run.counts.items():
            added[what].update(kinds)
    return {what: dict(sorted(kinds.items())) for what, kinds in sorted(added.items())}


def as_json(runs: Sequence[StressRun]) -> dict[str, Any]:
    """As it is kept; ``from_json`` gives the runs back."""
    return {
        "minutes": round(sum(run.minutes for run in runs), 1),
        "losses": sum(len(run.losses) for run in runs),
        "broken": sum(len(run.broken) for run in runs),
        "totals": totals(runs),
        "runs": [asdict(run) for run in runs],
    }


def from_json(value: Mapping[str, Any]) -> list[StressRun]:
    """The runs that ``as_json`` kept."""
    return [StressRun(**run) for run in value["runs"]]


def as_markdown(runs: Sequence[StressRun]) -> list[str]:
    """All runs together, then a line for each."""
    minutes, losses = sum(run.minutes for run in runs), sum(len(run.losses) for run in runs)
    broken = sum(len(run.broken) for run in runs)
    told = f"{len(runs)} runs, {minutes:.0f} minutes in all. Lost, mixed or let in: {losses}. Readers broken: {broken}."
    lines = ["# Stress", "", told, ""]
    rows = []
    for what, kinds in totals(runs).items():
        rows.append([f"**{what}**", f"**{sum(kinds.values()):,}**"])
        rows += [[kind, f"{number:,}"] for kind, number in kinds.items()]
    lines += [*table(["", "count"], rows), ""]
    biggest: dict[str, float] = {}
    for run in runs:
        for what, value in run.largest.items():
            biggest[what] = max(value, biggest.get(what, value))
    lines += [
        *table(["measured", "largest of all runs"], ([what, f"{v:g}"] for what, v in sorted(biggest.items()))),
        "",
    ]
    header = ["began (UTC)", "minutes", "seed", "lost", "broken", "raygrid", "keras", "tensorflow", "ray", "processor"]
    names = header[5:]
    lines += table(
        header,
        (
            [
                r.date,
                f"{r.minutes:.1f}",
                str(r.seed),
                str(len(r.losses)),
                str(len(r.broken)),
                *(r.facts.get(n, "") for n in names),
            ]
            for r in runs
        ),
    )
    for title, found in (
        ("Lost, mixed or let in:", [(run.date, text) for run in runs for text in run.losses]),
        ("Readers broken:", [(run.date, text) for run in runs for text in run.broken]),
    ):
        if found:
            lines += ["", title, "", *(f"- {date}: {text.splitlines()[0]}" for date, text in found)]
    return lines
