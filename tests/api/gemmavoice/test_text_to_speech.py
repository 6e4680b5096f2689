from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.tones_app import SENTENCE

PATH = "/v1/text-to-speech"
RATE = 24_000


def say(client: TestClient, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return client.post(PATH, json={"text": SENTENCE, **fields}, headers=headers)


def audio_in(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["audio_base64"], validate=True)


def samples(data: bytes, rate: int = RATE) -> Any:
    return decode(data, rate, max_seconds=60).samples


def peak_db(data: bytes) -> float:
    return 20 * float(np.log10(np.abs(samples(data)).max()))


def transcript(client: TestClient, data: bytes) -> str:
    return str(client.post("/v1/speech-to-text", files={"file": ("a", data)}).json()["text"])


def test_the_answer_is_wav_as_base64_in_json(client: TestClient) -> None:
    answer = say(client)
    data = audio_in(answer)
    assert {name: value for name, value in answer.json().items() if name != "audio_base64"} == {
        "response_format": "wav", "media_type": "audio/wav", "sample_rate": RATE, "reference_id": None,
    }  # fmt: skip
    assert int.from_bytes(data[4:8], "little") == len(data) - 8  # the header states the true length
    assert transcript(client, data) == SENTENCE


@pytest.mark.parametrize(
    ("fields", "form", "media_type", "rate"),
    [
        ({"format": "mp3"}, "mp3", "audio/mpeg", RATE),
        ({"response_format": "FLAC"}, "flac", "audio/flac", RATE),
        ({"format": "ogg", "sample_rate": 22_050}, "opus", "audio/opus", RATE),
        ({"format": "pcm", "sample_rate": 16_000}, "pcm", "audio/pcm", 16_000),
        ({"format": None, "response_format": "aac", "sample_rate": 8000}, "aac", "audio/aac", 8000),
        ({"format": "wav", "sample_rate": 44_100}, "wav", "audio/wav", 44_100),
    ],
)
def test_a_format_and_a_rate_are_what_is_asked_for(client: TestClient, fields: Any, form: str, media_type: str, rate: int) -> None:
    answer = say(client, **fields)
    data = audio_in(answer)
    body = answer.json()
    assert (body["response_format"], body["media_type"], body["sample_rate"]) == (form, media_type, rate)
    if form == "pcm":
        assert len(data) / 2 / rate == pytest.approx(len(samples(audio_in(say(client)))) / RATE, abs=0.01)
    else:
        assert transcript(client, data) == SENTENCE


@pytest.mark.parametrize(
    ("headers", "fields"),
    [({}, {"stream": True}), ({"Accept": "audio/*"}, {}), ({"Accept": "audio/wav, application/json"}, {"stream": False})],
)
def test_raw_audio_has_headers_that_describe_it(client: TestClient, headers: dict[str, str], fields: Any) -> None:
    answer = say(client, headers=headers, **fields, format="wav", reference_id="tone", sample_rate=16_000)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    described = [answer.headers[name] for name in ("x-audio-format", "x-sample-rate", "x-reference-id")]
    assert described == ["wav", "16000", "tone"]
    assert transcript(client, answer.content) == SENTENCE


def test_events_carry_the_same_file_in_parts(client: TestClient) -> None:
    answer = say(client, headers={"Accept": "text/event-stream"}, format="wav")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-sample-rate"] == str(RATE)
    events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in answer.text.split("\n\n") if event]
    assert {event["event"] for event in events[:-1]} == {"audio_chunk"}
    assert events[-1] == {"event": "done", "data": "{}"}
    data = b"".join(base64.b64decode(json.loads(event["data"])["audio_base64"]) for event in events[:-1])
    assert transcript(client, data) == SENTENCE


@pytest.mark.parametrize("reference", ["default", "", None, "tone", "alloy"])
def test_a_reference_id_names_a_voice_of_this_server(client: TestClient, reference: str | None) -> None:
    answer = say(client, reference_id=reference)
    assert transcript(client, audio_in(answer)) == SENTENCE
    assert answer.json()["reference_id"] == reference


def test_input_is_another_name_of_text(client: TestClient) -> None:
    answer = client.post(PATH, json={"input": SENTENCE})
    assert transcript(client, audio_in(answer)) == SENTENCE


def test_volume_is_a_gain_in_db_that_does_not_clip(client: TestClient) -> None:
    plain = peak_db(audio_in(say(client)))
    assert peak_db(audio_in(say(client, volume=-6))) == pytest.approx(plain - 6, abs=0.2)
    assert -1.5 < peak_db(audio_in(say(client, volume=24))) <= -0.9
    assert peak_db(audio_in(say(client, volume=0))) == plain


