from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.audio import Audio, silence
from open_speech.codecs import wav_bytes
from tests.tones_app import SENTENCE

PATH = "/v1/speech-to-text"


def send(client: TestClient, data: bytes, headers: dict[str, str] | None = None, **fields: str) -> Any:
    return client.post(PATH, files={"file": ("sample.wav", data)}, data=fields, headers=headers)


@pytest.mark.parametrize("form", [None, "json", "verbose_json", "JSON"])
def test_a_transcript_has_exactly_the_keys_of_gemmavoice(client: TestClient, clip: bytes, form: str | None) -> None:
    answer = send(client, clip, response_format=form or "", language="en", prompt="Names.", temperature="0.2")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"text", "language", "segments"}
    assert (body["text"], body["language"]) == (SENTENCE, "en")
    assert [segment.keys() for segment in body["segments"]] == [{"id", "start", "end", "text"}]
    (segment,) = body["segments"]
    assert (segment["id"], segment["text"]) == (0, SENTENCE)
    assert 0 <= segment["start"] < segment["end"]


@pytest.mark.parametrize(("form", "beginning"), [("text", SENTENCE), ("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n")])
def test_text_and_subtitles_are_bodies_of_their_own(client: TestClient, clip: bytes, form: str, beginning: str) -> None:
    answer = send(client, clip, response_format=form)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith(beginning)
    assert SENTENCE in answer.text


def test_silence_is_a_transcript_without_text(client: TestClient) -> None:
    answer = send(client, wav_bytes(silence(1.0, 16_000)))
    assert answer.status_code == 200
    assert (answer.json()["text"], answer.json()["segments"]) == ("", [])


def test_the_fields_of_elevenlabs_change_nothing(client: TestClient, clip: bytes) -> None:
    answer = send(client, clip, headers={"xi-api-key": "k"}, model_id="scribe_v1", diarize="true")
    assert answer.json().keys() == {"text", "language", "segments"}
    assert answer.json()["text"] == SENTENCE


@pytest.mark.parametrize(
    ("data", "fields", "words"),
    [
        (b"", {}, "`file` is empty."),
        (b"no audio at all", {}, ""),
        (None, {"temperature": "2"}, "`temperature`"),
        (None, {"temperature": "warm"}, "`temperature`"),
        (None, {"response_format": "diarized_json"}, "`response_format`"),
        (None, {"response_format": "pdf"}, "`response_format`"),
        (None, {"language": "klingonese"}, "`language`"),
    ],
)
def test_a_bad_request_is_named_in_the_detail(client: TestClient, clip: bytes, data: bytes | None, fields: Any, words: str) -> None:
    answer = send(client, clip if data is None else data, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() == {"detail"}
    assert words in answer.json()["detail"]
    assert answer.json()["detail"]


def test_a_form_without_a_file_and_a_body_that_is_no_form_are_refused(client: TestClient) -> None:
    without = client.post(PATH, files={"other": ("x", b"x")})
    assert (without.status_code, without.json()) == (400, {"detail": "The required parameter `file` is missing."})
    assert client.post(PATH, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 400


def test_a_file_over_the_limit_is_refused_with_413(client: TestClient) -> None:
    answer = send(client, bytes(5 << 20))
    assert (answer.status_code, answer.json().keys()) == (413, {"detail"})


def test_a_file_on_disk_is_transcribed_as_one_in_memory(client: TestClient, clip: bytes) -> None:
    noise = np.zeros(60 * 16_000, np.float32)
    long = wav_bytes(Audio(noise, 16_000))
    assert len(long) > 1 << 20
    assert send(client, long).json()["text"] == ""
    assert client.post(PATH, files={"file": ("a.wav", io.BytesIO(clip))}).json()["text"] == SENTENCE


def test_another_method_is_refused_in_the_same_format(client: TestClient) -> None:
    answer = client.get(PATH)
    assert (answer.status_code, answer.headers["allow"], answer.json().keys()) == (405, "POST", {"detail"})
