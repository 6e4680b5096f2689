"""Speakers in live sessions over the WebSockets of the server: a turn is split, a dead runner costs the labels alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient, WebSocketTestSession
from websockets.sync.client import connect

from open_speech.app import create_app
from open_speech.audio import Audio, silence, to_pcm16
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.recognition.live import speaker_tracker
from open_speech.registry import Defaults, Registry
from runners.wiring.engine import local_engine
from runners.wiring.factories import speech_model
from tests.engines import engine_over
from tests.loud_voices import BACKENDS, MODELS, LevelReader, LoudVoices, parts, spoken
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the speakers as long as it takes: a busy machine may need more than the half second of the server."""
    monkeypatch.setattr(speaker_tracker, "LABEL_WAIT_S", PATIENCE_S)


Serving = Callable[[FastAPI], AbstractContextManager[str]]
DIALOG = spoken(2, 2, 2, 2, 7, 7, 7, 7)


def app_of(tones_settings: Settings, voices: LoudVoices | None) -> FastAPI:
    if voices is None:
        registry = Registry(BACKENDS[:1], MODELS[:1], {"reader": "process"}, Defaults("reader/one", "", ""))
        clients = {"reader": RunnerClient("reader", LevelReader(), deadline_s=5)}
    else:
        registry, clients = parts(voices)
    return create_app(tones_settings, engine_over(registry, clients, detector=speech_model(tones_settings)))


@contextmanager
def served(tones_settings: Settings, voices: LoudVoices | None) -> Iterator[TestClient]:
    with TestClient(app_of(tones_settings, voices)) as client:
        yield client


@contextmanager
def stream(client: TestClient, query: str = "diarize=true") -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(f"/v1/audio/stream?vad=false&interim_results=false&{query}") as socket:
        yield socket


def finals(socket: WebSocketTestSession, *turns: Audio) -> list[tuple[str, str | None, bool]]:
    """Send turns, and return the text, the speaker and `speech_final` of the finals up to the end of the session."""
    for turn in turns:
        socket.send_bytes(to_pcm16(turn))
        socket.send_text('{"type": "finalize"}')
    socket.send_text('{"type": "stop"}')
    found: list[tuple[str, str | None, bool]] = []
    while (message := socket.receive_json())["type"] != "session.end":
        if message["type"] == "transcript":
            found.append((message["text"], message["speaker"], message["speech_final"]))
    return found


def test_a_turn_is_split_where_its_speaker_changes(tones_settings: Settings) -> None:
    with served(tones_settings, LoudVoices()) as client, stream(client) as socket:
        assert socket.receive_json()["diarize"] is True
        socket.send_bytes(to_pcm16(DIALOG))
        socket.send_text('{"type": "finalize"}')
        both = [socket.receive_json() for _ in range(2)]
        assert [(part["text"], part["speaker"], part["speech_final"]) for part in both] == [
            ("w2 w2 w2 w2", "A", False), ("w7 w7 w7 w7", "B", True)
        ]  # fmt: skip
        assert finals(socket, spoken(7, 7, 7)) == [("w7 w7 w7", "B", True)]


def test_each_part_of_a_turn_has_its_times(tones_settings: Settings) -> None:
    with served(tones_settings, LoudVoices()) as client, stream(client, "diarize=true&resumable=true") as socket:
        socket.send_bytes(to_pcm16(DIALOG))
        socket.send_text('{"type": "stop"}')
        parts: list[dict[str, Any]] = []
        while (message := socket.receive_json())["type"] != "session.end":
            if message["type"] == "transcript":
                parts.append(message)
    assert [(part["start"], part["end"], part["final_until"]) for part in parts] == [(0.0, 2.0, 2.0), (2.0, 4.0, 4.0)]


def test_a_session_has_no_more_speakers_than_it_asks_for(tones_settings: Settings) -> None:
    with served(tones_settings, LoudVoices()) as client, stream(client, "diarize=true&max_speakers=1") as socket:
        assert {speaker for _, speaker, _ in finals(socket, spoken(2, 2, 2), spoken(7, 7, 7))} == {"A"}


def test_without_diarize_nothing_changes(tones_settings: Settings) -> None:
    voices = LoudVoices()
    with served(tones_settings, voices) as client, stream(client, "") as socket:
        assert "diarize" not in socket.receive_json()
        socket.send_bytes(to_pcm16(DIALOG))
        socket.send_text('{"type": "stop"}')
        message = socket.receive_json()
        assert message["text"] == "w2 w2 w2 w2 w7 w7 w7 w7"
        assert "speaker" not in message
    assert voices.calls == 0


def test_a_session_lives_on_without_its_runner(tones_settings: Settings) -> None:
    voices = LoudVoices()
    with served(tones_settings, voices) as client, stream(client) as socket:
        voices.is_dead = True
        assert finals(socket, spoken(2, 2, 2)) == [("w2 w2 w2", None, True)]


