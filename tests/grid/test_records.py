"""Records of points: the same after JSON, refused when damaged; and which point wins."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raygrid.errors import CorruptArtifactError
from raygrid.grid.records import PointRecord, Status, WeightsFile, finite_or_none, pick_best, tuples


def record(val_loss: float | None = 0.5, status: Status = "done", **fields: Any) -> PointRecord:
    return PointRecord(
        key="k", context="c", config={"units": 8}, seed=0, status=status, metrics={"val_loss": val_loss}, **fields
    )


WHOLE = PointRecord(
    key="0123",
    context="4567",
    config={"layers": (64, (32,)), "dropout": None, "rate": 1e-5, "bias": True, "nested": {"a": (1,)}},
    seed=2**32 - 1,
    status="done",
    metrics={"loss": 0.25, "val_loss": 0.1, "val_mae": None},
    best_epoch=2,
    epochs_run=3,
    seconds=1.5,
    history={"loss": (0.5, 0.25, None), "val_loss": (0.2, 0.1, 0.3)},
    worker="host:1",
    device="CPU",
    threads=1,
    error=None,
    weights=WeightsFile("0123.npz", 10, "ab"),
)


@pytest.mark.parametrize("whole", [WHOLE, record(), record(None, "failed", error="first\nlast")])
def test_a_record_comes_back_equal_from_json(whole: PointRecord) -> None:
    assert PointRecord.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False)), "x.json") == whole


NEEDED = ("key", "context", "config", "seed", "status", "metrics")


@pytest.mark.parametrize("missing", ["format", *NEEDED])
def test_a_record_without_what_makes_it_one_is_refused(missing: str) -> None:
    value = WHOLE.to_json()
    del value[missing]
    with pytest.raises(CorruptArtifactError, match=r"p/k\.json is not a point's record .*Remove the file"):
        PointRecord.from_json(value, "p/k.json")


@pytest.mark.parametrize("missing", sorted({*PointRecord.__dataclass_fields__} - {*NEEDED}))
def test_a_record_of_before_a_field_was_added_has_its_default(missing: str) -> None:
    value = WHOLE.to_json()
    del value[missing]
    default = getattr(PointRecord("", "", {}, 0, "failed"), missing)
    assert PointRecord.from_json(value, "p/k.json") == replace(WHOLE, **{missing: default})


def test_what_a_later_raygrid_adds_to_a_record_is_left_out() -> None:
    value = {**WHOLE.to_json(), "energy_wh": 3, "nested": {"a": [1]}}
    value["weights"]["compression"] = "zstd"
    assert PointRecord.from_json(value, "p/k.json") == WHOLE


def test_a_failed_record_needs_no_metrics() -> None:
    value = record(None, "failed", error="why").to_json()
    del value["metrics"]
    assert PointRecord.from_json(value, "x").cause == "why"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"status": "ready"},
        {"config": [1]},
        {"metrics": None},
        {"metrics": {"val_loss": "0.1"}},
        {"history": [1]},
        {"history": {"loss": 3}},
        {"weights": {"name": "x"}},
        {"weights": "x"},
    ],
)
def test_a_record_with_a_field_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptArtifactError):
        PointRecord.from_json({**WHOLE.to_json(), **change}, "x.json")


@pytest.mark.parametrize("value", [None, [], "text", 3, {}])
def test_what_is_no_record_at_all_is_refused(value: Any) -> None:
    with pytest.raises(CorruptArtifactError):
        PointRecord.from_json(value, "x.json")


def test_lists_from_json_become_tuples_at_every_depth() -> None:
    assert tuples({"a": [1, [2, {"b": [3]}]]}) == {"a": (1, (2, {"b": (3,)}))}


@pytest.mark.parametrize(
    ("value", "kept"), [(1.5, 1.5), (0, 0.0), (math.nan, None), (math.inf, None), (-math.inf, None)]
)
def test_a_number_that_json_cannot_carry_is_none(value: float, kept: float | None) -> None:
    assert finite_or_none(value) == kept


def test_a_failure_is_tried_again_and_a_divergence_is_not() -> None:
    assert [record(status=status).final for status in ("done", "diverged", "failed")] == [True, True, False]


def test_the_cause_is_the_line_of_the_error_that_says_what_happened() -> None:
    assert record(error="Traceback\n  line\nValueError: units is -1\n").cause == "ValueError: units is -1"
    assert record(error=None).cause == record(error=" \n").cause == "no cause was recorded"


# Which point wins


def test_the_lowest_val_loss_wins() -> None:
    records = {0: record(0.3), 1: record(0.1), 2: record(0.2)}
    assert pick_best(records) == (1, records[1])


def test_ties_go_to_the_lowest_number_in_any_order() -> None:
    assert pick_best([(2, record(0.1)), (1, record(0.1)), (3, record(0.1))]) == (1, record(0.1))


@pytest.mark.parametrize(
    "loser",
    [
        record(None),
        record(math.nan),
        record(math.inf),
        record(-math.inf),
        record(0.0, "diverged"),
        record(0.0, "failed"),
        replace(record(), metrics={}),
    ],
)
def test_f11_a_point_without_a_finite_val_loss_never_wins(loser: PointRecord) -> None:
    assert pick_best({0: loser, 1: record(9.0)}) == (1, record(9.0))
    assert pick_best({0: loser}) is None


def test_without_points_nothing_wins() -> None:
    assert pick_best([]) is None


@settings(deadline=None)  # the machine may be busy
@given(
    losses=st.lists(st.one_of(st.none(), st.floats(), st.sampled_from([0.5, 0.25])), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_the_winner_does_not_depend_on_the_order_in_which_points_finish(losses: list[float | None], order: Any) -> None:
    numbered = [(number, record(loss)) for number, loss in enumerate(losses)]
    finite = [(loss, number) for number, loss in enumerate(losses) if loss is not None and math.isfinite(loss)]
    order.shuffle(numbered)
    best = pick_best(numbered)
    assert (best and best[0]) == (min(finite)[1] if finite else None)
