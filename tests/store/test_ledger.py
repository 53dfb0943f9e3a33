from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raygrid.errors import CorruptArtifactError
from raygrid.grid.records import PointRecord
from raygrid.store.ledger import read_ledger, results_table, results_text, write_ledger
from raygrid.store.paths import ModelArtifacts


def record(key: str, val_loss: float | None = 1.0, **fields: Any) -> PointRecord:
    values: dict[str, Any] = {
        "config": {},
        "seed": 0,
        "status": "done",
        "metrics": {"val_loss": val_loss},
        "best_epoch": 1,
    }
    return PointRecord(**{"key": key, "context": "c"} | values | fields)


def failed(key: str, error: str | None, **fields: Any) -> PointRecord:
    return record(key, status="failed", metrics={}, best_epoch=None, error=error, **fields)


def table_of(*values: Any) -> pa.Table:
    """The table of points whose hyperparameter ``x`` has these values."""
    records = [record(f"{i:03d}", config={"x": value}) for i, value in enumerate(values)]
    return results_table(records, {r.key: i for i, r in enumerate(records)})


def config_column(*values: Any) -> pa.ChunkedArray:
    return table_of(*values)["config.x"]


def test_the_columns_their_order_and_their_types_are_pinned() -> None:
    row = record(
        "k",
        config={"units": (64, 32), "rate": 0.1},
        metrics={"val_loss": 0.5, "loss": 1, "val_mae": None},
        seed=2**32 - 1,
        threads=1,
    )
    table = results_table([row], {"k": 0})
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("point", "int64"),
        ("status", "string"),
        ("val_loss", "double"),
        ("config.rate", "double"),
        ("config.units", "list<item: int64>"),
        ("metric.loss", "double"),
        ("metric.val_loss", "double"),
        ("metric.val_mae", "double"),
        ("best_epoch", "int64"),
        ("epochs_run", "int64"),
        ("seconds", "double"),
        ("worker", "string"),
        ("device", "string"),
        ("threads", "int64"),
        ("seed", "int64"),
        ("error", "string"),
        ("key", "string"),
        ("trained_with", "string"),
    ]


def test_a_row_holds_what_its_record_holds() -> None:
    row = record(
        "k",
        0.1 + 0.2,
        config={"units": (64, 32)},
        best_epoch=2,
        epochs_run=5,
        seconds=1.5,
        worker="host:1",
        device="CPU",
        threads=1,
        seed=7,
        error="e",
    )
    assert results_table([row], {"k": 3}).to_pylist() == [
        {
            "point": 3,
            "status": "done",
            "val_loss": 0.30000000000000004,
            "config.units": [64, 32],
            "metric.val_loss": 0.30000000000000004,
            "best_epoch": 2,
            "epochs_run": 5,
            "seconds": 1.5,
            "worker": "host:1",
            "device": "CPU",
            "threads": 1,
            "seed": 7,
            "error": "e",
            "key": "k",
            "trained_with": None,
        }
    ]


def test_rows_come_in_the_order_of_the_grid_and_points_of_earlier_grids_after_them() -> None:
    records = [record(key) for key in ("z-old", "b", "a-old", "a", "c")]
    table = results_table(records, {"c": 0, "a": 1, "b": 2})
    assert table["key"].to_pylist() == ["c", "a", "b", "a-old", "z-old"]
    assert table["point"].to_pylist() == [0, 1, 2, None, None]


def test_no_records_are_a_table_without_rows() -> None:
    table = results_table([], {})
    assert table.num_rows == 0 and table["val_loss"].type == pa.float64()


