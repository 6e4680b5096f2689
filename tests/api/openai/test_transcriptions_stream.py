from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.audio import concat, silence
from open_speech.backends import STT_RATE
from open_speech.codecs import decode, wav_bytes

PATH = "/v1/audio/transcriptions"
SENTENCE = "Hello there world."


@pytest.fixture(scope="module")
def twice(spoken: Callable[[str], bytes]) -> bytes:
    """SENTENCE, a second of silence, and SENTENCE again."""
    once = decode(spoken("wav"), STT_RATE, max_seconds=60)
    return wav_bytes(concat([once, silence(1.0, STT_RATE), once], STT_RATE))


def post(client: TestClient, clip: bytes, **data: Any) -> Any:
    fields = {"model": "gpt-4o-transcribe", "stream": "true", **data}
    return client.post(PATH, files={"file": ("clip.wav", clip, "audio/wav")}, data=fields)


def events(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_a_stream_of_events_adds_up_to_the_text(client: TestClient, clip: bytes, value: str) -> None:
    answer = post(client, clip, stream=value)
    assert answer.headers["content-type"].startswith("text/event-stream")
    delta, done = events(answer)
    assert (delta["type"], done["type"]) == ("transcript.text.delta", "transcript.text.done")
    assert delta["delta"] == done["text"] == SENTENCE
    assert done["usage"]["total_tokens"] > 0


def test_each_segment_is_a_delta_of_its_own(client: TestClient, twice: bytes) -> None:
    first, second, done = events(post(client, twice))
    assert (first["delta"], second["delta"]) == (SENTENCE, f" {SENTENCE}")
    assert done["text"] == f"{SENTENCE} {SENTENCE}"


def test_a_large_file_stays_open_until_its_last_segment(client: TestClient, twice: bytes) -> None:
    large = decode(twice, STT_RATE, max_seconds=60)
    long = wav_bytes(concat([large, silence(50, STT_RATE), large], STT_RATE))
    assert len(long) > 1 << 20
    assert events(post(client, long))[-1]["text"] == " ".join([SENTENCE] * 4)


def test_silence_is_one_event(client: TestClient) -> None:
    (done,) = events(post(client, wav_bytes(silence(1.0, STT_RATE))))
    assert (done["type"], done["text"]) == ("transcript.text.done", "")


def test_logprobs_and_languages_are_in_the_events_when_asked_for(client: TestClient, clip: bytes) -> None:
    delta, done = events(post(client, clip, model="gpt-transcribe", **{"include[]": "logprobs"}))
    assert delta["logprobs"] == done["logprobs"] == []
    assert done["languages"] == [{"code": "en"}]


def test_whisper_1_answers_whole_even_when_asked_to_stream(client: TestClient, clip: bytes) -> None:
    assert post(client, clip, model="whisper-1").json()["text"] == SENTENCE


def test_what_goes_wrong_before_the_first_event_has_its_own_status(client: TestClient) -> None:
    answer = post(client, b"This is a letter, not a sound.")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert post(client, b"", model="nobody").status_code == 404


@pytest.mark.parametrize("form", ["srt", "vtt", "verbose_json"])
def test_what_is_written_whole_cannot_be_streamed(client: TestClient, clip: bytes, form: str) -> None:
    error = post(client, clip, response_format=form).json()["error"]
    assert (error["param"], error["code"]) == ("stream", "unsupported_value")


def test_a_stream_tells_times_when_it_is_asked_for_them(client: TestClient, twice: bytes) -> None:
    first, second, done = events(post(client, twice, **{"timestamp_granularities[]": "segment"}))
    assert first["start"] < first["end"] < second["start"] < second["end"] <= done["duration"]
    assert done["language"] == "en"
    assert "words" not in first
    words = events(post(client, twice, **{"timestamp_granularities[]": ["segment", "word"]}))[0]["words"]
    assert [word["word"] for word in words] == SENTENCE.split()
    assert all(word["start"] < word["end"] for word in words)


def test_a_stream_has_openais_fields_and_no_other_when_no_times_are_asked_for(client: TestClient, clip: bytes) -> None:
    delta, done = events(post(client, clip))
    assert (delta.keys(), done.keys()) == ({"type", "delta"}, {"type", "text", "usage"})
