"""A speech that is being synthesized: a queue, so that one piece is synthesized while the piece before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self

from open_speech.audio import Audio
from open_speech.errors import BackendFailed, SpeechError

LOOK_AHEAD = 2
"""Maximum pieces of audio in the queue; the synthesis pauses while a slow client has not read them."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A text that is spoken, or a mark, with its time."""

    at_s: float
    """Time in the audio, in seconds."""
    text: str
    """The piece as it is spoken, or the name of a mark."""
    is_mark: bool = False


class SpeechStream:
    """Audio as it is synthesized: an async iterator of Audio pieces, all at `rate` Hertz.

    The next piece is synthesized while the last one is encoded and sent; `aclose` stops the synthesis.
    """

    rate: int
    model: str
    """Id of the model that speaks."""
    cues: list[Cue]
    """Cues so far; the cue of a piece is added before its audio."""

    warnings: Sequence[str] = ()
    """Sentences about the text that was left out so far, for users."""

    def __init__(self, source: AsyncGenerator[Audio, None]) -> None:
        """Use `begin` instead."""
        self._queue: asyncio.Queue[Audio | SpeechError | None] = asyncio.Queue(LOOK_AHEAD)
        self._task = asyncio.create_task(self._fill(source))
        self._next: Audio | SpeechError | None = None
        self._ended = False

    @classmethod
    async def begin(cls, source: AsyncGenerator[Audio, None], cues: list[Cue] | None = None, warnings: Sequence[str] = ()) -> Self:
        """Wait for the first piece; a failure before it is raised here. The source fills `cues` and `warnings`."""
        speech = cls(source)
        speech.cues = [] if cues is None else cues
        speech.warnings = warnings
        try:
            first = await speech._queue.get()
        except asyncio.CancelledError:
            await speech.aclose()
            raise
        if isinstance(first, SpeechError):
            raise first
        if first is None:
            raise BackendFailed("The backend returned no audio.")
        speech.rate = first.rate
        speech._next = first
        return speech

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Audio:
        item, self._next = self._next, None
        if item is None and not self._ended:
            item = await self._queue.get()
        if isinstance(item, Audio):
            return item
        self._ended = True
        if item is None:
            raise StopAsyncIteration
        raise item

    async def aclose(self) -> None:
        """Stop the synthesis. May be called repeatedly, and after the end."""
        self._ended = True
        self._next = None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _fill(self, source: AsyncGenerator[Audio, None]) -> None:
        # The default end of the queue: whatever happens here, the reader must not wait for ever.
        end: SpeechError | None = BackendFailed("The speech could not be completed.")
        try:
            async with aclosing(source):
                async for audio in source:
                    await self._queue.put(audio)
            end = None
        except SpeechError as error:
            end = error
        finally:
            if not self._ended:
                await self._queue.put(end)
