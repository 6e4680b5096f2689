"""The Wyoming door as a user serves it: beside the HTTP door, and alone in front of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

from benchmarks.served import ROOT, Served, free_port, serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

TEXT = "What is said here comes back as it was."


@pytest.fixture(scope="module")
def beside() -> Iterator[tuple[Served, str]]:
    """A server of the tones pair with Wyoming beside it; and where that listens."""
    port = free_port()
    settings = {
        "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
        "TTS_VOICE": "tone", "OS_OFFLINE": "true", "STT_VAD_ENABLED": "false", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port),
    }  # fmt: skip
    with serve(settings) as served:
        uri = f"tcp://127.0.0.1:{port}"
        wait_for(uri)
        yield served, uri


def wait_for(uri: str) -> Info:
    """Ask what a server can do until it answers."""

    def answered() -> Info | None:
        with suppress(OSError):
            return asyncio.run(described(uri))
        return None

    return until(answered, why=lambda: f"nobody listens on {uri}")


async def described(uri: str) -> Info:
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        event = await asyncio.wait_for(client.read_event(), PATIENCE_S)
        assert event is not None
        return Info.from_event(event)


async def round_trip(uri: str, model: str | None = None) -> str:
    """Have a text spoken, and what was spoken transcribed, by a model if one is named."""
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Synthesize(TEXT).event())
        spoken = await read_until(client, "audio-stop")
        await client.write_event(Transcribe(name=model, language="en").event())
        for event in spoken:
            await client.write_event(event)
        return str((await read_until(client, "transcript"))[-1].data["text"])


async def read_until(client: AsyncClient, kind: str) -> list[Event]:
    events: list[Event] = []
    while not events or events[-1].type != kind:
        event = await asyncio.wait_for(client.read_event(), PATIENCE_S)
        assert event is not None
        assert event.type != "error", event
        events.append(event)
    return events


def test_wyoming_speaks_and_listens_by_the_runners_of_the_server(beside: tuple[Served, str]) -> None:
    _, uri = beside
    assert asyncio.run(round_trip(uri)) == TEXT


def test_its_process_comes_back_when_it_is_killed(beside: tuple[Served, str]) -> None:
    served, uri = beside
    killed = served.kill("wyoming_door")
    wait_for(uri)
    assert served.pid_of("wyoming_door") != killed
    assert asyncio.run(round_trip(uri)) == TEXT


def test_a_runner_that_is_killed_in_the_midst_of_an_utterance_costs_nothing(beside: tuple[Served, str]) -> None:
    served, uri = beside

    async def scene() -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Synthesize(TEXT).event())
            spoken = [AudioChunk.from_event(event) for event in await read_until(client, "audio-stop") if event.type == "audio-chunk"]
            await client.write_event(AudioStart(spoken[0].rate, 2, 1).event())
            for at, chunk in enumerate(spoken):
                await client.write_event(chunk.event())
                if at == len(spoken) // 2:
                    served.kill("tones_stt")
            await client.write_event(AudioStop().event())
            assert (await read_until(client, "transcript"))[-1].data["text"] == TEXT

    asyncio.run(scene())


@contextmanager
def alone(*arguments: str, command: tuple[str, ...] = ("open_speech.cli", "wyoming")) -> Iterator[str]:
    """Run `open-speech wyoming`, or another module, with arguments as a shell would; gives where it listens."""
    ours = ("OS_", "STT_", "TTS_", "WYOMING_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"STT_VAD_ENABLED": "false"}
    uri = f"tcp://127.0.0.1:{free_port()}"
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "deploy/wyoming/package")))
    line = [sys.executable, "-m", *command, "--uri", uri, *arguments]
    with subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield uri
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


def test_alone_it_stands_before_another_server_and_finds_out_what_that_has(beside: tuple[Served, str]) -> None:
    served, _ = beside
    with alone("--upstream", served.base_url) as uri:
        info = wait_for(uri)
        assert "tones/listen" in [program.models[0].name for program in info.asr]
        assert "tone" in [voice.name for voice in info.tts[0].voices]
        assert asyncio.run(round_trip(uri)) == TEXT


def test_who_talks_when_the_server_is_stopped_is_heard_to_the_end(tones: dict[str, str]) -> None:
    port = free_port()
    uri = f"tcp://127.0.0.1:{port}"
    settings = {**tones, "STT_VAD_ENABLED": "false", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}

    async def scene(served: Served) -> str:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Synthesize(TEXT).event())
            spoken = await read_until(client, "audio-stop")
            for event in spoken[: len(spoken) // 2]:
                await client.write_event(event)
            await asyncio.sleep(0.5)
            served.process.terminate()
            await asyncio.sleep(1)
            for event in spoken[len(spoken) // 2 :]:
                await client.write_event(event)
            return str((await read_until(client, "transcript"))[-1].data["text"])

    with serve(settings) as served:
        wait_for(uri)
        assert asyncio.run(scene(served)) == TEXT
        assert served.process.wait(PATIENCE_S) == 0


def test_the_command_line_of_wyoming_openai_works(beside: tuple[Served, str]) -> None:
    served, _ = beside
    flags = (
        f"--log-level INFO --languages en --stt-openai-key KEY --stt-openai-url {served.base_url} --stt-models whisper-1"
        f" --stt-backend OPENAI --tts-openai-key KEY --tts-openai-url {served.base_url} --tts-models tts-1"
        " --tts-voices alloy echo fable onyx nova shimmer --tts-backend OPENAI"
    )
    with alone(*flags.split(), command=("wyoming_openai",)) as uri:
        info = wait_for(uri)
        assert [(program.models[0].name, program.models[0].languages) for program in info.asr] == [("whisper-1", ["en"])]
        assert [(voice.name, voice.languages) for voice in info.tts[0].voices][:2] == [("alloy", ["en"]), ("echo", ["en"])]
        assert len(info.tts[0].voices) == 6
        for name in ("whisper-1", "openai", None):
            assert asyncio.run(round_trip(uri, name)) == TEXT
