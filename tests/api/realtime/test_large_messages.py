"""Messages of a Realtime client that are large: what they may hold, and that nobody else waits for them."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.types import Message as Sent

from open_speech.api.realtime.client_messages import LONG_MESSAGE, InvalidJson, decoded, parse_message
from open_speech.api.realtime.events import Append, CreateItem, parse
from open_speech.api.realtime.items import build_item
from open_speech.app import create_app
from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.config import Settings
from open_speech.errors import InvalidValue
from runners.wiring.engine import local_engine

AUDIO = bytes(range(256)) * 999  # a multiple of three, so that its base64 can be repeated
WRITTEN = base64.b64encode(AUDIO).decode()
MANY: Mapping[str, str] = {
    "lists": '{"type":"session.update","session":{"x":[' + "[]," * 5_000_000 + "[]]}}",
    "objects": '{"type":"conversation.item.create","item":{"content":[' + '{"a":1},' * 2_000_000 + "{}]}}",
    "keys": '{"type":"response.create","response":{"metadata":{' + '"a":"",' * 2_000_000 + '"":""}}}',
}


def item(audio: str) -> dict[str, Any]:
    part = {"type": "input_audio", "audio": audio}
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [part]}}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY)
def test_a_message_of_many_values_is_refused_before_anything_is_built(text: str) -> None:
    tracemalloc.start()
    try:
        message = parse_message(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(message.error, InvalidJson)
    assert "too many values" in message.error.message
    assert peak < 16 << 20


def test_long_audio_of_an_event_is_decoded_when_it_is_opened() -> None:
    assert len(WRITTEN) > LONG_MESSAGE
    event = parse(parse_message(json.dumps({"type": "input_audio_buffer.append", "audio": WRITTEN})).body)
    assert event == Append(audio=AUDIO)
    assert decoded(AUDIO, 2) == AUDIO
    short = parse(parse_message('{"type": "input_audio_buffer.append", "audio": "AAAA"}').body)
    assert short == Append(audio="AAAA")


def test_long_audio_of_an_item_is_decoded_when_it_is_opened() -> None:
    event = parse(parse_message(json.dumps(item(WRITTEN))).body)
    assert isinstance(event, CreateItem)
    made_item, audio = build_item(event.item, "i")
    assert audio == AUDIO
    assert made_item.body()["content"] == [{"type": "input_audio", "transcript": None}]


def test_each_part_of_an_item_has_its_own_audio() -> None:
    text = {"type": "input_text", "text": "a"}
    parts = [text, *({"type": "input_audio", "audio": base64.b64encode(AUDIO + bytes([n])).decode()} for n in range(3)), text]
    body = parse_message(json.dumps({"type": "conversation.item.create", "item": {"content": parts}})).body
    assert [part.get("audio") for part in body["item"]["content"]] == [None, *(AUDIO + bytes([n]) for n in range(3)), None]


def test_audio_with_escapes_is_decoded() -> None:
    text = json.dumps({"type": "input_audio_buffer.append", "audio": WRITTEN}).replace("/", "\\/").replace("+", "\\u002B")
    assert parse_message(text).body["audio"] == AUDIO


@pytest.mark.parametrize("text", [
    '{"type":"input_audio_buffer.append","audio":"%s","audio":"AAAA"}',
    '{"type":"conversation.item.create","item":{"content":[{"audio":"%s","audio":"AAAA"}]}}',
    '{"type":"conversation.item.create","item":{"content":[{"audio":"%s"}],"content":[]}}',
])  # fmt: skip
def test_audio_that_is_there_twice_is_refused(text: str) -> None:
    assert isinstance(parse_message(text.replace("%s", WRITTEN)).error, InvalidJson)


@pytest.mark.parametrize("fields", [{"instructions": WRITTEN}, {"audio": {"input": {"x": WRITTEN}}}, {"item": {"audio": WRITTEN}}])
def test_a_long_string_elsewhere_is_left_as_it_is(fields: dict[str, Any]) -> None:
    assert parse_message(json.dumps({"type": "session.update", **fields})).body == {"type": "session.update", **fields}


@pytest.mark.parametrize(("body", "param"), [({"audio": WRITTEN + "%"}, "audio"), (item("%" * 100_000), "item.content")])
def test_long_audio_that_is_not_base64_is_named_with_its_event(body: dict[str, Any], param: str) -> None:
    message = parse_message(json.dumps({"type": "input_audio_buffer.append", "event_id": "mine", **body}))
    assert isinstance(message.error, InvalidValue)
    assert message.error.param == param
    assert message.body["event_id"] == "mine"


async def ticks_of(work: Callable[[], Any]) -> int:
    """Count the turns that others have on the event loop during some work."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    ticks = 0
    await work()
    counted = ticks
    ticking.cancel()
    return counted


def test_large_messages_are_opened_in_another_thread() -> None:
    assert asyncio.run(in_turn(threading.get_ident)) != threading.get_ident()


def test_the_event_loop_goes_on_while_a_large_message_is_opened(tones_settings: Settings) -> None:
    app = create_app(tones_settings, local_engine(tones_settings))

    async def talk(size: int) -> int:
        said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def send(message: Sent) -> None:
            if message["type"] == "websocket.send":
                heard.put_nowait(json.loads(message["text"]))

        scope = {
            "type": "websocket", "path": "/v1/realtime", "query_string": b"model=tts-1", "headers": [], "subprotocols": [],
            "client": ("127.0.0.1", 1), "server": ("testserver", 80), "scheme": "ws", "root_path": "",
        }  # fmt: skip
        said.put_nowait({"type": "websocket.connect"})
        serving = asyncio.create_task(app(scope, said.get, send))
        assert (await heard.get())["type"] == "session.created"

        async def answered() -> None:
            text = json.dumps({"type": "nothing", "event_id": "mine", "x": "\\" * size})
            said.put_nowait({"type": "websocket.receive", "text": text})
            assert (await heard.get())["error"]["event_id"] == "mine"

        ticks = await ticks_of(answered)
        said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await serving
        return ticks

    small, large = (asyncio.run(talk(size)) for size in (100, 9_000_000))
    assert large > 3 * small
