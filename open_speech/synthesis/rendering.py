"""Encodes a speech as a file while it is synthesized, or reads the file from the cache."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from open_speech.audio import Audio
from open_speech.codecs import PCM_RATE, encode_stream
from open_speech.codecs.wav import with_true_sizes
from open_speech.config.types import AudioFormat
from open_speech.synthesis.cache import Answer
from open_speech.synthesis.plan import SpeechPlan
from open_speech.synthesis.stream import SpeechStream

_CHUNK_BYTES = 1 << 15
"""Bytes of one chunk of a cached speech."""


class Monitor(Protocol):
    """Observes a speech while it is encoded: for progress, captions and its duration."""

    seconds: float
    """Duration of the audio so far."""

    def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        """Yield the audio of the speech unchanged."""


M = TypeVar("M", bound=Monitor)


@dataclass(frozen=True, slots=True)
class Rendition(Generic[M]):
    """One speech, encoded."""

    audio: AsyncGenerator[bytes, None]
    """Chunks of the file. Closing the iterator stops the synthesis."""
    monitor: M
    plan: SpeechPlan
    cache: Literal["HIT", "MISS"] | None = None
    """None if this speech is not cached."""
    stored: bytes | None = None
    """The whole file if it was in the cache; a WAV file has its true length in the header."""


async def encoded(
    perform: Callable[[SpeechPlan], Awaitable[SpeechStream]], plan: SpeechPlan, form: AudioFormat, monitor: Monitor
) -> AsyncGenerator[bytes, None]:
    """Synthesize a plan with `perform`, and encode the speech while it is synthesized. Raises SpeechError's children."""
    stream = await perform(plan)
    async with aclosing(stream):
        async with aclosing(encode_stream(monitor.over(stream), form, stream.rate, pcm_rate=plan.finish.rate or PCM_RATE)) as chunks:
            async for chunk in chunks:
                yield chunk


def from_cache(answer: Answer, plan: SpeechPlan, monitor: M) -> Rendition[M]:
    """Return a speech from its cached answer."""
    monitor.seconds = answer.seconds
    data = with_true_sizes(answer.data, len(answer.data))
    return Rendition(_chunks(data), monitor, plan, "HIT", data)


async def _chunks(data: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), _CHUNK_BYTES):
        yield data[start : start + _CHUNK_BYTES]
