"""The calls of pipecat 1.14.0 (`OpenAILiveLLMService`) and of LiveKit's plugin 1.8.9 (`GPTLiveModel`), as they were recorded.

Their packages are not in the test environment: they pin other versions of packages that the server needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.contract.live_server import Runner, live_app, speech
from tests.contract.live_talk import Client, connected, text_of
from tests.language_model import KEY, LanguageModelServer

Serving = Callable[[FastAPI], AbstractContextManager[str]]
LIGHT = {
    "type": "function",
    "name": "light",
    "description": "Switch the light.",
    "parameters": {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
}


@pytest.fixture
def runner() -> Runner:
    return Runner("call it")


@pytest.fixture
def server(serving: Serving, runner: Runner, tmp_path: Path, language_model: LanguageModelServer) -> Iterator[str]:
    with serving(live_app(runner, tmp_path, llm_base_url=language_model.url, llm_api_key=KEY, llm_model="small")) as url:
        yield url


def greeted(client: Client) -> None:
    """Wait until the greeting has been spoken, which the client ordered before its microphone was on."""
    client.until("session.output_transcript.delta", lambda event: event["delta"].endswith("rain."))
    assert not any(event["type"] == "error" for event in client.events)


def called(client: Client) -> dict[str, Any]:
    """Speak, and wait for the function call that follows."""
    client.speak(speech(1.5))
    client.until("response.event", lambda event: event["event"]["type"] == "response.completed")
    (done,) = [event for event in client.events if event.get("event", {}).get("type") == "response.output_item.done"]
    item: dict[str, Any] = done["event"]["item"]
    assert (item["type"], item["status"]) == ("function_call", "completed")
    return item


def answered(client: Client, call_id: str, **ids: str) -> None:
    """Send the output of a function and have the answer spoken."""
    before = text_of(client.events, "output")
    client.say("response.item.create", item={"type": "function_call_output", "call_id": call_id, "output": '{"state": "on"}'}, **ids)
    client.say("response.create", **ids)
    created = client.until("response.event", lambda event: event["event"]["type"] == "response.created")[-1]
    assert created["event"]["response"]["output"] == []
    client.until("response.event", lambda event: event["event"]["type"] == "response.completed")
    client.until("session.output_transcript.delta", lambda event: event["delta"].endswith("rain."))
    assert len(text_of(client.events, "output")) > len(before)
    assert not any(event["type"] == "error" for event in client.events)


def test_pipecat_with_responses_delegation(server: str) -> None:
    history = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
    ]
    responses = {"model": "gpt-5.6-luna", "instructions": "Use tools.", "tools": [LIGHT]}
    with connected(server, additional_headers={"Authorization": "Bearer x"}, compression="deflate") as client:
        session = {
            "model": "gpt-live-1",
            "instructions": "Be brief.",
            "delegation": {"type": "responses", "responses": responses},
            "input": history,
        }
        client.say("session.start", session=session, event_id="5c5f2b1e-8a6f-4f57-9b2b-5f1f5d6f7a01")
        assert client.next()["type"] == "session.started"
        update = {"delegation": {"type": "responses", "responses": {"tools": [LIGHT], "tool_choice": "auto"}}}
        client.say("session.update", session=update, event_id="u")
        client.say("session.commentary.append", content="Greet the caller.", delegation_id=None, event_id="c")
        client.listen()
        greeted(client)
        item = called(client)
        answered(client, item["call_id"], event_id="o")
        client.say("session.close", event_id="x")
        assert client.close_code() == 1000
        assert isinstance(client.events[-1]["usage"]["seconds"], float)


def test_pipecat_without_a_backend_reports_that_it_has_none(server: str) -> None:
    with connected(server) as client:
        client.start(instructions="Be brief.", delegation={"type": "client"})
        client.listen()
        client.speak(speech(1.5))
        delegation = client.until("session.delegation.created")[-1]["delegation"]
        text = "No backend is available to handle this request."
        client.say("session.commentary.append", content=text, delegation_id=delegation["id"], event_id="c")
        client.until("session.commentary.appended")
        client.until("session.output_transcript.delta", lambda event: event["delta"].endswith("rain."))


def test_livekit_with_its_defaults(server: str) -> None:
    headers = {"Authorization": "Bearer x", "User-Agent": "LiveKit Agents", "OpenAI-Service-Tier": "default"}
    session = {
        "model": "gpt-live-1",
        "instructions": "Be brief.",
        "audio": {"format": {"type": "audio/pcm", "rate": 24_000}, "output": {"voice": "marin"}},
        "delegation": {"type": "responses", "responses": {"model": "gpt-5.6-luna", "tools": [LIGHT]}},
    }
    with connected(server, additional_headers=headers, compression=None) as client:
        client.say("session.start", session=session, event_id="session_start_0123456789ab")
        assert client.next()["client_event_id"] == "session_start_0123456789ab"
        order = "Do this now, without waiting for the caller.\n\nGreet the caller."
        client.say("session.commentary.append", content=order, delegation_id=None, event_id="append_0123456789ab")
        client.listen()
        greeted(client)
        item = called(client)
        completed = [event["event"] for event in client.events if event["type"] == "response.event"][-1]["response"]["usage"]
        assert completed["input_tokens_details"].keys() == {"cached_tokens", "cache_write_tokens"}
        assert completed["output_tokens_details"].keys() == {"reasoning_tokens"}
        answered(client, item["call_id"], event_id="tool_output_0123456789ab")
        client.say("session.thinking.append", content="user: I am Ann.", delegation_id=None, event_id="append_1")
        client.say("session.instructions.append", content="Speak slowly.", delegation_id=None, event_id="append_2")
        client.until("session.instructions.appended")
        client.say("session.close")
        assert client.close_code() == 1000
