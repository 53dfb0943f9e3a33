from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygrid.errors import CorruptArtifactError
from raygrid.grid.records import PointRecord, WeightsFile
from raygrid.grid.values import normalize_config
from raygrid.store.points import PointStore, read_weights, write_weights

KEY = "0" * 31 + "1"


def record(key: str = KEY, context: str = "context", **fields: Any) -> PointRecord:
    values: dict[str, Any] = {"config": {"units": (64, 32)}, "seed": 0, "status": "done"}
    return PointRecord(key=key, context=context, **(values | fields))


FULL = record(
    config={"units": (64, (32, 16)), "rate": 1e-3, "name": "Grüße", "off": None, "flag": True, "empty": ()},
    seed=2**32 - 1,
    metrics={"val_loss": 0.1 + 0.2, "loss": None, "val_mae": 5e-324},
    best_epoch=2,
    epochs_run=3,
    seconds=1.25,
    history={"val_loss": (0.5, None, 0.25), "loss": (1.0, 1.0, 1.0)},
    worker="host:123",
    device="CPU",
    threads=1,
    error="Traceback\nValueError: x",
    weights=WeightsFile(f"{KEY}.npz", 7, "digest"),
)


@pytest.fixture
def store(tmp_path: Path) -> PointStore:
    return PointStore(tmp_path / "a_runs" / "points")


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / "trial" / "weights.npz"
    path.parent.mkdir()
    write_weights(path, [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)])
    return path


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "raygrid" and r.levelno == logging.WARNING]


# Records


def test_a_record_comes_back_equal_with_its_tuples_and_nothing_else_is_written(store: PointStore) -> None:
    assert store.add(FULL) == FULL
    assert store.get(KEY) == FULL
    assert os.listdir(store.folder) == [f"{KEY}.json"]


def test_a_failed_point_comes_back_equal(store: PointStore) -> None:
    failed = record(status="failed", error="boom")
    store.add(failed)
    assert store.get(KEY) == failed


def test_numpy_scalars_in_a_config_come_back_as_pythons_own_numbers(store: PointStore) -> None:
    given_ = {"units": np.array([64, 32]), "rate": np.float64(0.1), "n": np.int64(3), "flag": np.bool_(True)}
    config = normalize_config(given_, {}, None)
    store.add(record(config=config))
    back = store.get(KEY)
    assert back is not None
    assert back.config == {"units": (64, 32), "rate": 0.1, "n": 3, "flag": True}
    assert [type(back.config[name]) for name in ("units", "rate", "n", "flag")] == [tuple, float, int, bool]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON in UTF-8 has no lone surrogates.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), values, max_size=4))
def test_any_config_comes_back_equal_with_equal_types(config: dict[str, Any]) -> None:
    written = json.dumps(record(config=config).to_json(), allow_nan=False)
    assert repr(PointRecord.from_json(json.loads(written), "file").config) == repr(config)


def test_a_number_that_json_does_not_have_is_refused_and_nothing_is_recorded(store: PointStore) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.add(record(metrics={"val_loss": float("nan")}))
    assert os.listdir(store.folder) == []


def test_nothing_is_found_where_nothing_was_recorded(store: PointStore) -> None:
    assert store.get(KEY) is None
    assert store.get_all([KEY]) == {}
    assert store.of_context("context") == []
    assert store.drop_weights(keep=()) == 0
    assert store.drop_records("context") == 0
    assert not store.folder.exists()


def test_the_same_key_is_recorded_anew(store: PointStore) -> None:
    store.add(record(status="failed", error="x"))
    store.add(record(seconds=2.0))
    assert store.get(KEY) == record(seconds=2.0)


def test_only_those_asked_for_come_and_those_of_a_context_in_the_order_of_their_keys(store: PointStore) -> None:
    records = {key: record(key, context) for key, context in (("c", "1"), ("a", "1"), ("b", "2"))}
    for each in records.values():
        store.add(each)
    assert store.get_all(["b", "zz", "c"]) == {"b": records["b"], "c": records["c"]}
    assert store.of_context("1") == [records["a"], records["c"]]
    assert list(store.all()) == [records["a"], records["b"], records["c"]]


def test_only_a_single_record_comes_with_its_history(store: PointStore) -> None:
    store.add(FULL)
    short = FULL.without_history()
    assert short.history == {} and short == dataclasses.replace(FULL, history={})
    assert store.get_all([KEY]) == {KEY: short}
    assert store.of_context(FULL.context) == [short]
    assert list(store.all()) == [short]
    assert store.get(KEY) == FULL


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"status": "fine"},
        {"config": []},
        {"metrics": None},
        {"metrics": {"val_loss": "low"}},
        {"history": []},
        {"history": {"loss": 1.0}},
        {"weights": {"name": "x"}},
        {"weights": "x.npz"},
        {"key": "another"},
    ],
)
def test_a_record_with_a_wrong_field_counts_as_none_with_a_warning(
    store: PointStore, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    store.add(record())
    path = store.folder / f"{KEY}.json"
    path.write_text(json.dumps(record().to_json() | changes))
    assert store.get(KEY) is None
    assert store.get_all([KEY]) == {} and store.of_context("context") == []
    assert all(str(path) in message for message in warnings_of(caplog)) and len(warnings_of(caplog)) == 3


# Weights

ARRAYS: list[Any] = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array([1e-8, -65504, np.inf, np.nan], np.float16),
    np.array([-128, 127], np.int8),
    np.zeros((0, 5), np.float32),
    np.float64(0.1) * np.ones(()),
    np.array([True, False]),
    np.array([2**63], np.uint64),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(10, dtype=np.float32)[::3],
    np.array([1.5, -2.0, np.nan], ml_dtypes.bfloat16),
    np.zeros((2, 0), ml_dtypes.bfloat16),
    np.array([0.5], ml_dtypes.float8_e4m3fn),
    *(np.full(2, i, np.float32) for i in range(12)),
]