@pytest.mark.parametrize(
    ("values", "expected_type", "expected"),
    [
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([0.5, None], pa.float64(), [0.5, None]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        # A float holds whole numbers up to 2**53 only.
        ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
        ([True, False], pa.bool_(), [True, False]),
        (["relu", "tanh", None], pa.string(), ["relu", "tanh", None]),
        ([(64, 32), (16,), None], pa.list_(pa.int64()), [[64, 32], [16], None]),
        ([(64, 0.5), (1, 2)], pa.list_(pa.float64()), [[64.0, 0.5], [1.0, 2.0]]),
        ([(("a", "b"), ("c",))], pa.list_(pa.list_(pa.string())), [[["a", "b"], ["c"]]]),
        ([(), (1,)], pa.list_(pa.int64()), [[], [1]]),
        ([()], pa.list_(pa.null()), [[]]),
        # Values that differ in type are text, as JSON.
        ([1, True], pa.string(), ["1", "true"]),
        (["relu", 1, None], pa.string(), ['"relu"', "1", None]),
        ([(1,), 1], pa.string(), ["[1]", "1"]),
        ([(64, "relu"), (1,)], pa.string(), ['[64, "relu"]', "[1]"]),
        ([(1,), ("a",)], pa.string(), ["[1]", '["a"]']),
        ([({"a": (1,)},), (1,)], pa.string(), ['[{"a": [1]}]', "[1]"]),
        ([{"a": 1}, {"b": (2,)}], pa.string(), ['{"a": 1}', '{"b": [2]}']),
        ([2**70, 1], pa.string(), ["1180591620717411303424", "1"]),
        ([10**400, 0.5], pa.string(), ["1" + "0" * 400, "0.5"]),
        ([None, None], pa.string(), [None, None]),
    ],
)
def test_a_column_of_a_hyperparameter_has_the_type_of_its_values(
    tmp_path: Path, values: list[Any], expected_type: pa.DataType, expected: list[Any]
) -> None:
    column = config_column(*values)
    assert column.type == expected_type
    assert column.to_pylist() == expected
    assert [type(v) for v in column.to_pylist()] == [type(v) for v in expected]
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    write_ledger(paths, table_of(*values))
    back = read_ledger(paths)
    assert back is not None and back["config.x"].to_pylist() == expected


def test_a_hyperparameter_or_metric_that_a_point_does_not_have_is_null() -> None:
    records = [record("a", config={"x": 1}), record("b", config={"y": 2}, metrics={"mae": 3.0})]
    table = results_table(records, {"a": 0, "b": 1})
    assert table["config.x"].to_pylist() == [1, None]
    assert table["config.y"].to_pylist() == [None, 2]
    assert table["metric.mae"].to_pylist() == [None, 3.0]
    assert table["val_loss"].to_pylist() == [1.0, None]


def test_names_that_are_columns_already_do_not_clash() -> None:
    row = record("k", config={"seed": "own", "config.x": 1}, metrics={"val_loss": 0.5, "seconds": 2.0}, seconds=9.0)
    (values,) = results_table([row], {"k": 0}).to_pylist()
    assert (values["config.seed"], values["seed"]) == ("own", 0)
    assert (values["metric.seconds"], values["seconds"]) == (2.0, 9.0)
    assert values["config.config.x"] == 1


# The file


def test_the_ledger_comes_back_equal_and_is_replaced_whole(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    assert read_ledger(paths) is None
    write_ledger(paths, results_table([record("old")], {}))
    table = results_table([record("a", config={"x": (1, 2)}), failed("b", "e")], {"a": 0})
    write_ledger(paths, table)
    assert read_ledger(paths) == table
    assert [path.name for path in tmp_path.iterdir()] == ["a_trials.parquet"]


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "footer"])
def test_a_damaged_ledger_is_an_error_that_names_it_and_the_fix(tmp_path: Path, damage: str) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    write_ledger(paths, results_table([record("a")], {"a": 0}))
    data = paths.ledger_path.read_bytes()
    footer = data[:-8] + (10**6).to_bytes(4, "little") + data[-4:]
    paths.ledger_path.write_bytes({"empty": b"", "cut": data[:-9], "other": b"text" * 10, "footer": footer}[damage])
    with pytest.raises(CorruptArtifactError, match=rf"^{re.escape(str(paths.ledger_path))} is damaged.*Remove it"):
        read_ledger(paths)


