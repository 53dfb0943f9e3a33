"""What a trial may ask for, and what it gets of what there is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from raygrid.errors import ResourceError
from raygrid.tuning.resources import Resources, TrialResources, resolve

CPU_NODE = {"CPU": 8.0, "memory": 1e9}
GPU_NODE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("cpus_per_trial", value) for value in (0, -1, 1.5, 2.0, True, "2", None)),
        *(("gpus_per_trial", value) for value in (-1, -0.5, 1.5, math.nan, math.inf, True, "1")),
        *(("max_concurrent", value) for value in (0, -1, 1.5, True, "2")),
        *(("memory_gb", value) for value in (-1, math.nan, math.inf, True, "2")),
    ],
)
def test_an_amount_that_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ResourceError, match=rf"{field} is {value!r}. It must"):
        Resources(**{field: value})


@pytest.mark.parametrize("gpus", [None, 0, 0.0, 0.25, 1, 1.0, 2])
def test_no_gpu_a_part_of_one_and_whole_ones_can_be_asked_for(gpus: float | None) -> None:
    assert Resources(gpus_per_trial=gpus).gpus_per_trial == gpus


def test_numbers_of_numpy_become_those_of_python() -> None:
    asked = Resources(np.int64(2), np.float32(0.5), np.int8(3), np.float64(1.5))  # type: ignore[arg-type]
    assert asked == Resources(2, 0.5, 3, 1.5)
    assert {type(value) for value in vars(asked).values()} == {int, float}


@pytest.mark.parametrize(
    ("asked", "nodes", "says"),
    [
        (
            Resources(cpus_per_trial=9),
            [CPU_NODE, GPU_NODE],
            "9 CPUs and 1 GPU, and no node can give that: the largest has 8 CPUs, and no node has more than 2 GPUs.",
        ),
        (Resources(gpus_per_trial=3), [CPU_NODE, GPU_NODE], "1 CPU and 3 GPUs, and no node can give that"),
        # One node has the CPUs, another one the GPU.
        (Resources(16, 1), [GPU_NODE, {"CPU": 32.0}], "16 CPUs and 1 GPU, and no node can give that"),
        (Resources(), [], "1 CPU and 0 GPUs, and no node can give that: the largest has 0 CPUs"),
    ],
)
def test_a_trial_that_fits_no_node_is_refused_with_what_there_is(
    asked: Resources, nodes: list[dict[str, float]], says: str
) -> None:
    with pytest.raises(ResourceError) as caught:
        resolve(asked, nodes, [])
    assert says in str(caught.value)


def test_without_gpus_a_trial_gets_one_cpu_and_all_cpus_are_used() -> None:
    assert resolve(Resources(), [CPU_NODE, CPU_NODE], []) == TrialResources(cpus=1, gpus=0.0, concurrent=16)


def test_where_any_node_has_a_gpu_a_trial_gets_one() -> None:
    assert resolve(Resources(), [CPU_NODE, GPU_NODE], []) == TrialResources(cpus=1, gpus=1.0, concurrent=2)


def test_gpus_can_be_declined() -> None:
    assert resolve(Resources(gpus_per_trial=0), [CPU_NODE, GPU_NODE], []) == TrialResources(1, 0.0, 16)


def test_a_gpu_of_a_node_that_the_autoscaler_may_start_counts() -> None:
    assert resolve(Resources(), [CPU_NODE], [{"CPU": 16.0, "GPU": 1.0}]).gpus == 1.0


def test_a_trial_that_fits_only_a_future_node_is_accepted() -> None:
    granted = resolve(Resources(cpus_per_trial=16, gpus_per_trial=4), [CPU_NODE], [{"CPU": 16.0, "GPU": 4.0}])
    assert granted == TrialResources(cpus=16, gpus=4.0, concurrent=None)  # waiting trials make it start them
    assert resolve(Resources(), [], [{"CPU": 1.0}]).cpus == 1


def test_the_slots_of_a_node_are_what_its_scarcer_resource_allows() -> None:
    assert resolve(Resources(cpus_per_trial=3), [CPU_NODE, {"CPU": 2.0}], []).concurrent == 2
    # A node without a GPU has no slot, though its CPUs would do.
    assert resolve(Resources(gpus_per_trial=1), [CPU_NODE, GPU_NODE], []).concurrent == 2
    assert resolve(Resources(cpus_per_trial=8, gpus_per_trial=1), [GPU_NODE], []).concurrent == 1
    assert resolve(Resources(gpus_per_trial=2), [GPU_NODE], []).concurrent == 1


@pytest.mark.parametrize(("fraction", "slots"), [(0.5, 4), (0.4, 4), (0.3, 6), (0.1, 8), (1 / 3, 6), (0.9, 2)])
def test_a_fraction_lies_within_one_gpu(fraction: float, slots: int) -> None:
    assert resolve(Resources(gpus_per_trial=fraction), [GPU_NODE], []).concurrent == slots


def test_the_nth_part_of_a_gpu_is_given_n_times() -> None:
    roomy = {"CPU": 200.0, "GPU": 1.0}
    granted = [resolve(Resources(gpus_per_trial=1 / n), [roomy], []).concurrent for n in range(2, 151)]
    assert granted == list(range(2, 151))


def test_fewer_trials_at_a_time_can_be_asked_for() -> None:
    assert resolve(Resources(max_concurrent=3), [CPU_NODE], []).concurrent == 3
