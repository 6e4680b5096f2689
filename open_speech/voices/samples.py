"""An uploaded recording -> audio from which a voice can be cloned."""

from __future__ import annotations

from pathlib import Path

from open_speech.audio import Audio
from open_speech.backends import REFERENCE_RATE
from open_speech.codecs import decode
from open_speech.errors import AudioTooLong, InvalidAudio, InvalidValue, UploadTooLarge

SAMPLE_BYTES = 10 << 20
"""Maximum size of the file of a recording, as documented by OpenAI."""
SHORTEST_S, LONGEST_S = 1.0, 60.0
"""Minimum and maximum seconds of a recording."""
_SLACK_S = 0.2
"""Codecs add silence at either end: a file of a minute may decode to a little more."""


def sample_of(source: bytes | Path, field: str) -> Audio:
    """Decode a recording to mono at REFERENCE_RATE. Blocking.

    Raises UploadTooLarge beyond SAMPLE_BYTES, and InvalidValue for a file that is not audio, is silent, or is not SHORTEST_S to LONGEST_S
    seconds long; each names `field`.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > SAMPLE_BYTES:
        raise UploadTooLarge(f"`{field}` has {size} bytes; the limit is {SAMPLE_BYTES}.", param=field)
    try:
        audio = decode(source, REFERENCE_RATE, max_seconds=LONGEST_S + _SLACK_S)
    except InvalidAudio as error:
        raise InvalidValue(f"`{field}` is not audio that can be decoded: {error.message}", param=field) from None
    except AudioTooLong:
        raise _wrong_length(field) from None
    if audio.seconds < SHORTEST_S:
        raise _wrong_length(field)
    if not audio.samples.any():
        raise InvalidValue(f"`{field}` is silent.", param=field)
    return audio


def _wrong_length(field: str) -> InvalidValue:
    return InvalidValue(f"`{field}` must be {SHORTEST_S:g} to {LONGEST_S:g} seconds long.", param=field)
