"""What the long runs keep: counts are added up over runs, and nothing that was lost is forgotten."""

from __future__ import annotations

import json
import sys

from repository import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "tests/stress"))

from events import events
from record import StressRun, as_json, as_markdown, from_json, totals


def run_of(date: str, *told: dict[str, object]) -> StressRun:
    run = StressRun(date, seed=1, minutes=30.0, facts={"ray": "2.60.0"})
    run.add(told)
    return run


FIRST = run_of(
    "2026-01-05 10:00",
    {"count": "kills", "kind": "a driver", "number": 2},
    {"count": "kills", "kind": "a driver", "number": 1},
    {"largest": "MB a training", "value": 0.5},
)
SECOND = run_of(
    "2026-01-06 10:00",
    {"count": "kills", "kind": "a driver", "number": 4},
    {"count": "kills", "kind": "a worker", "number": 1},
    {"largest": "MB a training", "value": 0.25},
    {"lost": "a point is gone"},
    {"lost": "a point is gone"},
    {"broke": "the reader of a grid"},
    {"broke": "the reader of a grid"},
)


def test_a_run_adds_up_what_its_parts_told_and_names_a_loss_once() -> None:
    assert FIRST.counts == {"kills": {"a driver": 3}}
    assert SECOND.losses == ["a point is gone"]
    assert SECOND.broken == ["the reader of a grid"]


def test_the_totals_are_those_of_all_runs() -> None:
    assert totals([FIRST, SECOND]) == {"kills": {"a driver": 7, "a worker": 1}}


def test_runs_come_back_from_json_so_that_a_later_run_adds_to_them() -> None:
    kept = json.loads(json.dumps(as_json([FIRST, SECOND])))
    assert from_json(kept) == [FIRST, SECOND]
    assert (kept["minutes"], kept["losses"], kept["broken"]) == (60.0, 1, 1)


def test_the_text_says_how_much_was_tried_and_what_was_lost() -> None:
    text = "\n".join(as_markdown([FIRST, SECOND]))
    assert "2 runs, 60 minutes in all. Lost, mixed or let in: 1. Readers broken: 1." in text
    assert "| **kills** | **8** |" in text
    assert "| MB a training | 0.5 |" in text
    assert "- 2026-01-06 10:00: a point is gone" in text
    assert "- 2026-01-06 10:00: the reader of a grid" in text


def test_lines_of_other_programs_and_a_line_cut_short_are_no_events() -> None:
    lines = ["WARNING: STRESS", 'STRESS {"lost": "x"}', 'STRESS {"count": "kil']
    assert [event["lost"] for event in events(lines)] == ["x"]
