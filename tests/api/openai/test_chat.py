"""Chats and completions over HTTP, with the language model that follows written commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import silence
from open_speech.backends import STT_RATE
from open_speech.codecs.wav import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.language_model import KEY, USAGE, LanguageModelServer

CHAT = "/v1/chat/completions"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("light", "door")]
IMAGE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
Opens = Callable[..., TestClient]


@pytest.fixture
def open_client(tones_settings: Settings) -> Iterator[Opens]:
    """Open a server with the echo as its language model and other settings."""
    with ExitStack() as held:

        def opened(**changed: Any) -> TestClient:
            own = {name: getattr(tones_settings, name) for name in tones_settings.model_fields_set}
            settings = Settings(**{**own, "llm_backends": ("tones-llm",), **changed})
            return held.enter_context(TestClient(create_app(settings, local_engine(settings))))

        yield opened


@pytest.fixture
def client(open_client: Opens) -> TestClient:
    return open_client()


def asks(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": [{"role": "user", "content": text}], **more}


def events_of(text: str) -> list[Any]:
    """Parse a stream of events; `[DONE]` stays a text."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [data if data == "[DONE]" else json.loads(data) for data in lines]


def test_a_whole_answer_has_openais_shape(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("Hello there!"))
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    message = {"role": "assistant", "content": "Hello there!", "refusal": None}
    assert body == {
        "object": "chat.completion", "model": "echo",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }  # fmt: skip


def test_a_streamed_answer_has_openais_chunks_and_ends_in_done(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("Hello there!", stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events_of(answer.text)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [chunk["choices"][0] for chunk in chunks] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hello"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": " there!"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
    ]
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_is_the_last_chunk_if_it_is_wanted(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("Hello", stream=True, stream_options={"include_usage": True}))
    *chunks, last, _done = events_of(answer.text)
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 2)


@pytest.mark.parametrize("name", [None, "", "default", "echo"])
def test_the_default_model_answers_who_names_none(client: TestClient, name: str | None) -> None:
    answer = client.post(CHAT, json=asks("Hello") | {"model": name})
    assert answer.json()["model"] == "echo"


def test_fields_that_the_server_does_not_know_are_ignored(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("Hello", user="me", store=True, metadata={"a": "b"}, service_tier="auto", verbosity="low"))
    assert answer.status_code == 200


