"""What all WebSockets of this API share: the limit on connections, pages of other origins, idle clients, a server that starts."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.api.test_metrics import value

SOCKETS = ("/v1/speech-to-text/ws", "/ws/stt", "/v1/speech-to-text/stream", "/v1/text-to-speech/ws", "/ws/tts")
MOST = 16


def end_of(socket: Any) -> tuple[Any, int]:
    """Return the last message and the close code of a connection that the server ends."""
    last = None
    with pytest.raises(WebSocketDisconnect) as closed:
        while True:
            last = socket.receive_json()
    return last, closed.value.code


@pytest.mark.parametrize("path", SOCKETS)
def test_connections_over_the_limit_are_closed_and_places_become_free(tones_settings: Settings, path: str) -> None:
    settings = tones_settings.model_copy(update={"os_stream_max_connections": MOST})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        with ExitStack() as stack:
            sockets = [stack.enter_context(client.websocket_connect(path)) for _ in range(MOST)]
            with client.websocket_connect(path) as one_more:
                error, code = end_of(one_more)
            assert (error["event"], code) == ("error", 1013)
            assert "OS_STREAM_MAX_CONNECTIONS" in error["detail"]
            for socket in sockets:
                socket.send_text("no json")
            for socket in sockets:
                while (message := socket.receive_json())["event"] == "ready":
                    pass
                assert message["event"] == "error"
        with client.websocket_connect(path) as socket:
            socket.send_text("no json")
            assert socket.receive_json()["event"] in ("ready", "error")


@pytest.mark.parametrize("path", SOCKETS)
def test_a_page_of_another_origin_may_not_connect(client: TestClient, path: str) -> None:
    with client.websocket_connect(path, headers={"Origin": "https://evil.example"}) as socket:
        error, code = end_of(socket)
    assert (error["event"], code) == ("error", 1008)
    assert "OS_WS_ALLOWED_ORIGINS" in error["detail"]


@pytest.mark.parametrize("path", SOCKETS)
def test_an_idle_connection_is_closed(tones_settings: Settings, path: str) -> None:
    settings = tones_settings.model_copy(update={"os_stream_idle_timeout_s": 0.05})
    with TestClient(create_app(settings, local_engine(settings))) as client, client.websocket_connect(path) as socket:
        error, code = end_of(socket)
    assert (error["event"], error["detail"], code) == ("error", "The connection was idle for too long.", 1008)


@pytest.mark.parametrize("path", SOCKETS)
def test_a_server_that_starts_says_so(tones_settings: Settings, path: str) -> None:
    with TestClient(create_app(tones_settings)) as client, client.websocket_connect(path) as socket:
        error, code = end_of(socket)
    assert (error["event"], error["detail"], code) == ("error", "The server is still starting.", 1013)


def test_a_session_and_its_errors_are_counted(tones_settings: Settings) -> None:
    with TestClient(create_app(tones_settings, local_engine(tones_settings))) as client:
        with client.websocket_connect("/ws/tts") as socket:
            socket.send_text("{}")
            socket.receive_json()
            metrics = client.get("/metrics").text
    assert value(metrics, "open_speech_sessions", door="gemmavoice") == 1
    assert value(metrics, "open_speech_errors_total", door="gemmavoice", code="missing_required_parameter") == 1


def test_as_many_connections_as_are_allowed_work_at_the_same_time(tones_settings: Settings) -> None:
    settings = tones_settings.model_copy(update={"os_stream_max_connections": 2 * MOST})
    sentences = [f"This is {letter * 5}." for letter in "abcdefghijklmnop"]
    with TestClient(create_app(settings, local_engine(settings))) as client, ExitStack() as stack:
        speaking = [stack.enter_context(client.websocket_connect("/ws/tts")) for _ in range(MOST)]
        listening = [stack.enter_context(client.websocket_connect("/ws/stt")) for _ in range(MOST)]
        for sentence, socket in zip(sentences, speaking, strict=True):
            socket.send_text(json.dumps({"text": sentence, "stream": False}))
        for socket, other in zip(speaking, listening, strict=True):
            answer = socket.receive_json()
            assert answer["event"] == "synthesis", answer
            other.send_text(json.dumps({"event": "commit", "audio_base64": answer["data"]["audio_base64"]}))
        texts = [socket.receive_json()["data"]["text"] for socket in listening]
    assert texts == sentences
