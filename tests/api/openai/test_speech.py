from __future__ import annotations

import base64
import io
import json
from typing import Any

import av
import pytest
from starlette.testclient import TestClient

from open_speech.audio import from_pcm16
from open_speech.codecs import MEDIA_TYPES, decode, loudness
from open_speech.config.types import AudioFormat
from open_speech.synthesis.postprocess import TARGET_LUFS

PATH = "/v1/audio/speech"
SENTENCE = "Hello there world."
BODY = {"model": "tts-1", "input": SENTENCE, "voice": "alloy"}


def error_of(answer: Any) -> dict[str, Any]:
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    return dict(body["error"])


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format_has_a_truthful_type_and_its_full_length(client: TestClient, form: AudioFormat) -> None:
    whole = client.post(PATH, json=BODY | {"response_format": "pcm"})
    answer = client.post(PATH, json=BODY | {"response_format": form})
    assert answer.headers["content-type"] == MEDIA_TYPES[form]
    assert "content-length" not in answer.headers
    expected_s = len(whole.content) / 2 / 24_000
    assert decode(answer.content, 24_000, max_seconds=60).seconds == pytest.approx(expected_s, abs=0.1)


def test_pcm_is_bare_samples_at_24_khz(client: TestClient) -> None:
    answer = client.post(PATH, json=BODY | {"response_format": "pcm"})
    assert answer.headers["content-type"] == "audio/pcm"
    assert len(answer.content) % 2 == 0
    assert 0.3 < len(answer.content) / 2 / 24_000 < 3


def test_mp3_is_the_default(client: TestClient) -> None:
    assert client.post(PATH, json=BODY).headers["content-type"] == "audio/mpeg"
    assert client.post(PATH, json=BODY | {"response_format": None}).headers["content-type"] == "audio/mpeg"


def test_a_streamed_wav_starts_with_a_whole_header(client: TestClient) -> None:
    content = client.post(PATH, json=BODY | {"response_format": "wav"}).content
    assert (content[:4], content[8:16], content[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")


@pytest.mark.parametrize(
    "extra",
    [
        {"voice": {"id": "tone"}},
        {"voice": None},
        {"voice": "tone"},
        {"instructions": None},
        {"instructions": "Whisper."},
        {"lang_code": "a", "return_download_link": True, "stream": True},
        {"speed": "1.5"},
        {"speed": 0.25},
        {"speed": 4},
        {"stream_format": None},
    ],
    ids=str,
)
def test_what_clients_send_is_taken(client: TestClient, extra: dict[str, Any]) -> None:
    assert client.post(PATH, json=BODY | extra).status_code == 200


def test_speed_changes_the_length(client: TestClient) -> None:
    fast, slow = (client.post(PATH, json=BODY | {"response_format": "pcm", "speed": speed}) for speed in (2, 0.5))
    assert len(slow.content) > 2 * len(fast.content)


@pytest.mark.parametrize(
    ("extra", "status", "param", "code"),
    [
        ({"model": "nobody"}, 404, "model", "model_not_found"),
        ({"model": "whisper-1"}, 400, "model", "model_wrong_task"),
        ({"voice": "nobody"}, 400, "voice", "voice_not_found"),
        ({"voice": 5}, 400, "voice", "invalid_value"),
        ({"voice": {}}, 400, "voice", "invalid_value"),
        ({"input": ""}, 400, "input", "missing_required_parameter"),
        ({"input": " \n"}, 400, "input", "missing_required_parameter"),
        ({"input": "a" * 5000}, 400, "input", "string_above_max_length"),
        ({"input": ["a"]}, 400, "input", "invalid_value"),
        ({"speed": 0}, 400, "speed", "decimal_out_of_range"),
        ({"speed": 9}, 400, "speed", "decimal_out_of_range"),
        ({"speed": "fast"}, 400, "speed", "invalid_value"),
        ({"response_format": "ogg"}, 400, "response_format", "invalid_value"),
        ({"stream_format": "lines"}, 400, "stream_format", "invalid_value"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_bad_field_is_named_before_any_sound(
    client: TestClient, extra: dict[str, Any], status: int, param: str, code: str, stream_format: str
) -> None:
    answer = client.post(PATH, json=BODY | {"stream_format": stream_format} | extra)
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)


def test_a_missing_text_is_named(client: TestClient) -> None:
    error = error_of(client.post(PATH, json={key: value for key, value in BODY.items() if key != "input"}))
    assert (error["param"], error["code"]) == ("input", "missing_required_parameter")


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}, {"model": "tts-1"}, {"model": "tones%2Fspeak"}])
def test_without_a_model_the_default_one_speaks(client: TestClient, model: dict[str, Any]) -> None:
    body = {key: value for key, value in BODY.items() if key != "model"} | model
    assert client.post(PATH, json=body).content == client.post(PATH, json=BODY).content


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"model": "tts-1",', "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'"text"', "application/json"),
        (b"[1]", "application/json"),
        (json.dumps(BODY).encode(), "text/plain"),
        (b"model=tts-1&input=hello", "application/x-www-form-urlencoded"),
    ],
    ids=["half", "empty", "no utf-8", "string", "list", "text", "form"],
)
def test_a_body_that_is_no_json_object_is_a_bad_request(client: TestClient, body: bytes, kind: str) -> None:
    answer = client.post(PATH, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert error_of(answer)["type"] == "invalid_request_error"


@pytest.mark.parametrize("speed", ["NaN", "Infinity"])
def test_a_number_that_is_none_is_out_of_range(client: TestClient, speed: str) -> None:
    body = json.dumps(BODY)[:-1] + f', "speed": {speed}}}'
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "speed")


