"""`channels` at every endpoint that transcribes a file: two sentences, one on each channel of a recording."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs import decode
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest

PATH = "/v1/audio/transcriptions"
LEFT, RIGHT = "Hello there world.", "Good morning to you."
RATE = 16_000


def stereo(channels: list[Audio]) -> bytes:
    """A 16-bit WAV file of as many channels, filled up with silence."""
    longest = max(len(channel.samples) for channel in channels)
    rows = [np.frombuffer(to_pcm16(channel), "<i2") for channel in channels]
    file = io.BytesIO()
    soundfile.write(file, np.stack([np.pad(row, (0, longest - len(row))) for row in rows]).T, channels[0].rate, "PCM_16", format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def voices(client: TestClient) -> list[Audio]:
    """LEFT at once, and RIGHT from 4 s on."""
    made = []
    for text, after in ((LEFT, 0), (RIGHT, 4)):
        answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": text, "voice": "alloy", "response_format": "wav"})
        audio = decode(answer.content, RATE, max_seconds=60)
        made.append(Audio(np.concatenate([np.zeros(after * RATE, np.float32), audio.samples]), RATE))
    return made


@pytest.fixture(scope="module")
def call(voices: list[Audio]) -> bytes:
    return stereo(voices)


def post(client: TestClient, call: bytes, path: str = PATH, **fields: Any) -> Any:
    return client.post(path, files={"file": ("call.wav", call, "audio/wav")}, data={"model": "whisper-1", **fields})


@pytest.mark.parametrize("asked", [{"channels": "separate"}, {"multichannel": "true"}])
def test_segments_have_a_channel_and_a_speaker(client: TestClient, call: bytes, asked: dict[str, str]) -> None:
    body = post(client, call, response_format="verbose_json", **asked).json()
    assert [(s["text"].strip(), s["channel"], s["speaker"]) for s in body["segments"]] == [(LEFT, 0, "A"), (RIGHT, 1, "B")]
    assert body["segments"][1]["start"] == pytest.approx(4, abs=0.1)
    assert body["text"] == f"{LEFT} {RIGHT}"
    assert body["duration"] == pytest.approx(5.3, abs=1)
    assert body["usage"]["seconds"] == int(-(-body["duration"] // 1))


def test_without_the_field_channels_are_mixed_and_nothing_is_labelled(client: TestClient, call: bytes) -> None:
    for fields in ({}, {"channels": "mix"}, {"multichannel": "false"}):
        body = post(client, call, response_format="verbose_json", **fields).json()
        assert not any(name in segment for segment in body["segments"] for name in ("channel", "speaker"))


def test_every_format_labels_the_speakers_of_the_channels(client: TestClient, call: bytes) -> None:
    diarized = post(client, call, channels="separate", response_format="diarized_json").json()
    assert [(s["text"], s["speaker"], s["channel"]) for s in diarized["segments"]] == [(LEFT, "A", 0), (RIGHT, "B", 1)]
    srt = post(client, call, channels="separate", response_format="srt").text
    assert f"[A] {LEFT}" in srt
    assert f"[B] {RIGHT}" in srt
    assert "00:00:04," in srt
    assert f"<v B>{RIGHT}" in post(client, call, channels="separate", response_format="vtt").text
    assert post(client, call, channels="separate", response_format="text").text == f"{LEFT} {RIGHT}\n"
    assert post(client, call, channels="separate").json()["text"] == f"{LEFT} {RIGHT}"


@pytest.mark.parametrize("path", [f"{PATH}/verbose", f"{PATH}/batch"])
def test_the_other_forms_of_the_endpoint_take_the_field(client: TestClient, call: bytes, path: str) -> None:
    body = post(client, call, path, channels="separate", response_format="verbose_json").json()
    (body,) = body.get("data", [body])
    assert [s["channel"] for s in body["segments"]] == [0, 1]


def events(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: {")]


def test_events_have_the_channel(client: TestClient, call: bytes) -> None:
    model = "gpt-4o-transcribe"
    got = events(post(client, call, channels="separate", stream="true", model=model))
    assert [(e["delta"].strip(), e["channel"]) for e in got if e["type"] == "transcript.text.delta"] == [(LEFT, 0), (RIGHT, 1)]
    got = events(post(client, call, channels="separate", stream="true", model=model, response_format="diarized_json"))
    spoken = [e for e in got if e["type"] == "transcript.text.segment"]
    assert [(e["text"], e["speaker"], e["channel"]) for e in spoken] == [(LEFT, "A", 0), (RIGHT, "B", 1)]
    assert got[-1]["text"] == f"{LEFT} {RIGHT}"


def test_the_film_endpoints_take_the_field(client: TestClient, call: bytes) -> None:
    for path in ("/asr", "/bazarr/asr"):
        answer = client.post(path, files={"audio_file": ("call.wav", call)}, params={"output": "srt", "channels": "separate"})
        assert f"[B] {RIGHT}" in answer.text
    answer = client.post("/asr", files={"audio_file": ("call.wav", call)}, params={"output": "json", "channels": "separate"})
    assert [(s["channel"], s["speaker"]) for s in answer.json()["segments"]] == [(0, "A"), (1, "B")]


def test_mono_and_headerless_audio_have_one_channel(client: TestClient, voices: list[Audio]) -> None:
    body = post(client, stereo(voices[:1]), channels="separate", response_format="verbose_json").json()
    assert [(s["channel"], s["speaker"]) for s in body["segments"]] == [(0, "A")]
    asked = {"encode": "false", "output": "srt", "channels": "separate"}
    answer = client.post("/asr", files={"audio_file": ("audio_file", to_pcm16(voices[0]))}, params=asked)
    assert f"[A] {LEFT}" in answer.text


def test_six_channels_are_six_speakers_and_nine_are_too_many(client: TestClient, voices: list[Audio]) -> None:
    silent = Audio(np.zeros(RATE, np.float32), RATE)
    six = stereo([silent, voices[1], silent, silent, silent, voices[0]])
    body = post(client, six, channels="separate", response_format="diarized_json").json()
    assert [(s["text"], s["channel"], s["speaker"]) for s in body["segments"]] == [(LEFT, 5, "F"), (RIGHT, 1, "B")]
    refused = post(client, stereo([silent] * 9), channels="separate")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "channels")


@pytest.mark.parametrize("path", [PATH, "/v1/audio/translations", "/asr", "/v1/audio/jobs"])
def test_an_unknown_mode_is_refused_and_the_field_named(client: TestClient, call: bytes, path: str) -> None:
    name = "audio_file" if path == "/asr" else "file"
    answer = client.post(path, files={name: ("call.wav", call)}, data={"model": "whisper-1", "channels": "both"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "channels"


def test_known_speakers_are_refused_beside_separate_channels(client: TestClient, call: bytes) -> None:
    for mode in ("separate", "auto"):
        answer = post(
            client, call, channels=mode, response_format="diarized_json",
            **{"known_speaker_names[]": "Anna", "known_speaker_references[]": "data:audio/wav;base64,AAAA"},
        )  # fmt: skip
        assert answer.json()["error"]["param"] == "known_speaker_names"


def test_diarization_needs_no_diarizer_where_channels_are_speakers(client: TestClient, call: bytes) -> None:
    mixed = post(client, call, response_format="diarized_json")
    assert mixed.json()["error"]["param"] == "diarize"
    assert post(client, call, channels="separate", diarize="true", response_format="srt").text.count("[A]") == 1


def test_the_openapi_document_names_the_field(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    form = paths[PATH]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert form["channels"]["enum"] == ["mix", "separate", "auto"]


def test_the_engine_resumes_each_channel_at_its_time(engine: Engine, call: bytes) -> None:
    async def heard() -> list[tuple[str, int | None, float]]:
        listening = await engine.recognition.stream(call, RecognitionRequest("whisper-1", start_s=3.0, channels="separate"))
        return [(s.text.strip(), s.channel, s.start) for s in (await listening.whole()).segments]

    assert asyncio.run(heard()) == [(RIGHT, 1, pytest.approx(1.0, abs=0.1))]


def test_a_file_that_is_no_media_is_refused_as_ever(client: TestClient, spoken: Callable[[str], bytes]) -> None:
    for mode in ("separate", "auto"):
        assert post(client, b"no media at all", channels=mode).json()["error"]["param"] == "file"
        assert post(client, spoken("mp3"), channels=mode).json()["text"] == LEFT
