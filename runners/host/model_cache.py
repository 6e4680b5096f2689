"""What is loaded: load once for many askers, keep while used, let go when idle or too many. Clock and loader are passed in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Slot(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    users: int = 0
    last_use: float = 0.0
    dropped: bool = False
    """Let go of while it was in use: it is freed with its last user."""


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """A borrowed model; it is not let go before `release`, which must be called exactly once."""

    value: T
    release: Callable[[], None]


class Residency(Generic[T]):
    """The loaded models of one runner. Thread-safe; `acquire` and `load` block while the model loads."""

    def __init__(self, load: Callable[[str], T], *, ttl_s: float, limit: int, clock: Callable[[], float]) -> None:
        """`ttl_s` 0 keeps idle models for ever; `limit` 0 keeps any number; `clock` gives seconds, monotonic."""
        self._load = load
        self._ttl_s = ttl_s
        self._limit = limit
        self._clock = clock
        self._slots: dict[str, _Slot[T]] = {}
        self._lock = threading.Lock()
        self.freed = 0
        """Models that were let go so far and have no user any more."""

    def acquire(self, key: str) -> Lease[T]:
        """Borrow a model, loading it first if need be.

        A load that fails raises to its asker, and the next asker tries again.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            slot.users += 1
        try:
            with slot.lock:
                if slot.value is None:
                    self._make_room()  # before the load: two models at once may be more than there is memory for
                    slot.value = self._load(key)
                return self._lease(slot, slot.value)
        except BaseException:
            self._release(slot)
            self._forget_failure(key, slot)
            raise

    def borrow(self, key: str) -> Lease[T] | None:
        """Borrow a model that is loaded, without blocking; None if it is not."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or slot.value is None:
                return None
            slot.users += 1
            return self._lease(slot, slot.value)

    def load(self, key: str) -> None:
        """Have a model loaded; raises as `acquire`."""
        self.acquire(key).release()

    def evict_idle(self) -> list[str]:
        """Let go of every model that nobody has used for longer than the TTL; returns their names."""
        if not self._ttl_s:
            return []
        limit = self._clock() - self._ttl_s
        with self._lock:
            idle = [key for key, slot in self._slots.items() if not slot.users and slot.last_use <= limit]
            return [key for key in idle if self._drop(key)]

    def unload(self, key: str) -> bool:
        """Let go of a model now; one in use is freed when its last user is done. False if it was not loaded."""
        with self._lock:
            return self._drop(key)

    def loaded(self) -> dict[str, float]:
        """Name the loaded models, each with the seconds since it was last used."""
        with self._lock:
            now = self._clock()
            return {key: 0.0 if s.users else now - s.last_use for key, s in self._slots.items() if s.value is not None}

    def users(self) -> dict[str, int]:
        """Name the loaded models, each with how many use it at this moment."""
        with self._lock:
            return {key: slot.users for key, slot in self._slots.items() if slot.value is not None}

    def _lease(self, slot: _Slot[T], value: T) -> Lease[T]:
        return Lease(value, lambda: self._release(slot))

    def _release(self, slot: _Slot[T]) -> None:
        with self._lock:
            slot.users -= 1
            slot.last_use = self._clock()
            if slot.users:
                return
            self.freed += slot.dropped
            # Models that were in use together may be more than the limit; now one of them need not stay.
            self._shrink(self._limit)

    def _drop(self, key: str) -> bool:
        """Take a model out; the lock is held."""
        slot = self._slots.pop(key, None)
        if slot is None or slot.value is None:
            return False
        slot.dropped = True
        self.freed += not slot.users
        return True

    def _make_room(self) -> None:
        with self._lock:
            self._shrink(self._limit - 1)

    def _shrink(self, most: int) -> None:
        """Let go of the longest unused until `most` models are held, or the rest is in use; the lock is held."""
        if not self._limit:
            return
        held = [(slot.last_use, key) for key, slot in self._slots.items() if slot.value is not None]
        idle = sorted((last, key) for last, key in held if not self._slots[key].users)
        for _, key in idle[: max(0, len(held) - most)]:
            self._drop(key)

    def _forget_failure(self, key: str, slot: _Slot[T]) -> None:
        """Keep nothing of a name that cannot be loaded: clients make names up."""
        with self._lock:
            if slot.value is None and not slot.users and self._slots.get(key) is slot:
                del self._slots[key]