def test_a_tool_call_has_openais_shape(client: TestClient) -> None:
    asked = asks('call light {"room": "hall"}', tools=TOOLS, parallel_tool_calls=False)
    (choice,) = client.post(CHAT, json=asked).json()["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert call.pop("id")
    assert call == {"type": "function", "function": {"name": "light", "arguments": '{"room": "hall"}'}}
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")


def test_a_choice_of_one_function_offers_only_that_one(client: TestClient) -> None:
    choice = {"type": "function", "function": {"name": "door"}}
    finishes = [
        client.post(CHAT, json=asks(f"call {name} {{}}", tools=TOOLS, tool_choice=choice)).json()["choices"][0]["finish_reason"]
        for name in ("door", "light")
    ]
    assert finishes == ["tool_calls", "stop"]


def test_a_conversation_with_tool_results_is_answered(client: TestClient) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "light", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Turn on "}, {"type": "text", "text": "the light."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "It is on."},
    ]
    answer = client.post(CHAT, json={"messages": messages, "tools": TOOLS})
    assert answer.json()["choices"][0]["message"]["content"] == "It is on."


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"messages": None}, "messages", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages",
            "unsupported_value",
        ),
        ({"model": 5}, "model", "invalid_value"),
        ({"model": "echoo"}, "model", "model_not_found"),
        ({"model": "whisper-1"}, "model", "model_wrong_task"),
        ({"stream": "maybe"}, "stream", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "decimal_out_of_range"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "decimal_out_of_range"),
        ({"temperature": 2.1}, "temperature", "decimal_out_of_range"),
        ({"top_p": -0.1}, "top_p", "decimal_out_of_range"),
        ({"top_k": -1}, "top_k", "decimal_out_of_range"),
        ({"min_p": 2}, "min_p", "decimal_out_of_range"),
        ({"presence_penalty": 3}, "presence_penalty", "decimal_out_of_range"),
        ({"frequency_penalty": "a"}, "frequency_penalty", "invalid_value"),
        ({"logit_bias": {"word": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "decimal_out_of_range"),
        ({"seed": 0.5}, "seed", "invalid_value"),
        ({"stop": [""]}, "stop", "invalid_value"),
        ({"stop": ["a"] * 17}, "stop", "invalid_value"),
        ({"n": 2}, "n", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "decimal_out_of_range"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"tools": [{"type": "retrieval"}]}, "tools", "invalid_value"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools", "invalid_value"),
        ({"tool_choice": "sometimes"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "invalid_value"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
    ],
)
def test_an_invalid_value_is_refused_by_its_name(client: TestClient, changes: dict[str, Any], param: str, code: str) -> None:
    answer = client.post(CHAT, json=asks("Hello") | changes)
    assert answer.status_code == (404 if code == "model_not_found" else 400)
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"


def test_messages_are_required(client: TestClient) -> None:
    error = client.post(CHAT, json={"model": "echo"}).json()["error"]
    assert (error["param"], error["code"]) == ("messages", "missing_required_parameter")


def test_an_unknown_model_is_answered_with_the_nearest_name(client: TestClient) -> None:
    assert "Did you mean `echo`?" in client.post(CHAT, json=asks("Hello") | {"model": "ecko"}).json()["error"]["message"]


def test_a_speech_endpoint_refuses_a_language_model(client: TestClient) -> None:
    spoken = client.post("/v1/audio/speech", json={"model": "echo", "input": "Hello"})
    heard = client.post("/v1/audio/transcriptions", data={"model": "echo"}, files={"file": ("a.wav", wav_bytes(silence(0.5, STT_RATE)))})
    for answer in (spoken, heard):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_wrong_task")


def test_a_server_without_a_language_model_says_how_to_get_one(open_client: Opens) -> None:
    answer = open_client(llm_backends=()).post(CHAT, json=asks("Hello") | {"model": None})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "llm_unavailable")
    assert "models pull" in answer.json()["error"]["message"]


# -- the model in the lists


def test_a_language_model_is_listed_with_its_task(client: TestClient) -> None:
    listed = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert listed["echo"] == client.get("/v1/models/echo").json()
    assert (listed["echo"]["task"], listed["echo"]["backend"]) == ("text-generation", "tones-llm")
    assert "json_schema" in listed["echo"]["formats"]
    assert not {"voices", "word_times", "sample_rate"} & set(listed["echo"])
    assert "echo" not in {model["id"] for model in client.get("/v1/audio/models").json()["models"]}
    assert "echo" not in client.get("/bazarr/models").text


def test_a_language_model_is_loaded_shown_and_unloaded_as_every_model_is(client: TestClient) -> None:
    assert client.get("/api/models/echo").json()["state"] == "downloaded"
    loaded = client.post("/api/models/echo/load").json()
    assert (loaded["state"], loaded["task"]) == ("loaded", "text-generation")
    assert loaded["memory_bytes"] > 0
    (running,) = client.get("/api/ps").json()["models"]
    assert (running["name"], running["details"]["task"]) == ("echo", "text-generation")
    assert client.post("/api/models/echo/unload").json()["state"] == "downloaded"
    assert client.get("/api/ps").json()["models"] == []
    assert client.post("/api/models/echo/download").status_code == 200
    assert client.delete("/api/models/echo/artifacts").json()["deleted"] is False


def test_the_health_of_the_language_model_is_reported(client: TestClient) -> None:
    assert client.get("/health").json()["backends"]["tones-llm"]["ready"] is True
    assert client.get("/readyz").json()["backends"]["tones-llm"]["where"] == "inproc"


# -- limits


def test_the_limit_of_the_server_cuts_a_longer_answer(open_client: Opens) -> None:
    client = open_client(llm_max_tokens=3)
    for asked in (asks("forever"), asks("forever", max_tokens=50), asks("forever", max_completion_tokens=50)):
        body = client.post(CHAT, json=asked).json()
        assert (body["choices"][0]["finish_reason"], body["usage"]["completion_tokens"]) == ("length", 3)
    body = client.post(CHAT, json=asks("forever", max_tokens=50, max_completion_tokens=2)).json()
    assert body["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_that_is_too_long_has_its_own_error(open_client: Opens, *, stream: bool) -> None:
    answer = open_client(llm_context_size=256).post(CHAT, json=asks("word " * 300, stream=stream))
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("context_length_exceeded", "messages")


def test_a_failure_within_a_stream_is_its_last_event(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("fail 2 one two three", stream=True))
    *chunks, last = events_of(answer.text)
    assert answer.status_code == 200
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "one two"
    assert last["error"]["code"] == "backend_failed"
    assert client.post(CHAT, json=asks("Hello")).status_code == 200


def test_a_failure_of_a_whole_answer_is_its_status(client: TestClient) -> None:
    answer = client.post(CHAT, json=asks("fail 2 one two three"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "backend_failed")


# -- completions


def test_a_completion_continues_a_text(client: TestClient) -> None:
    body = client.post("/v1/completions", json={"model": "echo", "prompt": ["one two"], "max_tokens": 1}).json()
    assert body.pop("id").startswith("cmpl-")
    assert body["object"] == "text_completion"
    assert body["choices"] == [{"index": 0, "text": "one", "logprobs": None, "finish_reason": "length"}]


def test_a_completion_is_streamed(client: TestClient) -> None:
    *chunks, done = events_of(client.post("/v1/completions", json={"prompt": "one two", "stream": True}).text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "one two"
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "a"}, "suffix"),
        ({"n": 2}, "n"),
    ],
)
def test_an_invalid_completion_is_refused_by_its_field(client: TestClient, changes: dict[str, Any], param: str) -> None:
    answer = client.post("/v1/completions", json={"model": "echo", "prompt": "a"} | changes)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_prompt_that_is_too_long_names_the_prompt(open_client: Opens) -> None:
    error = open_client(llm_context_size=256).post("/v1/completions", json={"prompt": "word " * 300}).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


