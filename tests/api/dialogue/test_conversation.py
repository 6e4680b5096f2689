"""The WebSocket of conversations: both ways to send audio, text, sessions, and what can go wrong."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from open_speech.api.dialogue import conversation
from tests.api.dialogue.conftest import Serve, decoded, heard, spoken
from tests.language_model import LanguageModelServer

PATH = "/v1/conversation/ws"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def until_done(socket: WebSocketTestSession) -> list[dict[str, Any]]:
    """Receive messages up to the end of a turn, or an error."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] not in ("done", "error", "cancelled"):
        messages.append(socket.receive_json())
    return messages


def by_type(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == kind]


def test_a_whole_utterance_is_a_turn(client: TestClient) -> None:
    audio = spoken(client, "Good morning to all.")
    with client.websocket_connect(PATH) as socket:
        ready = socket.receive_json()
        assert (ready["type"], ready["response_format"]) == ("ready", "wav")
        socket.send_json({"type": "audio", "data": encoded(audio)})
        messages = until_done(socket)
    kinds = [message["type"] for message in messages]
    assert kinds[:3] == ["buffering", "processing", "transcript"]
    assert by_type(messages, "transcript") == [{"type": "transcript", "role": "user", "content": "Good morning to all."}]
    assert by_type(messages, "text") == [{"type": "text", "role": "assistant", "content": "Good morning to all."}]
    assert heard(client, b"".join(decoded(message["data"]) for message in by_type(messages, "audio"))) == "Good morning to all."
    assert messages[-1]["timings"]["tokens"] == 4
    assert messages[-1]["session_id"] == ready["session_id"]


def test_chunks_are_a_turn_at_its_end(client: TestClient) -> None:
    audio = spoken(client, "Good morning to all.")
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        for start in range(0, len(audio), 30_000):
            socket.send_json({"type": "audio", "data": encoded(audio[start : start + 30_000])})
            assert socket.receive_json()["type"] == "buffering"
        socket.send_json({"type": "end_turn"})
        messages = until_done(socket)
    assert by_type(messages, "transcript")[0]["content"] == "Good morning to all."


def test_chunks_that_are_files_of_their_own_are_joined(client: TestClient) -> None:
    parts = [spoken(client, text) for text in ("Good morning.", "Is it warm?")]
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "config", "turn_mode": "chunks"})
        socket.receive_json()
        for part in parts:
            socket.send_json({"type": "audio", "data": encoded(part)})
            socket.receive_json()
        time.sleep(2 * conversation.WHOLE_AFTER_S)
        socket.send_json({"type": "end_turn"})
        messages = until_done(socket)
    assert by_type(messages, "transcript")[0]["content"] == "Good morning. Is it warm?"


def test_raw_samples_and_binary_messages_are_audio(client: TestClient) -> None:
    audio = spoken(client, "Good morning to all.")
    rate = int.from_bytes(audio[24:28], "little")
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "config", "turn_mode": "chunks", "input_format": "pcm", "input_sample_rate": rate})
        socket.receive_json()
        socket.send_bytes(audio[44:])
        socket.send_json({"type": "end_turn"})
        messages = until_done(socket)
    assert by_type(messages, "transcript")[0]["content"] == "Good morning to all."


def test_a_text_is_a_turn_and_the_conversation_is_remembered(scripted: TestClient, language_model: LanguageModelServer) -> None:
    with scripted.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "config", "instructions": "Be brief.", "session_id": "kitchen", "generation_config": {"max_tokens": 9}})
        assert socket.receive_json()["session_id"] == "kitchen"
        for text in ("Hello.", "And now?"):
            socket.send_json({"type": "text", "content": text})
            assert by_type(until_done(socket), "text")[0]["content"].split() == language_model.answer.split()[:9]
    assert [message["role"] for message in language_model.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]
    assert scripted.get("/v1/dialogue/sessions").json()["data"][0]["id"] == "kitchen"


def test_silence_has_no_answer(scripted: TestClient, language_model: LanguageModelServer) -> None:
    with scripted.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "config", "turn_mode": "chunks", "input_format": "pcm"})
        socket.receive_json()
        socket.send_json({"type": "audio", "data": encoded(bytes(32_000)), "end_turn": True})
        messages = until_done(socket)
    assert [message["type"] for message in messages] == ["processing", "transcript", "done"]
    assert messages[-1]["finish_reason"] == "no_speech"
    assert language_model.requests == []


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("no json", "JSON"), ([1], "object"), ({}, "type"), ({"type": "dance"}, "type"), ({"type": "audio"}, "data"),
        ({"type": "audio", "data": "%%%"}, "data"), ({"type": "text", "content": ""}, "content"), ({"type": "end_turn"}, "no audio"),
        ({"type": "config", "generation_config": {"top_p": 7}}, "generation_config.top_p"),
        ({"type": "config", "synthesis_config": {"reference_id": "nobody"}}, "voice"),
    ],
)  # fmt: skip
def test_an_invalid_message_is_an_error_and_the_connection_stays(client: TestClient, message: Any, named: str) -> None:
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        if isinstance(message, str):
            socket.send_text(message)
        else:
            socket.send_json(message)
        error = socket.receive_json()
        assert error["type"] == "error"
        assert named in error["message"]
        socket.send_json({"type": "text", "content": "still here"})
        assert until_done(socket)[-1]["type"] == "done"


def test_a_turn_that_fails_does_not_harm_the_next(client: TestClient) -> None:
    with client.websocket_connect(PATH) as socket:
        session = socket.receive_json()["session_id"]
        for text, ends in (("I am Ann.", "done"), ("fail 3 one two three four", "error"), ("Still here.", "done")):
            socket.send_json({"type": "text", "content": text})
            assert until_done(socket)[-1]["type"] == ends
        socket.send_bytes(b"this is no audio")
        assert until_done(socket)[-1]["type"] == "error"
    (listed,) = client.get("/v1/dialogue/sessions").json()["data"]
    assert (listed["id"], listed["turns"]) == (session, 2)


def test_an_answer_is_cancelled(client: TestClient) -> None:
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "text", "content": "slowly forever"})
        while socket.receive_json()["type"] != "audio":
            pass
        socket.send_json({"type": "cancel"})
        assert until_done(socket)[-1]["type"] == "cancelled"
        socket.send_json({"type": "text", "content": "And now."})
        messages = until_done(socket)
        assert [message["type"] for message in messages][0] == "processing"
        assert by_type(messages, "text")[0]["content"] == "And now."
    (listed,) = client.get("/v1/dialogue/sessions").json()["data"]
    assert listed["turns"] == 1


def test_an_utterance_that_is_too_long_is_dropped(serve: Serve) -> None:
    client = serve(os_max_upload_mb=1)
    with client.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "config", "turn_mode": "chunks"})
        socket.receive_json()
        for _ in range(2):
            socket.send_bytes(bytes(600_000))
        messages = until_done(socket)
        assert "larger than the limit" in messages[-1]["message"]


def test_a_client_that_leaves_stops_the_model(scripted: TestClient, language_model: LanguageModelServer) -> None:
    with scripted.websocket_connect(PATH) as socket:
        socket.receive_json()
        socket.send_json({"type": "text", "content": "on and on"})
        while socket.receive_json()["type"] != "text_delta":
            pass
    assert language_model.left.wait(60)
    assert scripted.get("/v1/dialogue/sessions").json()["data"] == []


def test_an_idle_connection_is_closed(serve: Serve) -> None:
    with serve(os_stream_idle_timeout_s=0.2).websocket_connect(PATH) as socket:
        socket.receive_json()
        assert socket.receive_json()["type"] == "error"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1008
