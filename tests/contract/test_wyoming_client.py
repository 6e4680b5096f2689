"""The Wyoming library's own clients against our door, over the tones."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event, read_event, write_event
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from benchmarks.served import ROOT, free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.audio import Audio, concat, from_pcm16, resample
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.waiting import PATIENCE_S

TEXT = "The first sentence is spoken while the second is written. And here is the second one, which is the last."


def run(work: Coroutine[Any, Any, None], within_s: float = PATIENCE_S) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(within_s):
            await work

    asyncio.run(bounded())


@pytest.fixture(params=["tcp", "unix"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"tcp://127.0.0.1:{free_port()}" if request.param == "tcp" else f"unix://{tmp_path}/door"


@asynccontextmanager
async def connected(uri: str, settings: Settings) -> AsyncIterator[AsyncClient]:
    """Serve there, and connect the library's own client."""
    async with (
        serving(WyomingServer(uri), ConnectionLimit(), service_of(local_engine(settings), settings)),
        AsyncClient.from_uri(uri) as client,
    ):
        yield client


async def until(client: AsyncClient, kind: str) -> list[Event]:
    """Read up to an event of a type, that one included."""
    events: list[Event] = []
    while not events or events[-1].type != kind:
        event = await client.read_event()
        assert event is not None, f"the connection ended before {kind}, after {events[-1:]}"
        assert event.type != "error", event
        events.append(event)
    return events


def sound_of(events: list[Event]) -> Audio:
    """The sound of a speech, which has one format from beginning to end."""
    chunks = [AudioChunk.from_event(event) for event in events if event.type == "audio-chunk"]
    (rate,) = {chunk.rate for chunk in chunks} | {AudioStart.from_event(event).rate for event in events if event.type == "audio-start"}
    assert {(chunk.width, chunk.channels) for chunk in chunks} == {(2, 1)}
    return concat([from_pcm16(chunk.audio, rate) for chunk in chunks], rate)


async def transcript_of(client: AsyncClient, sound: Audio, *, channels: int = 1, asked: Transcribe | None = None) -> list[Event]:
    samples = np.repeat((sound.samples * 32767).astype("<i2"), channels)
    form = {"rate": sound.rate, "width": 2, "channels": channels}
    await client.write_event((asked or Transcribe()).event())
    await client.write_event(AudioStart(**form).event())
    for at in range(0, len(samples), 1024 * channels):
        await client.write_event(AudioChunk(**form, audio=samples[at : at + 1024 * channels].tobytes()).event())
    await client.write_event(AudioStop().event())
    return await until(client, "transcript-stop")


def test_speech_comes_back_as_its_text_at_48_khz_in_stereo_too(uri: str, tones_settings: Settings) -> None:
    async def scene() -> None:
        async with connected(uri, tones_settings) as client:
            await client.write_event(Synthesize(TEXT).event())
            sound = sound_of(await until(client, "audio-stop"))
            for heard in (await transcript_of(client, sound), await transcript_of(client, resample(sound, 48_000), channels=2)):
                assert heard[0].type == "transcript-start"
                (transcript,) = [Transcript.from_event(event) for event in heard if event.type == "transcript"]
                assert transcript == Transcript(TEXT, language="en")
                chunks = [TranscriptChunk.from_event(event).text for event in heard if event.type == "transcript-chunk"]
                assert "".join(chunks) == TEXT

    run(scene())


def test_sound_comes_before_the_last_word_of_the_text_was_sent(uri: str, tones_settings: Settings) -> None:
    async def scene() -> None:
        async with connected(uri, tones_settings) as client:
            await client.write_event(SynthesizeStart(SynthesizeVoice("tone")).event())
            *words, last = TEXT.split(" ")
            for word in words:
                await client.write_event(SynthesizeChunk(f"{word} ").event())
            begun = await until(client, "audio-chunk")
            await client.write_event(SynthesizeChunk(last).event())
            await client.write_event(Synthesize(TEXT).event())  # as Home Assistant does, for servers that do not stream
            await client.write_event(SynthesizeStop().event())
            events = begun + await until(client, "synthesize-stopped")
            assert [event.type for event in events if event.type != "audio-chunk"] == ["audio-start", "audio-stop", "synthesize-stopped"]
            heard = await transcript_of(client, sound_of(events))
            assert heard[-2].data["text"] == TEXT

    run(scene())


