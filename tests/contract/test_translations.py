"""Realtime translation by OpenAI's own SDK over a real socket: with the tones pair and a scripted language model, and with Whisper."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from open_speech.app import create_app
from open_speech.audio import Audio, concat, from_pcm16, silence, to_pcm16
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S, until

PIECE = 9600
"""Bytes of one append: 0.2 seconds."""
MODEL = "gpt-realtime-translate"
WITH_SOURCE = {"input": {"transcription": {"model": "whisper-1"}}}
WORDS = "the train into town was late today and we waited for it on the platform "

Serving = Callable[[FastAPI], AbstractContextManager[str]]


@dataclass
class World:
    """A server and its application."""

    url: str
    app: FastAPI

    def is_free(self) -> bool:
        """Whether no session is open."""
        return bool(self.app.state.realtime_slots._free == self.app.state.settings.os_realtime_max_sessions)


@pytest.fixture
def world(tones_settings: Settings, serving: Serving, language_model: LanguageModelServer) -> Iterator[World]:
    """The tones pair and a language model: what is said is translated by it."""
    settings = tones_settings.model_copy(update={"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small"})
    app = create_app(settings, local_engine(settings))
    with serving(app) as url:
        yield World(url, app)


def unknown_fields(value: object, path: str = "") -> list[str]:
    """Name the fields of an event that the SDK's types do not know."""
    if not isinstance(value, BaseModel):
        return []
    known = [name for field in type(value).model_fields for name in unknown_fields(getattr(value, field), f"{path}.{field}")]
    return [*(f"{path}.{name}" for name in value.model_extra or {}), *known]


