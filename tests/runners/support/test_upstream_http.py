"""What a server's refusals come to, and that the key is told to nobody."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    InvalidAudio,
    InvalidValue,
    Overloaded,
    SpeechError,
    TextTooLong,
    UnknownModel,
    UnknownVoice,
    UnsupportedLanguage,
)
from runners.support.retry import Busy, Patience
from runners.support.upstream_http import Address, Answer, Told, Upstream, refusal, told_of
from tests.waiting import PATIENCE_S

OPENAI = {"error": {"message": "No voice `x`.", "type": "invalid_request_error", "param": "voice", "code": "voice_not_found"}}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (OPENAI, Told("No voice `x`.", "voice", "voice_not_found")),
        ({"error": "plain"}, Told("plain")),
        ({"detail": "Not Found"}, Told("Not Found")),
        ({"detail": [{"loc": ["body", "voice"], "msg": "field required"}]}, Told("field required", "voice")),
        ({"message": "no"}, Told("no")),
        ("Bad  Gateway\n", Told("Bad Gateway")),
        ([1], Told("[1]")),
        ({"error": {"message": "x", "param": 3, "code": 400}}, Told("x")),
    ],
)
def test_every_kind_of_error_body_is_read(body: Any, told: Told) -> None:
    assert told_of(body.encode() if isinstance(body, str) else json.dumps(body).encode(), "") == told


def test_a_key_that_the_server_repeats_is_not_passed_on() -> None:
    assert "s3cret" not in told_of(b'{"error": {"message": "Incorrect API key: s3cret-1"}}', "s3cret-1").message


@pytest.mark.parametrize(
    ("status", "told", "error", "param"),
    [
        (400, Told("no", "voice"), UnknownVoice, "voice"),
        (400, Told("Voice x is unknown"), UnknownVoice, "voice"),
        (404, Told("no", None, "model_not_found"), UnknownModel, "model"),
        (404, Told("Not Found"), BackendFailed, None),
        (400, Told("no", "language"), UnsupportedLanguage, "language"),
        (400, Told("no", "file"), InvalidAudio, "file"),
        (400, Told("long", "input", "string_above_max_length"), TextTooLong, "input"),
        (422, Told("no", "response_format"), InvalidValue, "response_format"),
        (401, Told("no"), BackendFailed, None),
        (429, Told("no", None, "insufficient_quota"), BackendFailed, None),
        (301, Told(""), BackendFailed, None),
    ],
)
def test_a_refusal_names_the_field_at_fault(status: int, told: Told, error: type[SpeechError], param: str | None) -> None:
    refused = refusal(status, told, "", "STT_UPSTREAM")
    assert type(refused) is error
    assert refused.param == param


@pytest.mark.parametrize(("status", "error"), [(429, Overloaded), (500, BackendFailed), (503, BackendUnavailable), (408, BackendFailed)])
def test_what_may_pass_is_asked_again(status: int, error: type[SpeechError]) -> None:
    refused = refusal(status, Told("no"), "3", "STT_UPSTREAM")
    assert isinstance(refused, Busy)
    assert isinstance(refused.error, error)
    assert refused.wait_s == (3.0 if status == 429 else 0.0)


def test_a_refused_key_names_the_setting_and_not_the_key() -> None:
    assert "TTS_UPSTREAM_API_KEY" in str(refusal(401, Told("no"), "", "TTS_UPSTREAM"))


def read(answer: Answer) -> Iterator[bytes]:
    yield from answer.chunks


def client(url: str, *, timeout_s: float = 5, retries: int = 0, key: str = "") -> Upstream:
    return Upstream(Address(url, key, "STT_UPSTREAM"), Patience(timeout_s, retries))


def test_the_key_goes_to_the_server_and_into_no_log(upstream: Any, json_reply: Callable[..., Any], caplog: Any) -> None:
    upstream.replies["/v1/x"] = [json_reply({"error": "you sent s3cret"}, status=500), json_reply({})]
    caplog.set_level(logging.DEBUG)
    list(client(upstream.url, key="s3cret", retries=1).post("/x", read, json={}))
    assert {seen.headers["Authorization"] for seen in upstream.seen} == {"Bearer s3cret"}
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(Address(upstream.url, "s3cret"))


def test_no_key_is_sent_where_there_is_none(upstream: Any, json_reply: Callable[..., Any]) -> None:
    upstream.replies["/v1/x"] = [json_reply({})]
    list(client(upstream.url).post("/x", read, json={}))
    assert "Authorization" not in upstream.seen[0].headers


def test_a_redirect_is_not_followed_with_the_key(upstream: Any) -> None:
    upstream.replies["/v1/x"] = [lambda management: management.say(307, "text/plain", headers={"Location": "/v1/elsewhere"})]
    with pytest.raises(BackendFailed):
        list(client(upstream.url, key="s3cret").post("/x", read, json={}))
    assert [seen.path for seen in upstream.seen] == ["/v1/x"]


@pytest.mark.parametrize("dribbles", [False, True])
def test_a_server_that_does_not_come_to_an_end_is_left(upstream: Any, dribbles: bool) -> None:
    left = threading.Event()

    def reply(management: Any) -> None:
        if not dribbles:
            left.wait(PATIENCE_S)
            return
        management.say(200, "audio/pcm", end=False)
        while not left.wait(0.05):
            management.piece(b"12")

    upstream.replies["/v1/x"] = [reply]
    with pytest.raises(BackendTimeout):
        list(client(upstream.url, timeout_s=0.3).post("/x", read, json={}))
    left.set()


def test_a_connection_that_breaks_in_the_midst_is_a_failure(upstream: Any) -> None:
    def breaks(management: Any) -> None:
        management.say(200, "audio/pcm", b"12", end=False)
        management.connection.shutdown(2)

    upstream.replies["/v1/x"] = [breaks]
    answer = client(upstream.url, retries=3).post("/x", read, json={})
    assert next(answer) == b"12"
    with pytest.raises(BackendFailed):
        next(answer)
    assert len(upstream.seen) == 1


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(BackendUnavailable):
        list(client("http://127.0.0.1:9/v1").post("/x", read, json={}))


def test_a_body_that_is_no_json_is_a_failure(upstream: Any) -> None:
    upstream.replies["/v1/x"] = [lambda management: management.say(200, "application/json", b"<html>")]
    with pytest.raises(BackendFailed, match="not JSON"):
        list(client(upstream.url).post("/x", lambda answer: iter([answer.json()]), json={}))


def test_a_body_that_is_not_compressed_as_it_says_is_a_failure(upstream: Any) -> None:
    upstream.replies["/v1/x"] = [lambda management: management.say(200, "application/json", b"{}", headers={"Content-Encoding": "gzip"})]
    with pytest.raises(BackendFailed, match="invalid response"):
        list(client(upstream.url).post("/x", read, json={}))
