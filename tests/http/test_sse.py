from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from open_speech.errors import BackendFailed
from open_speech.http.sse import KEEP_ALIVE, event, named_event, stream


def test_an_event_is_one_data_line_and_a_blank_line() -> None:
    assert event({"type": "x", "delta": "a\nb\r\nc"}) == b'data: {"type":"x","delta":"a\\nb\\r\\nc"}\n\n'


def test_text_beyond_ascii_stays_as_it_is() -> None:
    data = event({"delta": "żółw 龜 \u2028"})
    assert "żółw 龜".encode() in data
    assert json.loads(data.removeprefix(b"data: ")) == {"delta": "żółw 龜 \u2028"}


async def events(*steps: Any) -> AsyncGenerator[dict[str, Any], None]:
    """A number is a wait in seconds, an error is raised, all else is an event."""
    for step in steps:
        if isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, Exception):
            raise step
        else:
            yield step


def streamed(*steps: Any, quiet_s: float = 5.0) -> list[bytes]:
    async def run() -> list[bytes]:
        return [chunk async for chunk in stream(events(*steps), quiet_s=quiet_s)]

    return asyncio.run(run())


def test_a_stream_is_its_events() -> None:
    assert streamed({"a": 1}, {"b": 2}) == [b'data: {"a":1}\n\n', b'data: {"b":2}\n\n']
    assert streamed() == []


def test_a_comment_is_sent_while_nothing_is_said() -> None:
    chunks = streamed({"a": 1}, 0.25, {"b": 2}, quiet_s=0.1)
    assert (chunks[0], chunks[-1]) == (event({"a": 1}), event({"b": 2}))
    assert set(chunks[1:-1]) == {KEEP_ALIVE}
    assert KEEP_ALIVE == b": keep-alive\n\n"


def test_a_failure_before_anything_was_sent_is_raised() -> None:
    with pytest.raises(BackendFailed):
        streamed(BackendFailed("no"))


@pytest.mark.parametrize("sent", [{"a": 1}, 0.3], ids=["an event", "a comment"])
def test_a_failure_after_something_was_sent_is_the_last_event(sent: Any) -> None:
    last = streamed(sent, BackendFailed("no"), {"never": 1}, quiet_s=0.1)[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "backend_failed"


def test_closing_a_stream_closes_the_events_even_while_they_are_silent() -> None:
    closed = []

    async def silent() -> AsyncGenerator[dict[str, Any], None]:
        try:
            await asyncio.sleep(3600)
            yield {}
        finally:
            closed.append(True)

    async def run() -> None:
        async with aclosing(stream(silent(), quiet_s=0.01)) as chunks:
            assert await anext(chunks) == KEEP_ALIVE

    asyncio.run(run())
    assert closed == [True]


def test_an_event_may_have_a_name() -> None:
    assert named_event({"event": "x", "data": {"a": "é"}}) == 'event: x\ndata: {"a":"é"}\n\n'.encode()
    assert named_event({"event": "done"}) == b"event: done\ndata: {}\n\n"


def test_a_stream_may_have_its_own_events_and_errors() -> None:
    async def scene() -> list[bytes]:
        failing = events({"event": "x"}, BackendFailed("Broken."))
        encoded = stream(failing, encode=named_event, failure=lambda error: {"event": "error", "data": {"detail": error.message}})
        return [chunk async for chunk in encoded]

    assert asyncio.run(scene())[-1] == b'event: error\ndata: {"detail":"Broken."}\n\n'
