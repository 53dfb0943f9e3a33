"""raygrid against the plain Keras loop, KerasTuner, SciKeras, Optuna and Ray Tune: whole processes on the same grids.

Without options: grids A and B with every competitor, then C with raygrid, the plain loop and the fastest peer so far.
New cells replace old ones of the same grid and competitor in the results; the others stay.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from cells import Cell, best_of, merged
from comparison_text import as_markdown
from competitors import COMPETITORS, PEERS, PLAIN, RAYGRID, Competitor
from environments import CLONE, FOLDER, python_of
from extrapolation import whole_grid_s
from grids import GRIDS, grids_for_peers, points_of
from process_tree import Measured, run_measured
from reporting import RESULTS, processor, write

from raygrid.cli.data import Columns, load_embedded
from raygrid.data.scaler import make_scaler
from raygrid.grid.records import finite_or_none

SEED = 0
LIMIT_S = 2400.0
_HERE = Path(__file__).resolve().parent


def main() -> None:
    args = _arguments()
    path = args.out / "comparison.json"
    old = [Cell.from_json(value) for value in json.loads(path.read_text())["cells"]] if path.exists() else []
    run, new, versions = _now(), [], {}
    with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as folder:
        data = Path(folder, "data.npz")
        _write_data(data)
        for turn in range(args.repeat):
            for grid in args.grid or ["A", "B", "C"]:
                for name in args.only or _default_competitors(grid, merged(old, new)):
                    competitor = COMPETITORS[name]
                    if name not in versions:
                        versions[name] = _warm_up(competitor)
                    print(f"{_now()}  grid {grid}  {name} ...", flush=True)
                    cell = _measure(competitor, grid, data, run, turn, versions[name], args)
                    new.append(cell)
                    _write(args.out, merged(old, new))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="append", choices=list(GRIDS), help="may be repeated; default: A, B and C")
    parser.add_argument("--only", type=_names, help=f"of {','.join(COMPETITORS)}; separated by commas")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; in each all take turns (default: 1)")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help=f"of one process (default: {LIMIT_S:.0f})")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--keep", type=Path, help="keep the output and files of each process in this folder")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in COMPETITORS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {', '.join(COMPETITORS)}")
    return names


def _default_competitors(grid: str, cells: Sequence[Cell]) -> list[str]:
    if grid != "C":
        return list(COMPETITORS)
    fastest = best_of(cells, "B", PEERS) or best_of(cells, "A", PEERS)
    return [RAYGRID, PLAIN, *([fastest] if fastest else [])]


def _write_data(path: Path) -> None:
    """What ``scripts/search.py`` searches on, scaled once for all, so that every ``val_loss`` has the same unit."""
    data = load_embedded(Columns(), windowed=False)
    scaler = make_scaler("standard", data.X_train)
    x_train, x_val = (scaler.transform(x).astype(np.float32) for x in (data.X_train, data.X_val))
    np.savez(path, x_train=x_train, x_val=x_val)


def _warm_up(competitor: Competitor) -> dict[str, str]:
    """Versions of its packages; its files are read once, so that no competitor pays for a cold disk."""
    code = (
        "import json, platform, sys; from importlib.metadata import version; import keras, numpy; "
        "json.dump({'python': platform.python_version()} | {name: version(name) for name in sys.argv[1:]}, sys.stdout)"
    )
    command = [str(python_of(competitor.environment)), "-c", code, *competitor.packages]
    done = subprocess.run(command, env=_environment(competitor), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _measure(
    competitor: Competitor,
    grid: str,
    data: Path,
    run: str,
    turn: int,
    versions: dict[str, str],
    args: argparse.Namespace,
) -> Cell:
    grids = [GRIDS[grid]] if competitor.name == RAYGRID else grids_for_peers(grid)
    points = [point for single in grids for point in points_of(single)]
    name = f"{grid}-{competitor.name}-{turn}"
    with tempfile.TemporaryDirectory(prefix="raygrid-bench-") as temporary:
        folder = args.keep.resolve() / name if args.keep else Path(temporary)
        folder.mkdir(parents=True, exist_ok=bool(not args.keep))
        (folder / "data.npz").symlink_to(data)
        (folder / "task.json").write_text(json.dumps({"grids": grids, "points": points, "seed": SEED}))
        script = str(_HERE / "peers" / competitor.script)
        date, load = _now(), os.getloadavg()[0]
        measured = run_measured(
            [str(python_of(competitor.environment)), script, str(folder), *competitor.arguments],
            cwd=folder,
            env=_environment(competitor),
            log=folder / "output.txt",
            limit_s=args.limit_s,
        )
        return _cell(competitor.name, grid, folder, measured, len(points), run, turn, date, load, versions)


def _environment(competitor: Competitor) -> dict[str, str]:
    """Nothing of the caller's settings reaches a competitor; its home folder keeps caches from run to run."""
    home = FOLDER / "home"
    home.mkdir(parents=True, exist_ok=True)
    search_path = {"PYTHONPATH": str(CLONE)} if competitor.name == RAYGRID else {}
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "RAY_USAGE_STATS_ENABLED": "0",
        **search_path,
    }


def _cell(
    name: str,
    grid: str,
    folder: Path,
    measured: Measured,
    points_run: int,
    run: str,
    turn: int,
    date: str,
    load: float,
    versions: dict[str, str],
) -> Cell:
    times, result = folder / "times.jsonl", folder / "result.json"
    intervals = [tuple(json.loads(line)) for line in times.read_text().splitlines()] if times.exists() else []
    done = measured.exit_code == 0 and not measured.timed_out and result.exists()
    if not done:
        print((folder / "output.txt").read_text(errors="replace")[-3000:], flush=True)
    whole = points_of(GRIDS[grid])
    rows: list[dict[str, Any]] = json.loads(result.read_text()) if done else []
    seconds = None
    if done:
        seconds = measured.seconds
        if points_run < len(whole):
            seconds = whole_grid_s(seconds, intervals, len(whole))
    return Cell(
        grid=grid,
        competitor=name,
        run=run,
        round=turn,
        date=date,
        load=round(load, 1),
        status="done" if done else "over the limit" if measured.timed_out else "failed",
        seconds=measured.seconds,
        peak_pss_mb=measured.peak_pss_mb,
        points_run=points_run,
        points=len(whole),
        first_training_s=min(begin for begin, _ in intervals) - measured.begin if intervals else None,
        whole_grid_s=seconds,
        val_losses={whole.index(row["config"]): finite_or_none(row["val_loss"]) for row in rows},
        versions=versions,
    )


def _write(out: Path, cells: Sequence[Cell]) -> None:
    command = " ".join(["python", "benchmarks/compare.py", *sys.argv[1:]])
    machine = {"processor": processor(), "last command": command}
    lines = as_markdown(cells)
    values = {**machine, "cells": [asdict(cell) for cell in cells]}
    write(out, "comparison", values, [*lines, *(f"- {name}: {value}" for name, value in machine.items())])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


if __name__ == "__main__":
    main()
