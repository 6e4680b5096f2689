"""The outcome of a step, as it crosses from its process, and the table of all of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OK, SKIPPED, FAILED = "ok", "skipped", "FAILED"
MARK = "result: "
"""Begins the line with a step's result: libraries print lines of their own."""


class Skipped(Exception):
    """A step cannot run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step."""

    name: str
    state: str
    detail: str
    measured: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, output: str) -> Outcome:
        """Return the outcome from the output of a step's process."""
        lines = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
        if not lines:
            return cls(name, FAILED, "its process ended without a result")
        return cls(name, **json.loads(lines[-1]))

    def written(self) -> str:
        """Return the line that `read` reads."""
        return MARK + json.dumps({"state": self.state, "detail": self.detail, "measured": self.measured})

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for the results file."""
        return {"name": self.name, "state": self.state, "detail": self.detail, "measured": self.measured}


def table(machine: Mapping[str, str], outcomes: Iterable[Outcome]) -> str:
    """Return the results as Markdown."""
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if value)
    rows = [f"| {outcome.name} | {outcome.state} | {outcome.detail.replace('|', '/')} |" for outcome in outcomes]
    return "\n".join([f"# GPU check\n\n{about}\n", "| Step | State | Result |", "|---|---|---|", *rows, ""])


def used_mib(output: str) -> int:
    """Return the memory in use on all GPUs, in MiB, from `nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits`."""
    return sum(int(line) for line in output.split() if line.isdecimal())


def outcome_of_tests(name: str, output: str) -> Outcome:
    """Return the outcome of a pytest run from its last line, such as `3 passed, 2 skipped in 4.20s`."""
    last = next((line for line in reversed(output.strip().splitlines()) if " in " in line), "")
    counts = {
        word: int(count)
        for count, word in (part.split()[:2] for part in last.strip("= ").split(" in ")[0].split(", ") if part[:1].isdigit())
    }
    bad = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    if bad:
        return Outcome(name, FAILED, last, counts)
    if not counts.get("passed"):
        return Outcome(name, SKIPPED, "none of the packages is installed (kokoro-torch, qwen, xtts)", counts)
    return Outcome(name, OK, f"{counts['passed']} passed, {counts.get('skipped', 0)} skipped", counts)
