"""The live transcription socket under BentoML, as a user serves it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from benchmarks.served import Served, serve
from open_speech.audio import to_pcm16
from open_speech.codecs import decode
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

PATH = "/v1/audio/stream"


def transcribed(server: Served, pcm: bytes, query: str) -> list[dict[str, Any]]:
    """Stream sound as fast as it is taken; give all that came back."""
    with connect(f"ws{server.url.removeprefix('http')}{PATH}?{query}") as socket:
        told = [json.loads(socket.recv(timeout=PATIENCE_S))]

        def send() -> None:
            for start in range(0, len(pcm), 9601):
                socket.send(pcm[start : start + 9601])
            socket.send(json.dumps({"type": "stop"}))

        sending = threading.Thread(target=send)
        sending.start()
        while told[-1]["type"] not in ("session.end", "error"):
            told.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        sending.join(PATIENCE_S)
    return told


def text(told: list[dict[str, Any]]) -> str:
    return " ".join(message["text"] for message in told if message["type"] == "transcript" and message["is_final"])


def test_plain_http_is_told_to_upgrade(tones_server: Served) -> None:
    assert httpx.get(f"{tones_server.url}{PATH}", timeout=PATIENCE_S).status_code == 426


def test_tones_are_written_down(tones_server: Served) -> None:
    wanted = {"model": "tts-1", "input": "One two three.", "voice": "alloy", "response_format": "pcm"}
    answer = httpx.post(f"{tones_server.base_url}/audio/speech", json=wanted, timeout=PATIENCE_S)
    told = transcribed(tones_server, answer.content, "sample_rate=24000&vad=false")
    assert text(told) == "One two three."
    assert told[-1]["type"] == "session.end"


def test_who_talks_when_the_server_is_stopped_is_heard_to_the_end(tones: dict[str, str]) -> None:
    with serve(tones) as served:
        wanted = {"model": "tts-1", "input": "One two three.", "voice": "alloy", "response_format": "pcm"}
        pcm = httpx.post(f"{served.base_url}/audio/speech", json=wanted, timeout=PATIENCE_S).content
        with connect(f"ws{served.url.removeprefix('http')}{PATH}?sample_rate=24000&vad=false") as socket:
            assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "session.begin"
            socket.send(pcm[:24_000])
            until(lambda: httpx.get(f"{served.url}/health", timeout=PATIENCE_S).json()["backends"]["tones-stt"]["line"]["under_way"])
            served.process.terminate()
            time.sleep(1)
            socket.send(pcm[24_000:])
            socket.send(json.dumps({"type": "stop"}))
            told = [json.loads(socket.recv(timeout=PATIENCE_S))]
            while told[-1]["type"] != "session.end":
                told.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        assert text(told) == "One two three."
        assert served.process.wait(PATIENCE_S) == 0


@pytest.mark.weights
def test_live_text_survives_the_death_of_its_runner(real_server: Served, speech_clips: dict[str, Path]) -> None:
    pcm = to_pcm16(decode(speech_clips["two_cities"], 16_000, max_seconds=60))
    transcribed(real_server, pcm[:160_000], "language=en")  # the model is loaded
    killer = threading.Timer(1.0, real_server.kill, ["faster_whisper"])
    killer.start()
    told = transcribed(real_server, pcm, "language=en&endpointing=700")
    assert killer.finished.is_set()
    assert [message["error"] for message in told if message["type"] == "error"] == []
    for phrase in ("it was the best of times", "nothing before us", "degree of comparison only"):
        assert phrase in text(told).lower()
