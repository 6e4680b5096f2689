"""The live speech socket under BentoML, as a user serves it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from benchmarks.served import Served
from open_speech.audio import from_pcm16
from open_speech.codecs import wav_bytes
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

TEXT = "The first sentence is here before the second one is written. And this is the second one."


def test_text_is_spoken_while_it_is_written_and_a_cancel_is_quick(tones_server: Served) -> None:
    with connect(f"ws{tones_server.url.removeprefix('http')}/v1/audio/speech/stream") as socket:

        def say(**message: Any) -> None:
            socket.send(json.dumps(message))

        def until(kind: str) -> tuple[list[dict[str, Any]], bytes]:
            told: list[dict[str, Any]] = []
            sound = b""
            while not told or told[-1]["type"] != kind:
                message = socket.recv(timeout=PATIENCE_S)
                if isinstance(message, bytes):
                    sound += message
                else:
                    told.append(json.loads(message))
            return told, sound

        say(type="config", voice="alloy")
        for start in range(0, len(TEXT), 7):
            say(type="text", text=TEXT[start : start + 7])
        say(type="flush")
        told, sound = until("flushed")
        assert told[0]["type"] == "ready"
        say(type="text", text=f"{TEXT} " * 500)
        until("sentence")
        say(type="cancel")
        assert len(until("cancelled")[0]) < 100  # messages, of a thousand sentences
        say(type="end")
        assert until("done")[1] == b""
        with pytest.raises(ConnectionClosedOK):
            socket.recv(timeout=PATIENCE_S)
    wav = wav_bytes(from_pcm16(sound, 24_000))
    answer = httpx.post(
        f"{tones_server.base_url}/audio/transcriptions", data={"model": "whisper-1"}, files={"file": wav}, timeout=PATIENCE_S
    )
    assert answer.json()["text"] == TEXT


def test_a_client_that_vanishes_leaves_its_seat_free(tones_server: Served) -> None:
    for _ in range(12):  # more than there are seats
        with connect(f"ws{tones_server.url.removeprefix('http')}/v1/audio/speech/stream") as socket:
            socket.send(json.dumps({"type": "config"}))
            assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "ready"
            socket.send(json.dumps({"type": "text", "text": f"{TEXT} " * 50}))
