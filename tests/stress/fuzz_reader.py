"""Fuzzes one reader for some seconds, in a process of its own: first with hypothesis, then guided by coverage.

Whatever is no error of raygrid is a finding: the input is kept in a file, with what came out beside it, once for each
error and place. What ends the process (a crash, a hang, too much memory) libFuzzer keeps under its own names.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raygrid", "yaml", "tomllib", "zipfile", "numpy.lib._format_impl"]):
    from fuzzed_inputs import inputs_like
    from fuzzed_readers import LIMIT_BYTES, LIMIT_S, READERS, LetInError, Reader, open_reader, outcome


from events import broke, count, lost
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

_MAX_INPUT_BYTES = 2**16
_EXAMPLES_A_ROUND = 100
_TELL_EVERY_S = 1.0


class Fuzzing:
    """One reader, what it was given, and what was found."""

    def __init__(self, name: str, reader: Reader, findings: Path) -> None:
        self.name = name
        self.reader = reader
        self.findings = findings
        self._seen: set[str] = set()
        self._told = time.monotonic()
        self._outcomes: Counter[str] = Counter()

    def give(self, data: bytes) -> None:
        """Gives the reader an input."""
        try:
            self._outcomes[outcome(self.reader, data)] += 1
        except Exception as error:
            self._outcomes["found"] += 1
            self._keep(data, error)
        if time.monotonic() - self._told > _TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Prints what was counted since the last time: if the process ends, only a second is lost."""
        count("inputs", self.name, self._outcomes.total())
        count("inputs that were read", self.name, self._outcomes["read"])
        self._outcomes.clear()
        self._told = time.monotonic()

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames) if "raygrid/" in f.filename), "")
        what = f"{type(error).__name__} at {place}"
        if what in self._seen:
            return
        self._seen.add(what)
        self.findings.mkdir(parents=True, exist_ok=True)
        stem = f"{self.name.replace(' ', '_')}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"
        path = self.findings / f"{stem}.input"
        path.write_bytes(data)
        (self.findings / f"{stem}.txt").write_text("".join(traceback.format_exception(error)))
        tell = lost if isinstance(error, LetInError) else broke
        tell(f"the reader of {self.name}: {what}: {str(error)[:200]}; the input is {path.name}")


def with_hypothesis(fuzzing: Fuzzing, end: float, first_seed: int) -> None:
    """Inputs made by hypothesis, until ``end``."""
    inputs, round_seed = inputs_like(fuzzing.reader.samples), first_seed
    while time.monotonic() < end:

        @seed(round_seed)
        @settings(
            max_examples=_EXAMPLES_A_ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def give(data: st.DataObject) -> None:
            # Drawn even when the time is over, since hypothesis wants the same draws whenever it asks.
            made = data.draw(inputs)[:_MAX_INPUT_BYTES]
            if time.monotonic() < end:
                fuzzing.give(made)

        give()
        round_seed += 1
    fuzzing.tell()


def guided_by_coverage(fuzzing: Fuzzing, seconds: int, first_seed: int, corpus: Path) -> None:
    """Inputs that reach code which none reached before; never returns."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(fuzzing.reader.samples):
        (corpus / f"sample-{number}").write_bytes(sample)
    fuzzing.findings.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": _MAX_INPUT_BYTES,
        # A hang; whether an input took too much of the processor, `outcome` says.
        "timeout": int(10 * LIMIT_S),
        "rss_limit_mb": 2 * LIMIT_BYTES // 2**20,
        "seed": first_seed,
        "artifact_prefix": f"{fuzzing.findings}/{fuzzing.name.replace(' ', '_')}-",
        "verbosity": 0,
    }
    atheris.Setup([sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())], fuzzing.give)
    with contextlib.suppress(SystemExit):
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    options = parser.parse_args()
    begin = time.monotonic()
    fuzzing = Fuzzing(options.reader, open_reader(options.reader, options.folder / "reader"), options.findings)
    with_hypothesis(fuzzing, begin + options.seconds / 3, options.seed)
    left = max(1, round(begin + options.seconds - time.monotonic()))
    guided_by_coverage(fuzzing, left, options.seed, options.folder / "corpus")


if __name__ == "__main__":
    main()