def test_a_server_describes_itself_and_its_programs_can_be_chosen(uri: str, tones_settings: Settings) -> None:
    async def scene() -> None:
        async with connected(uri, tones_settings) as client:
            await client.write_event(Describe().event())
            (event,) = await until(client, "info")
            info = Info.from_event(event)
            assert info.asr[0].models[0].name == "tones/listen"
            assert info.asr[0].installed
            assert [voice.name for voice in info.tts[0].voices] == ["tone"]
            await client.write_event(SelectProgram(info.asr[0].name).event())
            await client.write_event(SelectProgram(info.tts[0].name).event())
            await client.write_event(Synthesize("Chosen.").event())
            sound = sound_of(await until(client, "audio-stop"))
            assert (await transcript_of(client, sound))[-2].data["text"] == "Chosen."

    run(scene())


def test_ssml_is_spoken_whole_or_in_pieces(uri: str, tones_settings: Settings) -> None:
    document = '<speak>One <break time="300ms"/> and two.</speak>'

    async def scene() -> None:
        async with connected(uri, tones_settings) as client:
            await client.write_event(Synthesize(document, text_format="ssml").event())
            whole = sound_of(await until(client, "audio-stop"))
            await client.write_event(SynthesizeStart(text_format="ssml").event())
            for at in range(0, len(document), 5):
                await client.write_event(SynthesizeChunk(document[at : at + 5]).event())
            await client.write_event(SynthesizeStop().event())
            pieces = sound_of(await until(client, "synthesize-stopped"))
            assert len(pieces.samples) == len(whole.samples)
            assert (await transcript_of(client, pieces))[-2].data["text"] == "One and two."

    run(scene())


@pytest.mark.parametrize("text", ["", "🙂", " \n"])
def test_nothing_to_speak_is_answered_all_the_same(uri: str, tones_settings: Settings, text: str) -> None:
    async def scene() -> None:
        async with connected(uri, tones_settings) as client:
            await client.write_event(Synthesize(text).event())
            assert sound_of(await until(client, "audio-stop")).seconds < 0.1
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk(text).event())
            await client.write_event(SynthesizeStop().event())
            assert [event.type for event in await until(client, "synthesize-stopped")] == ["synthesize-stopped"]

    run(scene())


def test_silence_has_an_empty_transcript(uri: str, tones_settings: Settings) -> None:
    hearing = tones_settings.model_copy(update={"stt_vad_enabled": True})

    async def scene() -> None:
        async with connected(uri, hearing) as client:
            events = await transcript_of(client, Audio(np.zeros(32_000, np.float32), 16_000))
            assert [event.type for event in events] == ["transcript-start", "transcript", "transcript-stop"]
            assert events[1].data["text"] == ""
            await client.write_event(AudioStart(16_000, 2, 1).event())
            await client.write_event(AudioStop().event())
            assert (await until(client, "transcript"))[-1].data["text"] == ""

    run(scene())


def test_connections_are_served_side_by_side(tones_settings: Settings) -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"

    async def one(name: str) -> None:
        text = f"This is the connection of {name}."
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Synthesize(text).event())
            sound = sound_of(await until(client, "audio-stop"))
            assert (await transcript_of(client, sound))[-2].data["text"] == text

    async def scene() -> None:
        async with connected(uri, tones_settings):
            await asyncio.gather(*(one(name) for name in ("Ada", "Bob", "Cleo", "Dan", "Eve", "Fay", "Gus", "Hal")))

    run(scene())


def test_a_pipe_is_a_connection(tmp_path: Path) -> None:
    ours = ("OS_", "STT_", "TTS_", "WYOMING_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
        "OS_MODELS_DIR": str(tmp_path), "OS_OFFLINE": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "open_speech.cli", "wyoming", "--local", "--uri", "stdio://"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        write_event(Ping("through the pipe").event(), process.stdin)
        write_event(Synthesize("Hello.").event(), process.stdin)
        process.stdin.close()
        types = []
        while (event := read_event(process.stdout)) is not None:
            types.append(event.type)
        assert [kind for kind in types if kind != "audio-chunk"] == ["pong", "audio-start", "audio-stop"]
        assert process.wait(PATIENCE_S) == 0
