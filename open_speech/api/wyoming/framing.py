"""Encoding and decoding of events, with limits on every length and a deadline for the rest of an event.

The library's own reader treats garbage as the end of the stream, and accepts a length of a terabyte. Its writer fails on half a surrogate
pair, which a client may send and expects back.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from wyoming.event import Event
from wyoming.version import __version__ as protocol_version

from open_speech.errors import InvalidRequest, UploadTooLarge
from open_speech.http import json_screen

HEADER_BYTES = 1 << 20
"""Maximum bytes of the first line; old clients put their data into it."""
DATA_BYTES = 1 << 20
PAYLOAD_BYTES = 16 << 20
"""Maximum bytes of the payload; the longest legitimate payload is a whole recording in one piece."""
BOUNDS = json_screen.Bounds(tokens=5000)
"""Limits on the JSON structure of an event's header or data. Clients send a dozen values; only a server's `info` has more."""
EVENT_S = 30.0
"""Seconds in which the rest of an event must arrive after its first byte."""


async def read_event(reader: asyncio.StreamReader, *, within_s: float = EVENT_S) -> Event | None:
    """Read the next event; None at the end of the stream.

    Waits for the first byte without a limit, and for the rest of the event `within_s` seconds at most. Raises InvalidRequest for an event
    that is invalid or incomplete, and UploadTooLarge for one that is too long.
    """
    first = await reader.read(1)
    while first in (b"\n", b"\r"):
        first = await reader.read(1)
    if not first:
        return None
    try:
        async with asyncio.timeout(within_s):
            return await _rest(reader, first)
    except asyncio.IncompleteReadError:
        raise InvalidRequest("The connection ended in the middle of an event.") from None
    except TimeoutError:
        raise InvalidRequest(f"The rest of an event did not arrive within {within_s:g} s.") from None


def to_bytes(event: Event) -> bytes:
    """Encode an event as it is sent."""
    data = json.dumps(event.data, separators=(",", ":")).encode() if event.data else b""
    payload = event.payload or b""
    header: dict[str, Any] = {"type": event.type, "version": protocol_version}
    if data:
        header["data_length"] = len(data)
    if payload:
        header["payload_length"] = len(payload)
    return b"".join((json.dumps(header, separators=(",", ":")).encode(), b"\n", data, payload))


async def _rest(reader: asyncio.StreamReader, first: bytes) -> Event:
    header = _object(first + await _line(reader), "header")
    data_bytes, payload_bytes = _length(header, "data_length", DATA_BYTES), _length(header, "payload_length", PAYLOAD_BYTES)
    data = header.get("data") or {}
    if data_bytes:
        data = {**data, **_object(await reader.readexactly(data_bytes), "data")} if isinstance(data, dict) else None
    payload = await reader.readexactly(payload_bytes) if payload_bytes else None
    kind = header.get("type")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise InvalidRequest("An event must have a `type`, and its `data` must be an object.", param="type")
    return Event(kind, data, payload)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Read up to the end of the line, which may exceed the reader's own limit."""
    parts: list[bytes] = []
    while True:
        try:
            return b"".join([*parts, await reader.readuntil(b"\n")])
        except asyncio.LimitOverrunError as long:
            parts.append(await reader.readexactly(max(1, long.consumed)))
            if sum(map(len, parts)) > HEADER_BYTES:
                raise UploadTooLarge(f"The first line of an event may have at most {HEADER_BYTES} bytes.", param="data") from None


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        found = json_screen.loads(text.decode(), BOUNDS)
    except InvalidRequest as problem:
        raise InvalidRequest(problem.message, param=where) from None
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {where} of an event must be JSON in UTF-8.", param=where) from None
    if not isinstance(found, dict):
        raise InvalidRequest(f"The {where} of an event must be a JSON object.", param=where)
    return found


def _length(header: dict[str, Any], field: str, limit: int) -> int:
    length = header.get(field)
    if length is None:
        return 0
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise InvalidRequest(f"`{field}` must be a number of bytes.", param=field)
    if length > limit:
        raise UploadTooLarge(f"`{field}` may be at most {limit}.", param=field)
    return length
