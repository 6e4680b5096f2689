from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_read_event

from open_speech.api.wyoming.framing import DATA_BYTES, HEADER_BYTES, PAYLOAD_BYTES, read_event, to_bytes
from open_speech.errors import InvalidRequest, UploadTooLarge

LIMIT = 1 << 16
"""Bytes that asyncio's own reader takes as one line."""


def read(data: bytes, *, within_s: float = 5, ended: bool = True) -> Event | None:
    async def reading() -> Event | None:
        reader = asyncio.StreamReader(limit=LIMIT)
        reader.feed_data(data)
        if ended:
            reader.feed_eof()
        return await read_event(reader, within_s=within_s)

    return asyncio.run(reading())


def line(**header: Any) -> bytes:
    return json.dumps(header).encode() + b"\n"


@given(
    st.text(),
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=4),
    st.none() | st.binary(min_size=1),
)
def test_every_event_comes_back_as_it_was(kind: str, data: dict[str, Any], payload: bytes | None) -> None:
    event = Event(kind, data, payload)
    assert read(to_bytes(event)) == event


def test_the_librarys_own_reader_reads_what_we_write() -> None:
    async def reading() -> Event | None:
        reader = asyncio.StreamReader()
        reader.feed_data(to_bytes(Event("x", {"text": "Grüße 🙂"}, b"123")))
        return await async_read_event(reader)

    assert asyncio.run(reading()) == Event("x", {"text": "Grüße 🙂"}, b"123")


def test_half_a_surrogate_pair_can_be_sent_back() -> None:
    event = read(line(type="ping", data={"text": "\ud83d"}))
    assert event is not None
    assert read(to_bytes(event)) == event


def test_data_may_stand_in_the_header_and_after_it() -> None:
    rest = json.dumps({"b": 3}).encode()
    event = read(line(type="x", data={"a": 1, "b": 2}, data_length=len(rest), payload_length=2) + rest + b"zz")
    assert event == Event("x", {"a": 1, "b": 3}, b"zz")


def test_data_longer_than_a_line_of_asyncio_may_stand_in_the_header() -> None:
    event = read(line(type="synthesize", data={"text": "x" * 5 * LIMIT}))
    assert event is not None
    assert len(event.data["text"]) == 5 * LIMIT


def test_the_end_of_the_stream_is_no_event() -> None:
    assert read(b"") is None
    assert read(b"\n\r\n") is None


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"\x00\xff\xfe\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b"5\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        b'{"type": "ping"',
        line(data={}),
        line(type=5),
        line(type="x", data=[1]),
        line(type="x", data_length=-1),
        line(type="x", data_length="7"),
        line(type="x", data_length=True),
        line(type="x", payload_length=1.5),
        line(type="x", data_length=4) + b"[1]x",
        line(type="x", data_length=10) + b"{}",
        line(type="x", payload_length=10) + b"123",
        b'{"type": "x", "data": {"a": [' + b"[]," * 300_000 + b"[]]}}\n",
        line(type="x", data_length=900_013) + b'{"a": [' + b"[]," * 300_000 + b"[]]}" + b"  ",
        line(type="x", data={"a": [0] * 6000}),
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "' + b"x" * (HEADER_BYTES + LIMIT) + b'"}\n',
        b"x" * (2 * HEADER_BYTES),
        line(type="x", data_length=DATA_BYTES + 1),
        line(type="x", payload_length=PAYLOAD_BYTES + 1),
        line(type="x", payload_length=10**15),
    ],
    ids=["long-line", "no-line", "data", "payload", "petabyte"],
)
def test_what_is_too_long_is_refused_before_it_is_there(data: bytes) -> None:
    with pytest.raises(UploadTooLarge):
        read(data, ended=False)


@pytest.mark.parametrize("data", [b"{", line(type="x", data_length=5), line(type="x", payload_length=5) + b"12"])
def test_the_rest_of_an_event_is_not_waited_for_without_end(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"within 0\.05 s"):
        read(data, within_s=0.05, ended=False)
