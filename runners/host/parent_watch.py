"""Termination of a server process when its supervisor ends.

A killed supervisor cannot stop its children: they would continue without it, and keep the port that its successor needs.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

log = logging.getLogger("open_speech")

CHECK_S = 1.0


def end_with_parent() -> None:
    """Start a thread that sends SIGTERM to this process within about a second of the end of its parent. Returns at once."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    waiting = threading.Event()
    while os.getppid() == parent:
        waiting.wait(CHECK_S)
    log.warning("the supervising process ended: stopping")
    os.kill(os.getpid(), signal.SIGTERM)
