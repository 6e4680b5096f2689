"""The Live API over WebRTC by a real client, aiortc, over the loopback, and by OpenAI's SDK: audio both ways, events, who may do what."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from open_speech.audio import from_pcm16
from tests.contract.live_server import RATE, Runner, live_app, speech
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S, eventually

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

from tests.webrtc.caller import Caller, living

Serving = Callable[[FastAPI], AbstractContextManager[str]]
PATH = "/v1/live/sessions"
ANSWER = " It is warm and sunny in Paris today. Tomorrow there will be some rain."
BEARER = {"Authorization": "Bearer sesame"}
COMMENTARY = {"content": "Greet.", "delegation_id": None}


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def serve_with(serving: Serving, runner: Runner, tmp_path: Path, language_model: LanguageModelServer) -> Iterator[Callable[..., str]]:
    """Serve the app with a language model and with more settings."""
    with ExitStack() as stack:

        def serve(**settings: Any) -> str:
            llm = {"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small"}
            return stack.enter_context(serving(live_app(runner, tmp_path, **(llm | settings))))

        yield serve


@pytest.fixture
def server(serve_with: Callable[..., str]) -> str:
    return serve_with()


def say(caller: Caller, seconds: float = 1.5) -> None:
    caller.microphone.say(from_pcm16(bytes(9600) + speech(seconds), RATE))


async def hears_speech(caller: Caller) -> None:
    await eventually(lambda: caller.heard and abs(caller.heard[-1]).max() > 0.1)


async def open_calls(url: str, headers: dict[str, str] | None = None) -> int:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        shown = (await http.get(f"{url}/metrics", headers=headers)).text
    (line,) = [line for line in shown.splitlines() if line.startswith("open_speech_webrtc_calls ")]
    return int(float(line.split()[1]))


async def is_idle(url: str) -> bool:
    return await open_calls(url) == 0


def test_a_question_is_answered(server: str) -> None:
    async def run() -> None:
        async with living(server, {"instructions": "Be kind."}) as caller:
            session = caller.events[0]["session"]
            assert session["audio"] == {"output": {"voice": "ann"}}
            await eventually(lambda: caller.is_silent)
            say(caller)
            await caller.until("session.input_transcript.delta")
            await eventually(lambda: caller.text("output").endswith("rain."))
            await eventually(lambda: caller.is_silent)
            assert caller.text("input") == " What is the weather like?"
            assert caller.text("output") == ANSWER
            loud = np.flatnonzero(np.abs(caller.audio.samples) > 0.1)
            spectrum = np.abs(np.fft.rfft(caller.audio.samples[loud[0] : loud[0] + 48_000]))
            assert abs(int(spectrum.argmax()) - 220) <= 3, "the voice of the test speaks with a tone of 220 Hz"
            assert (loud[-1] - loud[0]) / 48_000 > len(ANSWER) * 0.04, "all of it is heard, in real time"
            times = [(event["start_ms"], event["end_ms"]) for event in caller.all("session.output_transcript.delta")]
            assert all(start % 200 == end % 200 == 0 and start <= end for start, end in times)
            caller.send("session.close", event_id="end")
            closed = await caller.until("session.closed")
            assert (closed["reason"], closed["client_event_id"]) == ("close_requested", "end")
            assert closed["usage"]["seconds"] > 4
            await eventually(lambda: caller.pc.connectionState == "closed")
            assert all("event_id" in event for event in caller.events)
            assert not [event for event in caller.events if "audio" in event["type"]]

    asyncio.run(run())


def test_speech_interrupts_the_answer_and_the_rest_is_never_heard(server: str, runner: Runner, language_model: LanguageModelServer) -> None:
    language_model.answer = answer = "One two three four five six seven eight nine ten eleven twelve. " * 4

    async def run() -> None:
        async with living(server) as caller:
            say(caller)
            await hears_speech(caller)
            runner.text, language_model.answer = "Stop it, please.", "Good."
            say(caller)
            await eventually(lambda: "Stop" in caller.text("input"))
            await eventually(lambda: caller.text("output").endswith("Good."))
            await eventually(lambda: caller.is_silent)
            spoken = caller.text("output").removesuffix(" Good.")
            assert spoken and f" {answer}".startswith(spoken) and len(spoken) < len(answer) / 2
            history = [message["content"] for message in language_model.requests[-1]["messages"][1:]]
            assert history[0] == "What is the weather like?" and history[-1] == "Stop it, please."
            assert history[1] == spoken.strip()

    asyncio.run(run())


def test_openais_python_sdk_creates_attaches_and_hangs_up(server: str) -> None:
    async def run() -> None:
        caller = Caller(server)
        async with AsyncOpenAI(base_url=f"{server}/v1", api_key="unused") as client:
            session: Any = {"model": "gpt-live-1", "audio": {"output": {"voice": "marin"}}}
            created = await client.live.create(session=session, transport={"type": "webrtc", "sdp": await caller.offer()})
            assert created.transport.type == "webrtc"
            async with client.live.sideband.connect(session_id=created.session.id) as connection:  # before the client is connected
                await connection.session.commentary.append(**COMMENTARY)
                await caller.take(created.transport.sdp)
                started = await caller.until("session.started")
                assert started["session"]["id"] == created.session.id
                kinds = [(await connection.recv()).type]
                assert kinds == ["session.started"]
                while not {"session.input_audio.append", "session.output_audio.delta", "session.commentary.appended"} <= {*kinds}:
                    kinds.append((await connection.recv()).type)
                await hears_speech(caller)
                await client.live.sessions.hangup(created.session.id)
                async for event in connection:  # ends by itself on a clean close only
                    kinds.append(event.type)
                assert kinds[-1] == "session.closed"
            assert (await caller.until("session.closed"))["reason"] == "close_requested"
            await eventually(lambda: caller.pc.connectionState == "closed")
        await caller.close()
        assert await open_calls(server) == 0

    asyncio.run(run())


def test_the_data_channel_is_limited_to_its_permissions_and_attached_connections_are_not(server: str) -> None:
    channel = {"allowed_client_events": ["session.close"], "allowed_server_events": [{"type": "session.started"}, {"type": "error"}]}

    async def run() -> None:
        async with living(server, {"client": {"data_channel": channel}}) as caller:
            assert caller.events[0]["session"]["client"] == {"data_channel": channel}
            caller.send("session.commentary.append", event_id="no", **COMMENTARY)
            error = (await caller.until("error"))["error"]
            assert (error["code"], error["client_event_id"]) == ("data_channel_permissions", "no")
            caller.send("session.start", session={"model": "x"})
            caller.send("response.create")
            async with connect(f"ws{server.removeprefix('http')}{caller.location}/attach") as side:
                await side.send(json.dumps({"type": "session.commentary.append", **COMMENTARY}))
                while json.loads(await side.recv())["type"] != "session.commentary.appended":
                    pass
            await hears_speech(caller)
            caller.send("session.close")
            await eventually(lambda: caller.pc.connectionState == "closed")
            assert {event["type"] for event in caller.events} == {"session.started", "error"}

    asyncio.run(run())


def test_a_client_that_leaves_ends_its_session(server: str) -> None:
    async def run() -> None:
        async with living(server) as caller:
            side = await connect(f"ws{server.removeprefix('http')}{caller.location}/attach")
            assert json.loads(await side.recv())["type"] == "session.started"
            assert await open_calls(server) == 1
        events = [json.loads(message) async for message in side]
        assert events[-1]["type"] == "session.closed" and events[-1]["reason"] in ("remote_hangup", "connection_lost")
        assert side.close_code == 1000
        await eventually(lambda: is_idle(server))

    asyncio.run(run())


def test_a_client_that_never_connects_leaves_nothing(serve_with: Callable[..., str]) -> None:
    async def run(url: str) -> None:
        caller = Caller(url)
        body = {"session": {"model": "gpt-live-1"}, "transport": {"type": "webrtc", "sdp": await caller.offer()}}
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            created = (await http.post(f"{url}{PATH}", json=body)).json()
            async with connect(f"ws{url.removeprefix('http')}{PATH}/{created['session']['id']}/attach") as side:
                (event,) = [json.loads(message) async for message in side]
                assert (event["type"], event["reason"]) == ("session.closed", "connection_lost")
            await eventually(lambda: is_idle(url))
            gone = await http.post(f"{url}{PATH}/{created['session']['id']}/hangup")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")
        await caller.close()

    asyncio.run(run(serve_with(os_webrtc_connect_timeout_s=1.0)))


def test_a_client_without_a_data_channel_talks_and_its_server_attaches(server: str) -> None:
    async def run() -> None:
        caller = Caller(server)
        assert (await caller.dial_live(channel=None)).status_code == 201
        async with connect(f"ws{server.removeprefix('http')}{caller.location}/attach") as side:
            say(caller)
            await hears_speech(caller)
            await side.send('{"type": "session.close"}')
            events = [json.loads(message) async for message in side]
        assert events[-1]["type"] == "session.closed"
        assert "".join(event["delta"] for event in events if event["type"] == "session.input_transcript.delta").startswith(" What")
        await caller.close()

    asyncio.run(run())


def test_a_session_belongs_to_its_key(serve_with: Callable[..., str]) -> None:
    async def run(url: str) -> None:
        async with living(url, headers=BEARER) as caller, httpx.AsyncClient(timeout=PATIENCE_S) as http:
            other = await http.post(f"{url}{caller.location}/hangup", headers={"Authorization": "Bearer open"})
            assert (other.status_code, other.json()["error"]["code"]) == (404, "session_not_found")
            assert (await http.post(f"{url}{caller.location}/hangup")).status_code == 401
            call = await http.post(f"{url}/openai{caller.location}/hangup", headers={"api-key": "sesame"})
            assert call.status_code == 200
            await eventually(lambda: caller.pc.connectionState == "closed")

    asyncio.run(run(serve_with(os_api_key="ann:sesame,bob:open")))


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "session"),
        ({"session": {"model": "x"}}, "missing_required_parameter", "transport"),
        ({"session": {"model": "x"}, "transport": {"type": "sip", "sdp": "v=0"}}, "invalid_value", "transport.type"),
        ({"session": {"model": "x"}, "transport": {"type": "webrtc"}}, "missing_required_parameter", "transport.sdp"),
        ({"session": {"model": "x"}, "transport": {"type": "webrtc", "sdp": "v=0"}}, "invalid_offer", "transport.sdp"),
        ({"session": {"model": "x"}, "transport": {"type": "webrtc", "sdp": "v=0\n" + "a=x\n" * 20_000}}, "invalid_offer", "transport.sdp"),
        ({"session": {"model": "x"}, "transport": {"type": "webrtc", "sdp": "v=0"}, "more": 1}, "unknown_parameter", "more"),
        ({"session": {}, "transport": {"type": "webrtc", "sdp": "v=0"}}, "missing_required_parameter", "session.model"),
        ({"session": {"model": "x", "store": True}, "transport": {"type": "webrtc", "sdp": "v=0"}}, "unsupported_value", "session.store"),
    ],
)
def test_what_is_no_session_is_refused_with_the_field(server: str, body: dict[str, Any], code: str, param: str) -> None:
    answer = httpx.post(f"{server}{PATH}", json=body, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]) == (400, code, param)


def test_a_body_that_is_no_json_is_refused(server: str) -> None:
    for content in (b"v=0", b"[]", b"[" * 5000, b""):
        answer = httpx.post(f"{server}{PATH}", content=content, timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert httpx.post(f"{server}{PATH}", content=b'{"a": "' + b"x" * (2 << 20) + b'"}', timeout=PATIENCE_S).status_code == 413


@pytest.mark.parametrize("setting", ["os_live_enabled", "os_webrtc_enabled"])
def test_it_can_be_switched_off(serve_with: Callable[..., str], setting: str) -> None:
    answer = httpx.post(f"{serve_with(**{setting: False})}{PATH}", json={}, timeout=PATIENCE_S)
    assert answer.status_code == 404 and setting.upper() in answer.json()["error"]["message"]


def test_calls_and_sessions_are_limited(serve_with: Callable[..., str]) -> None:
    async def run(url: str) -> None:
        async with living(url):
            second = Caller(url)
            refused = await second.dial_live()
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "server_overloaded")
            await second.close()

    for setting in ("os_webrtc_max_calls", "os_realtime_max_sessions"):
        asyncio.run(run(serve_with(**{setting: 1})))


def test_without_the_extra_the_error_names_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)  # Python then says that there is no such package
    answer = httpx.post(f"{server}{PATH}", json={}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_installed")
    assert "open-speech[webrtc]" in answer.json()["error"]["message"]