def test_a_server_without_a_backend_says_how_to_get_one(tones_settings: Settings) -> None:
    with served(tones_settings, None) as client, stream(client) as socket:
        error = socket.receive_json()["error"]
    assert (error["param"], error["type"]) == ("diarize", "invalid_request_error")
    assert "STT_DIARIZE_BACKENDS=campplus" in error["message"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"known_speaker_names": ["Ann"]}, "known_speaker_references"),
        ({"known_speaker_names": ["Ann"], "known_speaker_references": ["data:audio/wav;base64,!"]}, "known_speaker_references"),
        ({"known_speaker_names": ["Ann"] * 5, "known_speaker_references": ["x"] * 5}, "known_speaker_names"),
    ],
)  # fmt: skip
def test_known_speakers_that_are_wrong_are_refused_and_the_session_goes_on(
    tones_settings: Settings, message: dict[str, Any], param: str
) -> None:
    with served(tones_settings, LoudVoices()) as client, stream(client) as socket:
        socket.receive_json()
        socket.send_text(json.dumps({"type": "known_speakers", **message}))
        assert socket.receive_json()["error"]["param"] == param
        assert finals(socket, spoken(2, 2, 2)) == [("w2 w2 w2", "A", True)]


def test_known_speakers_require_diarize(tones_settings: Settings) -> None:
    with served(tones_settings, LoudVoices()) as client, stream(client, "") as socket:
        socket.receive_json()
        socket.send_text('{"type": "known_speakers"}')
        assert socket.receive_json()["error"]["param"] == "diarize"


def realtime(server: str, transcription: dict[str, Any]) -> list[dict[str, Any]]:
    """Transcribe DIALOG in a Realtime session; return its events up to the transcript or the first error."""
    events: list[dict[str, Any]] = []
    session = {"type": "transcription", "audio": {"input": {"turn_detection": None, "transcription": transcription}}}
    with connect(f"ws{server.removeprefix('http')}/v1/realtime?intent=transcription") as socket:
        socket.send(json.dumps({"type": "session.update", "session": session}))
        while not events or events[-1]["type"] not in ("session.updated", "error"):
            events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        if events[-1]["type"] == "error":
            return events
        audio = {"type": "audio/pcm", "rate": 16_000}
        socket.send(json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": {"input": {"format": audio}}}}))
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(to_pcm16(DIALOG)).decode()}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while not events[-1]["type"].endswith(("transcription.completed", "transcription.failed", "error")):
            events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
    return events


@pytest.mark.parametrize("transcription", [{"model": "gpt-4o-transcribe-diarize"}, {"model": "whisper-1", "diarize": True}])
def test_a_realtime_session_sends_segments_with_speakers(tones_settings: Settings, serving: Serving, transcription: dict[str, Any]) -> None:
    with serving(app_of(tones_settings, LoudVoices())) as server:
        events = realtime(server, transcription)
    assert events[-1]["transcript"] == "w2 w2 w2 w2 w7 w7 w7 w7"
    segments = [event for event in events if event["type"].endswith("input_audio_transcription.segment")]
    assert [(one["text"], one["speaker"], one["start"], one["end"]) for one in segments] == [
        ("w2 w2 w2 w2", "A", 0.0, 2.0), ("w7 w7 w7 w7", "B", 2.0, 4.0)
    ]  # fmt: skip
    assert {one["item_id"] for one in segments} == {events[-1]["item_id"]}
    assert len({one["id"] for one in segments}) == 2


def test_a_realtime_session_without_speakers_sends_no_segments(tones_settings: Settings, serving: Serving) -> None:
    with serving(app_of(tones_settings, LoudVoices())) as server:
        events = realtime(server, {"model": "gpt-4o-transcribe-diarize", "diarize": False})
    assert not any(event["type"].endswith("segment") for event in events)


@pytest.mark.parametrize(
    ("transcription", "param"),
    [({"model": "gpt-4o-transcribe-diarize"}, "model"), ({"model": "whisper-1", "diarize": True}, "diarize")],
)
def test_a_realtime_session_that_cannot_have_speakers_is_told(
    tones_settings: Settings, serving: Serving, transcription: dict[str, Any], param: str
) -> None:
    with serving(app_of(tones_settings, None)) as server:
        error = realtime(server, transcription)[-1]["error"]
    assert error["param"] == f"session.audio.input.transcription.{param}"
    assert "STT_DIARIZE_BACKENDS=campplus" in error["message"]


@pytest.mark.weights
def test_known_speakers_are_enrolled_from_real_recordings(
    tones_settings: Settings, model_folder: Callable[[str], Path], weights_root: Path, speech_clips: dict[str, Path]
) -> None:
    model_folder("campplus")
    settings = tones_settings.model_copy(update={"stt_diarize_backends": ("campplus",), "os_models_dir": weights_root})
    whole = decode(speech_clips["two_cities"], 16_000, max_seconds=60)
    urls = [
        "data:audio/wav;base64," + base64.b64encode(wav_bytes(audio)).decode()
        for audio in (Audio(whole.samples[48_000:128_000], 16_000), silence(3.0, 16_000))
    ]
    with TestClient(create_app(settings, local_engine(settings))) as client, stream(client) as socket:
        assert socket.receive_json()["diarize"] is True
        for url in urls:
            socket.send_text(json.dumps({"type": "known_speakers", "known_speaker_names": ["Ann"], "known_speaker_references": [url]}))
        assert socket.receive_json() == {"type": "known_speakers", "names": ["Ann"]}
        error = socket.receive_json()["error"]
    assert error["param"] == "known_speaker_references"
    assert "no speech" in error["message"]
