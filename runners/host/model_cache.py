"""The cache of loaded models: one load for many callers, and unloading of models when they are idle or too many."""

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
    """Whether the model was unloaded while in use: it is freed when its last user releases it."""


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """A borrowed model; it is not freed before `release`, which must be called exactly once."""

    value: T
    release: Callable[[], None]


class Residency(Generic[T]):
    """The loaded models of one runner. Thread-safe; `acquire` and `load` block while the model loads."""

    def __init__(self, load: Callable[[str], T], *, ttl_s: float, limit: int, clock: Callable[[], float]) -> None:
        """`ttl_s` 0 never unloads idle models; `limit` 0 is no limit on their number; `clock` returns monotonic seconds."""
        self._load = load
        self._ttl_s = ttl_s
        self._limit = limit
        self._clock = clock
        self._slots: dict[str, _Slot[T]] = {}
        self._lock = threading.Lock()
        self.freed = 0
        """Number of models so far that were unloaded and have no more users."""

    def acquire(self, key: str) -> Lease[T]:
        """Borrow a model, and load it first if necessary.

        A failed load raises to its caller, and the next caller tries again.
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
        """Load a model if it is not loaded. Raises what `acquire` raises."""
        self.acquire(key).release()

    def evict_idle(self) -> list[str]:
        """Unload every model that was not used for longer than the TTL; return their names."""
        if not self._ttl_s:
            return []
        limit = self._clock() - self._ttl_s
        with self._lock:
            idle = [key for key, slot in self._slots.items() if not slot.users and slot.last_use <= limit]
            return [key for key in idle if self._drop(key)]

    def unload(self, key: str) -> bool:
        """Unload a model now; a model in use is freed when its last user releases it. False if it was not loaded."""
        with self._lock:
            return self._drop(key)

    def loaded(self) -> dict[str, float]:
        """Return the loaded models: name -> seconds since the last use, 0 for a model in use."""
        with self._lock:
            now = self._clock()
            return {key: 0.0 if s.users else now - s.last_use for key, s in self._slots.items() if s.value is not None}

    def users(self) -> dict[str, int]:
        """Return the loaded models: name -> current number of users."""
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
            # Models in use at the same time may exceed the limit; now one of them can be unloaded.
            self._shrink(self._limit)

    def _drop(self, key: str) -> bool:
        """Remove a model; the lock is held. False if it was not loaded."""
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
        """Unload the least recently used models until at most `most` are left, or all others are in use; the lock is held."""
        if not self._limit:
            return
        held = [(slot.last_use, key) for key, slot in self._slots.items() if slot.value is not None]
        idle = sorted((last, key) for last, key in held if not self._slots[key].users)
        for _, key in idle[: max(0, len(held) - most)]:
            self._drop(key)

    def _forget_failure(self, key: str, slot: _Slot[T]) -> None:
        """Remove the slot of a name that cannot be loaded: clients send arbitrary names."""
        with self._lock:
            if slot.value is None and not slot.users and self._slots.get(key) is slot:
                del self._slots[key]
