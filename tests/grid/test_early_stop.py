"""The stopping rules, against Keras' own counting written out again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raygrid.grid.early_stop import EarlyStop


def run(losses: list[float], patience: int | None) -> tuple[int, int | None]:
    """Epochs run and best epoch, both counted from 1."""
    rule = EarlyStop(patience)
    for epoch, loss in enumerate(losses, start=1):
        _, stop = rule.update(epoch, loss)
        if stop:
            return epoch, rule.best_epoch
    return len(losses), rule.best_epoch


def keras_run(losses: list[float], patience: int) -> tuple[int, int]:
    """The same from the lines of ``keras.callbacks.EarlyStopping.on_epoch_end`` (Keras 3.15, ``min_delta=0``)."""
    best, best_epoch, wait = None, 0, 0
    for epoch, current in enumerate(losses):
        wait += 1
        if best is None or current < best:
            best, best_epoch, wait = current, epoch, 0
            continue
        if wait >= patience and epoch > 0:
            return epoch + 1, best_epoch + 1
    return len(losses), best_epoch + 1


ANY_LOSS = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, 0.5, 0.25, 0.125]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)  # the machine may be busy
@given(first=FINITE, rest=st.lists(ANY_LOSS.filter(lambda x: x != -math.inf)), patience=st.integers(1, 5))
def test_a_training_that_begins_finite_stops_where_keras_stops(first: float, rest: list[float], patience: int) -> None:
    losses = [first, *rest]
    assert run(losses, patience) == keras_run(losses, patience)


@settings(deadline=None)  # the machine may be busy
@given(losses=st.lists(ANY_LOSS, min_size=1), patience=st.integers(1, 5))
def test_a_loss_that_is_not_finite_counts_as_infinitely_bad(losses: list[float], patience: int) -> None:
    epochs, best_epoch = run(losses, patience)
    as_seen = [loss if math.isfinite(loss) else math.inf for loss in losses]
    keras_epochs, keras_best = keras_run(as_seen, patience)
    assert epochs == keras_epochs
    assert best_epoch == (keras_best if any(map(math.isfinite, losses[:epochs])) else None)


@settings(deadline=None)  # the machine may be busy
@given(losses=st.lists(ANY_LOSS), patience=st.sampled_from([None, 0]))
def test_without_patience_training_never_stops_and_the_best_finite_epoch_is_kept(
    losses: list[float], patience: int | None
) -> None:
    epochs, best_epoch = run(losses, patience)
    finite = [(loss, epoch) for epoch, loss in enumerate(losses, start=1) if math.isfinite(loss)]
    assert epochs == len(losses)
    assert best_epoch == (min(finite)[1] if finite else None)


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([3, 2, 2, 2, 1], 2, 4, 2),  # an equal loss is not better
        ([3, 2, 2, 1, 1, 1], 2, 6, 4),  # a better one starts the count anew
        ([3, 4, 1], 1, 2, 1),
        ([math.nan, 2, 1], 1, 3, 3),  # a first NaN does not bar later epochs, and is not counted
        ([math.nan, math.nan, 1], 1, 2, None),
        ([math.nan, math.nan, 1], 2, 3, 3),
        ([1, math.nan, math.nan, 0.5], 2, 3, 1),
        ([-math.inf, 1, 2], 0, 3, 2),
        ([5], 1, 1, 1),
    ],
)
def test_the_rules_by_example(losses: list[float], patience: int, epochs: int, best: int | None) -> None:
    assert run(losses, patience) == (epochs, best)


def test_each_epoch_says_whether_it_is_the_best_so_far() -> None:
    rule = EarlyStop(None)
    losses = [3.0, 2.0, 2.0, math.nan, 1.0]
    assert [rule.update(epoch, loss)[0] for epoch, loss in enumerate(losses, 1)] == [True, True, False, False, True]
    assert rule.best == 1.0
