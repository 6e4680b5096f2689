"""The Realtime API by OpenAI's own SDK over a real socket: with the tones pair in the fast tier, with real speech in the weights tier."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jiwer
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from open_speech.app import create_app
from open_speech.audio import Audio, concat, from_pcm16, silence, to_pcm16
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from open_speech.testing.words import ALLOWED_ERRORS
from runners.wiring.engine import local_engine
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S

TEXT = "The first sentence is long enough to be spoken by itself. And so is the second one, of course."
PIECE = 9600
"""Bytes of one append: 0.2 seconds."""
SHOWN_TOO = {"id", "object", "expires_at"}
"""What OpenAI's own server shows of a session though the SDK's type, made for requests, has no field for it."""

Serving = Callable[[FastAPI], AbstractContextManager[str]]


@pytest.fixture
def talker(tones_settings: Settings, serving: Serving) -> Iterator[str]:
    """A server with the tones pair and without a language model."""
    with serving(create_app(tones_settings, local_engine(tones_settings))) as url:
        yield url


@pytest.fixture
def thinker(tones_settings: Settings, serving: Serving, language_model: LanguageModelServer) -> Iterator[str]:
    """The same with a language model."""
    settings = tones_settings.model_copy(update={"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small"})
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


def unknown_fields(value: object, path: str = "") -> list[str]:
    """Name the fields of an event that the SDK's types do not know."""
    if isinstance(value, list):
        return [name for item in value for name in unknown_fields(item, path)]
    if not isinstance(value, BaseModel):
        return []
    known = [name for field in type(value).model_fields for name in unknown_fields(getattr(value, field), f"{path}.{field}")]
    return [*(f"{path}.{name}" for name in value.model_extra or {} if not (path == ".session" and name in SHOWN_TOO)), *known]


