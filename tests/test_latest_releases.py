"""What `make test-latest` installs, and what keeps untested releases from users."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Names of these are used that are not public.
BOUND = ("keras", "tensorflow", "ray")


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_-]", requirement)[0]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def test_what_has_private_names_in_use_has_an_upper_bound_just_above_what_is_tested() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    everything = [requirement for group in groups for requirement in group]
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    found = [requirement for requirement in everything if name_of(requirement) in BOUND]
    assert {name_of(requirement) for requirement in found} == set(BOUND)
    for requirement in found:
        upper = re.search(r"<([0-9.]+)$", requirement)
        assert upper is not None, requirement
        major, minor = numbers(tested[name_of(requirement)])
        assert numbers(upper[1]) == (major, minor + 1), requirement


def test_the_newest_releases_are_tried_without_these_bounds() -> None:
    script = [sys.executable, "scripts/without_upper_bounds.py", "pyproject.toml"]
    printed = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    tools = PROJECT["optional-dependencies"]["test"]
    rest = [line for line in printed if line not in tools]
    assert printed[len(rest) :] == tools
    assert not [line for line in rest if "<" in line]
    assert {"tensorflow>=2.20", "keras>=3.15.1", "ray[tune]>=2.60", "ray[default]>=2.60", "numpy"} <= set(rest)


def test_make_runs_the_tests_in_a_venv_of_their_own() -> None:
    dry = subprocess.run(
        ["make", "--dry-run", "test-latest", "ARGS=-k grid"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "-m venv --clear .venv-latest" in dry
    assert ".venv-latest/bin/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder -k grid" in dry
    latest = dry[dry.index(".venv-latest") :]
    assert "constraints.txt" not in latest
