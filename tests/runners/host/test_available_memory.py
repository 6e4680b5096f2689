from __future__ import annotations

from pathlib import Path

import pytest

from runners.host.available_memory import available_bytes

GIB = 1 << 30


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write(tmp_path / "proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:   8388608 kB\n")
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="ascii")


def found(files: Path) -> int | None:
    return available_bytes(files / "proc", files / "groups")


def test_without_control_groups_it_is_the_memory_of_the_machine(files: Path) -> None:
    assert found(files) == 8 * GIB


def test_a_system_that_does_not_say_is_unknown(tmp_path: Path) -> None:
    assert found(tmp_path) is None


@pytest.mark.parametrize("folder", ["app/unit", "app", "."])
def test_a_limit_of_a_group_or_of_its_parent_counts(files: Path, folder: str) -> None:
    write(files / "proc/self/cgroup", "0::/app/unit")
    write(files / "groups" / folder / "memory.max", 2 * GIB)
    write(files / "groups" / folder / "memory.current", 1 * GIB)
    write(files / "groups" / folder / "memory.stat", f"anon 5\ninactive_file {GIB // 2}")
    assert found(files) == 3 * GIB // 2


def test_version_1_counts_and_the_name_on_the_host_may_be_invisible(files: Path) -> None:
    write(files / "proc/self/cgroup", "9:cpu:/docker/12\n4:memory:/docker/12\n0::/docker/12")
    write(files / "groups/memory/memory.limit_in_bytes", 3 * GIB)
    write(files / "groups/memory/memory.usage_in_bytes", 1 * GIB)
    write(files / "groups/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 0")
    assert found(files) == 2 * GIB


def test_a_group_without_a_limit_changes_nothing(files: Path) -> None:
    write(files / "proc/self/cgroup", "0::/app")
    write(files / "groups/app/memory.max", "max")
    write(files / "groups/app/memory.current", 1 * GIB)
    assert found(files) == 8 * GIB


def test_a_group_that_is_full_leaves_nothing(files: Path) -> None:
    write(files / "proc/self/cgroup", "0::/")
    write(files / "groups/memory.max", 1 * GIB)
    write(files / "groups/memory.current", 2 * GIB)
    assert found(files) == 0


def test_files_that_make_no_sense_are_ignored(files: Path) -> None:
    write(files / "proc/self/cgroup", "garbage\n\n0\n0:")
    write(files / "groups/memory.max", "-5")
    write(files / "proc/meminfo", "MemAvailable: lots")
    assert found(files) is None


def test_this_machine_has_memory() -> None:
    amount = available_bytes()
    assert amount is None or amount > 0
