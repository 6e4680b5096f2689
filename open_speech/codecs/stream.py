"""A stream of audio -> a stream of encoded bytes; slow encoding runs off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from open_speech.audio import Audio
from open_speech.codecs.encode import PCM_RATE, encoder
from open_speech.config.types import AudioFormat

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 2.0


async def encode_stream(
    pieces: AsyncIterator[Audio], format: AudioFormat, rate: int, *, pcm_rate: int = PCM_RATE
) -> AsyncGenerator[bytes, None]:
    """Encode pieces at `rate` Hertz as they arrive; yield non-empty chunks whose concatenation is one file in `format`.

    `pcm_rate` is as in `encoder`. Without any piece the file is valid and silent if the format allows it. When the consumer stops,
    `pieces` is closed.
    """
    file = encoder(format, rate, pcm_rate=pcm_rate)
    step = _LONGEST_SECONDS if file.is_quick else _FIRST_SECONDS
    try:
        async for piece in pieces:
            for part in _cut(piece, step):
                if chunk := file.encode(part) if file.is_quick else await asyncio.to_thread(file.encode, part):
                    yield chunk
            step = _LONGEST_SECONDS
        if chunk := file.finish() if file.is_quick else await asyncio.to_thread(file.finish):
            yield chunk
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _cut(piece: Audio, seconds: float) -> Iterator[Audio]:
    """Split a piece into parts of `seconds`, each twice as long as the one before, so that the first bytes are sent early."""
    start = 0
    while start < len(piece.samples):
        end = start + max(1, round(seconds * piece.rate))
        yield Audio(piece.samples[start:end], piece.rate)
        start = end
        seconds = min(2 * seconds, _LONGEST_SECONDS)
