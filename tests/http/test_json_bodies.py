"""JSON that grows, at every endpoint: refused before it is built, never parsed on the event loop when it is large."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, UploadTooLarge
from open_speech.http.json_bodies import JsonBody, JsonRoute
from open_speech.http.json_bounds import OTHER, AudioField, JsonBounds

JSON = {"Content-Type": "application/json"}
SPEAK = b'{"model":"tts-1","input":"Hello.","voice":"alloy","x":'
ENDPOINTS = (
    "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/transcriptions/verbose", "/v1/audio/translations", "/v1/audio/jobs",
    "/v1/realtime/client_secrets", "/v1/realtime/sessions", "/v1/realtime/transcription_sessions", "/api/pull/tones/speak",
    "/v1/audio/voice_consents/none", "/asr", "/bazarr/detect-language",
)  # fmt: skip
AUDIO = JsonBounds(100_000, AudioField(("a", "data"), 1 << 24))


def lists(head: bytes, count: int, tail: bytes = b"}") -> bytes:
    return head + b"[" + b"[]," * count + b"[]]" + tail


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_body_of_many_lists_is_refused_in_the_envelope(client: TestClient, path: str) -> None:
    answer = client.post(path, content=lists(SPEAK, 200_000), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "too many values" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_body_that_is_too_large_is_refused_in_the_envelope(client: TestClient, path: str) -> None:
    answer = client.post(path, content=SPEAK + b'"' + b"a" * (20 << 20) + b'"}', headers=JSON)
    assert answer.status_code == 413
    assert "limit" in answer.json()["error"]["message"]


def test_every_route_that_fastapi_reads_json_for_has_the_bounds(client: TestClient) -> None:
    app: Any = client.app
    routes = [context.original_route for context in iter_route_contexts(app.router.routes)]
    with_body = [route for route in routes if isinstance(route, APIRoute) and route.body_field is not None]
    assert len(with_body) >= 5
    assert [route.path for route in with_body if not isinstance(route, JsonRoute)] == []


def test_a_text_that_is_too_long_is_named_and_a_body_far_beyond_it_is_not_read_into_memory(client: TestClient) -> None:
    answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": "a" * 100_000})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert client.post("/v1/audio/speech", json={"model": "tts-1", "input": "a" * 500_000}).status_code == 413


def test_a_body_of_another_type_is_refused_as_before(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/v1/audio/speech", content=SPEAK + b"1}", headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert "JSON object" in answer.json()["error"]["message"]


@pytest.mark.parametrize("size", [500, 3_000_000])
def test_audio_in_json_is_heard_however_large(client: TestClient, clip: bytes, size: int) -> None:
    data = base64.b64encode(clip + bytes(size)).decode()  # silence behind the words
    body = json.dumps({"model": "whisper-1", "input_audio": {"format": "wav", "data": data}}).replace("/", "\\/")
    answer = client.post("/v1/audio/transcriptions", content=body, headers=JSON)
    assert answer.json()["text"] == "Hello there world."


def test_the_last_of_two_recordings_counts(client: TestClient, clip: bytes) -> None:
    data = base64.b64encode(clip).decode()
    body = f'{{"model":"whisper-1","input_audio":{{"data":"AAAA"}},"input_audio":{{"data":"{data}"}}}}'
    assert client.post("/v1/audio/transcriptions", content=body, headers=JSON).json()["text"] == "Hello there world."


async def chunks(data: bytes, step: int = 1 << 16) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


async def read(bounds: JsonBounds, data: bytes) -> tuple[Any, Any]:
    body = JsonBody(bounds)
    try:
        assert await body.read(chunks(data))
        return await body.parsed(), body.audio
    finally:
        body.close()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (lists(b"", 5_000_000, b""), InvalidRequest),
        (b'"' + b"a" * 15_000_000 + b'"', UploadTooLarge),
        (b"[" + b" " * 15_000_000, UploadTooLarge),
    ],
    ids=["lists", "text", "blanks"],
)
def test_the_memory_of_a_refused_body_does_not_grow_with_it(data: bytes, error: type[Exception]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(error):
            asyncio.run(read(OTHER, data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


def test_the_memory_of_audio_in_json_does_not_grow_with_it() -> None:
    data = b'{"a":{"data":"' + base64.b64encode(bytes(12 << 20)) + b'"}}'
    tracemalloc.start()
    try:
        value, _ = asyncio.run(read(AUDIO, data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert value == {"a": {"data": ""}}
    assert peak < 6 << 20


def test_the_event_loop_goes_on_while_a_large_body_is_read_and_while_it_is_parsed() -> None:
    async def ticks_during(size: int) -> tuple[int, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        body = JsonBody(JsonBounds(text_bytes=1 << 30))
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        ticks = 0
        await body.read(chunks(json.dumps(["\\" * size]).encode()))
        while_read, ticks = ticks, 0
        assert len((await body.parsed())[0]) == size
        while_parsed = ticks
        ticking.cancel()
        body.close()
        return while_read, while_parsed

    assert asyncio.run(ticks_during(1000)) == (0, 0)
    while_read, while_parsed = asyncio.run(ticks_during(10_000_000))
    assert while_read >= 300  # once for each chunk but the first
    assert while_parsed >= 5


def test_a_refused_body_is_still_read_to_its_end_so_that_its_sender_sees_the_answer() -> None:
    async def left() -> int:
        source = chunks(lists(b"", 1_000_000, b""))
        body = JsonBody(OTHER)
        with pytest.raises(InvalidRequest):
            await body.read(source)
        return len([chunk async for chunk in source])

    assert asyncio.run(left()) == 0


def test_bodies_are_bounded_as_they_come_over_http(client: TestClient, spoken: Callable[[str], bytes]) -> None:
    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=client.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as asking:
            bodies = [lists(SPEAK, 1_000_000), SPEAK + b"0." + b"7" * 200_000 + b"}", SPEAK + b"1}"]
            return [(await asking.post("/v1/audio/speech", content=chunks(body), headers=JSON)).status_code for body in bodies]

    assert asyncio.run(ask()) == [400, 400, 200]


FILE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def send_form(client: TestClient, clip: bytes, *fields: tuple[str, bytes]) -> Any:
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n" for name, value in fields]
    body = b"".join([*parts, FILE, clip, b"\r\n--edge--\r\n"])
    return client.post("/v1/audio/transcriptions", content=body, headers={"Content-Type": "multipart/form-data; boundary=edge"}).json()


@pytest.mark.parametrize("name", ["languages", "chunking_strategy", "known_speaker_names", "include", "timestamp_granularities"])
def test_json_in_a_form_is_bounded_and_its_field_is_named(client: TestClient, clip: bytes, name: str) -> None:
    answer = send_form(client, clip, ("model", b"whisper-1"), (name, lists(b"", 300_000, b"")))
    assert answer["error"]["param"] == name
    assert "too many values" in answer["error"]["message"]


@pytest.mark.parametrize("name", ["languages", "keywords", "include", "timestamp_granularities"])
def test_a_list_in_a_form_is_bounded_and_its_field_is_named(client: TestClient, clip: bytes, name: str) -> None:
    answer = send_form(client, clip, ("model", b"whisper-1"), (name, b"a," * 300_000))
    assert answer["error"]["param"] == name
    assert "more than 10000 values" in answer["error"]["message"]


def test_the_fields_of_a_form_are_bounded_together(settings: Settings, engine: Engine, clip: bytes) -> None:
    roomy = TestClient(create_app(settings.model_copy(update={"os_max_upload_mb": 100}), engine))
    few, many = ([(f"f{n}", bytes(b"x" * 3_000_000)) for n in range(count)] for count in (4, 9))
    assert send_form(roomy, clip, ("model", b"whisper-1"), *few)["text"] == "Hello there world."
    assert "fields of the form" in send_form(roomy, clip, ("model", b"whisper-1"), *many)["error"]["message"]
