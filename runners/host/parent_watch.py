"""A process of the server ends with the one that supervises it.

Killed, that one can tell its children nothing: they would serve on without it, and hold the port that its successor wants.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

log = logging.getLogger("open_speech")

CHECK_S = 1.0


def end_with_parent() -> None:
    """Have this process told to stop, as by its supervisor, within a second or so of the death of its parent. Returns at once."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    waiting = threading.Event()
    while os.getppid() == parent:
        waiting.wait(CHECK_S)
    log.warning("the supervising process ended: stopping")
    os.kill(os.getpid(), signal.SIGTERM)
