from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import srt
from starlette.testclient import TestClient

PATH = "/v1/audio/transcriptions"
SENTENCE = "Hello there world."


def part(name: str, value: bytes, *head: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"{"".join(head[:1])}', *head[1:]]
    return b"--edge\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


def raw_form(client: TestClient, *parts: bytes) -> Any:
    """Post a multipart body exactly as a client wrote it."""
    return client.post(PATH, content=b"".join(parts) + b"--edge--\r\n", headers={"Content-Type": "multipart/form-data; boundary=edge"})


def post(client: TestClient, clip: bytes, path: str = PATH, **data: Any) -> Any:
    return client.post(path, files={"file": ("clip.wav", clip, "audio/wav")}, data={"model": "whisper-1", **data})


def test_an_upload_becomes_its_text_and_its_usage(client: TestClient, clip: bytes) -> None:
    answer = post(client, clip)
    assert answer.status_code == 200
    assert answer.json() == {"text": SENTENCE, "usage": {"type": "duration", "seconds": 1}}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_the_server_speaks_it_hears(client: TestClient, spoken: Callable[[str], bytes], form: str) -> None:
    assert post(client, spoken(form)).json()["text"] == SENTENCE


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-transcribe", "tones/listen"])
def test_openai_names_and_our_own_are_models(client: TestClient, clip: bytes, model: str) -> None:
    assert post(client, clip, model=model).json()["text"] == SENTENCE


@pytest.mark.parametrize(
    "granularities",
    [
        {"timestamp_granularities[]": ["word", "segment"]},
        {"timestamp_granularities": ["word", "segment"]},
        {"timestamp_granularities": '["word", "segment"]'},
        {"timestamp_granularities": "word,segment"},
    ],
    ids=["brackets", "repeated", "json", "commas"],
)
def test_words_and_segments_come_in_every_spelling(client: TestClient, clip: bytes, granularities: dict[str, Any]) -> None:
    body = post(client, clip, response_format="verbose_json", **granularities).json()
    assert [word["word"] for word in body["words"]] == SENTENCE.split()
    assert [segment["text"] for segment in body["segments"]] == [f" {SENTENCE}"]
    assert 0 <= body["words"][0]["start"] < body["words"][-1]["end"] <= body["duration"]


def test_verbose_json_lists_segments_unless_only_words_are_asked_for(client: TestClient, clip: bytes) -> None:
    assert "words" not in post(client, clip, response_format="verbose_json").json()
    only_words = post(client, clip, response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    assert "segments" not in only_words
    assert len(only_words["words"]) == 3


def test_subtitles_are_plain_text(client: TestClient, clip: bytes) -> None:
    answer = post(client, clip, response_format="srt")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("1\n00:00:00,")
    assert post(client, clip, response_format="vtt").text.startswith("WEBVTT\n\n00:00:00.")
    assert post(client, clip, response_format="text").text == f"{SENTENCE}\n"


def test_a_file_without_a_content_type_is_taken(client: TestClient, clip: bytes) -> None:
    answer = raw_form(client, part("file", clip, '; filename="audio_file"'), part("model", b"whisper-1"))
    assert answer.json()["text"] == SENTENCE


def test_fields_may_come_before_and_after_the_file(client: TestClient, clip: bytes) -> None:
    answer = raw_form(
        client,
        part("response_format", b"verbose_json"),
        part("file", clip, '; filename="a.wav"', "Content-Type: application/octet-stream"),
        part("timestamp_granularities[]", b"word"),
        part("model", b"whisper-1"),
        part("temperature", b"0"),
        part("language", b""),
        part("stream", b"False"),
        part("some_day", b"ignored"),
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["words"]) == 3


def test_a_json_body_with_base64_audio_is_taken(client: TestClient, clip: bytes) -> None:
    audio = {"data": base64.b64encode(clip).decode(), "format": "wav"}
    answer = client.post(PATH, json={"model": "whisper-1", "input_audio": audio, "language": None, "stream": None})
    assert answer.json()["text"] == SENTENCE


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"[" * 100_000, None),
        (b'{"model": "whisper-1"}', "input_audio"),
        (b'{"model": "whisper-1", "input_audio": "UklGRg=="}', "input_audio"),
        (b'{"model": "whisper-1", "input_audio": {"data": "%%%"}}', "input_audio"),
        ('{"model": "whisper-1", "input_audio": {"data": "ż"}}'.encode(), "input_audio"),
    ],
)
def test_a_bad_json_body_is_refused(client: TestClient, body: bytes, param: str | None) -> None:
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"] == param


def test_an_upload_larger_than_memory_keeps_goes_over_the_disk(client: TestClient, clip: bytes) -> None:
    long = clip + bytes(2 << 20)  # silence behind the words; the wav header leaves its length open
    assert post(client, long).json()["text"] == SENTENCE


