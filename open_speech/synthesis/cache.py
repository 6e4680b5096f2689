"""A cache of synthesized speech on disk: whole answers, and the raw audio of each piece of text. The least recently used are evicted first.

Each entry contains its own hash, so an entry that a crash left incomplete is a miss. A disk error is also a miss, and is logged: it never
fails a request. Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import struct
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeVar

import diskcache

from open_speech import __version__
from open_speech.audio import Audio, concat, from_pcm16, to_pcm16
from open_speech.backends import ModelEntry, SpeechOptions
from open_speech.security.private_files import make_private_folder
from open_speech.synthesis.pipeline import Synthesize

log = logging.getLogger("open_speech.cache")

_FORMAT = 1
"""Version of the stored format, and of everything in the synthesis that the key does not cover: increase it with a change of either."""
_PATIENCE_S = 1.0
"""Maximum seconds to wait for the disk; synthesis is faster than a slower disk."""
_LARGEST_SHARE = 8
"""One answer may take at most this fraction (1 / n) of the cache."""
_MAX_WRITES = 32
"""Maximum pending writes; further ones are skipped."""
_LOG_EVERY_S = 60.0
_HASH_BYTES = 16
_SECONDS = struct.Struct(">d")
_RATE = struct.Struct(">I")
_Failures = (OSError, sqlite3.Error, diskcache.Timeout)

T = TypeVar("T")
Stamp = Callable[[ModelEntry], str | None]
"""A model -> what its audio depends on besides the request: the hashes of its weights and its settings; None while a hash is unknown.
Blocking."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole encoded answer."""

    data: bytes
    """The encoded file."""
    seconds: float


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The cache entry of one whole answer, which may not exist yet."""

    cache: SpeechCache
    key: str

    async def find(self) -> Answer | None:
        """Return the answer, None if it is not cached."""
        found = await self.cache.find(self.key)
        self.cache.count("answer", found)
        return None if found is None else Answer(found[_SECONDS.size :], *_SECONDS.unpack_from(found))

    async def storing(
        self, chunks: AsyncGenerator[bytes, None], seconds: Callable[[], float], is_own: Callable[[], bool] = lambda: True
    ) -> AsyncGenerator[bytes, None]:
        """Pass on an answer as it is synthesized, and store it if it completes; `seconds` then returns its duration.

        It is not stored if `is_own` then returns False: another model has spoken the text.
        """
        made: list[bytes] = []
        size = _SECONDS.size
        async with aclosing(chunks):
            async for chunk in chunks:
                size += len(chunk)
                if self.cache.has_room_for(size):
                    made.append(chunk)
                else:
                    made.clear()
                yield chunk
        if made and is_own():
            await self.cache.keep(self.key, b"".join([_SECONDS.pack(seconds()), *made]))


class SpeechCache:
    """One folder of speech, bounded in size. Several processes may share it."""

    def __init__(self, folder: Path, max_bytes: int, stamp: Stamp) -> None:
        """Open the folder in the background; it is created if it does not exist."""
        # A subfolder of our own: it may be deleted if it is damaged.
        self._folder = folder / f"speech-{_FORMAT}"
        self._max_bytes = max_bytes
        self._stamp = stamp
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="cache")
        self._opening = self._threads.submit(self._open)
        self._writes: set[Future[None]] = set()
        self._logged_at = float("-inf")
        self.hits = {"answer": 0, "piece": 0}
        self.misses = {"answer": 0, "piece": 0}

    def count(self, kind: Literal["answer", "piece"], found: object) -> None:
        """Count a lookup: a miss if `found` is None, otherwise a hit."""
        (self.misses if found is None else self.hits)[kind] += 1

    async def entry(self, model: ModelEntry, options: Iterable[SpeechOptions], *what: object) -> CacheEntry | None:
        """Return the entry of the whole answer for `what` and `options`; None if the hashes of the model's weights are unknown.

        `what` may be text, numbers, bytes, and tuples, lists and dataclasses of these; functions in a dataclass are ignored.
        """
        key = await self._key(model, options, "answer", *what)
        return None if key is None else CacheEntry(self, key)

    async def find(self, key: str) -> bytes | None:
        """Return the content stored under a key; None if there is none."""
        return await self._in_thread(self._read, key)

    async def keep(self, key: str, content: bytes) -> None:
        """Store bytes; returns when they are stored, or have failed to be."""
        await self._in_thread(self._write, key, content)

    def has_room_for(self, size: int) -> bool:
        """Return whether `size` bytes may be stored under one key."""
        return size <= self._max_bytes // _LARGEST_SHARE

    def cached(self, model: ModelEntry, synthesize: Synthesize) -> Synthesize:
        """Wrap a synthesis function so that pieces of text that were synthesized before are read from the disk."""

        async def speak(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
            key = await self._key(model, [options], "piece", text, options)
            found = None if key is None else await self.find(key)
            self.count("piece", found)
            if found is not None:
                (rate,) = _RATE.unpack_from(found)
                yield from_pcm16(found[_RATE.size :], rate)
                return
            made: list[Audio] = []
            async with aclosing(synthesize(text, options)) as chunks:
                async for audio in chunks:
                    made.append(audio)
                    yield audio
            if key is not None and made:
                self._keep_piece(key, made)

        return speak

    def close(self) -> None:
        """Finish pending writes, and close the folder."""
        self._threads.shutdown()
        if self._opening.exception() is None:
            self._opening.result().close()

    async def _key(self, model: ModelEntry, options: Iterable[SpeechOptions], *what: object) -> str | None:
        parts = {part.id: part for part in map(model.part_for, options)}

        def key() -> str | None:
            stamps = [self._stamp(part) for part in parts.values()]
            return None if None in stamps else digest((__version__, model.id, stamps, what))

        return await self._in_thread(key)

    def _keep_piece(self, key: str, made: list[Audio]) -> None:
        """Store a piece while the next one is synthesized."""
        if len(self._writes) < _MAX_WRITES:
            writing = self._threads.submit(self._write_piece, key, made)
            self._writes.add(writing)
            writing.add_done_callback(self._writes.discard)

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T | None:
        """Run disk access in a thread; return None if it fails or takes too long."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._threads, work, *args), _PATIENCE_S)
        except (*_Failures, TimeoutError) as error:
            self._log_failure(error)
            return None

    def _write_piece(self, key: str, made: list[Audio]) -> None:
        audio = concat(made, made[0].rate)
        try:
            self._write(key, _RATE.pack(audio.rate) + to_pcm16(audio))
        except _Failures as error:
            self._log_failure(error)

    def _read(self, key: str) -> bytes | None:
        stored = self._opening.result().get(key)
        if not isinstance(stored, bytes):
            return None
        content = stored[_HASH_BYTES:]
        return content if stored[:_HASH_BYTES] == _hash(content) else None

    def _write(self, key: str, content: bytes) -> None:
        if self.has_room_for(len(content)):
            self._opening.result().set(key, _hash(content) + content)

    def _open(self) -> diskcache.Cache:
        try:
            return self._opened()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            log.warning("the speech cache in %s is damaged and was cleared", self._folder)
            shutil.rmtree(self._folder)
            return self._opened()

    def _opened(self) -> diskcache.Cache:
        make_private_folder(self._folder)
        return diskcache.Cache(
            str(self._folder), timeout=_PATIENCE_S, disk=_Plain, size_limit=self._max_bytes, eviction_policy="least-recently-used"
        )

    def _log_failure(self, error: BaseException) -> None:
        if time.monotonic() - self._logged_at > _LOG_EVERY_S:
            self._logged_at = time.monotonic()
            log.warning("the speech cache in %s failed: %s", self._folder, str(error) or type(error).__name__)


class _Plain(diskcache.Disk):  # type: ignore[misc]
    """Storage of bytes only: a pickle in the folder is never loaded."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Return a value. Raises OSError, which counts as a miss, for a type that is never stored."""
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise OSError("a value of another kind")
        return super().fetch(mode, filename, value, read)


def digest(value: object) -> str:
    """Hash plain data, so that only equal values have the same hash. Raises TypeError for other types."""
    hashed = blake2b(digest_size=32)
    for piece in _pieces(value):
        hashed.update(piece)
    return hashed.hexdigest()


def _pieces(value: object) -> Iterable[bytes]:
    match value:
        case bytes():
            yield b"b%d:" % len(value)
            yield value
        case str() | int() | float() | None:
            text = repr(value).encode()
            yield b"v%d:" % len(text)
            yield text
        case tuple() | list():
            yield b"l%d:" % len(value)
            for item in value:
                yield from _pieces(item)
        case _ if is_dataclass(value) and not isinstance(value, type):
            plain = [(field.name, part) for field in fields(value) if not callable(part := getattr(value, field.name))]
            yield from _pieces([type(value).__name__, *plain])
        case _:
            raise TypeError(f"no hash for {type(value).__name__}")


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=_HASH_BYTES).digest()
