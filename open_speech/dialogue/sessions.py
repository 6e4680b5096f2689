"""The dialogue sessions of a server: one turn of a session at a time, and every complete turn in memory and on disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from open_speech.config import Settings
from open_speech.dialogue.memory import Bounds, Conversation, Memory, SessionKey, Turn
from open_speech.dialogue.memory_store import MemoryStore
from open_speech.errors import Overloaded

log = logging.getLogger("open_speech.dialogue")

WAITING = 4
"""Maximum turns of one session that wait for the turn in progress."""
PATIENCE_S = 120.0
"""Maximum wait of a turn for the turns before it, in seconds."""


@dataclass(slots=True)
class _Line:
    """The turns of one session that are in progress or waiting."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    was_forgotten: bool = False
    """Whether the session was deleted during the turn in progress, which is therefore not stored."""


class OpenSession:
    """A session during one turn."""

    def __init__(self, turns: tuple[Turn, ...], keep: Callable[[Turn], asyncio.Future[None]] | None) -> None:
        self.turns = turns
        """The earlier turns, oldest first."""
        self._keep = keep

    async def keep(self, turn: Turn) -> None:
        """Store a complete turn. A failure of the disk is logged: the turn stays in memory."""
        if self._keep is not None:
            await asyncio.shield(self._keep(turn))  # a client that disconnects now has received its answer


class Sessions:
    """All sessions. Used in one event loop."""

    def __init__(self, bounds: Bounds, store: MemoryStore | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Without `store`, sessions end with the process."""
        self._memory = Memory(bounds)
        self._store = store
        self._clock = clock
        self._lines: dict[SessionKey, _Line] = {}
        self._disk = asyncio.Lock()
        self._is_restored = store is None
        self._writes: set[asyncio.Future[None]] = set()

    @classmethod
    def of(cls, settings: Settings) -> Sessions:
        """Build the sessions of a server from its settings."""
        most = settings.os_dialogue_max_sessions
        bounds = Bounds(
            settings.os_dialogue_max_turns,
            settings.os_dialogue_max_tokens,
            settings.os_dialogue_ttl_s,
            most,
            settings.per_key(most),
        )
        folder = settings.os_dialogue_dir
        return cls(bounds, MemoryStore(folder) if folder is not None else None)

    @asynccontextmanager
    async def turn(self, key: SessionKey | None) -> AsyncIterator[OpenSession]:
        """Begin a turn of a session, after the turns of it that began before; without a key, the turn has no memory.

        Raises Overloaded if WAITING turns of the session wait already, or after PATIENCE_S seconds.
        """
        if key is None:
            yield OpenSession((), None)
            return
        await self._restore()
        line = self._lines.setdefault(key, _Line())
        if line.users > WAITING:
            raise Overloaded(f"{WAITING} turns of this session are waiting already.", retry_after_s=5)
        line.users += 1
        try:
            await self._acquire(line)
            try:
                line.was_forgotten = False
                turns = self._memory.get(key, self._clock()).turns
                yield OpenSession(turns, lambda turn: self._begin(self._keep(key, line, turn)))
            finally:
                line.lock.release()
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[key]

    async def forget(self, key: SessionKey) -> bool:
        """Forget a session, and do not store a turn of it that is in progress; return whether it existed."""
        await self._restore()
        line = self._lines.get(key)
        if line is not None:
            line.was_forgotten = True
        existed = self._memory.forget(key)
        await self._drop([key])
        return existed or line is not None

    async def of_owner(self, owner: str) -> dict[str, Conversation]:
        """Return the sessions of an owner by their ids, the most recently used first."""
        await self._restore()
        now = self._clock()
        await self._drop(self._memory.expire(now))
        return self._memory.of(owner, now)

    async def _acquire(self, line: _Line) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await line.lock.acquire()
        except TimeoutError:
            raise Overloaded("The earlier turns of this session take too long.", retry_after_s=5) from None

    async def _keep(self, key: SessionKey, line: _Line, turn: Turn) -> None:
        if line.was_forgotten:
            return
        await self._drop(self._memory.add(key, turn, self._clock()))
        store = self._store
        if store is None:
            return
        async with self._disk:
            conversation = self._memory.find(key)
            if conversation is not None:  # not forgotten in the meantime
                await _quietly(partial(store.write, key, conversation))

    async def _drop(self, keys: Iterable[SessionKey]) -> None:
        store, gone = self._store, list(keys)
        if store is None or not gone:
            return
        async with self._disk:
            for key in gone:
                if self._memory.find(key) is None:  # not begun anew in the meantime
                    await _quietly(partial(store.delete, key))

    async def _restore(self) -> None:
        """Read the sessions of an earlier process, once."""
        if self._is_restored or self._store is None:
            return
        async with self._disk:
            if self._is_restored:
                return
            try:
                found = await asyncio.to_thread(self._store.read)
            except OSError as error:
                log.warning("the folder of OS_DIALOGUE_DIR cannot be read: %s", error.strerror)
                found = {}
            gone = self._memory.restore(found, self._clock())
            self._is_restored = True
        await self._drop(gone)

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Future[None]:
        task = asyncio.ensure_future(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task


async def _quietly(work: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        log.warning("a dialogue session cannot be stored: %s", error.strerror)