class Talk:
    """One connection of the SDK; every event is checked against its types."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def next(self) -> Any:
        event = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        assert unknown_fields(event) == [], event.type
        self.events.append(event)
        return event

    async def until(self, kind: str) -> Any:
        while (event := await self.next()).type != kind:
            assert event.type != "error", event.error
        return event

    async def say(self, sound: Audio) -> None:
        data = to_pcm16(sound)
        for start in range(0, len(data), PIECE):
            await self.connection.session.input_audio_buffer.append(audio=base64.b64encode(data[start : start + PIECE]).decode())

    async def close(self) -> None:
        await self.connection.session.close()
        await self.until("session.closed")

    def text(self, direction: str) -> str:
        return "".join(event.delta for event in self.events if event.type == f"session.{direction}_transcript.delta")

    def audio(self) -> Audio:
        deltas = [event for event in self.events if event.type == "session.output_audio.delta"]
        assert all((event.sample_rate, event.channels, event.format) == (24_000, 1, "pcm16") for event in deltas)
        return from_pcm16(b"".join(base64.b64decode(event.delta) for event in deltas), 24_000)


@asynccontextmanager
async def talking(url: str, *, key: str = "unused", audio: Any = None) -> AsyncIterator[Talk]:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key)
    async with client, client.realtime.translations.connect(model=MODEL) as connection:
        talk = Talk(connection)
        created = await talk.next()
        assert (created.type, created.session.type, created.session.model) == ("session.created", "translation", MODEL)
        if audio is not None:
            await connection.session.update(session={"audio": audio})
            await talk.until("session.updated")
        yield talk


def play(scene: Callable[[], Awaitable[None]], *, within_s: float = PATIENCE_S) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), within_s)

    asyncio.run(bounded())


def spoken(url: str, text: str, **body: Any) -> Audio:
    """Have a text spoken, with a silence around it."""
    body = {"model": "tts-1", "voice": "tone", "input": text, "response_format": "pcm"} | body
    answer = httpx.post(f"{url}/v1/audio/speech", json=body, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return concat([silence(0.2, 24_000), from_pcm16(answer.content, 24_000), silence(1.0, 24_000)], 24_000)


def transcribed(url: str, sound: Audio) -> str:
    answer = httpx.post(f"{url}/v1/audio/transcriptions", files={"file": wav_bytes(sound)}, timeout=PATIENCE_S)
    return str(answer.json()["text"])


def test_speech_is_translated_by_the_language_model_spoken_and_written(world: World, language_model: LanguageModelServer) -> None:
    language_model.answer = "Where is the station?"

    async def scene() -> None:
        async with talking(world.url, audio=WITH_SOURCE) as talk:
            await talk.say(spoken(world.url, "wo ist der Bahnhof"))
            await talk.close()
            assert talk.text("input") == "wo ist der Bahnhof"
            assert talk.text("output") == "Where is the station?"
            assert await asyncio.to_thread(transcribed, world.url, talk.audio()) == "Where is the station?"
            assert all(0 < event.elapsed_ms < 5000 for event in talk.events if hasattr(event, "elapsed_ms"))

    play(scene)
    (request,) = language_model.requests
    assert "into English" in request["messages"][0]["content"]
    assert request["messages"][-1] == {"role": "user", "content": "wo ist der Bahnhof"}


def test_the_source_is_not_sent_unasked_and_every_turn_is_translated_in_order(world: World, language_model: LanguageModelServer) -> None:
    language_model.answer = "Yes, of course."

    async def scene() -> None:
        async with talking(world.url) as talk:
            for text in ("erstens", "zweitens", "drittens"):
                await talk.say(spoken(world.url, text))
            await talk.close()
            assert talk.text("input") == ""
            assert talk.text("output") == "Yes, of course. Yes, of course. Yes, of course."

    play(scene)
    assert [request["messages"][-1]["content"] for request in language_model.requests] == ["erstens", "zweitens", "drittens"]
    third = language_model.requests[-1]["messages"]
    assert [message["content"] for message in third[1:]] == ["erstens", "Yes, of course.", "zweitens", "Yes, of course.", "drittens"]


def test_speech_without_a_pause_is_translated_while_it_goes_on(world: World, language_model: LanguageModelServer) -> None:
    language_model.answer = "So it goes."
    sound = spoken(world.url, (WORDS * 12).strip())
    assert sound.seconds > 20

    async def scene() -> None:
        async with talking(world.url) as talk:
            await talk.say(Audio(sound.samples[: 24_000 * 18], 24_000))  # the speaker has not paused yet
            first = await talk.until("session.output_audio.delta")
            assert first.elapsed_ms <= 18_000
            await talk.say(Audio(sound.samples[24_000 * 18 :], 24_000))
            await talk.close()

    play(scene)
    said = " ".join(request["messages"][-1]["content"] for request in language_model.requests).split()
    assert len(said) > 0.9 * 12 * len(WORDS.split())  # a window without a pause in it ends within a word
    assert len(language_model.requests) > 4


@pytest.mark.parametrize(
    ("audio", "code", "param"),
    [
        ({"output": {"language": "es"}}, "unsupported_value", "session.audio.output.language"),
        ({"output": {"voice": "ann"}}, "unknown_parameter", "session.audio.output.voice"),
        ({"input": {"transcription": {"model": "tts-1"}}}, "model_wrong_task", "session.audio.input.transcription.model"),
    ],
)
def test_an_impossible_update_is_an_error_and_the_session_goes_on(world: World, audio: Any, code: str, param: str) -> None:
    async def scene() -> None:
        async with talking(world.url) as talk:
            await talk.connection.send({"type": "session.update", "session": {"audio": audio}, "event_id": "mine"})
            event = await talk.next()
            assert (event.type, event.error.code, event.error.param, event.error.event_id) == ("error", code, param, "mine")
            await talk.connection.session.update(session={"audio": {"output": {"language": "en-GB"}}})
            assert (await talk.until("session.updated")).session.audio.output.language == "en-GB"

    play(scene)


def test_a_language_model_that_fails_is_an_error_and_the_next_clause_is_translated(world: World) -> None:
    async def scene() -> None:
        async with talking(world.url) as talk:
            await talk.say(spoken(world.url, "status 500"))
            while (event := await talk.next()).type != "error":
                pass
            assert event.error.code == "llm_failed"
            await talk.say(spoken(world.url, "weiter"))
            await talk.close()
            assert talk.text("output").startswith("It is warm and sunny")

    play(scene)


def test_a_client_that_leaves_frees_everything(world: World, language_model: LanguageModelServer) -> None:
    async def scene() -> None:
        async with talking(world.url) as talk:
            await talk.say(spoken(world.url, "on and on"))
            await talk.until("session.output_audio.delta")
            assert not world.is_free()

    play(scene)
    until(world.is_free)
    assert language_model.left.wait(PATIENCE_S)


def test_an_ephemeral_key_opens_translations_and_nothing_else(
    tones_settings: Settings, serving: Serving, language_model: LanguageModelServer
) -> None:
    update = {"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small", "os_api_key": "sesame"}
    settings = Settings(**{**tones_settings.model_dump(exclude_unset=True), **update})
    with serving(create_app(settings, local_engine(settings))) as url:

        async def scene() -> None:
            async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame") as client:
                secret = await client.realtime.translations.client_secrets.create(
                    session={"model": MODEL, "audio": WITH_SOURCE}, expires_after={"anchor": "created_at", "seconds": 60}
                )
                assert (secret.session.type, secret.session.model) == ("translation", MODEL)
            async with talking(url, key=secret.value) as talk:
                assert talk.events[0].session.audio.input.transcription.model == "whisper-1"
            with pytest.raises(Exception, match="401"):
                async with AsyncOpenAI(base_url=f"{url}/v1", api_key=secret.value) as client, client.realtime.connect(model="x"):
                    pass
            async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame") as client:
                other = await client.realtime.client_secrets.create(session={"type": "realtime"})
            with pytest.raises(Exception, match="401"):
                async with talking(url, key=other.value):
                    pass

        play(scene)


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [("", "missing_required_parameter", "model"), ("?model=m", "unsupported_value", "session.audio.output.language")],
)
def test_a_session_that_cannot_translate_is_refused_with_its_reason(
    tones_settings: Settings, serving: Serving, query: str, code: str, param: str
) -> None:
    """The tones are not translated, and there is no language model."""
    with serving(create_app(tones_settings, local_engine(tones_settings))) as url:
        with connect(f"ws{url.removeprefix('http')}/v1/realtime/translations{query}") as socket:
            message = socket.recv(timeout=PATIENCE_S)
            assert f'"code":"{code}"' in str(message) and f'"param":"{param}"' in str(message)
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=PATIENCE_S)
        body = {"session": {"model": "m", "audio": {"output": {"language": "en"}}}}
        answer = httpx.post(f"{url}/v1/realtime/translations/client_secrets", json=body, timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "session.audio.output.language")
        assert httpx.get(f"{url}/v1/realtime/translations", timeout=PATIENCE_S).status_code == 426


@pytest.mark.weights
def test_whisper_translates_spanish_into_english_without_a_language_model(
    tmp_path: Path, weights_root: Path, default_weights: None, serving: Serving
) -> None:
    settings = Settings(
        os_models_dir=weights_root, os_offline=True, stt_backends=("faster-whisper@inproc",), tts_backends=("kokoro@inproc",),
        os_voice_library_path=tmp_path / "library", os_jobs_dir=tmp_path / "jobs",
    )  # fmt: skip
    with serving(create_app(settings, local_engine(settings))) as url:
        text = "Buenos días. Mañana vamos a la playa con mi hermana, y después comemos en casa."
        speech = spoken(url, text, model="kokoro", voice="ef_dora")

        async def scene() -> None:
            async with talking(url, audio=WITH_SOURCE) as talk:
                await talk.say(speech)
                await talk.close()
                assert "playa" in talk.text("input")
                assert {"beach", "sister"} <= set(talk.text("output").lower().replace(".", "").replace(",", "").split())
                heard = await asyncio.to_thread(transcribed, url, talk.audio())
                assert "beach" in heard.lower()

        play(scene, within_s=300)
