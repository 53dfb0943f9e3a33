"""The long forms of the fault tests, within a time budget: kills, races, fuzzing, and searches without end.

Each part runs in a process of its own for its share of the time, and tells what it counts. The counts are added to
those of earlier runs in benchmarks/results/stress.json and .md. Exit code 1: something was lost, mixed or let in, or
a reader was broken; the inputs that did it lie in .stress.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import conftest  # the environment of the tests: a home folder, a Ray folder and threads of their own
import reporting
from events import events
from process_tree import run_measured
from record import StressRun, as_json, as_markdown, from_json

_ROOT = Path(__file__).resolve().parents[2]
# Each part with its share of the time.
PARTS = {
    "search_kills": 0.34,
    "training_kills": 0.12,
    "record_kills": 0.03,
    "racing_loads": 0.14,
    "crowded_prefix": 0.13,
    "fuzzing": 0.12,
    "repeated_searches": 0.12,
}
# A round that has begun when the time of its part is over may go on for so long.
LAST_ROUND_S = 420.0
PACKAGES = ("ray", "tensorflow", "keras", "numpy", "pyarrow", "hypothesis", "atheris")
INTERRUPTED = 130


def run_part(name: str, seconds: float, seed: int, folder: Path, run: StressRun) -> None:
    """Runs a part and takes what it tells, also if it is interrupted."""
    folder.mkdir()
    log = folder / "output.txt"
    command = [sys.executable, str(Path(__file__).with_name(f"{name}.py"))]
    command += ["--folder", str(folder / "work"), "--seconds", f"{seconds:.1f}", "--seed", str(seed)]
    (folder / "work").mkdir()
    told = StressRun(run.date, seed)
    try:
        ended = run_measured(command, cwd=folder, env=os.environ, log=log, limit_s=seconds + LAST_ROUND_S)
        if ended.timed_out or ended.exit_code != 0:
            why = "did not end in time" if ended.timed_out else f"ended with {ended.exit_code}"
            told.losses.append(f"the part {name} {why}: {log.read_text(errors='replace')[-3000:]}")
    finally:
        found = list(events(log.read_text(errors="replace").splitlines())) if log.exists() else []
        told.add(found)
        run.add(found)
        run.losses += [loss for loss in told.losses if loss not in run.losses]
        show(name, told)
        shutil.rmtree(folder, ignore_errors=True)


def show(name: str, told: StressRun) -> None:
    print(f"\n{name}", flush=True)
    for what, kinds in told.counts.items():
        for kind, number in kinds.items():
            print(f"  {what}: {kind}: {number:,}")
    for what, value in told.largest.items():
        print(f"  {what}: {value:g}")
    for loss in told.losses:
        print(f"  LOST: {loss}")
    for broken in told.broken:
        print(f"  BROKEN: {broken}")
    sys.stdout.flush()


def earlier_runs(out: Path) -> list[StressRun]:
    path = out / "stress.json"
    return from_json(json.loads(path.read_text())) if path.exists() else []


def save(runs: Sequence[StressRun], out: Path) -> None:
    """Keeps what all runs counted, so far: a machine that goes down costs the part that ran."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "stress.json").write_text(json.dumps(as_json(runs), indent=2, allow_nan=False) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long, about (default: 30)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run (default: another one each time)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=reporting.RESULTS, help="where the counts are kept")
    parser.add_argument("--findings", type=Path, default=_ROOT / ".stress", help="where inputs that broke a reader go")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"--only names {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    seed = random.SystemRandom().randint(1, 2**31 - 1) if options.seed is None else options.seed
    print(f"seed {seed}; the same again: make stress MINUTES={options.minutes:g} SEED={seed}", flush=True)
    # What kills must not happen to is what the tests use as home folder; there the killed leave their files, too.
    home = Path(os.environ["HOME"])
    for folder in ("tmp", "parts"):
        (home / folder).mkdir()
    os.environ |= {"TMPDIR": str(home / "tmp"), "STRESS_FINDINGS": str(options.findings.absolute())}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = StressRun(datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), seed)
    run.facts = reporting.facts(PACKAGES) | {"command": f"make stress MINUTES={options.minutes:g} SEED={seed}"}
    del run.facts["load when it ended"]
    earlier = earlier_runs(options.out)
    begin, interrupted = time.monotonic(), False
    try:
        for number, name in enumerate(names):
            # What one part took too long with is taken from those after it.
            left = 60 * options.minutes - (time.monotonic() - begin)
            seconds = max(1.0, left * PARTS[name] / sum(PARTS[other] for other in names[number:]))
            run_part(name, seconds, seed + number, home / "parts" / name, run)
            run.minutes = round((time.monotonic() - begin) / 60, 2)
            save([*earlier, run], options.out)
    except KeyboardInterrupt:
        print("\ninterrupted; what was counted is kept", flush=True)
        interrupted = True
    finally:
        run.minutes = round((time.monotonic() - begin) / 60, 2)
        conftest.pytest_unconfigure()
    reporting.write(options.out, "stress", as_json([*earlier, run]), as_markdown([*earlier, run]))
    return 1 if run.losses or run.broken else INTERRUPTED if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
