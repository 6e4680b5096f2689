from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.audio import Audio
from open_speech.codecs import wav_bytes
from tests.tones_app import SENTENCE

PATHS = ("/v1/text-to-speech/ws", "/ws/tts")


def ask(socket: Any, **fields: Any) -> list[Any]:
    """Send a request and return the messages of its answer."""
    socket.send_text(json.dumps(fields))
    messages = [socket.receive_json()]
    while messages[-1]["event"] not in ("done", "synthesis", "error"):
        messages.append(socket.receive_json())
    return messages


def transcript(client: TestClient, data: bytes) -> str:
    return str(client.post("/v1/speech-to-text", files={"file": ("a", data)}).json()["text"])


@pytest.mark.parametrize("path", PATHS)
def test_a_request_is_answered_with_metadata_chunks_and_done(client: TestClient, path: str) -> None:
    with client.websocket_connect(path) as socket:
        for name in ("text", "input"):
            metadata, *chunks, done = ask(socket, **{name: SENTENCE, "format": "wav", "reference_id": "tone"})
            assert metadata == {
                "event": "metadata",
                "data": {"response_format": "wav", "media_type": "audio/wav", "sample_rate": 24_000, "reference_id": "tone"},
            }
            assert done == {"event": "done"}
            assert {chunk["event"] for chunk in chunks} == {"audio_chunk"}
            data = b"".join(base64.b64decode(chunk["data"]["audio_base64"]) for chunk in chunks)
            assert transcript(client, data) == SENTENCE


def test_without_stream_the_whole_file_is_one_message(client: TestClient) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        (answer,) = ask(socket, text=SENTENCE, stream=False, format="mp3", sample_rate=16_000)
    assert answer["event"] == "synthesis"
    described = {name: value for name, value in answer["data"].items() if name != "audio_base64"}
    assert described == {"response_format": "mp3", "media_type": "audio/mpeg", "sample_rate": 16_000}
    assert transcript(client, base64.b64decode(answer["data"]["audio_base64"])) == SENTENCE


def test_fields_that_are_ignored_are_in_the_metadata(client: TestClient) -> None:
    recording = wav_bytes(Audio(np.random.default_rng(0).uniform(-0.3, 0.3, 24_000).astype(np.float32), 16_000))
    with client.websocket_connect(PATHS[0]) as socket:
        metadata, *_ = ask(socket, text=SENTENCE, references=[base64.b64encode(recording).decode()])
    (warning,) = metadata["data"]["warnings"]
    assert "`references`" in warning


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("no json", "not valid JSON"), ("[]", "JSON object"), ("{}", "`text`"), ('{"text": ""}', "`text`"),
        ('{"text": "Hello.", "volume": 99}', "`volume`"), ('{"text": "Hello.", "reference_id": "nobody"}', "`reference_id`"),
        ('{"text": "Hello.", "format": "midi"}', "`format`"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_the_connection_stays_open(client: TestClient, message: str, words: str) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_text(message)
        error = socket.receive_json()
        assert (error.keys(), error["event"]) == ({"event", "detail"}, "error")
        assert words in error["detail"]
        assert ask(socket, text=SENTENCE)[-1] == {"event": "done"}


def test_a_binary_message_is_refused(client: TestClient) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_bytes(b"audio")
        assert "JSON text" in socket.receive_json()["detail"]
        assert ask(socket, text=SENTENCE)[-1] == {"event": "done"}
