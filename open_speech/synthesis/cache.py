"""Speech that was made before, on disk: whole answers, and the raw sound of each piece of text. Least used goes first when it is full.

What is stored carries its own hash, so what a crash left half-written is a miss. A failure of the disk is a miss, too, and is logged:
it never fails a request. Nothing here blocks the event loop.
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

_FORM = 1
"""Version of what is stored, and of how a speech is made beyond what its key says: raise it with either."""
_PATIENCE_S = 1.0
"""Longest wait for the disk; sound can be made in the time that a slow one takes."""
_LARGEST_SHARE = 8
"""One answer takes at most this part of the cache."""
_WAITING = 32
"""Writes that may wait for the disk; more are not made."""
_COMPLAINT_S = 60.0
_CHECK = 16
_SECONDS = struct.Struct(">d")
_RATE = struct.Struct(">I")
_Failures = (OSError, sqlite3.Error, diskcache.Timeout)

T = TypeVar("T")
Stamp = Callable[[ModelEntry], str | None]
"""What a model's sound depends on beside the request: its weights' hashes and its settings; None while a hash is unknown. Blocking."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole speech as it was sent."""

    data: bytes
    """The encoded file."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where one whole answer is kept, or will be."""

    cache: SpeechCache
    key: str

    async def find(self) -> Answer | None:
        """Find the answer."""
        found = await self.cache.find(self.key)
        self.cache.count("answer", found)
        return None if found is None else Answer(found[_SECONDS.size :], *_SECONDS.unpack_from(found))

    async def keeping(self, chunks: AsyncGenerator[bytes, None], seconds: Callable[[], float]) -> AsyncGenerator[bytes, None]:
        """Pass on an answer while it is made, and keep it if it comes to its end; `seconds` then tells how long it is."""
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
        if made:
            await self.cache.keep(self.key, b"".join([_SECONDS.pack(seconds()), *made]))


class SpeechCache:
    """One folder of speech, bounded in size. Several processes may share it."""

    def __init__(self, folder: Path, max_bytes: int, stamp: Stamp) -> None:
        """Open the folder in the background; it is made if it is not there."""
        # A folder of our own within the one that was named: what is broken in it may be deleted.
        self._folder = folder / f"speech-{_FORM}"
        self._max_bytes = max_bytes
        self._stamp = stamp
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="cache")
        self._opening = self._threads.submit(self._open)
        self._writes: set[Future[None]] = set()
        self._complained_at = float("-inf")
        self.hits = {"answer": 0, "piece": 0}
        self.misses = {"answer": 0, "piece": 0}

    def count(self, kind: Literal["answer", "piece"], found: object) -> None:
        """Count something that was looked for; None was not there."""
        (self.misses if found is None else self.hits)[kind] += 1

    async def place(self, model: ModelEntry, options: Iterable[SpeechOptions], *what: object) -> Place | None:
        """Tell where the whole answer is that `what` makes with `options`; None if the model's weights are not known by content.

        `what` is text, numbers, bytes, and tuples, lists and dataclasses of these; functions in a dataclass are left out.
        """
        key = await self._key(model, options, "answer", *what)
        return None if key is None else Place(self, key)

    async def find(self, key: str) -> bytes | None:
        """Find what was kept."""
        return await self._done(self._read, key)

    async def keep(self, key: str, content: bytes) -> None:
        """Store bytes; returns when they are there, or cannot be."""
        await self._done(self._write, key, content)

    def has_room_for(self, size: int) -> bool:
        """Tell whether `size` bytes may be kept under one key."""
        return size <= self._max_bytes // _LARGEST_SHARE

    def recalled(self, model: ModelEntry, synthesize: Synthesize) -> Synthesize:
        """Make what speaks one piece of text speak it from the disk when it has spoken it before."""

        async def speak(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
            key = await self._key(model, [options], "piece", text, options)
            found = None if key is None else await self.find(key)
            self.count("piece", found)
            if found is not None:
                (rate,) = _RATE.unpack_from(found)
                yield from_pcm16(found[_RATE.size :], rate)
                return
            made: list[Audio] = []
            async with aclosing(synthesize(text, options)) as sound:
                async for audio in sound:
                    made.append(audio)
                    yield audio
            if key is not None and made:
                self._keep_piece(key, made)

        return speak

    def close(self) -> None:
        """Finish what is being written, and close the folder."""
        self._threads.shutdown()
        if self._opening.exception() is None:
            self._opening.result().close()

    async def _key(self, model: ModelEntry, options: Iterable[SpeechOptions], *what: object) -> str | None:
        parts = {part.id: part for part in map(model.part_for, options)}

        def named() -> str | None:
            stamps = [self._stamp(part) for part in parts.values()]
            return None if None in stamps else digest((__version__, model.id, stamps, what))

        return await self._done(named)

    def _keep_piece(self, key: str, made: list[Audio]) -> None:
        """Store a piece while the next one is made."""
        if len(self._writes) < _WAITING:
            writing = self._threads.submit(self._write_piece, key, made)
            self._writes.add(writing)
            writing.add_done_callback(self._writes.discard)

    async def _done(self, work: Callable[..., T], *args: Any) -> T | None:
        """Do something with the disk in a thread; None if it fails or takes too long."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._threads, work, *args), _PATIENCE_S)
        except (*_Failures, TimeoutError) as error:
            self._complain(error)
            return None

    def _write_piece(self, key: str, made: list[Audio]) -> None:
        sound = concat(made, made[0].rate)
        try:
            self._write(key, _RATE.pack(sound.rate) + to_pcm16(sound))
        except _Failures as error:
            self._complain(error)

    def _read(self, key: str) -> bytes | None:
        stored = self._opening.result().get(key)
        if not isinstance(stored, bytes):
            return None
        content = stored[_CHECK:]
        return content if stored[:_CHECK] == _check(content) else None

    def _write(self, key: str, content: bytes) -> None:
        if self.has_room_for(len(content)):
            self._opening.result().set(key, _check(content) + content)

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

    def _complain(self, error: BaseException) -> None:
        if time.monotonic() - self._complained_at > _COMPLAINT_S:
            self._complained_at = time.monotonic()
            log.warning("the speech cache in %s failed: %s", self._folder, str(error) or type(error).__name__)


class _Plain(diskcache.Disk):  # type: ignore[misc]
    """Bytes and nothing else: a pickle that somebody put into the folder is not opened."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Give a value. Raises OSError, which is a miss, for what we never stored."""
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise OSError("a value of another kind")
        return super().fetch(mode, filename, value, read)


def digest(value: object) -> str:
    """Hash plain data, so that two values have one hash only if they are equal. Raises TypeError for other things."""
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


def _check(content: bytes) -> bytes:
    return blake2b(content, digest_size=_CHECK).digest()
