"""Readers of untrusted files: guards in this process against a process of their own with a memory limit.

The guards look at what a file says of its size before it is read. The other way reads the file in a subprocess whose
address space is limited, which writes the columns down for this process to map. Each pair is measured in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from reporting import RESULTS, as_list, facts, table, write

from raygrid.cli.inputs import read_mapping
from raygrid.data.files import tables

REPEATS = 7
COLUMNS = 20
LIMIT_BYTES = 4 * 2**30
PACKAGES = ("numpy", "pyarrow")

_READ_APART = """
import resource, sys
source, target, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import pyarrow as pa
if source.endswith(".parquet"):
    import pyarrow.parquet as pq
    table = pq.ParquetFile(source).read()
else:
    table = pa.ipc.open_file(source).read_all()
with pa.OSFile(target, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
    writer.write_table(table)
"""
_YAML_APART = """
import resource, sys
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import json, yaml
json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)
"""


def apart(path: Path) -> Any:
    """The columns of ``path``, read by a process with a memory limit."""
    with tempfile.TemporaryDirectory(prefix="raygrid-") as folder:
        target = Path(folder) / "columns.arrow"
        command = [sys.executable, "-c", _READ_APART, str(path), str(target), str(LIMIT_BYTES)]
        subprocess.run(command, check=True)
        with pa.memory_map(str(target)) as file:
            return pa.ipc.open_file(file).read_all()


def yaml_apart(path: Path) -> Any:
    """What ``path`` holds, read by a process with a memory limit."""
    command = [sys.executable, "-c", _YAML_APART, str(path), str(LIMIT_BYTES)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def pairs(here: Callable[[], Any], there: Callable[[], Any]) -> tuple[float, float]:
    """Medians of both, measured in turn."""
    measured = [(seconds(here), seconds(there)) for _ in range(REPEATS)]
    return statistics.median(one for one, _ in measured), statistics.median(other for _, other in measured)


def without_guards() -> contextlib.AbstractContextManager[None]:
    @contextlib.contextmanager
    def patched() -> Any:
        kept = tables.decoded_bytes, tables._parquet_rows
        tables.decoded_bytes, tables._parquet_rows = (lambda *_: (0, 0)), (lambda *_: 0)
        try:
            yield
        finally:
            tables.decoded_bytes, tables._parquet_rows = kept

    return patched()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the data files, 20 columns of float64 each")
    args = parser.parse_args()
    rng = np.random.RandomState(0)
    results = []
    with tempfile.TemporaryDirectory(prefix="raygrid-") as name:
        folder = Path(name)
        columns = pa.table({f"c{i}": rng.normal(size=args.rows).round(3) for i in range(COLUMNS)})
        feather.write_feather(columns, folder / "data.feather", compression="zstd")
        pq.write_table(columns, folder / "data.parquet")
        (folder / "grid.yaml").write_text("units: [4, 8, 16]\nlearning_rate: [1e-2, 1e-3]\nepochs: [5]\n")
        for file in ("data.feather", "data.parquet"):
            path = folder / file

            def read(path: Path = path) -> Any:
                return tables.read_data(path)

            def read_unguarded(path: Path = path) -> Any:
                with without_guards():
                    return tables.read_data(path)

            read()
            guarded, bare = pairs(read, read_unguarded)
            _, other = pairs(read, lambda path=path: apart(path))
            results.append({"file": file, "guarded_s": guarded, "unguarded_s": bare, "apart_s": other})
        path = folder / "grid.yaml"
        guarded, other = pairs(lambda: read_mapping(path), lambda: yaml_apart(path))
        results.append({"file": "grid.yaml", "guarded_s": guarded, "unguarded_s": guarded, "apart_s": other})
    header = ("file", "with guards, ms", "without, ms", "in a process of its own, ms")
    rows = [
        (str(each["file"]), *(f"{each[key] * 1e3:,.1f}" for key in ("guarded_s", "unguarded_s", "apart_s")))
        for each in results
    ]
    about = facts(PACKAGES)
    text = ["# Guards of readers", "", f"{args.rows:,} rows of {COLUMNS} float64 columns; a small grid.", ""]
    lines = [*text, *table(header, rows), "", *as_list(about)]
    write(args.out, "guarded_readers", {**about, "results": results}, lines)


if __name__ == "__main__":
    main()
