"""The Realtime API under BentoML, as a user serves it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jiwer
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from benchmarks.served import Served
from open_speech.audio import Audio, concat, silence, to_pcm16
from open_speech.codecs import decode
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

TEXT = "A sentence that is said and heard."
BEST = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"
WORDS = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
)


def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        assert events[-1]["type"] != "error", events[-1]
    return events


def append(socket: ClientConnection, pcm: bytes) -> None:
    say(socket, "input_audio_buffer.append", audio=base64.b64encode(pcm).decode())


@contextmanager
def session(served: Served, **audio: Any) -> Iterator[ClientConnection]:
    with connect(f"ws{served.url.removeprefix('http')}/v1/realtime?intent=transcription", max_size=None) as socket:
        say(socket, "session.update", session={"type": "transcription", "audio": {"input": audio}})
        until(socket, "session.updated")
        yield socket


def test_twenty_megabytes_come_in_one_message(tones_server: Served) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}
    said = httpx.post(f"{tones_server.base_url}/audio/speech", json=body, timeout=PATIENCE_S).content
    with session(tones_server, turn_detection=None) as socket:
        append(socket, bytes(15 * (1 << 20) - len(said) - 9600) + said + bytes(9600))
        say(socket, "input_audio_buffer.commit")
        assert until(socket, "conversation.item.input_audio_transcription.completed")[-1]["transcript"] == TEXT


def test_a_client_that_vanishes_in_the_midst_of_a_response_leaves_its_seat_free(tones_server: Served) -> None:
    for _ in range(40):  # more than there are seats
        with connect(f"ws{tones_server.url.removeprefix('http')}/v1/realtime?model=tts-1") as socket:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{TEXT} " * 50}]}
            say(socket, "conversation.item.create", item=item)
            say(socket, "response.create")
            until(socket, "response.output_audio.delta")


def test_a_call_that_is_not_there_is_told_before_the_upgrade(tones_server: Served) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws{tones_server.url.removeprefix('http')}/v1/realtimes"):
        raise AssertionError("connected")
    assert refused.value.response.status_code in (403, 404)


@pytest.mark.weights
def test_a_turn_whose_runner_dies_is_transcribed_all_the_same(real_server: Served, speech_clips: dict[str, Path]) -> None:
    clip = decode(speech_clips["two_cities"].read_bytes(), 24_000, max_seconds=60)
    sound = to_pcm16(concat([Audio(clip.samples[: round(8.4 * 24_000)], 24_000), silence(1, 24_000)], 24_000))
    transcription = {"model": "whisper-1", "language": "en"}
    with session(real_server, transcription=transcription) as socket:
        append(socket, sound)  # the model is loaded by this one
        until(socket, "conversation.item.input_audio_transcription.completed")
        killer = threading.Timer(0.3, real_server.kill, ["faster_whisper"])
        killer.start()
        for start in range(0, len(sound), 9600):
            append(socket, sound[start : start + 9600])
            time.sleep(0.02)
        events = until(socket, "conversation.item.input_audio_transcription.completed")
    assert killer.finished.is_set()
    completed = events[-1]
    assert jiwer.wer(BEST, completed["transcript"], reference_transform=WORDS, hypothesis_transform=WORDS) <= 0.05
    assert "".join(event["delta"] for event in events if event["type"].endswith("transcription.delta")) == completed["transcript"]
    assert sum(event["type"].endswith("transcription.completed") for event in events) == 1