@pytest.mark.parametrize(
    ("data", "status", "param", "code"),
    [
        ({"model": "nobody"}, 404, "model", "model_not_found"),
        ({"model": "tts-1"}, 400, "model", "model_wrong_task"),
        ({"response_format": "xml"}, 400, "response_format", "invalid_value"),
        ({"include[]": "secrets"}, 400, "include", "invalid_value"),
        ({"max_line_width": "2"}, 400, "max_line_width", "decimal_out_of_range"),
        ({"diarize": "true", "max_speakers": "1", "min_speakers": "2"}, 400, "max_speakers", "invalid_value"),
        ({"diarize": "true", "known_speaker_names[]": "Ann"}, 400, "known_speaker_references", "invalid_value"),
        ({"temperature": "2"}, 400, "temperature", "decimal_out_of_range"),
        ({"temperature": "-0.1"}, 400, "temperature", "decimal_out_of_range"),
        ({"temperature": "nan"}, 400, "temperature", "decimal_out_of_range"),
        ({"language": "klingonish"}, 400, "language", "unsupported_language"),
        ({"timestamp_granularities[]": "letter"}, 400, "timestamp_granularities", "invalid_value"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, clip: bytes, data: dict[str, Any], status: int, param: str, code: str) -> None:
    answer = post(client, clip, **data)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("content", [b"", b"This is a letter, not a sound.", b"RIFF\0\0\0\0WAVE"], ids=["empty", "text", "only a header"])
def test_what_is_not_audio_is_refused_as_openai_does(client: TestClient, content: bytes) -> None:
    answer = post(client, content)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", None)


def test_a_missing_file_is_named(client: TestClient) -> None:
    answer = raw_form(client, part("model", b"whisper-1"))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"
    assert answer.json()["error"]["code"] == "missing_required_parameter"


def test_a_file_sent_as_text_is_named(client: TestClient) -> None:
    answer = raw_form(client, part("file", b"RIFF"), part("model", b"whisper-1"))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"RIFF", "audio/wav"),
        (b"model=whisper-1", "application/x-www-form-urlencoded"),
        (b"", ""),
        (b"--edge\r\nnonsense", "multipart/form-data; boundary=edge"),
        (b"nonsense", "multipart/form-data; boundary=edge"),
        (b"nonsense", "multipart/form-data"),
    ],
)
def test_a_body_of_the_wrong_kind_is_a_bad_request(client: TestClient, body: bytes, kind: str) -> None:
    answer = client.post(PATH, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_translation_asks_for_the_translate_task(client: TestClient, clip: bytes) -> None:
    error = post(client, clip, "/v1/audio/translations").json()["error"]
    assert error["code"] == "unsupported_value"  # tones are no language to translate; the engine says so itself


def test_the_language_and_its_probability_are_told(client: TestClient, clip: bytes) -> None:
    body = post(client, clip, response_format="verbose_json").json()
    assert (body["language"], body["language_probability"]) == ("english", 1.0)


def test_gpt_transcribe_lists_the_languages_that_were_heard(client: TestClient, clip: bytes) -> None:
    assert post(client, clip, model="gpt-transcribe").json()["languages"] == [{"code": "en"}]
    assert post(client, clip, **{"languages[]": ["en", "de"]}).json()["languages"] == [{"code": "en"}]


def test_logprobs_are_a_list_when_they_are_asked_for(client: TestClient, clip: bytes) -> None:
    assert post(client, clip, **{"include[]": "logprobs"}).json()["logprobs"] == []  # tones leave no doubt to tell of


def test_fields_may_stand_in_the_url_and_those_in_the_form_win(client: TestClient, clip: bytes) -> None:
    assert post(client, clip, f"{PATH}?response_format=text").text == f"{SENTENCE}\n"
    assert post(client, clip, f"{PATH}?response_format=text", response_format="json").json()["text"] == SENTENCE


def test_subtitles_take_a_shape_cut_at_the_times_of_the_words(client: TestClient, clip: bytes) -> None:
    words = post(client, clip, response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()["words"]
    cues = list(srt.parse(post(client, clip, response_format="srt", max_line_width="12", max_line_count="1").text))
    assert [cue.content for cue in cues] == ["Hello there", "world."]
    assert cues[1].start.total_seconds() == pytest.approx(words[2]["start"], abs=0.002)


@pytest.mark.parametrize("fields", [{"diarize": "true"}, {"response_format": "diarized_json"}], ids=str)
def test_speakers_that_nobody_here_can_tell_apart_are_an_error(client: TestClient, clip: bytes, fields: dict[str, str]) -> None:
    answer = post(client, clip, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_verbose_path_lists_words_and_segments(client: TestClient, clip: bytes) -> None:
    body = post(client, clip, f"{PATH}/verbose").json()
    assert [word["word"] for word in body["words"]] == SENTENCE.split()
    assert [segment["text"] for segment in body["segments"]] == [f" {SENTENCE}"]
    assert "segments" not in post(client, clip, f"{PATH}/verbose", **{"timestamp_granularities[]": "word"}).json()


def test_the_verbose_path_is_verbose_json_whatever_else_is_said(client: TestClient, clip: bytes) -> None:
    body = post(client, clip, f"{PATH}/verbose", model="gpt-4o-transcribe", response_format="srt", stream="true").json()
    assert body["task"] == "transcribe"


def test_a_translation_has_its_shape_checked_too(client: TestClient, clip: bytes) -> None:
    error = post(client, clip, "/v1/audio/translations", max_line_count="99").json()["error"]
    assert error["param"] == "max_line_count"
