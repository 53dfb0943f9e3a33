"""Readers of files that a person may have been sent: whatever the bytes are, they are read or refused, never more.

The long form, with a coverage-guided fuzzer beside hypothesis, is ``make stress``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzed_inputs import inputs_like
from fuzzed_readers import READERS, Broken, Reader, open_reader, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 60


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    log = logging.getLogger("raygrid")
    level = log.level
    yield
    log.setLevel(level)


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_read_or_refused_with_an_error_of_raygrid(name: str, tmp_path: Path) -> None:
    reader = open_reader(name, tmp_path / "reader")
    assert outcome(reader, reader.samples[0]) in ("read", "StaleCacheError")
    inputs = inputs_like(reader.samples)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def read_or_refused(data: st.DataObject) -> None:
        outcome(reader, data.draw(inputs))

    read_or_refused()
