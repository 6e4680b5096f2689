"""What a hostile client may send, at every door: each bound is answered by an error that says so, never by a 5xx or by silence."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from open_speech.app import create_app
from open_speech.audio import silence
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.growth import assert_linear
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def address(
    serving: Callable[[FastAPI], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    with serving(app_of(tmp_path_factory.mktemp("server"), os_body_timeout_s=0.5)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


JSON_PATHS = ("/v1/audio/speech", "/v1/audio/speech/clone", "/v1/audio/transcriptions", "/v1/realtime/client_secrets")
BODIES = {
    "deep list": b'{"model": "tts-1", "input": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep object": b'{"a":' * 100_000,
    "half of a character": b'{"model": "tts-1", "input": "\\ud800"}',
    "no text": b"\xff\xfe\xfd",
    "nothing": b"null",
    "a long number": b"1" * 10_000,
    "no number": b'{"model": "tts-1", "input": "x", "speed": NaN}',
    "an endless number": b'{"model": "tts-1", "input": "x", "speed": 1e999}',
}


def app_of(folder: Path, **values: Any) -> FastAPI:
    settings = Settings(
        os_models_dir=folder / "models", stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen",
        tts_model="tones/speak", tts_voice="tone", os_offline=True, os_voice_library_path=folder / "voices", **values,
    )  # fmt: skip
    return create_app(settings, local_engine(settings))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(app_of(tmp_path_factory.mktemp("server")), raise_server_exceptions=False)


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_json_breaks_a_door(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]


def part(name: bytes, *, head: bytes = b"", content: bytes = b"1") -> bytes:
    return b'--x\r\n%bContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (head, name, content)


FORMS = {
    "more fields than there can be": b"".join(part(b"f%d" % n) for n in range(1100)),
    "more files than one request takes": part(b'file"; filename="a') * 40,
    "a field of five megabytes": part(b"prompt", content=b"x" * (5 << 20)),
    "a head of a megabyte": part(b'file"; filename="' + b"a" * (1 << 20)),
    "a hundred thousand heads": part(b"file", head=b"X-A: 1\r\n" * 100_000),
    "no part": b"",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_form_breaks_a_door(client: TestClient, form: bytes) -> None:
    for path in ("/v1/audio/transcriptions", "/v1/audio/transcriptions/batch", "/v1/audio/voices", "/asr"):
        answer = client.post(path, content=form + b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert 400 <= answer.status_code < 500, (path, answer.text)


@pytest.mark.parametrize(
    "parts", [lambda n: b"".join(part(b"f%d" % at) for at in range(n)), lambda n: part(b"file", head=b"X-A: 1\r\n" * n)]
)
def test_a_form_of_any_length_is_read_in_linear_time(client: TestClient, parts: Callable[[int], bytes]) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_linear(lambda form: client.post("/asr", content=form, headers=headers), lambda n: parts(n) + b"--x--\r\n", 2000)


@pytest.mark.parametrize("path", ["/v1/audio/speech/stream", "/v1/audio/stream?sample_rate=16000", "/v1/realtime?model=tones/listen"])
@pytest.mark.parametrize("text", ["[" * 4000, '{"a":' * 700, '"' + "x" * (1 << 20) + '"', "\x00", "null", "{}"])
def test_no_message_breaks_a_websocket(address: tuple[str, int], path: str, text: str) -> None:
    with connect(f"ws://{address[0]}:{address[1]}{path}", max_size=None) as door:
        door.send(text)
        try:
            while json.loads(door.recv(timeout=PATIENCE_S))["type"] != "error":
                pass
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            assert closed.rcvd.code != 1011


@pytest.mark.parametrize(
    ("values", "request_of", "status", "code"),
    [
        ({"tts_max_input_length": 5}, {"json": {"model": "tts-1", "input": "longer"}}, 400, "string_above_max_length"),
        ({"os_max_audio_s": 1}, {"files": {"file": wav_bytes(silence(1.1, 8000))}, "data": {"model": "whisper-1"}}, 400, "audio_too_long"),
        ({"os_max_upload_mb": 1}, {"files": {"file": bytes(2 << 20)}, "data": {"model": "whisper-1"}}, 413, None),
    ],
)
def test_each_bound_has_a_setting_and_an_error(
    tmp_path: Path, values: dict[str, int], request_of: dict[str, Any], status: int, code: str | None
) -> None:
    client = TestClient(app_of(tmp_path, **values))
    answer = client.post("/v1/audio/speech" if "json" in request_of else "/v1/audio/transcriptions", **request_of)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_client_that_drips_its_body_is_answered_and_left(address: tuple[str, int]) -> None:
    head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        client.sendall(head)
        while not select.select([client], [], [], 0.1)[0]:
            client.sendall(b"{")
        # It learns of the answer only after it has sent more, and can read it all the same: the connection is not reset under it.
        for _ in range(2):
            client.sendall(b"{")
            time.sleep(0.05)
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