def test_speed_changes_the_duration(client: TestClient) -> None:
    plain, fast = (len(samples(audio_in(say(client, speed=speed)))) for speed in (1, 2))
    assert fast == pytest.approx(plain / 2, rel=0.1)


def test_normalize_is_that_of_the_request_and_else_that_of_the_server(tones_settings: Settings) -> None:
    settings = tones_settings.model_copy(update={"tts_normalize_output": True})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        usual, normalized, plain = (peak_db(audio_in(say(client, normalize=value))) for value in (None, True, False))
    assert usual == normalized
    assert abs(plain - normalized) > 0.5


def test_options_that_the_model_does_not_have_are_accepted(client: TestClient) -> None:
    more: dict[str, Any] = {"top_p": 0.8, "temperature": 0.7, "chunk_length": 200, "latency": "balanced", "unknown": [1]}
    assert transcript(client, audio_in(say(client, **more))) == SENTENCE
    nothing: dict[str, Any] = dict.fromkeys(
        ["top_p", "temperature", "chunk_length", "latency", "speed", "volume", "references", "normalize", "stream"]
    )
    assert transcript(client, audio_in(say(client, **nothing))) == SENTENCE


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"text": None}, "text"), ({"text": " "}, "text"), ({"text": 3}, "text"), ({"text": "a" * 5000}, "text"),
        ({"format": "midi"}, "format"), ({"sample_rate": 100}, "sample_rate"), ({"sample_rate": 96_000}, "sample_rate"),
        ({"speed": 9}, "speed"), ({"volume": 100}, "volume"), ({"volume": "loud"}, "volume"), ({"top_p": 2}, "top_p"),
        ({"temperature": 3}, "temperature"), ({"chunk_length": 0}, "chunk_length"), ({"latency": "never"}, "latency"),
        ({"reference_id": "nobody"}, "reference_id"), ({"references": "x"}, "references"), ({"references": ["?"]}, "references"),
        ({"references": ["AAAA"]}, "references"), ({"references": ["AAAA"] * 9}, "references"), ({"normalize": "yes?"}, "normalize"),
        ({"stream": "maybe"}, "stream"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_in_the_detail(client: TestClient, fields: Any, name: str) -> None:
    answer = say(client, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() == {"detail"}
    assert f"`{name}`" in answer.json()["detail"]


@pytest.mark.parametrize(("content", "kind"), [(b"{", "application/json"), (b"[1]", "application/json"), (b"x=1", "text/plain"), (b"", "")])
def test_a_body_that_is_no_json_object_is_refused(client: TestClient, content: bytes, kind: str) -> None:
    answer = client.post(PATH, content=content, headers={"Content-Type": kind} if kind else {})
    assert (answer.status_code, answer.json().keys()) == (400, {"detail"})


def test_a_body_over_the_limit_is_refused_with_413(client: TestClient) -> None:
    answer = client.post(PATH, content=b" " * (20 << 20), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json().keys()) == (413, {"detail"})


def noise(seconds: float, seed: int) -> Audio:
    return Audio(np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * RATE)).astype(np.float32), RATE)


def test_a_recording_is_ignored_with_a_warning_by_a_model_that_does_not_clone(client: TestClient) -> None:
    encoded = client.post("/v1/encode-reference", files={"file": ("me.wav", wav_bytes(noise(1.5, 1)))}).json()["reference_base64"]
    answer = say(client, references=[encoded, encoded])
    assert transcript(client, audio_in(answer)) == SENTENCE
    assert "'references'" in answer.headers["warning"].replace("`", "'")
    assert "first" in answer.headers["warning"]
    strict = say(client, references=[encoded], ignore_unsupported=False)
    assert strict.status_code == 400
    assert "`references`" in strict.json()["detail"]


def test_a_stored_voice_of_a_model_that_does_not_clone_is_refused(client: TestClient) -> None:
    form: Any = {"data": {"name": "Eve", "consent": "Yes."}, "files": {"audio_sample": ("me.wav", wav_bytes(noise(1.5, 1)))}}
    stored = client.post("/v1/audio/voices", **form).json()
    for name in ("Eve", stored["id"]):
        answer = say(client, reference_id=name)
        assert answer.status_code == 400
        assert "does not clone voices" in answer.json()["detail"]


def test_a_request_without_anything_to_warn_of_has_no_warning(client: TestClient) -> None:
    assert "warning" not in say(client).headers
