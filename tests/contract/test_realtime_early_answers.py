"""Early answers and interruptions over a real socket, in real time: the tones pair, and a scripted language model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import SpeakCall
from open_speech.dispatch.link import RunnerGone
from tests.api.realtime.talking import Talker, talker, talking_engine, tones
from tests.fake_runner import FakeRunner
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S

QUESTION = "What will the weather be?"
SESSIONS = 24

Serving = Callable[[FastAPI], AbstractContextManager[str]]
Opens = Callable[..., AbstractContextManager[str]]


class DyingVoice(FakeRunner):
    """A runner that is killed whenever it is asked to speak."""

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        raise RunnerGone("killed")
        yield b""


def dying(name: str, client: RunnerClient) -> RunnerClient:
    return RunnerClient(name, DyingVoice(), deadline_s=5) if name == "tones-tts" else client


@pytest.fixture
def opens(tones_settings: Settings, serving: Serving, language_model: LanguageModelServer) -> Opens:
    """Serve spoken conversations with the scripted language model, and with settings of the test."""

    @contextmanager
    def opened(*, change: Callable[[str, RunnerClient], RunnerClient] = lambda _, client: client, **settings: Any) -> Iterator[str]:
        known = {"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small", "os_realtime_max_sessions": SESSIONS}
        changed = tones_settings.model_copy(update=known | settings)
        with serving(create_app(changed, talking_engine(changed, change=change))) as url:
            yield url

    return opened


def play(url: str, scene: Callable[[Talker], Awaitable[None]], **session: Any) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_S), talker(url, **session) as talk:
            await scene(talk)

    asyncio.run(whole())


def counts(url: str) -> dict[str, int]:
    """Return how many early answers were started, released and dropped."""
    text = httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text
    found = re.findall(r'^open_speech_early_answers_total{outcome="(\w+)"} (\S+)$', text, re.MULTILINE)
    return {outcome: round(float(count)) for outcome, count in found}


async def asks(talk: Talker, language_model: LanguageModelServer, text: str = QUESTION) -> None:
    """Ask a question and be silent until the language model was asked as well."""
    before = len(language_model.requests)
    await talk.say(tones(text))
    async with asyncio.timeout(PATIENCE_S):
        while len(language_model.requests) == before:
            await talk.quiet(0.05)


def test_the_answer_is_made_in_the_silence_and_sent_in_the_usual_order(opens: Opens, language_model: LanguageModelServer) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model)
        assert talk.all("input_audio_buffer.speech_stopped") == talk.all("response.created") == []
        await talk.until("response.done", quiet=True)
        assert talk.types("input_audio", "conversation", "response")[:12] == [
            "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
            "conversation.item.added", "conversation.item.done", "response.created",
            "conversation.item.input_audio_transcription.delta", "conversation.item.input_audio_transcription.completed",
            "response.output_item.added", "conversation.item.added", "response.content_part.added",
            "response.output_audio_transcript.delta",
        ]  # fmt: skip
        (done,) = talk.all("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == language_model.answer
        assert done["response"]["usage"]["total_tokens"] == 16

    with opens() as url:
        play(url, scene)
        assert counts(url) == {"started": 1, "released": 1}
    assert [request["messages"] for request in language_model.requests] == [[{"role": "user", "content": QUESTION}]]


KINDS = ("input_audio_buffer.speech_stopped", "response.output_audio.delta")


def test_speech_that_goes_on_drops_the_answer_and_nothing_of_it_comes_late(opens: Opens, language_model: LanguageModelServer) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model, "on and on")
        await talk.say(tones("in Rome?"))
        assert await asyncio.to_thread(language_model.left.wait, PATIENCE_S)
        await talk.until("response.done", quiet=True)
        await talk.quiet(1.0)
        (item,) = (event["item"] for event in talk.all("conversation.item.added") if event["item"]["role"] == "user")
        (completed,) = talk.all("conversation.item.input_audio_transcription.completed")
        assert (completed["item_id"], completed["transcript"]) == (item["id"], "on and on in Rome?")
        (created,), (done,) = talk.all("response.created"), talk.all("response.done")
        assert created["response"]["id"] == done["response"]["id"]
        assert done["response"]["output"][0]["content"][0]["transcript"] == language_model.answer
        assert {event["response_id"] for event in talk.events if "response_id" in event} == {created["response"]["id"]}

    with opens() as url:
        play(url, scene)
        assert counts(url) == {"started": 2, "released": 1, "dropped": 1}
    assert [request["messages"][-1]["content"] for request in language_model.requests] == ["on and on", "on and on in Rome?"]


def test_a_client_that_leaves_while_an_answer_is_held_ends_it(opens: Opens, language_model: LanguageModelServer) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model, "on and on")

    with opens() as url:
        play(url, scene)
        assert language_model.left.wait(PATIENCE_S)
        assert counts(url) == {"started": 1, "dropped": 1}


@pytest.mark.parametrize(("said", "code"), [("status 500", "llm_failed"), ("break off", "llm_failed"), ("status 429", "llm_overloaded")])
def test_a_failure_of_the_language_model_appears_at_the_end_of_the_turn(
    opens: Opens, language_model: LanguageModelServer, said: str, code: str
) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model, said)
        await talk.quiet(0.2)
        assert talk.all("response.done") == talk.all("error") == []
        done = await talk.until("response.done", quiet=True)
        assert (done["response"]["status"], done["response"]["status_details"]["error"]["code"]) == ("failed", code)
        assert talk.all("input_audio_buffer.committed")

    with opens() as url:
        play(url, scene)


def test_a_runner_that_dies_while_the_answer_is_held_fails_it_at_the_end_of_the_turn(
    opens: Opens, language_model: LanguageModelServer
) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model)
        done = await talk.until("response.done", quiet=True)
        assert done["response"]["status"] == "failed"
        assert talk.types("input_audio_buffer", "response.done")[-1] == "response.done"

    with opens(change=dying) as url:
        play(url, scene)
        assert counts(url)["started"] == 1


def test_a_tool_call_starts_at_the_end_of_the_turn(opens: Opens, language_model: LanguageModelServer) -> None:
    tool = {"type": "function", "name": "light", "parameters": {"type": "object"}}

    async def scene(talk: Talker) -> None:
        await asks(talk, language_model, "call it")
        assert talk.all("response.created") == []
        done = await talk.until("response.done", quiet=True)
        assert [item["type"] for item in done["response"]["output"]] == ["function_call"]
        (call,) = talk.all("response.function_call_arguments.done")
        assert call["arguments"] == '{"room": "kitchen"}'

    with opens() as url:
        play(url, scene, tools=[tool])
        assert counts(url) == {"started": 1, "dropped": 1}
    assert len(language_model.requests) == 2


def test_a_response_that_the_client_requests_meanwhile_replaces_the_held_one(opens: Opens, language_model: LanguageModelServer) -> None:
    async def scene(talk: Talker) -> None:
        await asks(talk, language_model, "on and on")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}
        await talk.send("conversation.item.create", item=item)
        await talk.send("response.create")
        first = await talk.until("response.done", quiet=True)
        assert first["response"]["status"] == "completed"
        assert await asyncio.to_thread(language_model.left.wait, PATIENCE_S)

    with opens() as url:
        play(url, scene)
        assert counts(url)["dropped"] == 1
    assert [message["content"] for message in language_model.requests[1]["messages"]] == ["Say hello."]


def test_early_answers_can_be_turned_off(opens: Opens, language_model: LanguageModelServer) -> None:
    async def scene(talk: Talker) -> None:
        await talk.say(tones(QUESTION))
        await talk.quiet(0.6)
        assert language_model.requests == []
        await talk.until("response.done", quiet=True)

    with opens(os_early_answers=False) as url:
        play(url, scene)
        assert counts(url) == {}


def test_many_sessions_each_get_their_own_answer_once(opens: Opens, language_model: LanguageModelServer) -> None:
    async def one(url: str, number: int) -> None:
        async with talker(url) as talk:
            await talk.say(tones(f"Question number {number}?"))
            if number % 3 == 0:  # goes on after a pause
                await talk.quiet(0.5)
                await talk.say(tones("Please."))
            await talk.until("response.done", quiet=True)
            await talk.quiet(0.3)
            (created,), (done,) = talk.all("response.created"), talk.all("response.done")
            assert done["response"]["status"] == "completed", done
            assert {event["response_id"] for event in talk.events if "response_id" in event} == {created["response"]["id"]}
            (completed,) = talk.all("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == f"Question number {number}?{' Please.' if number % 3 == 0 else ''}"
            assert done["response"]["output"][0]["content"][0]["transcript"] == language_model.answer

    async def scene() -> None:
        async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as group:
            for number in range(SESSIONS):
                group.create_task(one(url, number))

    with opens() as url:
        asyncio.run(scene())
        found = counts(url)
    assert found["started"] == found["released"] + found.get("dropped", 0)
    assert found["released"] > 0, "on a busy machine, some texts are ready after the end of their turns"


def test_a_backchannel_does_not_end_the_answer_and_a_question_does(opens: Opens, language_model: LanguageModelServer) -> None:
    language_model.answer = "This is a long story about a king. " * 12

    async def scene(talk: Talker) -> None:
        await talk.say(tones("Tell me a story."))
        await talk.until("response.output_audio.delta", quiet=True)
        await talk.say(tones("Mhm."))
        await talk.quiet(1.2)
        assert len(talk.all("input_audio_buffer.speech_started")) == 1
        assert [event["response"]["status"] for event in talk.all("response.done")] in ([], ["completed"])
        await talk.say(tones("But what did the king do after the war had ended?"))
        await talk.until("input_audio_buffer.speech_started", count=2, quiet=True)
        await talk.until("response.created", count=2, quiet=True)

    with opens(os_backchannels=("mhm",)) as url:
        play(url, scene)
    last = [message["content"] for message in language_model.requests[-1]["messages"] if message["role"] == "user"]
    assert last == ["Tell me a story.", "But what did the king do after the war had ended?"]


def test_the_language_model_receives_what_was_played_of_an_interrupted_answer(opens: Opens, language_model: LanguageModelServer) -> None:
    language_model.answer = "The first sentence is a long one, as you can hear. The second sentence is never heard by the user."

    async def scene(talk: Talker) -> None:
        await talk.say(tones("Tell me a story."))
        done = await talk.until("response.done", quiet=True)
        item_id = done["response"]["output"][0]["id"]
        await talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)
        await talk.until("conversation.item.truncated", quiet=True)
        await talk.say(tones(QUESTION))
        await talk.until("response.done", count=2, quiet=True)

    with opens() as url:
        play(url, scene)
    heard = language_model.requests[-1]["messages"][1]
    assert heard["role"] == "assistant"
    assert 0 < len(heard["content"]) < len(language_model.answer) / 2
    assert language_model.answer.startswith(heard["content"])
