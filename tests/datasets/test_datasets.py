from __future__ import annotations

import numpy as np
import pytest

from raygrid.data.scaler import StandardScaler
from raygrid.datasets import TEPData, load_tep


@pytest.fixture(scope="module")
def tep() -> TEPData:
    return load_tep()


def test_the_arrays_have_the_documented_shapes_and_types(tep: TEPData) -> None:
    assert tep.X_train.shape == (3000, 52) and tep.X_val.shape == (1000, 52) and tep.X_test.shape == (9830, 52)
    assert tep.X_train.dtype == tep.X_val.dtype == tep.X_test.dtype == tep.hour.dtype == np.float32
    assert tep.fault.dtype == tep.run.dtype == np.int32
    assert len(tep.fault) == len(tep.run) == len(tep.hour) == 9830
    assert len(tep.run_train) == 3000 and len(tep.run_val) == 1000
    for x in (tep.X_train, tep.X_val, tep.X_test):
        assert np.isfinite(x).all() and x.flags.c_contiguous


def test_the_features_are_measurements_and_then_manipulated_variables(tep: TEPData) -> None:
    assert len(set(tep.feature_names)) == 52
    assert tep.feature_names[0] == "feed_A_flow"
    assert all(name.endswith("_valve") for name in tep.feature_names[41:])
    assert not {"split", "run", "fault", "hour"} & set(tep.feature_names)
    level = tep.X_train[:, tep.feature_names.index("reactor_level")]
    assert 50 < level.mean() < 90  # percent


def test_no_run_is_in_two_parts(tep: TEPData) -> None:
    parts = [set(run.tolist()) for run in (tep.run_train, tep.run_val, tep.run)]
    assert [len(part) for part in parts] == [6, 2, 21]
    assert len(set.union(*parts)) == 29


def test_every_fault_has_a_run_of_its_own_and_starts_at_hour_four(tep: TEPData) -> None:
    assert set(tep.fault.tolist()) == set(range(21))
    np.testing.assert_array_equal(tep.fault > 0, (tep.hour >= 4) & (tep.run != tep.run[0]))
    for run in np.unique(tep.run):
        rows = tep.run == run
        assert len(set(tep.fault[rows].tolist()) - {0}) == (0 if run == tep.run[0] else 1)
        assert (np.diff(tep.hour[rows]) > 0).all()


def test_the_constant_valves_survive_scaling(tep: TEPData) -> None:
    scaled = StandardScaler.fit(tep.X_train).transform(tep.X_train)
    assert np.isfinite(scaled).all()
    constant = {name for name, std in zip(tep.feature_names, scaled.std(axis=0), strict=True) if std == 0}
    assert constant == {"stripper_steam_valve", "compressor_recycle_valve"}


def test_each_call_gives_arrays_that_the_caller_may_change(tep: TEPData) -> None:
    again = load_tep()
    again.X_train[:] = 0
    assert tep.X_train.any() and load_tep().X_train.any()


def test_the_repr_says_what_is_in_it_and_that_it_is_simulated(tep: TEPData) -> None:
    text = repr(tep)
    assert "simulated" in text and "(9830, 52)  21 runs, 20 of them with a fault" in text
    assert "(3000, 52)  6 normal runs" in text and len(text) < 400
