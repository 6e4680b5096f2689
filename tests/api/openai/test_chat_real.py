"""The chat API with a real language model, the smallest one, through OpenAI's own client. A base model obeys a grammar, and little else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.contract.conftest import serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.weights

MODEL = "gemma-3-270m"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url(weights_root: Path, model_folder: Callable[[str], Path]) -> Iterator[str]:
    model_folder(MODEL)
    settings = Settings(
        os_models_dir=weights_root, os_offline=True, stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen",
        tts_model="tones/speak", tts_voice="tone", llm_backends=("llama",), llm_context_size=512, llm_parallel=1,
    )  # fmt: skip
    with serve(create_app(settings, local_engine(settings))) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=PATIENCE_S, _strict_response_validation=True) as sdk:
        yield sdk


def asks(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_question_is_answered_whole_and_streamed_alike(sdk: OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": asks("What is the capital of France?"), "max_tokens": 8, "temperature": 0}
    whole = sdk.chat.completions.create(**asked)
    text = whole.choices[0].message.content or ""
    assert "Paris" in text
    assert whole.model == MODEL
    assert whole.usage is not None and 0 < whole.usage.completion_tokens <= 8
    assert "timings" not in (whole.model_extra or {})
    parts = list(sdk.chat.completions.create(**asked, stream=True))
    assert "".join(part.choices[0].delta.content or "" for part in parts) == text
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_is_followed(sdk: OpenAI, *, stream: bool) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    asked: Any = {"model": MODEL, "messages": asks("Describe Paris."), "max_tokens": 100, "temperature": 0, "response_format": form}
    if stream:
        text = "".join(part.choices[0].delta.content or "" for part in sdk.chat.completions.create(**asked, stream=True))
    else:
        text = sdk.chat.completions.create(**asked).choices[0].message.content or ""
    found = json.loads(text)
    assert set(found) == {"city", "big"}
    assert isinstance(found["city"], str) and isinstance(found["big"], bool)


def test_log_probabilities_have_openais_shape(sdk: OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": asks("Hello"), "max_tokens": 2, "temperature": 0, "logprobs": True}
    plain = sdk.chat.completions.create(**asked).choices[0].logprobs
    assert plain is not None and plain.content is not None
    assert plain.content and not any(token.top_logprobs for token in plain.content)
    alternatives = sdk.chat.completions.create(**asked, top_logprobs=3).choices[0].logprobs
    assert alternatives is not None and alternatives.content is not None
    assert {len(token.top_logprobs) for token in alternatives.content} == {3}


def test_tools_are_taken_by_a_model_that_has_no_template_for_them(sdk: OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "light", "parameters": {"type": "object", "properties": {}}}}]
    answer = sdk.chat.completions.create(model=MODEL, messages=asks("Turn on the light."), tools=tools, max_tokens=8)
    assert answer.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_a_text_is_continued(sdk: OpenAI) -> None:
    assert sdk.completions.create(model=MODEL, prompt="Monday, Tuesday,", max_tokens=3, temperature=0).choices[0].text.strip()


def test_timings_are_in_the_answer_if_they_are_wanted(url: str) -> None:
    body = {"messages": asks("Hello"), "max_tokens": 2, "timings_per_token": True}
    assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_S).json()["timings"]["predicted_n"] <= 2


def test_a_conversation_longer_than_the_context_is_refused(sdk: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.chat.completions.create(model=MODEL, messages=asks("word " * 1000))
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


def test_a_client_that_leaves_frees_the_only_slot(url: str) -> None:
    def in_flight() -> int:
        count: int = httpx.get(f"{url}/api/models/{MODEL}", timeout=PATIENCE_S).json()["in_flight"]
        return count

    async def leave() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", timeout=PATIENCE_S) as client:
            # Without its stop text the model writes to the end of the context.
            parts = await client.completions.create(model=MODEL, prompt="1, 2, 3,", max_tokens=480, stream=True)
            await anext(aiter(parts))
            await asyncio.to_thread(until, in_flight)
            await parts.close()

    asyncio.run(leave())
    until(lambda: in_flight() == 0)
