"""The audio of a speech, interleaved with the cues of the text that is spoken."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from open_speech.audio import Audio
from open_speech.synthesis.stream import Cue, SpeechStream


async def narrated(speech: SpeechStream) -> AsyncGenerator[Cue | Audio, None]:
    """Yield the audio, each piece after the cues that fall into it, then the remaining cues. Does not close the speech."""
    seconds, sent = 0.0, 0
    async for audio in speech:
        seconds += audio.seconds
        while sent < len(speech.cues) and speech.cues[sent].at_s < seconds:
            yield speech.cues[sent]
            sent += 1
        yield audio
    for cue in speech.cues[sent:]:
        yield cue