def test_events_carry_the_same_sound_and_end_with_usage(client: TestClient) -> None:
    plain = client.post(PATH, json=BODY | {"response_format": "pcm"})
    answer = client.post(PATH, json=BODY | {"response_format": "pcm", "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == plain.content
    usage = events[-1]["usage"]
    assert events[-1]["type"] == "speech.audio.done"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] == pytest.approx(20 * len(plain.content) / 48_000, abs=1)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_a_rate_that_is_asked_for_is_the_rate_of_the_sound(client: TestClient, form: AudioFormat, rate: int) -> None:
    plain = client.post(PATH, json=BODY | {"response_format": "pcm"})
    content = client.post(PATH, json=BODY | {"response_format": form, "sample_rate": rate}).content
    if form == "pcm":
        sound = from_pcm16(content, rate)
    else:
        sound = decode(content, rate, max_seconds=60)
        with av.open(io.BytesIO(content)) as file:
            assert file.streams.audio[0].rate == (48_000 if form == "opus" else rate)  # Opus is always decoded to 48 kHz
    # A codec's frames are longer at a low rate: 128 ms of AAC at 8 kHz.
    assert sound.seconds == pytest.approx(len(plain.content) / 48_000, abs=0.3)


@pytest.mark.parametrize("rate", [7999, 48_001, 0, -1])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_rate_out_of_range_is_named(client: TestClient, rate: int, stream_format: str) -> None:
    answer = client.post(PATH, json=BODY | {"sample_rate": rate, "stream_format": stream_format})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "sample_rate")


def test_speech_is_as_loud_as_the_target_and_nothing_is_louder_than_full_scale(client: TestClient) -> None:
    content = client.post(PATH, json=BODY | {"response_format": "pcm", "input": " ".join([SENTENCE] * 5)}).content
    assert loudness(from_pcm16(content, 24_000)) == pytest.approx(TARGET_LUFS, abs=1.0)


def test_ssml_is_spoken_and_what_is_not_well_formed_is_refused(client: TestClient) -> None:
    request = {"model": "tts-1", "input": "<speak>Room <say-as interpret-as='digits'>12</say-as></speak>", "response_format": "wav"}
    sound = client.post("/v1/audio/speech", json=request).content
    heard = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", sound)}, data={"model": "whisper-1"}).json()
    assert heard["text"] == "Room one two"
    refused = client.post("/v1/audio/speech", json=request | {"input": "a < b", "input_type": "ssml"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")
    assert client.post("/v1/audio/speech", json=request | {"input_type": "html"}).status_code == 400
