from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.openai.transcriptions import BATCH_FILES

PATH = "/v1/audio/transcriptions/batch"
SENTENCE = "Hello there world."


def post(client: TestClient, *files: tuple[str, bytes], part: str = "file", **data: Any) -> Any:
    return client.post(PATH, files=[(part, file) for file in files], data={"model": "whisper-1", **data})


@pytest.mark.parametrize("part", ["file", "files", "file[]", "files[]"])
def test_each_file_has_its_text_in_its_place(client: TestClient, clip: bytes, part: str) -> None:
    body = post(client, ("a.wav", clip), ("b.wav", clip), part=part).json()
    assert body["object"] == "list"
    assert [(item["index"], item["filename"], item["text"]) for item in body["data"]] == [(0, "a.wav", SENTENCE), (1, "b.wav", SENTENCE)]
    assert body["data"][0]["usage"] == {"type": "duration", "seconds": 1}


def test_a_bad_file_does_not_fail_the_others(client: TestClient, clip: bytes) -> None:
    answer = post(client, ("a.wav", b"a letter"), ("b.wav", clip), ("c.wav", b""))
    assert answer.status_code == 200
    bad, good, empty = answer.json()["data"]
    assert good["text"] == SENTENCE
    assert bad["error"].keys() == empty["error"].keys() == {"message", "type", "param", "code"}
    assert bad["error"]["type"] == "invalid_request_error"
    assert "text" not in bad


def test_a_batch_may_be_verbose(client: TestClient, clip: bytes) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    (item,) = post(client, ("a.wav", clip), **fields).json()["data"]
    assert [word["word"] for word in item["words"]] == SENTENCE.split()


def test_a_large_file_in_a_batch_goes_over_the_disk(client: TestClient, clip: bytes) -> None:
    body = post(client, ("a.wav", clip + bytes(2 << 20)), ("b.wav", clip)).json()
    assert [item["text"] for item in body["data"]] == [SENTENCE, SENTENCE]


@pytest.mark.parametrize(
    ("data", "param", "code"),
    [
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"response_format": "srt"}, "response_format", "unsupported_value"),
        ({"temperature": "2"}, "temperature", "decimal_out_of_range"),
    ],
)
def test_a_bad_field_fails_the_whole(client: TestClient, clip: bytes, data: dict[str, str], param: str, code: str) -> None:
    answer = post(client, ("a.wav", clip), **data)
    assert answer.status_code >= 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


@pytest.mark.parametrize("count", [BATCH_FILES + 1, BATCH_FILES + 2])
def test_a_batch_has_a_bounded_number_of_files(client: TestClient, count: int) -> None:
    answer = post(client, *[("a.wav", b"x")] * count)
    assert answer.status_code == 400
    assert "file" in answer.json()["error"]["message"].lower()


def test_a_batch_without_a_file_names_what_is_missing(client: TestClient) -> None:
    answer = client.post(PATH, files={"other": ("a.wav", b"x")}, data={"model": "whisper-1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_a_batch_is_a_form(client: TestClient) -> None:
    assert client.post(PATH, json={"model": "whisper-1"}).status_code == 400
