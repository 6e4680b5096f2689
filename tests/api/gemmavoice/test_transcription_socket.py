from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.gemmavoice.transcription_socket import MEMORY_BYTES, MESSAGE_CHARS, AudioBuffer
from open_speech.audio import silence
from open_speech.codecs import wav_bytes
from open_speech.errors import UploadTooLarge
from tests.tones_app import SENTENCE

PATHS = ("/v1/speech-to-text/ws", "/ws/stt")


def commit(socket: Any, **fields: Any) -> Any:
    socket.send_text(json.dumps({"event": "commit", **fields}))
    return socket.receive_json()


@pytest.mark.parametrize("path", PATHS)
def test_a_file_in_chunks_is_transcribed_when_it_is_committed(client: TestClient, clip: bytes, path: str) -> None:
    with client.websocket_connect(path) as socket:
        for _ in range(2):  # the next file begins after the commit
            for start in range(0, len(clip), 40_000):
                chunk = clip[start : start + 40_000]
                socket.send_bytes(chunk)
                assert socket.receive_json() == {"event": "received", "bytes": len(chunk)}
            answer = commit(socket, language="en", prompt="Names.", response_format="verbose_json", temperature=0.2, filename="a.wav")
            assert answer["event"] == "transcript"
            assert answer["data"].keys() == {"text", "language", "segments"}
            assert answer["data"]["text"] == SENTENCE
            assert [segment["text"] for segment in answer["data"]["segments"]] == [SENTENCE]


@pytest.mark.parametrize("fields", [{"event": "commit"}, {}])
def test_a_commit_may_contain_the_audio_and_leaves_the_chunks(client: TestClient, clip: bytes, fields: Any) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_bytes(clip[:1000])
        socket.receive_json()
        socket.send_text(json.dumps({**fields, "audio_base64": base64.b64encode(clip).decode()}))
        assert socket.receive_json()["data"]["text"] == SENTENCE
        socket.send_bytes(clip[1000:])
        socket.receive_json()
        assert commit(socket)["data"]["text"] == SENTENCE


def test_clear_drops_the_chunks_and_without_audio_there_is_a_warning(client: TestClient, clip: bytes) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        assert commit(socket) == {"event": "warning", "detail": "No audio to transcribe."}
        socket.send_bytes(clip)
        socket.receive_json()
        socket.send_text('{"event": "clear"}')
        assert socket.receive_json() == {"event": "cleared"}
        assert commit(socket)["event"] == "warning"


def test_silence_is_a_transcript_without_text(client: TestClient) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_bytes(wav_bytes(silence(1, 16_000)))
        socket.receive_json()
        answer = commit(socket)
        assert (answer["event"], answer["data"]["text"], answer["data"]["segments"]) == ("transcript", "", [])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("no json", "not valid JSON"), ("[]", "JSON object"), ("{}", "`event`"), ('{"event": "x"}', "`event`"),
        ('{"event": "commit", "audio_base64": "?"}', "`audio_base64`"), ('{"event": "commit", "audio_base64": 3}', "`audio_base64`"),
        ('{"event": "commit", "temperature": 7}', "`temperature`"), ('{"event": "commit", "language": "x-x-x"}', "`language`"),
        ('{"event": "commit", "response_format": "pdf"}', "`response_format`"), ("[" * 100, ""),
        ('{"event": "commit", "audio_base64": "bm8gYXVkaW8="}', ""), (" " * (MESSAGE_CHARS + 1), "longer than the limit"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_the_connection_stays_open(client: TestClient, clip: bytes, message: str, words: str) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_text(message)
        error = socket.receive_json()
        assert (error.keys(), error["event"]) == ({"event", "detail"}, "error")
        assert words in error["detail"]
        socket.send_bytes(clip)
        socket.receive_json()
        assert commit(socket)["data"]["text"] == SENTENCE


def test_chunks_over_the_limit_of_an_upload_are_dropped(client: TestClient, clip: bytes) -> None:
    with client.websocket_connect(PATHS[0]) as socket:
        socket.send_bytes(bytes(3 << 20))
        assert socket.receive_json() == {"event": "received", "bytes": 3 << 20}
        socket.send_bytes(bytes(2 << 20))
        assert "larger than the limit" in socket.receive_json()["detail"]
        socket.send_text('{"event": "clear"}')
        assert socket.receive_json() == {"event": "cleared"}
        socket.send_bytes(clip)
        assert socket.receive_json()["event"] == "received"
        assert commit(socket)["data"]["text"] == SENTENCE


def test_a_large_file_is_on_disk() -> None:
    async def scene() -> None:
        buffer = AudioBuffer(3 * MEMORY_BYTES)
        await buffer.add(b"ab")
        assert buffer.source() == b"ab"
        large = AudioBuffer(3 * MEMORY_BYTES)
        for _ in range(3):
            await large.add(bytes(MEMORY_BYTES))
        source = large.source()
        assert isinstance(source, Path)
        assert source.stat().st_size == large.size == 3 * MEMORY_BYTES
        with pytest.raises(UploadTooLarge):
            await large.add(b"x")
        for one in (buffer, large):
            one.close()

    asyncio.run(scene())
