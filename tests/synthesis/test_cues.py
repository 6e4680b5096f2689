from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from open_speech.audio import Audio, silence
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.stream import Cue, SpeechStream


def test_cues_come_before_the_sound_that_they_fall_into_and_the_last_ones_at_the_end() -> None:
    cues = [Cue(0.0, "one"), Cue(1.0, "two"), Cue(1.5, "here", is_mark=True), Cue(2.0, "end", is_mark=True)]

    async def sound() -> AsyncGenerator[Audio, None]:
        for _ in range(4):
            yield silence(0.5, 1000)

    async def run() -> list[str]:
        speech = await SpeechStream.begin(sound(), cues)
        return [item.text if isinstance(item, Cue) else "~" for item in [item async for item in narrated(speech)]]

    assert asyncio.run(run()) == ["one", "~", "~", "two", "~", "here", "~", "end"]
