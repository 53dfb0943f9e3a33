"""When a worker has grown enough, and what it says that it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raygrid.tuning import worker_memory
from raygrid.tuning.worker_memory import WorkerGrowth, private_bytes

MB = 2**20


def test_growth_counts_from_what_a_worker_held_with_its_first_point() -> None:
    growth = WorkerGrowth(100 * MB)
    growth.add("a", 5_000 * MB)
    assert not growth.is_enough
    growth.add("a", 5_100 * MB)
    assert not growth.is_enough
    growth.add("a", 5_101 * MB)
    assert growth.is_enough


def test_workers_are_counted_apart() -> None:
    growth = WorkerGrowth(100 * MB)
    for worker, held in (("a", 400), ("b", 900), ("c", 400), ("b", 950), ("a", 480)):
        growth.add(worker, held * MB)
    assert not growth.is_enough
    assert growth.workers == 3
    assert growth.largest_bytes == 950 * MB
    growth.add("c", 501 * MB)
    assert growth.is_enough


def test_a_worker_that_gave_back_what_it_took_still_counts_as_grown() -> None:
    growth = WorkerGrowth(100 * MB)
    for held in (400, 600, 400):
        growth.add("a", held * MB)
    assert growth.is_enough
    assert growth.largest_bytes == 600 * MB


def test_a_process_holds_what_it_wrote_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = private_bytes()
    taken = bytearray(b"x" * (64 * MB))
    after = private_bytes()
    assert before is not None and after is not None
    assert 60 * MB < after - before < 140 * MB
    assert len(taken) == 64 * MB
    monkeypatch.setattr(worker_memory, "_STATM", tmp_path / "no such file")
    assert private_bytes() is None