def test_a_ledger_of_before_a_column_was_added_has_nulls_there_and_a_later_one_may_have_more(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    whole = results_table([record("a", 0.25)], {"a": 0})
    write_ledger(paths, whole.drop_columns(["trained_with", "threads"]).append_column("added", [["later"]]))
    (row,) = (read_ledger(paths) or whole.slice(0, 0)).to_pylist()
    assert (row["point"], row["val_loss"], row["trained_with"], row["threads"]) == (0, 0.25, None, None)
    assert results_text(read_ledger(paths) or whole, 10).splitlines()[1].split()[:2] == ["0", "0.25"]


def test_a_table_with_a_hyperparameter_of_a_type_that_no_config_holds_is_damaged(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    whole = results_table([record("a", 0.25)], {"a": 0})
    write_ledger(paths, whole.append_column("config.bytes", pa.array([b"raw"], pa.binary())))
    with pytest.raises(CorruptArtifactError, match=r"'config\.bytes' holds binary, which no config holds"):
        read_ledger(paths)


@pytest.mark.parametrize("name", ["point", "status", "val_loss", "epochs_run", "seconds", "key"])
def test_a_table_without_a_column_that_makes_it_a_ledger_is_damaged(tmp_path: Path, name: str) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    write_ledger(paths, results_table([record("a", 0.25)], {"a": 0}).drop_columns([name]))
    with pytest.raises(CorruptArtifactError, match=f"no column '{name}'"):
        read_ledger(paths)


def test_a_link_in_place_of_the_ledger_is_refused(tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "a")
    paths.ledger_path.symlink_to("elsewhere")
    with pytest.raises(CorruptArtifactError, match="symbolic link"):
        read_ledger(paths)


# As text


def text(*records: PointRecord, rows: int = 10, earlier: int = 0) -> str:
    numbered = records[: len(records) - earlier]
    return results_text(results_table(records, {r.key: i for i, r in enumerate(numbered)}), rows)


def test_the_printed_form_is_pinned() -> None:
    same = {"epochs": 5}
    printed = text(
        record("a", 0.25, config={"units": (64, 32), "rate": 0.1, **same}, best_epoch=4, epochs_run=5, seconds=1.26),
        record("b", 0.123456789, config={"units": (16,), "rate": None, **same}, best_epoch=12, epochs_run=20),
        failed("c", "Traceback\n  line\nValueError: units\n", config={"units": (0,), "rate": 0.1, **same}),
        record("d", None, status="diverged", best_epoch=None, config={"units": (16,), "rate": 9.0, **same}),
        record("e", 0.3, config={"units": (8,), "rate": 0.1, **same}, best_epoch=1, epochs_run=1),
        earlier=1,
    )
    assert printed.splitlines() == [
        "point  val_loss  rate  units  best epoch  epochs run  seconds",
        "    1  0.123457  None     16          12          20      0.0",
        "    0      0.25   0.1  64-32           4           5      1.3",
        "    -       0.3   0.1      8           1           1      0.0",
        "5 points: 3 done, 1 diverged, 1 failed",
        "  failed: point 2 (rate=0.1, units=0): ValueError: units",
        "  diverged: point 3 (rate=9.0, units=16): no cause was recorded",
    ]


def test_an_axis_that_has_the_name_of_another_column_can_be_told_from_it() -> None:
    points = [
        record(f"p{i}", 1.0 + i, config={"epochs": n, "seconds": i}, best_epoch=1, epochs_run=2, seconds=1.5)
        for i, n in enumerate((5, 20))
    ]
    header, first, *_ = text(*points).splitlines()
    assert header == "point  val_loss  epochs  config.seconds  best epoch  epochs run  seconds"
    assert first.split() == ["0", "1", "5", "0", "1", "2", "1.5"]
    names = results_table(points, {}).column_names
    assert len(set(names)) == len(names)


def test_one_point_is_not_several() -> None:
    assert text(record("a", 0.5)).splitlines()[-1] == "1 point: 1 done"


def test_ties_are_printed_in_the_order_of_the_grid_and_earlier_points_last() -> None:
    printed = text(record("a", 0.5), record("b", 0.5), record("c", 0.5), earlier=1)
    assert [line.split()[0] for line in printed.splitlines()[1:4]] == ["0", "1", "-"]


def test_only_so_many_rows_are_printed_of_the_best_and_of_what_failed() -> None:
    done = [record(f"d{i}", float(i)) for i in range(3)]
    bad = [failed(f"f{i}", f"cause {i}") for i in range(4)]
    lines = text(*done, *bad, rows=2).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["0", "1"]
    assert lines[3:] == [
        "7 points: 3 done, 4 failed",
        "  failed: point 3: cause 0",
        "  failed: point 4: cause 1",
        "  and 2 more",
    ]


def test_a_table_without_a_usable_point_has_no_header() -> None:
    assert text(failed("a", None), failed("b", "\n")).splitlines() == [
        "2 points: 2 failed",
        "  failed: 2 points: no cause was recorded",
        "    point 0, point 1",
    ]
    assert text(failed("a", "e")).splitlines()[0] == "1 point: 1 failed"


def test_points_of_one_cause_are_printed_together_whatever_their_layers_are_called() -> None:
    errors = [f"ValueError: Input 0 of layer 'functional_{i}' is incompatible" for i in range(4)]
    bad = [failed(f"f{i}", error, config={"units": i}) for i, error in enumerate(errors)]
    lines = text(bad[0], failed("g", "IndexError: other", config={"units": 9}), *bad[1:], rows=3).splitlines()
    assert lines == [
        "5 points: 5 failed",
        "  failed: 4 points: ValueError: Input 0 of layer 'functional_0' is incompatible",
        "    point 0 (units=0), point 2 (units=1), point 3 (units=2) and 1 more",
        "  failed: point 1 (units=9): IndexError: other",
    ]
