"""A speech as it is heard: its sound, and between it what is said from there on."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from open_speech.audio import Audio
from open_speech.synthesis.stream import Cue, SpeechStream


async def narrated(speech: SpeechStream) -> AsyncGenerator[Cue | Audio, None]:
    """Give the pieces of sound, each after the cues that fall into it; at the end those that are left. The speech stays open."""
    given, told = 0.0, 0
    async for audio in speech:
        given += audio.seconds
        while told < len(speech.cues) and speech.cues[told].at_s < given:
            yield speech.cues[told]
            told += 1
        yield audio
    for cue in speech.cues[told:]:
        yield cue
