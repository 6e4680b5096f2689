"""A file lock, so that all processes and threads share one download of a model; its owner writes the progress into the file."""

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
    """A held lock. The kernel releases it when its owner dies, so that no caller waits for a dead process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def report(self, progress: Progress) -> None:
        """Write the progress into the lock file, for callers that wait."""
        # Errors are ignored: a full disk must not end the pull here, where the error would have no explanation.
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, json.dumps(asdict(progress)).encode(), 0)


@contextmanager
def pull_lock(path: Path, waiting: OnProgress) -> Iterator[PullLock]:
    """Hold the lock of one model; while another owner holds it, report its progress to `waiting`, with the state `waiting`.

    Raises WeightsUnavailable if the models folder is not writable.
    """
    while (handle := _acquire(path)) is None:
        progress = _reported(path)
        if progress is not None:
            waiting(replace(progress, state="waiting"))
        time.sleep(_POLL_S)
    try:
        yield PullLock(handle)
    finally:
        # Deleted while still held, so that model names invented by clients leave no files behind.
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path) -> int | None:
    """Open and lock the file; return its descriptor, or None if another owner holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise WeightsUnavailable(f"The models folder cannot be written: {error.strerror}.") from error
    try:
        # Two descriptors of one process also exclude each other, so threads need no second lock.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The previous owner may have deleted the file between the two calls; a lock on a deleted file excludes no other owner.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _reported(path: Path) -> Progress | None:
    """Return the owner's last progress; None if there is none yet, or it is just being written."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
