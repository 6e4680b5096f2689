"""Answers that wait for the loudspeaker, and how much of each was played. Pure, and safe to use from the thread of the audio device."""

from __future__ import annotations

from collections import deque
from threading import Lock

KEPT = 20
"""Items whose played length is kept; an interruption concerns the last one."""


class PlaybackBuffer:
    """A queue of 16-bit mono PCM."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._parts: deque[tuple[str, memoryview]] = deque()
        self._played: dict[str, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be played."""
        return not self._parts

    def add(self, item: str, pcm: bytes) -> None:
        """Append audio of an item of the conversation."""
        if pcm:
            with self._lock:
                self._parts.append((item, memoryview(pcm)))

    def pull(self, size: int) -> bytes:
        """Return the next `size` bytes. What is missing is silence, which does not count as played."""
        taken = bytearray()
        with self._lock:
            while self._parts and len(taken) < size:
                item, part = self._parts.popleft()
                room = size - len(taken)
                taken += part[:room]
                self._played[item] = self._played.get(item, 0) + min(room, len(part))
                if len(part) > room:
                    self._parts.appendleft((item, part[room:]))
            while len(self._played) > KEPT:
                del self._played[next(iter(self._played))]
        return bytes(taken.ljust(size, b"\0"))

    def stop(self) -> dict[str, int]:
        """Drop all that waits; return the bytes of each item that were played."""
        with self._lock:
            self._parts.clear()
            return dict(self._played)
