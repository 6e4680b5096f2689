"""The memory that this process may still take: the machine's, or less within a control group (a container, a systemd unit)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_NAMES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Files of control groups, version 2 and version 1: the limit, the memory in use, and in `memory.stat` what the kernel drops first."""


def available_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes of memory that are available without swapping; None if the system does not say (not Linux).

    `proc` and `groups` are where the kernel's files are.
    """
    found = [_machine(proc / "meminfo"), *(_group(folder, *_NAMES[kind]) for kind, folder in _groups(proc / "self/cgroup", groups))]
    known = [amount for amount in found if amount is not None]
    return min(known) if known else None


def _machine(meminfo: Path) -> int | None:
    fields = dict(line.split(":", 1) for line in _lines(meminfo) if ":" in line)
    amount = fields.get("MemAvailable", "").removesuffix("kB").strip()
    return int(amount) << 10 if amount.isdecimal() else None


def _groups(own: Path, groups: Path) -> Iterator[tuple[str, Path]]:
    """Yield the control groups of this process and their parents, each of which may have a limit."""
    for line in _lines(own):
        _, _, rest = line.partition(":")
        kind, _, name = rest.partition(":")
        if kind not in _NAMES:
            continue
        # In a container the name is often that on the host, and only the top of the tree is visible.
        inside = PurePosixPath(name.lstrip("/"))
        root = groups / kind
        yield from ((kind, root / part) for part in (inside, *inside.parents))


def _group(folder: Path, limit_name: str, used_name: str, cache_name: str) -> int | None:
    limit, used = _number(folder / limit_name), _number(folder / used_name)
    if limit is None or used is None:
        return None
    cache = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line).get(cache_name, "")
    return max(0, limit - used + (int(cache) if cache.isdecimal() else 0))


def _number(file: Path) -> int | None:
    """Read a file with one number; None if it does not exist or says `max`."""
    lines = _lines(file)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []
