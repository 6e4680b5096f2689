"""How the process before this one ended: the supervisor writes it into the environment of the next process, which reports it in its status.

A runner that is served by itself on another machine reports it the same way, and nothing is left behind on disk.
"""

from __future__ import annotations

import os
import re
from typing import Any

VARIABLE = "OPEN_SPEECH_PREVIOUS_EXIT"
"""Environment variable: `pid:code`. The code is an exit status, or minus the number of the signal that killed the process."""


def note(watcher: Any, *, process_pid: int, exit_code: int, **_: Any) -> bool:
    """Pass the end of a process on to its successor. A hook of circus, `after_reap`; its result must be true."""
    watcher.env = {**(watcher.env or {}), VARIABLE: f"{process_pid}:{exit_code}"}
    return True


def previous_exit() -> dict[str, int] | None:
    """Return `pid` and `code` of the process that this one replaces; None if this is the first, or has no supervisor."""
    found = re.fullmatch(r"(\d+):(-?\d+)", os.environ.get(VARIABLE, ""))  # noqa: TID251 - not a setting: from the supervisor
    return {"pid": int(found[1]), "code": int(found[2])} if found else None


def process_state() -> dict[str, Any]:
    """Return `pid`, the id of this process, and `previous_exit`, for the status of a runner."""
    return {"pid": os.getpid(), "previous_exit": previous_exit()}
