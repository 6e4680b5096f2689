"""Real speech through the Wyoming door: words while somebody speaks, sound while the text is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from open_speech.audio import Audio, concat, from_pcm16
from open_speech.codecs import decode
from open_speech.config import Settings
from open_speech.wyoming.service import Service
from runners._topology import local_engine
from runners._wyoming import service_of

pytestmark = pytest.mark.weights

RATE = 48_000
"""Hertz: as a sound card gives it, not as a recogniser wants it."""
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
TEXT = "The first sentence is heard while the second one is written. Here is the second one. And this is the end."
_PLAIN = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
)


def errors(said: str, heard: str) -> float:
    """Word error rate, in [0, 1]."""
    return float(jiwer.wer(said, heard, reference_transform=_PLAIN, hypothesis_transform=_PLAIN))


@pytest.fixture(scope="module")
def real(default_weights: None, weights_root: Path) -> Service:
    settings = Settings(os_models_dir=weights_root, os_offline=True, stt_backends=("faster-whisper",), tts_backends=("piper",))
    return service_of(local_engine(settings), settings)


@asynccontextmanager
async def connected(door: Callable[..., Any], service: Service) -> AsyncIterator[AsyncClient]:
    async with door(service) as port, AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
        yield client


async def until(client: AsyncClient, kind: str) -> list[tuple[float, Event]]:
    """Read up to an event of a type, each with the moment at which it came."""
    events: list[tuple[float, Event]] = []
    while not events or events[-1][1].type != kind:
        event = await asyncio.wait_for(client.read_event(), 120)
        assert event is not None
        assert event.type != "error", event
        events.append((time.monotonic(), event))
    return events


async def hear(client: AsyncClient, sound: Audio, *, pace: float = 0.0) -> tuple[float, list[tuple[float, Event]]]:
    """Send sound, `pace` seconds for one of it; gives the moment of its end, and all events of the answer."""
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(sound.rate, 2, 1).event())

    async def send() -> float:
        step = sound.rate // 20
        began = time.monotonic()
        for at in range(0, len(sound.samples), step):
            data = (sound.samples[at : at + step] * 32767).astype("<i2").tobytes()
            await client.write_event(AudioChunk(sound.rate, 2, 1, data).event())
            await asyncio.sleep(max(0.0, began + at / sound.rate * pace - time.monotonic()))
        await client.write_event(AudioStop().event())
        return time.monotonic()

    ended, events = await asyncio.gather(send(), until(client, "transcript-stop"))
    return ended, events


def text_of(events: list[tuple[float, Event]]) -> str:
    (text,) = [event.data["text"] for _, event in events if event.type == "transcript"]
    assert "".join(event.data["text"] for _, event in events if event.type == "transcript-chunk") == text
    return str(text)


def test_words_come_while_somebody_still_speaks(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    rate, sound = RATE, decode(speech_clips["beckett"], RATE, max_seconds=60)

    async def scene() -> None:
        async with connected(door, real) as client:
            await hear(client, Audio(sound.samples[: 2 * rate], rate))  # the model is loaded from here on
            ended, events = await hear(client, sound, pace=1.0)
            kinds = [event.type for at, event in events if at < ended]
            assert kinds.count("transcript-chunk") >= 2
            assert {"voice-started", "voice-stopped"} <= set(kinds)
            assert errors(BECKETT, text_of(events)) < 0.2

    asyncio.run(scene())


def test_silence_around_speech_is_left_out(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    rate, sound = RATE, decode(speech_clips["beckett"], RATE, max_seconds=60)
    hush = Audio(np.random.default_rng(0).normal(0, 1e-4, 20 * rate).astype(np.float32), rate)

    async def scene() -> None:
        async with connected(door, real) as client:
            _, events = await hear(client, concat([hush, sound, hush], rate))
            assert errors(BECKETT, text_of(events)) < 0.2
            (start, *_) = [event.data["timestamp"] for _, event in events if event.type == "voice-started"]
            assert 19_000 < start < 21_000
            _, events = await hear(client, hush)
            assert text_of(events) == ""

    asyncio.run(scene())


def test_sound_comes_before_the_text_is_complete_and_says_it(real: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with connected(door, real) as client:
            await client.write_event(SynthesizeStart(SynthesizeVoice("en_US-joe-medium")).event())
            *words, last = TEXT.split(" ")
            for word in words:
                await client.write_event(SynthesizeChunk(f"{word} ").event())
            events = await until(client, "audio-chunk")
            await client.write_event(SynthesizeChunk(last).event())
            await client.write_event(SynthesizeStop().event())
            events += await until(client, "synthesize-stopped")
            chunks = [AudioChunk.from_event(event) for _, event in events if event.type == "audio-chunk"]
            spoken = concat([from_pcm16(chunk.audio, chunk.rate) for chunk in chunks], chunks[0].rate)
            _, heard = await hear(client, spoken)
            assert errors(TEXT, text_of(heard)) < 0.1

    asyncio.run(scene())


def test_a_description_is_quick_while_the_engines_work(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["two_cities"], RATE, max_seconds=60)

    async def scene() -> None:
        async with door(real) as port:
            uri = f"tcp://127.0.0.1:{port}"
            async with AsyncClient.from_uri(uri) as speaker, AsyncClient.from_uri(uri) as asking:
                hearing = asyncio.create_task(hear(speaker, sound))
                took = []
                while not hearing.done():
                    began = time.monotonic()
                    await asking.write_event(Describe().event())
                    (event,) = await until(asking, "info")
                    took.append(event[0] - began)
                    await asyncio.sleep(0.2)
                assert len(took) > 5
                assert sorted(took)[len(took) // 2] < 0.1
                await hearing

    asyncio.run(scene())
