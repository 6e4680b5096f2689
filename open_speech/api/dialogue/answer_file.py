"""The speech of an answer as one file, encoded while it is synthesized."""

from __future__ import annotations

import asyncio

from open_speech.audio import Audio
from open_speech.codecs import MEDIA_TYPES, PCM_RATE, Encoder, encoder
from open_speech.config.types import AudioFormat


class AnswerFile:
    """A file in one of the formats; its concatenated parts are the file."""

    def __init__(self, form: AudioFormat, rate: int | None) -> None:
        """`rate` is the sample rate of `pcm` in Hertz; None: 24000."""
        self.format = form
        self._pcm_rate = rate or PCM_RATE
        self._encoder: Encoder | None = None

    @property
    def media_type(self) -> str:
        """Media type of the file."""
        return MEDIA_TYPES[self.format]

    @property
    def rate(self) -> int | None:
        """Sample rate of the file in Hertz; None while there is no audio."""
        return None if self._encoder is None else self._encoder.rate

    async def add(self, audio: Audio) -> bytes:
        """Encode the next audio; return the bytes that are ready, possibly none."""
        if self._encoder is None:
            self._encoder = encoder(self.format, audio.rate, pcm_rate=self._pcm_rate)
        encode = self._encoder.encode
        return encode(audio) if self._encoder.is_quick else await asyncio.to_thread(encode, audio)

    async def finish(self) -> bytes:
        """End the file and return the rest of its bytes; none if there was no audio."""
        if self._encoder is None:
            return b""
        return self._encoder.finish() if self._encoder.is_quick else await asyncio.to_thread(self._encoder.finish)
