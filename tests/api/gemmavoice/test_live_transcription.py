from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from websockets.sync.client import connect

from open_speech.audio import concat, silence, to_pcm16
from open_speech.codecs import decode
from tests.contract.conftest import serving
from tests.contract.test_audio_stream import real_server
from tests.tones_app import SENTENCE
from tests.waiting import PATIENCE_S

__all__ = ["real_server", "serving"]
PATH = "/v1/speech-to-text/stream"


def pcm(clip: bytes, rate: int = 16_000) -> bytes:
    return to_pcm16(concat([silence(0.2, rate), decode(clip, rate, max_seconds=60), silence(0.4, rate)], rate))


def say(socket: Any, kind: str, **fields: Any) -> None:
    socket.send_text(json.dumps({"type": kind, **fields}))


def until(socket: Any, *kinds: str) -> list[Any]:
    messages = [socket.receive_json()]
    while messages[-1]["type"] not in kinds:
        messages.append(socket.receive_json())
    return messages


def test_the_server_is_ready_and_names_what_it_expects(client: TestClient) -> None:
    with client.websocket_connect(PATH) as socket:
        assert socket.receive_json() == {
            "type": "ready", "event": "ready", "model": "tones/listen", "language": None, "sample_rate": 16_000,
            "encoding": "pcm_s16le", "interim_results": True,
        }  # fmt: skip


@pytest.mark.parametrize("piece", [1001, 1 << 20])
def test_each_take_between_two_stops_has_its_own_text(client: TestClient, clip: bytes, piece: int) -> None:
    data = pcm(clip)
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        for _ in range(2):
            for start in range(0, len(data), piece):
                socket.send_bytes(data[start : start + piece])
            say(socket, "stop")
            *drafts, final = until(socket, "final", "error")
            assert (final["type"], final["event"], final["text"], final["language"]) == ("final", "final", SENTENCE, "en")
            assert 0 <= final["start"] < final["end"] <= len(data) / 32_000 + 0.1
            assert {draft["type"] for draft in drafts} <= {"interim"}


def test_drafts_are_sent_while_the_audio_arrives_and_only_if_they_are_wanted(client: TestClient, clip: bytes) -> None:
    data = pcm(clip)
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        for _ in range(4):
            socket.send_bytes(data)
        interim = until(socket, "interim", "error")[-1]
        assert interim["type"] == "interim"
        assert SENTENCE.split()[0] in interim["text"]
        say(socket, "config", interim_results=False)
        until(socket, "configured")
        for _ in range(4):
            socket.send_bytes(data)
        say(socket, "stop")
        assert [message["type"] for message in until(socket, "final", "error")] == ["final"]


def test_config_sets_the_audio_and_the_language_of_what_follows(client: TestClient, clip: bytes) -> None:
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        socket.send_text(json.dumps({"event": "config", "sample_rate": 24_000, "language": "English", "prompt": "Names.", "unknown": 1}))
        configured = until(socket, "configured", "error")[-1]
        assert (configured["type"], configured["sample_rate"], configured["language"]) == ("configured", 24_000, "en")
        say(socket, "config", interim_results=False)  # the rest stays as it is
        assert until(socket, "configured")[-1]["sample_rate"] == 24_000
        socket.send_bytes(pcm(clip, 24_000))
        say(socket, "stop")
        assert until(socket, "final", "error")[-1]["text"] == SENTENCE


def test_clear_discards_the_audio_so_far(client: TestClient, clip: bytes) -> None:
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        socket.send_bytes(pcm(clip)[: len(clip) // 3])
        say(socket, "clear")
        assert until(socket, "cleared")[-1] == {"type": "cleared", "event": "cleared"}
        say(socket, "stop")
        assert until(socket, "warning", "final")[-1] == {"type": "warning", "event": "warning", "detail": "No audio to transcribe."}
        socket.send_bytes(pcm(clip))
        say(socket, "stop")
        assert until(socket, "final")[-1]["text"] == SENTENCE


def test_silence_is_answered_with_a_final_without_text(client: TestClient) -> None:
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        socket.send_bytes(to_pcm16(silence(1, 16_000)))
        say(socket, "stop")
        final = until(socket, "final", "error", "warning")[-1]
        assert (final["type"], final["text"], final["end"]) == ("final", "", 1.0)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("no json", "not valid JSON"), ("[]", "JSON object"), ("{}", "`type`"), ('{"type": "x"}', "`type`"), ('{"type": 3}', "`type`"),
        ('{"type": "config", "sample_rate": 10}', "`sample_rate`"), ('{"type": "config", "language": "xx-nope"}', "`language`"),
        ('{"type": "config", "encoding": "mp3"}', "`encoding`"), ('{"type": "config", "model": "nobody"}', "`nobody`"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_the_session_goes_on(client: TestClient, clip: bytes, message: str, words: str) -> None:
    with client.websocket_connect(PATH) as socket:
        until(socket, "ready")
        socket.send_text(message)
        error = until(socket, "error")[-1]
        assert (error.keys(), error["event"]) == ({"type", "event", "detail"}, "error")
        assert words in error["detail"]
        socket.send_bytes(pcm(clip))
        say(socket, "stop")
        assert until(socket, "final")[-1]["text"] == SENTENCE


@pytest.mark.weights
def test_real_speech_has_drafts_and_a_final_text_for_each_utterance(real_server: str, speech_clips: dict[str, Path]) -> None:
    data = to_pcm16(decode(speech_clips["beckett"], 16_000, max_seconds=60))
    with connect(f"ws{real_server.removeprefix('http')}{PATH}", max_size=None) as socket:
        for start in range(0, len(data), 16_000):
            socket.send(data[start : start + 16_000])
        socket.send('{"type": "stop"}')
        socket.send('{"type": "clear"}')
        messages = [json.loads(socket.recv(timeout=PATIENCE_S))]
        while messages[-1]["type"] != "cleared":
            messages.append(json.loads(socket.recv(timeout=PATIENCE_S)))
    text = " ".join(message["text"] for message in messages if message["type"] == "final").lower()
    assert "no matter" in text
    assert "fail better" in text
    assert {message["type"] for message in messages} <= {"ready", "interim", "final", "cleared"}