class Talk:
    """One connection of the SDK: what it sends is left to the SDK, what comes is collected and checked."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def next(self) -> Any:
        event = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        assert unknown_fields(event) == [], event.type
        self.events.append(event)
        return event

    async def until(self, kind: str) -> list[Any]:
        """Give the events up to and with the first of a kind."""
        events = [await self.next()]
        while events[-1].type != kind:
            assert events[-1].type != "error", events[-1].error
            events.append(await self.next())
        return events

    async def error(self) -> Any:
        while (event := await self.next()).type != "error":
            pass
        return event.error

    async def set(self, **session: Any) -> None:
        await self.connection.session.update(session={"type": "realtime", **session})
        await self.until("session.updated")

    async def say(self, sound: Audio) -> None:
        data = to_pcm16(sound)
        for start in range(0, len(data), PIECE):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(data[start : start + PIECE]).decode())

    async def write(self, text: str) -> None:
        await self.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )


@asynccontextmanager
async def talking(url: str, *, key: str = "unused", **query: Any) -> AsyncIterator[Talk]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key).realtime.connect(**({"model": "gpt-realtime"} | query)) as connection:
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        yield talk


def play(scene: Callable[[], Awaitable[None]], *, within_s: float = PATIENCE_S) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), within_s)

    asyncio.run(bounded())


def types(events: list[Any]) -> list[str]:
    """List the types of events, one for several of a kind in a row."""
    names = [event.type for event in events]
    return [name for name, before in zip(names, [None, *names], strict=False) if name != before]


def sound_of(events: list[Any], kind: str = "response.output_audio.delta") -> Audio:
    return from_pcm16(b"".join(base64.b64decode(event.delta) for event in events if event.type == kind), 24_000)


def transcribed(url: str, sound: Audio) -> str:
    form = {"model": "whisper-1", "language": "en"}
    answer = httpx.post(f"{url}/v1/audio/transcriptions", data=form, files={"file": wav_bytes(sound)}, timeout=PATIENCE_S)
    return str(answer.json()["text"])


def tones(url: str, text: str) -> Audio:
    """Have a text spoken as tones, with a silence around it."""
    body = {"model": "tts-1", "voice": "tone", "input": text, "response_format": "pcm"}
    sound = from_pcm16(httpx.post(f"{url}/v1/audio/speech", json=body, timeout=PATIENCE_S).content, 24_000)
    return concat([silence(0.1, 24_000), sound, silence(0.1, 24_000)], 24_000)


SPOKEN = [
    "response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added",
    "response.output_audio_transcript.delta", "response.output_audio.delta", "response.output_audio_transcript.delta",
    "response.output_audio.delta", "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
    "response.output_item.done", "conversation.item.done", "response.done",
]  # fmt: skip


def test_a_text_is_read_out_word_for_word_and_its_events_come_in_order(talker: str) -> None:
    async def scene() -> None:
        async with talking(talker) as talk:
            await talk.write(TEXT)
            await talk.until("conversation.item.done")
            await talk.connection.response.create()
            events = await talk.until("response.done")
            assert types(events) == SPOKEN
            assert events[-1].response.status == "completed"
            assert "".join(event.delta for event in events if event.type == "response.output_audio_transcript.delta") == TEXT
            assert await asyncio.to_thread(transcribed, talker, sound_of(events)) == TEXT

    play(scene)


def test_a_commit_and_a_clear_are_answered_in_order_and_the_transcript_comes_after(talker: str) -> None:
    sound = tones(talker, TEXT)

    async def scene() -> None:
        async with talking(talker, extra_query={"intent": "transcription"}) as talk:
            await talk.connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
            await talk.until("session.updated")
            await talk.say(sound)
            await talk.connection.input_audio_buffer.commit()
            await talk.connection.input_audio_buffer.clear()
            events = await talk.until("conversation.item.input_audio_transcription.completed")
            order = [event.type for event in events if not event.type.endswith(".delta")]
            assert order == [
                "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done", "input_audio_buffer.cleared",
                "conversation.item.input_audio_transcription.completed",
            ]  # fmt: skip
            assert events[-1].transcript == TEXT
            assert "".join(event.delta for event in events if event.type.endswith("transcription.delta")) == TEXT
            assert events[-1].usage.seconds == pytest.approx(sound.seconds, abs=0.01)

    play(scene)


@pytest.mark.parametrize("form", ["audio/pcmu", "audio/pcma"])
def test_telephony_formats_work_both_ways(talker: str, form: str) -> None:
    async def scene() -> None:
        async with talking(talker) as talk:
            both = {"format": {"type": form}}
            await talk.set(audio={"input": {**both, "turn_detection": None, "transcription": {"model": "whisper-1"}}, "output": both})
            await talk.write("Hello again, hello.")
            await talk.connection.response.create()
            spoken = [event.delta for event in await talk.until("response.done") if event.type == "response.output_audio.delta"]
            for delta in spoken:  # what it says it also hears, in the same form
                await talk.connection.input_audio_buffer.append(audio=delta)
            await talk.connection.input_audio_buffer.commit()
            events = await talk.until("conversation.item.input_audio_transcription.completed")
            assert events[-1].transcript == "Hello again, hello."

    play(scene)


def test_an_answer_of_the_language_model_is_spoken_from_what_was_said(thinker: str, language_model: LanguageModelServer) -> None:
    sound = tones(thinker, "What is the weather like?")

    async def scene() -> None:
        async with talking(thinker) as talk:
            await talk.set(instructions="Be short.", audio={"input": {"turn_detection": None}})
            await talk.say(sound)
            await talk.connection.input_audio_buffer.commit()
            await talk.connection.response.create()
            events = await talk.until("response.done")
            assert events[-1].response.status == "completed"
            assert events[-1].response.usage.output_tokens == 5
            assert await asyncio.to_thread(transcribed, thinker, sound_of(events)) == language_model.answer
            await talk.write("And tomorrow?")
            await talk.connection.response.create()
            await talk.until("response.done")

    play(scene)
    assert [message["role"] for message in language_model.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]
    assert language_model.requests[0]["messages"][1]["content"] == "What is the weather like?"


def test_a_tool_is_called_and_its_result_is_answered(thinker: str, language_model: LanguageModelServer) -> None:
    tool = {"type": "function", "name": "light", "parameters": {"type": "object", "properties": {"room": {"type": "string"}}}}

    async def scene() -> None:
        async with talking(thinker) as talk:
            await talk.set(tools=[tool])
            await talk.write("call it")
            await talk.connection.response.create()
            events = await talk.until("response.done")
            (call,) = events[-1].response.output
            assert (call.type, call.name, call.arguments) == ("function_call", "light", '{"room": "kitchen"}')
            result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "on"}
            await talk.connection.conversation.item.create(item=result)
            await talk.connection.response.create()
            assert (await talk.until("response.done"))[-1].response.status == "completed"

    play(scene)
    assert language_model.requests[0]["tools"][0]["function"]["name"] == "light"
    assert language_model.requests[1]["messages"][-1]["role"] == "tool"


@pytest.mark.parametrize(("words", "code"), [("silence", "llm_timeout"), ("garbage", "llm_failed"), ("status 401", "llm_refused")])
def test_a_language_model_that_fails_fails_the_response_and_the_session_goes_on(
    tones_settings: Settings, serving: Serving, language_model: LanguageModelServer, words: str, code: str
) -> None:
    llm = {"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_timeout_s": 0.5}
    settings = tones_settings.model_copy(update=llm)

    async def scene(url: str) -> None:
        async with talking(url) as talk:
            await talk.write(words)
            await talk.connection.response.create()
            response = (await talk.until("response.done"))[-1].response
            assert (response.status, response.status_details.error.code) == ("failed", code)
            await talk.write("Hello")
            await talk.connection.response.create()
            assert (await talk.until("response.done"))[-1].response.status == "completed"

    with serving(create_app(settings, local_engine(settings))) as url:
        play(lambda: scene(url))


def test_what_was_said_without_a_language_model_is_answered_by_a_failure_and_not_by_silence(talker: str) -> None:
    sound = tones(talker, "Hello?")

    async def scene() -> None:
        async with talking(talker) as talk:
            await talk.set(audio={"input": {"turn_detection": None}})
            await talk.say(sound)
            await talk.connection.input_audio_buffer.commit()
            await talk.connection.response.create()
            response = (await talk.until("response.done"))[-1].response
            assert (response.status, response.status_details.error.code) == ("failed", "no_llm_configured")

    play(scene)


def test_the_beta_protocol_is_spoken_to_a_client_of_the_beta(talker: str) -> None:
    async def scene() -> None:
        # The beta client takes no plain address but this one.
        client = AsyncOpenAI(base_url=f"{talker}/v1", websocket_base_url=f"ws{talker.removeprefix('http')}/v1", api_key="unused")
        async with client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection:
            talk = Talk(connection)
            created = (await talk.until("conversation.created"))[0]
            assert created.session.input_audio_format == "pcm16"
            await connection.session.update(session={"modalities": ["text", "audio"], "voice": "alloy"})
            await talk.until("session.updated")
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
            )
            await talk.until("conversation.item.created")
            await connection.response.create()
            events = await talk.until("response.done")
            assert types(events) == [
                name.replace("output_audio", "audio").replace("conversation.item.added", "conversation.item.created")
                for name in SPOKEN
                if name != "conversation.item.done"
            ]
            assert await asyncio.to_thread(transcribed, talker, sound_of(events, "response.audio.delta")) == TEXT

    play(scene)


def test_a_key_for_browsers_opens_a_session_as_it_was_set_up(tones_settings: Settings, serving: Serving) -> None:
    settings = tones_settings.model_copy(update={"os_api_key": "sesame"})

    async def scene(url: str) -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame") as client:
            secret = await client.realtime.client_secrets.create(
                session={"type": "realtime", "instructions": "Be short."}, expires_after={"anchor": "created_at", "seconds": 60}
            )
        assert secret.session.instructions == "Be short."
        async with talking(url, key=secret.value) as talk:
            assert talk.events[0].session.instructions == "Be short."
            await talk.write(TEXT)
            await talk.connection.response.create()
            await talk.until("response.done")

    with serving(create_app(settings, local_engine(settings))) as url:
        play(lambda: scene(url))


WORDS = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
)
BEST = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"


def wer(said: str, heard: str) -> float:
    return float(jiwer.wer(said, heard, reference_transform=WORDS, hypothesis_transform=WORDS))


@pytest.fixture
def real_thinker(
    default_weights: None, weights_root: Path, tmp_path: Path, serving: Serving, language_model: LanguageModelServer
) -> Iterator[str]:
    """The default engines in this process, with a language model."""
    settings = Settings(
        os_models_dir=weights_root, os_offline=True, os_voice_library_path=tmp_path,
        llm_base_url=language_model.url, llm_api_key=KEY, llm_model="small",
    )  # fmt: skip
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


@pytest.fixture
def best_of_times(speech_clips: dict[str, Path]) -> Audio:
    """The first 8.4 seconds of a novel, and two of silence."""
    clip = decode(speech_clips["two_cities"].read_bytes(), 24_000, max_seconds=60)
    return concat([Audio(clip.samples[: round(8.4 * 24_000)], 24_000), silence(2, 24_000)], 24_000)


@pytest.mark.weights
def test_a_spoken_turn_is_heard_thought_about_and_answered(
    real_thinker: str, best_of_times: Audio, language_model: LanguageModelServer
) -> None:
    async def scene() -> None:
        async with talking(real_thinker) as talk:
            await talk.set(audio={"input": {"transcription": {"model": "whisper-1", "language": "en"}}})
            await talk.say(best_of_times)
            events = await talk.until("response.done")
            turn = [event for event in events if event.type.startswith("input_audio_buffer")]
            assert [event.type.rpartition(".")[2] for event in turn] == ["speech_started", "speech_stopped", "committed"]
            completed = next(event for event in events if event.type.endswith("transcription.completed"))
            assert wer(BEST, completed.transcript) <= 0.05
            deltas = [event.delta for event in events if event.type.endswith("transcription.delta")]
            assert "".join(deltas) == completed.transcript
            assert {event.item_id for event in turn} == {completed.item_id}
            heard = await asyncio.to_thread(transcribed, real_thinker, sound_of(events))
            assert wer(language_model.answer, heard) <= ALLOWED_ERRORS

    play(scene, within_s=2 * PATIENCE_S)


@pytest.mark.weights
def test_who_speaks_while_an_answer_is_spoken_stops_it(
    real_thinker: str, best_of_times: Audio, language_model: LanguageModelServer
) -> None:
    language_model.answer = "This is a sentence that takes a while to say. " * 40

    async def scene() -> None:
        async with talking(real_thinker) as talk:
            await talk.write("Tell me something long.")
            await talk.connection.response.create()
            await talk.until("response.output_audio.delta")
            await talk.say(best_of_times)
            await talk.until("input_audio_buffer.speech_started")
            done = (await talk.until("response.done"))[-1]
            assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")

    play(scene, within_s=2 * PATIENCE_S)
