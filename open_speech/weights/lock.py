"""One download for many askers, in this process and in others: a lock on a file, in which the owner writes how far it is."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from open_speech.errors import WeightsUnavailable
from open_speech.weights.progress import OnProgress, Progress

_POLL_S = 0.2


class PullLock:
    """The lock, held. The kernel lets it go when its owner dies, so nobody waits for a dead process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def tell(self, progress: Progress) -> None:
        """Leave the progress where those who wait can read it."""
        # Only a courtesy: a full disk must not end the pull here, where nothing could say why.
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, json.dumps(asdict(progress)).encode(), 0)


@contextmanager
def pull_lock(path: Path, waiting: OnProgress) -> Iterator[PullLock]:
    """Hold the lock of one model; while another holds it, pass on what it tells, with the state `waiting`.

    Raises WeightsUnavailable if the models folder takes no files.
    """
    while (handle := _take(path)) is None:
        progress = _told(path)
        if progress is not None:
            waiting(replace(progress, state="waiting"))
        time.sleep(_POLL_S)
    try:
        yield PullLock(handle)
    finally:
        # Deleted while still held: names that clients make up leave nothing behind.
        path.unlink(missing_ok=True)
        os.close(handle)


def _take(path: Path) -> int | None:
    """Open and lock the file; None if another has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise WeightsUnavailable(f"The models folder cannot be written: {error.strerror}.") from error
    try:
        # Two handles of one process exclude each other as well, so threads need no second lock.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The owner before us may have deleted the file between our two calls; a lock on a nameless file excludes nobody.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _told(path: Path) -> Progress | None:
    """Read what the owner told last; None if it has told nothing, or is writing just now."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
