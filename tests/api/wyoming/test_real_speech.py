"""Real speech through the Wyoming door: words while somebody speaks, sound while the text is written."""

from __future__ import annotations

import asyncio
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

from open_speech.api.wyoming.service import Service
from open_speech.audio import Audio, concat, from_pcm16
from open_speech.codecs import decode
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.waiting import PATIENCE_S

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


async def until(client: AsyncClient, kind: str) -> list[Event]:
    """Read up to an event of a type."""
    events: list[Event] = []
    while not events or events[-1].type != kind:
        event = await asyncio.wait_for(client.read_event(), PATIENCE_S)
        assert event is not None
        assert event.type != "error", event
        events.append(event)
    return events


async def send(client: AsyncClient, sound: Audio, *, as_spoken: bool = False) -> None:
    """Send audio that has not ended yet, at once or at the rate at which it is spoken."""
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(sound.rate, 2, 1).event())
    step = sound.rate // 20
    for at in range(0, len(sound.samples), step):
        data = (sound.samples[at : at + step] * 32767).astype("<i2").tobytes()
        await client.write_event(AudioChunk(sound.rate, 2, 1, data).event())
        await asyncio.sleep(0.05 if as_spoken else 0)


async def hear(client: AsyncClient, sound: Audio) -> list[Event]:
    """Send sound; gives all events of the answer."""

    async def send_all() -> None:
        await send(client, sound)
        await client.write_event(AudioStop().event())

    _, events = await asyncio.gather(send_all(), until(client, "transcript-stop"))
    return events


def text_of(events: list[Event]) -> str:
    (text,) = [event.data["text"] for event in events if event.type == "transcript"]
    assert "".join(event.data["text"] for event in events if event.type == "transcript-chunk") == text
    return str(text)


def test_words_come_while_somebody_still_speaks(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    rate, sound = RATE, decode(speech_clips["beckett"], RATE, max_seconds=60)

    async def scene() -> None:
        async with connected(door, real) as client:
            await hear(client, Audio(sound.samples[: 2 * rate], rate))  # the model is loaded from here on
            sending = asyncio.create_task(send(client, sound, as_spoken=True))
            events = await until(client, "transcript-chunk")
            events += await until(client, "transcript-chunk")
            await sending
            assert {"voice-started", "voice-stopped"} <= {event.type for event in events}
            await client.write_event(AudioStop().event())
            events += await until(client, "transcript-stop")
            assert errors(BECKETT, text_of(events)) < 0.2

    asyncio.run(scene())


def test_silence_around_speech_is_left_out(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    rate, sound = RATE, decode(speech_clips["beckett"], RATE, max_seconds=60)
    hush = Audio(np.random.default_rng(0).normal(0, 1e-4, 20 * rate).astype(np.float32), rate)

    async def scene() -> None:
        async with connected(door, real) as client:
            events = await hear(client, concat([hush, sound, hush], rate))
            assert errors(BECKETT, text_of(events)) < 0.2
            (start, *_) = [event.data["timestamp"] for event in events if event.type == "voice-started"]
            assert 19_000 < start < 21_000
            events = await hear(client, hush)
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
            chunks = [AudioChunk.from_event(event) for event in events if event.type == "audio-chunk"]
            spoken = concat([from_pcm16(chunk.audio, chunk.rate) for chunk in chunks], chunks[0].rate)
            heard = await hear(client, spoken)
            assert errors(TEXT, text_of(heard)) < 0.1

    asyncio.run(scene())


def test_a_description_does_not_wait_for_the_engines(real: Service, door: Callable[..., Any], speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["two_cities"], RATE, max_seconds=60)

    async def scene() -> None:
        async with door(real) as port:
            uri = f"tcp://127.0.0.1:{port}"
            async with AsyncClient.from_uri(uri) as speaker, AsyncClient.from_uri(uri) as asking:
                hearing = asyncio.create_task(hear(speaker, sound))
                answered = 0
                while not hearing.done():
                    await asking.write_event(Describe().event())
                    await until(asking, "info")
                    answered += 1
                    await asyncio.sleep(0.05)
                assert answered > 5
                await hearing

    asyncio.run(scene())
