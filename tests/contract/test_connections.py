"""What happens on the wire when one side does not keep to the plan. Each test speaks to a real socket."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openai import APIError, OpenAI

from open_speech.audio import silence
from open_speech.backends import STT_RATE
from open_speech.codecs import wav_bytes
from tests.waiting import PATIENCE_S, until

GOOD_THEN = "This first sentence is spoken without any trouble at all, as it should be. And here we "
HEAD = (
    "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n"
    "Content-Type: multipart/form-data; boundary=edge\r\n"
)
PART = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def body(end: str, **extra: str) -> dict[str, str]:
    return {"model": "mouth", "input": f"{GOOD_THEN}{end}.", "response_format": "pcm", **extra}


def connect(server: str) -> socket.socket:
    address = urlsplit(server)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE_S)


def raw(request: httpx.Request) -> bytes:
    """Write a request as it is sent, for a client that leaves when it likes."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"{request.method} {request.url.path} HTTP/1.1\r\n{headers}\r\n".encode() + request.read()


def test_speech_that_fails_on_the_way_is_seen_as_an_error(moody_server: tuple[str, Any]) -> None:
    received = 0
    with httpx.stream("POST", f"{moody_server[0]}/v1/audio/speech", json=body("break"), timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            for chunk in answer.iter_bytes():
                received += len(chunk)
    assert received > 0


def test_the_sdk_sees_speech_that_fails_on_the_way(moody_server: tuple[str, Any]) -> None:
    with (
        OpenAI(base_url=f"{moody_server[0]}/v1", api_key="x", max_retries=0) as sdk,
        sdk.audio.speech.with_streaming_response.create(**body("break", voice="ann")) as answer,  # type: ignore[arg-type]
        pytest.raises(Exception, match="without sending complete message body"),
    ):
        list(answer.iter_bytes())


def test_speech_that_fails_at_once_has_a_status(moody_server: tuple[str, Any]) -> None:
    answer = httpx.post(f"{moody_server[0]}/v1/audio/speech", json=body("") | {"input": "break"}, timeout=PATIENCE_S)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


def test_events_that_fail_on_the_way_end_in_an_error_event(moody_server: tuple[str, Any]) -> None:
    answer = httpx.post(f"{moody_server[0]}/v1/audio/speech", json=body("break", stream_format="sse"), timeout=PATIENCE_S)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert {event.get("type") for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["error"]["code"] == "backend_unavailable"


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_listener_that_leaves_stops_the_synthesis(moody_server: tuple[str, Any], stream_format: str) -> None:
    url, runner = moody_server
    runner.left.clear()
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=body("hang", stream_format=stream_format), timeout=PATIENCE_S) as answer:
        next(answer.iter_bytes())
    assert runner.left.wait(PATIENCE_S)


def test_a_caller_that_leaves_before_the_first_sound_stops_the_synthesis(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.speaks.clear()
    with connect(url) as client:
        client.sendall(raw(httpx.Request("POST", f"{url}/v1/audio/speech", json=body("") | {"input": "hang"})))
        assert runner.speaks.wait(PATIENCE_S)
    assert runner.left.wait(PATIENCE_S)


def test_a_caller_that_leaves_stops_the_transcription(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.hears.clear()
    clip = httpx.post(f"{url}/v1/audio/speech", json=body("ends well", response_format="wav"), timeout=PATIENCE_S).content
    with connect(url) as client:
        client.sendall(raw(httpx.Request("POST", f"{url}/v1/audio/transcriptions", data={"model": "ear"}, files={"file": clip})))
        assert runner.hears.wait(PATIENCE_S)
    assert runner.left.wait(PATIENCE_S)


@contextmanager
def listening(server: str, prompt: str) -> Iterator[httpx.Response]:
    """Have a second of silence transcribed as events."""
    data = {"model": "ear", "stream": "true", "prompt": prompt}
    files = {"file": wav_bytes(silence(1.0, STT_RATE))}
    with httpx.stream("POST", f"{server}/v1/audio/transcriptions", data=data, files=files, timeout=PATIENCE_S) as answer:
        yield answer


def test_what_was_heard_first_arrives_before_the_rest_is_heard(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.go_on.clear()
    with listening(url, "wait") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert json.loads(next(lines).removeprefix("data: "))["delta"] == "heard"
        runner.go_on.set()
        rest = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event.get("delta") or event["text"] for event in rest] == [" more", "heard more"]


def test_a_transcription_that_fails_on_the_way_ends_in_an_error_event(moody_server: tuple[str, Any]) -> None:
    with listening(moody_server[0], "break") as answer:
        delta, error = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)
    assert answer.status_code == 200
    assert delta["delta"] == "heard"
    assert error["error"]["code"] == "backend_failed"


def test_the_sdk_sees_a_transcription_that_fails_on_the_way(moody_server: tuple[str, Any]) -> None:
    with OpenAI(base_url=f"{moody_server[0]}/v1", api_key="x", max_retries=0) as sdk:
        file = ("a.wav", wav_bytes(silence(1.0, STT_RATE)))
        events = sdk.audio.transcriptions.create(model="ear", file=file, stream=True, prompt="break")
        assert next(iter(events)).type == "transcript.text.delta"
        with pytest.raises(APIError, match="The engine broke"):
            list(events)


def test_a_listener_that_leaves_stops_the_transcription(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    with listening(url, "hang") as answer:
        next(answer.iter_lines())
    assert runner.left.wait(PATIENCE_S)


def test_a_client_that_leaves_while_it_sends_is_no_error(server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        with connect(server) as client:
            client.sendall(f"{HEAD}Content-Length: 500000\r\n\r\n".encode() + PART + bytes(100_000))
            time.sleep(0.1)
        until(lambda: any("client disconnected" in record.getMessage() for record in caplog.records), why=lambda: "nobody noticed")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_length_over_the_limit_is_refused_before_the_body_is_sent(server: str) -> None:
    with connect(server) as client:
        client.sendall(f"{HEAD}Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Maximum content size limit (1048576) exceeded (5000000 bytes read)" in answer


def test_a_body_without_a_length_is_refused_at_the_limit(server: str) -> None:
    def endless() -> Iterator[bytes]:
        yield PART
        for _ in range(40):
            yield bytes(65_536)

    head = {"Authorization": "Bearer sesame", "Content-Type": "multipart/form-data; boundary=edge"}
    answer = httpx.post(f"{server}/v1/audio/transcriptions", content=endless(), headers=head, timeout=PATIENCE_S)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert answer.json()["error"]["type"] == "server_error"


def test_a_wrong_key_is_told_even_to_a_client_that_is_still_sending(server: str) -> None:
    answer = httpx.post(
        f"{server}/v1/audio/transcriptions", files={"file": bytes(4 << 20)}, headers={"api-key": "wrong"}, timeout=PATIENCE_S
    )
    assert answer.status_code == 401


def test_many_clients_that_leave_leak_no_file(server: str) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to count open files")
    before = open_files()
    for _ in range(20):
        with connect(server) as client:
            client.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
            for chunk in (PART, bytes(900_000)):
                client.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    until(lambda: open_files() <= before, why=lambda: "files are still open")