def test_weights_come_back_bit_for_bit_in_their_order(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.npz", ARRAYS)
    back = read_weights(io.BytesIO((tmp_path / "w.npz").read_bytes()))
    assert len(back) == len(ARRAYS)
    for old, new in zip(ARRAYS, back, strict=True):
        assert (new.dtype, new.shape, new.tobytes()) == (old.dtype, old.shape, old.tobytes())


def test_a_model_without_weights_has_none(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.npz", [])
    assert read_weights(io.BytesIO((tmp_path / "w.npz").read_bytes())) == []


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", np.array([object()]))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_weights(io.BytesIO((tmp_path / "w.npz").read_bytes()))


@pytest.mark.parametrize("links", [True, False])
def test_a_point_is_recorded_with_its_weights_their_size_and_digest(
    store: PointStore, weights_file: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    written = store.add(record(), weights_file)
    data = weights_file.read_bytes()
    assert written.weights is not None
    assert (written.weights.name, written.weights.size_bytes) == (f"{KEY}.npz", len(data))
    assert store.get(KEY) == written
    # The trial's folder is removed later.
    shutil.rmtree(weights_file.parent)
    back = store.weights(written)
    assert back is not None
    assert [a.tolist() for a in back] == [[[0, 1, 2], [3, 4, 5]], [1, 1, 1]]
    assert sorted(os.listdir(store.folder)) == [f"{KEY}.json", f"{KEY}.npz"]


def _no_links(source: Path, target: Path) -> None:
    raise OSError("no links here")


def test_weights_are_there_before_the_record_that_names_them(
    store: PointStore, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: Any) -> None:
        assert (store.folder / f"{KEY}.npz").read_bytes() == weights_file.read_bytes()
        raise OSError("full")

    monkeypatch.setattr("raygrid.store.points.write_json", refuse)
    with pytest.raises(OSError, match="full"):
        store.add(record(), weights_file)
    assert store.get(KEY) is None


def test_weights_that_are_not_there_are_an_error_and_no_record(store: PointStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.add(record(), tmp_path / "none.npz")
    assert os.listdir(store.folder) == []


def test_weights_that_were_not_kept_are_none_without_a_warning(
    store: PointStore, weights_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert store.weights(record()) is None
    written = store.add(record(), weights_file)
    (store.folder / f"{KEY}.npz").unlink()
    assert store.weights(written) is None
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", b"no weights"])
def test_weights_that_were_damaged_when_they_were_recorded_are_none_with_a_warning(
    store: PointStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    (tmp_path / "w").write_bytes(data)
    assert store.weights(store.add(record(), tmp_path / "w")) is None
    (message,) = warnings_of(caplog)
    assert f"{KEY}.npz" in message


def test_weights_cut_anywhere_when_they_were_recorded_are_none(store: PointStore, weights_file: Path) -> None:
    data = weights_file.read_bytes()
    for length in range(0, len(data), 7):
        weights_file.write_bytes(data[:length])
        assert store.weights(store.add(record(), weights_file)) is None


def test_only_the_weights_of_the_winner_are_kept(store: PointStore, weights_file: Path) -> None:
    written = {key: store.add(record(key), weights_file) for key in ("winner", "loser", "other")}
    size = weights_file.stat().st_size
    assert store.drop_weights(keep={"winner"}) == 2 * size
    assert store.weights(written["winner"]) is not None
    assert store.weights(written["loser"]) is None
    assert list(store.get_all(written)) == list(written)
    assert store.drop_weights(keep={"winner"}) == 0


def test_a_dangling_link_among_the_weights_is_removed_with_the_others(store: PointStore) -> None:
    store.add(record())
    (store.folder / "x.npz").symlink_to("missing")
    store.drop_weights(keep=())
    assert os.listdir(store.folder) == [f"{KEY}.json"]


def test_records_of_other_contexts_are_dropped_with_their_weights(store: PointStore, weights_file: Path) -> None:
    kept = store.add(record("a", "now"), weights_file)
    store.add(record("b", "before"), weights_file)
    store.add(record("c", "before"))
    assert store.drop_records(keep_context="now") == 2
    assert sorted(os.listdir(store.folder)) == ["a.json", "a.npz"]
    assert store.get("a") == kept


def test_a_message_of_a_record_that_came_from_elsewhere_names_where(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifactError, match=re.escape("the report of trial 7 is not a point's record")):
        PointRecord.from_json({}, "the report of trial 7")


def test_a_record_that_gets_weights_keeps_all_its_other_fields(store: PointStore, weights_file: Path) -> None:
    written = store.add(replace(FULL, weights=None), weights_file)
    assert replace(written, weights=None) == replace(FULL, weights=None)
    assert store.get(KEY) == written
