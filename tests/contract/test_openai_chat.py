"""OpenAI's own client against the chat API, over a real socket, with the language model that follows written commands."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, RateLimitError
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionToolParam
from openai.types.chat.chat_completion import Choice

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S, until

TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "light", "description": "Turn a light on.", "parameters": {"type": "object"}}}
]
Starts = Callable[..., str]


@pytest.fixture
def start(serving: Any, tones_settings: Settings) -> Iterator[Starts]:
    """Start a server with the echo as its language model and other settings; gives its URL."""
    with ExitStack() as held:

        def started(**changed: Any) -> str:
            own = {name: getattr(tones_settings, name) for name in tones_settings.model_fields_set}
            settings = Settings(**{**own, "llm_backends": ("tones-llm",), **changed})
            app: FastAPI = create_app(settings, local_engine(settings))
            url: str = held.enter_context(serving(app))
            return url

        yield started


@pytest.fixture
def sdk(start: Starts) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{start()}/v1", api_key="unused", max_retries=0, _strict_response_validation=True) as sdk:
        yield sdk


def asks(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_whole_answer_is_the_sdks_type(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(model="echo", messages=asks("Hello there!"), temperature=0.5, seed=1, stop=["xyz"], n=1)
    assert type(answer) is ChatCompletion
    assert answer.choices[0].message.content == "Hello there!"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 4


def test_a_streamed_answer_is_the_sdks_type(sdk: OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(model="echo", messages=asks("one two three"), stream=True, stream_options={"include_usage": True})
    )
    assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [3]


def test_the_asynchronous_client_gets_both(sdk: OpenAI) -> None:
    async def ask() -> tuple[str | None, str]:
        async with AsyncOpenAI(base_url=sdk.base_url, api_key="unused", max_retries=0, _strict_response_validation=True) as client:
            whole = await client.chat.completions.create(model="default", messages=asks("Hello"))
            parts = await client.chat.completions.create(model="default", messages=asks("Hello you"), stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in parts])
            return whole.choices[0].message.content, text

    assert asyncio.run(ask()) == ("Hello", "Hello you")


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_answered(sdk: OpenAI, *, stream: bool) -> None:
    messages = asks('call light {"room": "hall"}')
    choice: Choice
    if stream:
        with sdk.chat.completions.stream(model="echo", messages=messages, tools=TOOLS) as events:
            choice = events.get_final_completion().choices[0]
    else:
        choice = sdk.chat.completions.create(model="echo", messages=messages, tools=TOOLS, tool_choice="auto").choices[0]
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (choice.finish_reason, call.function.name, json.loads(call.function.arguments)) == ("tool_calls", "light", {"room": "hall"})
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "It is on."}
    said: Any = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
    answer = sdk.chat.completions.create(model="echo", messages=[*messages, said, result], tools=TOOLS)
    assert answer.choices[0].message.content == "It is on."


def test_a_completion_is_the_sdks_type(sdk: OpenAI) -> None:
    assert sdk.completions.create(model="echo", prompt="one two").choices[0].text == "one two"
    # OpenAI itself streams `finish_reason: null`, which the SDK's type of a whole answer does not have.
    with OpenAI(base_url=sdk.base_url, api_key="unused", max_retries=0) as lenient:
        parts = list(lenient.completions.create(model="echo", prompt="one two", stream=True))
    assert "".join(part.choices[0].text for part in parts if part.choices) == "one two"


def test_errors_are_the_sdks(sdk: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="Did you mean"):
        sdk.chat.completions.create(model="ecko", messages=asks("Hello"))
    with pytest.raises(BadRequestError) as refused:
        sdk.chat.completions.create(model="echo", messages=asks("Hello"), temperature=3)
    assert refused.value.param == "temperature"
    received = []
    with pytest.raises(APIError, match="failed"):
        received += list(sdk.chat.completions.create(model="echo", messages=asks("fail 1 one two"), stream=True))
    assert sdk.chat.completions.create(model="echo", messages=asks("Hello")).choices


def in_flight(url: str) -> int:
    count: int = httpx.get(f"{url}/api/models/echo", timeout=PATIENCE_S).json()["in_flight"]
    return count


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_generation(start: Starts, *, stream: bool) -> None:
    url = start(llm_parallel=1, llm_max_tokens=100_000, llm_context_size=1_000_000)
    body = {"messages": asks("slowly forever"), "stream": stream}
    left = threading.Event()

    def read() -> None:
        with httpx.Client(timeout=PATIENCE_S) as client, client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            left.wait(PATIENCE_S)

    async def leave_whole() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            asking = asyncio.ensure_future(client.post(f"{url}/v1/chat/completions", json=body))
            while not await asyncio.to_thread(in_flight, url):
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    if stream:
        thread = threading.Thread(target=read)
        thread.start()
        until(lambda: in_flight(url) == 1)
        left.set()
        thread.join()
    else:
        asyncio.run(leave_whole())
    until(lambda: in_flight(url) == 0)
    # The only slot is free again, and the endless answer no longer counts.
    answer = httpx.post(f"{url}/v1/chat/completions", json={"messages": asks("Hello")}, timeout=PATIENCE_S)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


def test_two_requests_for_one_slot_are_both_answered(start: Starts) -> None:
    async def ask() -> list[str | None]:
        async with AsyncOpenAI(base_url=f"{start(llm_parallel=1)}/v1", api_key="unused", max_retries=0) as client:
            asked = (client.chat.completions.create(model="echo", messages=asks(f"slowly {word}")) for word in ("one two", "three"))
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == ["one two", "three"]


def test_more_requests_than_may_wait_are_refused(start: Starts) -> None:
    url = start(llm_parallel=1, os_max_queue=2)

    async def ask() -> list[Any]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=PATIENCE_S) as client:
            asked = [client.chat.completions.create(model="echo", messages=asks("slowly recite 2")) for _ in range(5)]
            return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    refused = [answer for answer in answers if isinstance(answer, RateLimitError)]
    assert (len(answers), len(refused)) == (5, 3)
    assert {(error.status_code, error.code) for error in refused} == {(429, "server_overloaded")}
    assert all(int(error.response.headers["retry-after"]) >= 1 for error in refused)


def test_the_tokens_are_in_the_metrics(sdk: OpenAI) -> None:
    sdk.chat.completions.create(model="echo", messages=asks("one two three"))
    url = str(sdk.base_url).removesuffix("/v1/")
    lines = httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text.splitlines()
    assert 'open_speech_llm_tokens_in_total{model="echo"} 3.0' in lines
    assert 'open_speech_llm_tokens_out_total{model="echo"} 3.0' in lines
    assert 'open_speech_llm_first_token_seconds_count{model="echo"} 1.0' in lines
