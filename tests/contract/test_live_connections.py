"""The Live API by a bare client over a real socket: who may connect, faults of every part, and what is left when a client leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import InvalidStatus

from open_speech.api.live.sideband import MOST
from tests.contract.live_server import Runner, failed, live_app, speech
from tests.contract.live_talk import Client, connected, is_loud, talking, text_of
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S, Pace, until

Serving = Callable[[FastAPI], AbstractContextManager[str]]
BEARER = {"Authorization": "Bearer sesame"}
PATH = "/v1/live/sessions"
ANSWER = " It is warm and sunny in Paris today. Tomorrow there will be some rain."


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def serve_with(serving: Serving, runner: Runner, tmp_path: Path, language_model: LanguageModelServer) -> Iterator[Callable[..., str]]:
    """Serve the app with a language model and with more settings."""
    with ExitStack() as stack:

        def serve(**settings: Any) -> str:
            llm = {"llm_base_url": language_model.url, "llm_api_key": KEY, "llm_model": "small"}
            app = live_app(runner, tmp_path, **(llm | settings))
            states.append(app.state)
            return stack.enter_context(serving(app))

        states: list[Any] = []
        serve.states = states  # type: ignore[attr-defined]
        yield serve


@pytest.fixture
def server(serve_with: Callable[..., str]) -> str:
    return serve_with()


def open_sessions(serve_with: Callable[..., str]) -> int:
    (state,) = serve_with.states  # type: ignore[attr-defined]
    return len(state.live_sessions._open)


def test_a_question_is_answered_in_real_time(server: str) -> None:
    with talking(server) as client:
        pace = Pace()
        client.speak(bytes(9600) + speech(1.5))
        client.until("session.output_transcript.delta", lambda event: event["delta"].endswith("rain."))
        took_s = pace.seconds
        client.say("session.close")
        assert client.close_code() == 1000
    sound = [base64.b64decode(event["delta"]) for event in client.events if event["type"] == "session.output_audio.delta"]
    assert {len(delta) for delta in sound} == {4800}
    assert len(sound) * 0.1 <= took_s + 0.5
    assert text_of(client.events, "input") == " What is the weather like?"
    assert text_of(client.events, "output") == ANSWER
    times = [(event["start_ms"], event["end_ms"]) for event in client.events if event["type"].endswith("transcript.delta")]
    assert all(start % 200 == end % 200 == 0 and start <= end for start, end in times)
    (closed,) = [event for event in client.events if event["type"] == "session.closed"]
    assert closed["usage"]["seconds"] == pytest.approx(len(sound) * 0.1, abs=0.11)


def test_speech_interrupts_the_answer(server: str, runner: Runner) -> None:
    with talking(server) as client:
        client.speak(speech(1.5))
        client.until_sound()
        runner.text = "Stop it, please."
        client.speak(speech(1.5))
        client.until("session.input_transcript.delta", lambda event: "Stop" in event["delta"])
        client.until("session.output_transcript.delta", lambda event: event["delta"].endswith("rain."))
    answer, spoken = text_of(client.events, "output")[-len(ANSWER) :], text_of(client.events, "output")[: -len(ANSWER)]
    assert answer == ANSWER
    assert 0 < len(spoken) < len(ANSWER) and ANSWER.startswith(spoken)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("garbage", "invalid_json"),
        ('{"type": "session.close"}', "invalid_event"),
        ('{"type": "session.start"}', "missing_required_parameter"),
        ('{"type": "session.start", "session": {"model": "x", "temperature": 1}}', "unknown_parameter"),
        ('{"type": "session.start", "session": {"model": "x", "store": true}, "event_id": "e"}', "unsupported_value"),
        (b"\x00\x01", "invalid_event"),
    ],
)
def test_a_session_that_does_not_start_is_closed_with_the_reason(server: str, first: str | bytes, code: str) -> None:
    with connected(server) as client:
        client.socket.send(first)
        event = client.next()
        assert (event["type"], event["error"]["code"]) == ("error", code)
        assert client.close_code() == 1008


def test_garbage_within_a_session_is_an_error_each(server: str) -> None:
    with talking(server) as client:
        client.socket.send(b"\x00" * 4800)
        client.socket.send("{" * 100)
        client.socket.send(json.dumps({"type": "session.input_audio.append", "audio": base64.b64encode(b"odd").decode()}))
        client.socket.send(json.dumps({"type": "session.input_audio.append", "audio": "A" * 128_004}))
        client.socket.send(json.dumps({"type": "session.thinking.append", "content": "x" * (3 << 20), "delegation_id": None}))
        codes = [client.until("error")[-1]["error"]["code"] for _ in range(5)]
        assert codes == ["invalid_event", "invalid_json", "invalid_audio", "invalid_audio", "invalid_event"]
        client.until("session.output_audio.delta")


def test_a_flood_of_appends_is_limited(server: str) -> None:
    with talking(server) as client:
        for number in range(200):
            client.say("session.thinking.append", content=f"Fact {number}.", delegation_id=None, event_id=f"e{number}")
        client.until("session.thinking.appended", lambda event: event["client_event_id"] == "e63")
        errors = [event["error"]["code"] for event in client.events if event["type"] == "error"]
        assert len(errors) >= 100 and set(errors) == {"rate_limit_exceeded"}
        acknowledged = [event["client_event_id"] for event in client.events if event["type"] == "session.thinking.appended"]
        assert acknowledged == sorted(acknowledged, key=lambda name: int(name[1:]))


def test_a_client_that_stops_sending_stops_the_clock_and_the_session_expires(serve_with: Callable[..., str]) -> None:
    with connected(serve_with(os_live_idle_timeout_s=1.5)) as client:
        client.start()
        client.append(bytes(48_000))
        client.until("session.closed")
        assert client.events[-1]["reason"] == "expired"
        assert sum(event["type"] == "session.output_audio.delta" for event in client.events) == 10
        assert client.close_code() == 1000


def test_a_recognizer_that_fails_is_an_error_and_the_next_turn_is_answered(server: str, runner: Runner) -> None:
    runner.fails = failed()
    with talking(server) as client:
        client.speak(speech(1.5))
        error = client.until("error")[-1]["error"]
        assert (error["type"], error["code"]) == ("server_error", "pipeline_error")
        runner.fails = None
        client.speak(speech(1.5))
        client.until_sound()


def test_a_voice_that_dies_is_an_error_and_the_session_goes_on(server: str, runner: Runner, language_model: LanguageModelServer) -> None:
    with talking(server) as client:
        language_model.answer = "break"
        client.say("session.commentary.append", content="Greet.", delegation_id=None)
        assert client.until("error")[-1]["error"]["code"] == "pipeline_error"
        language_model.answer = "Good day."
        client.say("session.commentary.append", content="Greet.", delegation_id=None)
        client.until_sound()


def test_a_language_model_that_is_down_is_an_error(serve_with: Callable[..., str]) -> None:
    with talking(serve_with(llm_base_url="http://127.0.0.1:9/v1")) as client:
        client.speak(speech(1.5))
        assert client.until("error")[-1]["error"]["code"] == "pipeline_error"
        client.until("session.output_audio.delta")


def test_a_client_that_leaves_in_the_middle_of_an_answer_leaves_nothing(
    server: str, serve_with: Callable[..., str], runner: Runner, language_model: LanguageModelServer
) -> None:
    runner.hangs.set()
    with talking(server) as client:
        client.say("session.commentary.append", content="Greet.", delegation_id=None)
        until(lambda: runner.in_progress == 1)
        client.mute()
        client.socket.socket.close()
        until(lambda: runner.in_progress == 0)
        until(lambda: open_sessions(serve_with) == 0)


def test_without_a_language_model_the_client_answers(serve_with: Callable[..., str], runner: Runner) -> None:
    with talking(serve_with(llm_base_url="")) as client:
        client.speak(speech(1.5))
        delegation = client.until("session.delegation.created")[-1]["delegation"]
        client.say("session.commentary.append", content="It rains.", delegation_id=delegation["id"])
        client.until("session.output_transcript.delta", lambda event: "rains" in event["delta"])
        assert runner.spoken == ["It rains."]


@pytest.mark.parametrize("format", [{"type": "audio/pcm", "rate": 16_000}, {"type": "audio/pcmu", "rate": 8000}, {"type": "audio/pcma"}])
def test_every_format_has_deltas_of_100_ms(server: str, format: dict[str, Any]) -> None:
    width, rate = (2, 16_000) if format["type"] == "audio/pcm" else (1, 8000)
    with connected(server) as client:
        client.start(audio={"format": format})
        client.say("session.commentary.append", content="Greet.", delegation_id=None)
        for _ in range(12):
            client.append(bytes([0xFF if width == 1 else 0]) * (rate // 10 * width))
            time.sleep(0.1)
        deltas = [base64.b64decode(client.until("session.output_audio.delta")[-1]["delta"]) for _ in range(12)]
        assert {len(delta) for delta in deltas} == {rate // 10 * width}
        assert len({byte for delta in deltas for byte in delta}) > 20


def test_an_attached_connection_receives_everything_and_may_close_the_session(server: str) -> None:
    with talking(server) as client:
        session_id = client.events[0]["session"]["id"]
        with connected(server, f"{PATH}/{session_id}/attach?graceful_close=true") as side:
            assert side.next()["session"]["id"] == session_id
            side.say("session.commentary.append", content="Greet.", delegation_id=None, event_id="s1")
            side.until_sound()
            acknowledged = client.until("session.commentary.appended")[-1]
            assert acknowledged == side.until("session.commentary.appended")[-1]
            sound = [event for event in side.events if event["type"] == "session.output_audio.delta"]
            assert all(event["end_ms"] - event["start_ms"] == 100 for event in sound)
            assert any(event["type"] == "session.input_audio.append" for event in side.events)
            side.append(bytes(960))
            assert side.until("error")[-1]["error"]["code"] == "permission_denied"
            side.say("session.close")
            assert side.close_code() == 1000 and side.events[-1]["type"] == "session.closed"
        assert client.close_code() == 1000
        assert not any(event["type"] == "error" for event in client.events)


def test_the_end_of_an_attached_connection_is_not_that_of_the_session(server: str) -> None:
    with talking(server) as client:
        path = f"{PATH}/{client.events[0]['session']['id']}/attach"
        with ExitStack() as stack:
            for _ in range(MOST):
                stack.enter_context(connected(server, path)).until("session.started")
            with connected(server, path) as side:
                assert side.next()["error"]["code"] == "server_overloaded"
                assert side.close_code() == 1013
        with connected(server, path) as side:
            side.next()
        client.until("session.output_audio.delta")


@pytest.mark.parametrize("path", ["live_0/attach", "live_0/fork"])
def test_a_session_that_does_not_exist_cannot_be_attached_to(server: str, path: str) -> None:
    with connected(server, f"{PATH}/{path}") as client:
        assert client.next()["error"]["code"] == "session_not_found"
        assert client.close_code() == 1008


def test_a_key_attaches_to_its_own_sessions_only(serve_with: Callable[..., str]) -> None:
    server = serve_with(os_api_key="ann:sesame,bob:open")
    with talking(server, headers=BEARER) as client:
        path = f"{PATH}/{client.events[0]['session']['id']}/attach"
        with connected(server, path, additional_headers={"Authorization": "Bearer open"}) as side:
            assert side.next()["error"]["code"] == "session_not_found"
        with connected(server, path, additional_headers=BEARER) as side:
            assert side.next()["type"] == "session.started"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (PATH, {"additional_headers": BEARER}),
        (PATH, {"additional_headers": {"api-key": "sesame"}}),
        (f"/openai{PATH}", {"additional_headers": {"api-key": "sesame"}}),
        (PATH, {"subprotocols": ["realtime", "openai-insecure-api-key.sesame"]}),
    ],
)
def test_a_key_is_accepted_in_every_way(serve_with: Callable[..., str], path: str, options: dict[str, Any]) -> None:
    with connected(serve_with(os_api_key="sesame"), path, **options) as client:
        assert client.start()["type"] == "session.started"
        assert client.socket.subprotocol in (None, "realtime")


def test_a_wrong_key_is_refused_in_the_handshake(serve_with: Callable[..., str]) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(serve_with(os_api_key="sesame"), additional_headers={"api-key": "guess"}):
        pass
    assert refused.value.response.status_code == 401


def test_live_and_realtime_sessions_share_their_limit(serve_with: Callable[..., str]) -> None:
    server = serve_with(os_realtime_max_sessions=1)
    with connected(server) as first:
        first.start()
        with connected(server) as second:
            assert second.next()["error"]["code"] == "server_overloaded"
            assert second.close_code() == 1013


def test_a_server_that_does_not_offer_it_says_so(serve_with: Callable[..., str]) -> None:
    with connected(serve_with(os_live_enabled=False)) as client:
        assert "OS_LIVE_ENABLED" in client.next()["error"]["message"]
        assert client.close_code() == 1008


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", PATH, 426, "upgrade_required"),
        ("GET", f"{PATH}/live_0/attach", 426, "upgrade_required"),
        ("GET", f"{PATH}/live_0/content", 404, "session_not_found"),
        ("GET", f"{PATH}/live_0/fork", 404, "session_not_found"),
        ("POST", f"{PATH}/live_0/fork", 404, "session_not_found"),
        ("POST", f"{PATH}/live_0/hangup", 404, "session_not_found"),
        ("POST", "/v1/live/client_secrets", 404, None),
    ],
)
def test_plain_http_has_the_documented_errors(server: str, method: str, path: str, status: int, code: str | None) -> None:
    answer = httpx.request(method, f"{server}{path}", timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_sessions_are_counted(server: str) -> None:
    with talking(server):
        assert 'open_speech_sessions{door="live"} 1.0' in httpx.get(f"{server}/metrics", timeout=PATIENCE_S).text
    until(lambda: 'open_speech_sessions{door="live"} 0.0' in httpx.get(f"{server}/metrics", timeout=PATIENCE_S).text)


def test_a_session_over_a_websocket_is_not_hung_up(server: str) -> None:
    with talking(server) as client:
        answer = httpx.post(f"{server}{PATH}/{client.events[0]['session']['id']}/hangup", timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "session_not_found")
        client.until("session.output_audio.delta")


def test_a_fixture_is_heard_as_it_was_sent(server: str) -> None:
    pcm = (np.arange(1, 7201) % 1000 + 1).astype("<i2").tobytes()
    with talking(server) as client:
        client.say("session.output_audio.fixture.play", audio=base64.b64encode(pcm).decode())
        client.until("session.output_audio.fixture.played")
        assert b"".join(base64.b64decode(event["delta"]) for event in client.events if is_loud(event)) == pcm


def test_a_client_that_sends_ahead_is_answered_in_real_time(server: str) -> None:
    with connected(server) as client:
        client.start()
        pace = Pace()
        for _ in range(30):
            client.append(bytes(4800))
        for _ in range(30):
            client.until("session.output_audio.delta")
        assert pace.seconds > 2.5
        assert isinstance(client, Client)


def test_a_server_that_stops_ends_its_sessions(runner: Runner, tmp_path: Path) -> None:
    app = live_app(runner, tmp_path)

    async def scene() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with connect_async(f"ws://127.0.0.1:{listener.getsockname()[1]}{PATH}") as client:
                await client.send('{"type": "session.start", "session": {"model": "gpt-live-1"}}')
                await client.recv()
                stopping = asyncio.create_task(app.state.live_sessions.expire())
                closed = json.loads(await client.recv())
                assert (closed["type"], closed["reason"]) == ("session.closed", "expired")
                await asyncio.wait_for(stopping, PATIENCE_S)
                await client.wait_closed()
                assert client.close_code == 1000
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, PATIENCE_S)

    asyncio.run(scene())