# -- the model of another server


@pytest.fixture
def remote(open_client: Opens, language_model: LanguageModelServer) -> TestClient:
    return open_client(llm_base_url=language_model.url, llm_api_key=KEY, llm_model="big")


@pytest.mark.parametrize("name", ["big", "default", None])
def test_a_request_is_passed_on_to_the_other_server_as_it_is(
    remote: TestClient, language_model: LanguageModelServer, name: str | None
) -> None:
    body = remote.post(CHAT, json=asks(IMAGE, temperature=0.5, guided_regex="a+", max_completion_tokens=9) | {"model": name}).json()
    assert (body["model"], body["usage"]) == ("big", USAGE)
    assert body["choices"][0]["message"]["content"] == language_model.answer
    assert language_model.requests == [
        asks(IMAGE, temperature=0.5, guided_regex="a+", max_completion_tokens=9)
        | {"model": "big", "stream": True, "stream_options": {"include_usage": True}}
    ]


def test_an_answer_of_the_other_server_is_streamed(remote: TestClient, language_model: LanguageModelServer) -> None:
    *chunks, done = events_of(remote.post(CHAT, json=asks("call it", stream=True) | {"model": "big"}).text)
    assert done == "[DONE]"
    calls = [call["function"] for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(call["arguments"] for call in calls) == '{"room": "kitchen"}'
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ("status 401", 502, "llm_refused"),
        ("status 429", 429, "llm_overloaded"),
        ("status 500", 502, "llm_failed"),
        ("break off", 502, "llm_failed"),
        ("garbage", 502, "llm_failed"),
    ],
)
def test_a_failure_of_the_other_server_is_an_error(remote: TestClient, said: str, status: int, code: str) -> None:
    answer = remote.post(CHAT, json=asks(said) | {"model": "big"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_answer_that_breaks_off_ends_in_an_error(remote: TestClient) -> None:
    *_chunks, last = events_of(remote.post(CHAT, json=asks("break off", stream=True) | {"model": "big"}).text)
    assert last["error"]["code"] == "llm_failed"


def test_a_local_model_answers_beside_that_of_the_other_server(remote: TestClient, language_model: LanguageModelServer) -> None:
    assert remote.post(CHAT, json=asks("Hello")).json()["choices"][0]["message"]["content"] == "Hello"
    assert language_model.requests == []


def test_a_local_only_key_reaches_no_other_server(open_client: Opens, language_model: LanguageModelServer) -> None:
    client = open_client(
        llm_base_url=language_model.url, llm_api_key=KEY, llm_model="big", os_api_key="mine:sesame", os_local_only_keys=("mine",)
    )
    client.headers["Authorization"] = "Bearer sesame"
    answer = client.post(CHAT, json=asks("Hello") | {"model": "big"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_elsewhere")
    assert language_model.requests == []
