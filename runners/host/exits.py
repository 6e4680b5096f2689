"""How the process before this one ended: the supervisor writes it into the environment of the next process, which reports it in its status.

A runner that is served by itself on another machine reports it the same way, and nothing is left behind on disk.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any

VARIABLE = "OPEN_SPEECH_PREVIOUS_EXIT"
"""Environment variable: `pid:code`. The code is an exit status, or minus the number of the signal that killed the process."""


class Exits:
    """The hooks of one circus watcher that pass the end of a process on to its successor. Their results must be true."""

    def __init__(self, watcher: Any) -> None:
        """Add the hooks to the watcher."""
        self._running: set[int] = set()
        watcher.hooks |= {"after_spawn": self.spawned, "after_reap": self.reaped, "before_spawn": self.spawning}

    def spawned(self, *, pid: int, **_: Any) -> bool:
        """Remember a process."""
        self._running.add(pid)
        return True

    def reaped(self, *, watcher: Any, process_pid: int, exit_code: int, **_: Any) -> bool:
        """Note how a process ended."""
        self._running.discard(process_pid)
        watcher.env = {**(watcher.env or {}), VARIABLE: f"{process_pid}:{exit_code}"}
        return True

    def spawning(self, *, watcher: Any, **_: Any) -> bool:
        """Note the end of processes that circus dropped without reaping them: those that end while it looks for ended processes."""
        for pid in self._running - set(watcher.processes):
            self._running.discard(pid)
            with suppress(ChildProcessError):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    self.reaped(watcher=watcher, process_pid=pid, exit_code=os.waitstatus_to_exitcode(status))
        return True


def previous_exit() -> dict[str, int] | None:
    """Return `pid` and `code` of the process that this one replaces; None if this is the first, or has no supervisor."""
    found = re.fullmatch(r"(\d+):(-?\d+)", os.environ.get(VARIABLE, ""))  # noqa: TID251 - not a setting: from the supervisor
    return {"pid": int(found[1]), "code": int(found[2])} if found else None


def process_state() -> dict[str, Any]:
    """Return `pid`, the id of this process, and `previous_exit`, for the status of a runner."""
    return {"pid": os.getpid(), "previous_exit": previous_exit()}
