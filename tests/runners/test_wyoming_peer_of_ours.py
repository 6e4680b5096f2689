"""Our own Wyoming door, asked by our own Wyoming backend: what one says the other understands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.served import free_port
from open_speech import config
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.audio import concat, resample, silence
from open_speech.backends import STT_RATE, Setup, SpeechOptions, Task, TranscribeOptions
from open_speech.config import Settings
from open_speech.errors import BackendFailed
from open_speech.transcript import Segment, TranscriptInfo
from runners.wiring import discovery
from runners.wiring import factories as parts
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from runners.wyoming_peer import WyomingSynthesizer, WyomingTranscriber
from tests.waiting import PATIENCE_S

SENTENCES = "Hello there world. How are you?"


@pytest.fixture
def uri(tones_settings: Settings) -> Iterator[str]:
    """The Wyoming door over the tones pair, on a loop of its own."""
    address, opened = f"tcp://127.0.0.1:{free_port()}", threading.Event()
    loop = asyncio.new_event_loop()
    over: asyncio.Future[None] = loop.create_future()

    async def serve() -> None:
        async with serving(WyomingServer(address), ConnectionLimit(), service_of(local_engine(tones_settings), tones_settings)):
            opened.set()
            await over

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert opened.wait(PATIENCE_S)
    yield address
    loop.call_soon_threadsafe(over.set_result, None)
    thread.join(PATIENCE_S)
    loop.close()


def test_what_it_says_it_has_is_spoken_and_heard_back(uri: str) -> None:
    chosen = config.load({"STT_WYOMING_URI": uri, "TTS_WYOMING_URI": uri})
    registry = parts.registry(chosen, {"wyoming": "inproc", "wyoming-tts": "inproc"})
    assert discovery.ask(registry, chosen)
    (hears,), (speaks,) = registry.models(Task.STT), registry.models(Task.TTS)
    listener = WyomingTranscriber(Setup(hears, Path(), settings=parts.host_options(chosen, "wyoming").settings))
    speaker = WyomingSynthesizer(Setup(speaks, Path(), settings=parts.host_options(chosen, "wyoming-tts").settings))
    listener.load()
    speaker.load()
    sound = [resample(part, STT_RATE) for part in speaker.synthesize(SENTENCES, SpeechOptions(speaks.voices[0].id))]
    said = concat([silence(0.3, STT_RATE), *sound, silence(0.3, STT_RATE)], STT_RATE)
    info, *heard = listener.transcribe(said, TranscribeOptions(language="en"))
    assert isinstance(info, TranscriptInfo)
    assert "".join(item.text for item in heard if isinstance(item, Segment)).strip() == SENTENCES


def test_what_it_refuses_comes_back_as_an_error(uri: str) -> None:
    chosen = config.load({"TTS_WYOMING_URI": uri})
    registry = parts.registry(chosen, {"wyoming-tts": "inproc"})
    discovery.ask(registry, chosen)
    (speaks,) = registry.models(Task.TTS)
    speaker = WyomingSynthesizer(Setup(speaks, Path(), settings=parts.host_options(chosen, "wyoming-tts").settings))
    speaker.load()
    with pytest.raises(BackendFailed):
        list(speaker.synthesize("word " * 20_000, SpeechOptions(speaks.voices[0].id)))
