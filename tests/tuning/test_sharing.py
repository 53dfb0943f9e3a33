"""How searches share a cluster: who waits, who gives way, and what is said."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from raygrid.tuning.sharing import JobDemand, trials_to_keep, waiting_text

NODES = [{"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}]
CPU, GPU = {"CPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}
STARVED = JobDemand(0, [CPU, CPU])
CONTENT = JobDemand(2, [])
WANTS_MORE = JobDemand(1, [CPU])


@pytest.mark.parametrize(
    ("others", "now", "kept"),
    [
        ([], 8, 8),
        ([CONTENT], 8, 8),
        ([WANTS_MORE], 8, 8),
        ([STARVED], 8, 4),
        ([STARVED, CONTENT], 8, 2),
        ([STARVED] * 20, 8, 1),
        # Jobs that ask for nothing need no share, and a CPU helps one that waits for a GPU too.
        ([STARVED, JobDemand()], 8, 4),
        ([JobDemand(0, [GPU, CPU])], 8, 4),
        # It has given way already.
        ([STARVED], 1, 1),
        ([WANTS_MORE], 4, 4),
        ([CONTENT], 4, 8),
        ([], 1, 8),
        # Nothing that this cluster has would help these.
        ([JobDemand(0, [{"CPU": 64.0}])], 8, 8),
        ([JobDemand(0, [{"CPU": 1.0, "TPU": 1.0}])], 8, 8),
        ([JobDemand(0, [GPU])], 8, 8),
    ],
)
def test_a_search_gives_way_to_a_job_that_has_nothing_and_takes_it_back(
    others: Sequence[JobDemand], now: int, kept: int
) -> None:
    assert trials_to_keep(8, now, others, NODES, gpus=0) == kept


def test_a_search_on_gpus_gives_way_to_a_job_that_waits_for_one() -> None:
    assert trials_to_keep(2, 2, [JobDemand(0, [GPU])], NODES, gpus=1) == 1


def test_what_is_waited_for_is_said_with_what_there_is() -> None:
    assert waiting_text(1, 0, {"CPU": 2.0}, {}, 1) == (
        "Waiting for 1 CPU per trial: 2 of 2 CPUs of the cluster are in use by another job."
    )
    assert waiting_text(2, 0.5, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 3.0, "GPU": 0.25}, 2) == (
        "Waiting for 2 CPUs and 0.5 GPUs per trial: 5 of 8 CPUs and 0.75 of 1 GPU of the cluster are in use by 2 other "
        "jobs."
    )
    assert "1 of 1 CPU of the cluster are in use." in waiting_text(1, 0, {"CPU": 1.0}, {}, 0)
