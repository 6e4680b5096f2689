"""Conversion between Audio and the bytes in Realtime events. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech.api.realtime.effects import AudioFormat
from open_speech.audio import Audio, from_pcm16, to_pcm16
from open_speech.codecs import g711

PIECE_BYTES = 32_768
"""Maximum bytes of a piece of audio. It bounds the audio that is still in transit when a client interrupts."""
_LAWS: dict[str, g711.Law] = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}


def decoded(data: bytes, form: AudioFormat) -> Audio:
    """Decode bytes at the format's own rate. Raises InvalidAudio if PCM ends in half a sample."""
    law = _LAWS.get(form.type)
    return from_pcm16(data, form.rate) if law is None else g711.decode(data, law, form.rate)


def encoded(audio: Audio, form: AudioFormat) -> Iterator[tuple[bytes, float]]:
    """Encode audio that is at the format's rate already, in pieces of at most PIECE_BYTES, each with its length in seconds."""
    law = _LAWS.get(form.type)
    step = PIECE_BYTES if law else PIECE_BYTES // 2
    for start in range(0, len(audio.samples), step):
        part = Audio(audio.samples[start : start + step], audio.rate)
        yield (to_pcm16(part) if law is None else g711.encode(part, law)), part.seconds
