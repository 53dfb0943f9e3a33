"""How much memory there is, and when data is too large for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raygrid.base.memory import available_memory, data_shortage, left_in_container

GB = 10**9


@pytest.mark.parametrize(
    ("available", "limit_gb", "fits"),
    [
        (5.0 * GB, None, True),  # 60 % are three copies to the byte
        (5.0 * GB - 2, None, False),
        (1.0 * GB, 3.0, True),  # what the user says counts
        (100.0 * GB, 2.999, False),
        (100.0 * GB, 0.0, False),
        (None, 3.0, True),
        (None, 2.9, False),
        (None, None, True),  # a system that does not say
    ],
)
def test_three_copies_of_a_gigabyte_fit_or_not(available: float | None, limit_gb: float | None, fits: bool) -> None:
    assert (data_shortage(GB, 3, available, limit_gb) is None) is fits


def test_a_shortage_says_how_much_is_needed_and_how_much_there_may_be() -> None:
    found = str(data_shortage(2 * GB, 3, 5.0 * GB, None))
    assert found == ("the data takes 2 GB, 3 copies of it would be in memory at once (6 GB), and 3 GB may be used")


def container(folder: Path, limit: str, used: int, cached: int, version: int = 2) -> Path:
    """A folder as the kernel shows a control group."""
    folder = folder if version == 2 else folder / "memory"
    folder.mkdir(exist_ok=True)
    limit_name, used_name, cached_name = (
        ("memory.max", "memory.current", "inactive_file")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / used_name).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 12\n{cached_name} {cached}\nslab 3\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_leaves_its_limit_less_what_is_used_and_cannot_be_dropped(tmp_path: Path, version: int) -> None:
    container(tmp_path, "1000", 700, 200, version)
    assert left_in_container(tmp_path) == 500


def test_a_full_container_leaves_nothing(tmp_path: Path) -> None:
    container(tmp_path, "1000", 1100, 50)
    assert left_in_container(tmp_path) == 0


def test_without_a_limit_a_container_does_not_count(tmp_path: Path) -> None:
    assert left_in_container(tmp_path) is None
    container(tmp_path, "max", 700, 200)
    assert left_in_container(tmp_path) is None


def test_what_is_available_is_less_than_the_machine_has() -> None:
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    available = available_memory()
    assert available is not None
    assert 0 < available < int(total.split()[1]) * 1024
