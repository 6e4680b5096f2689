"""Abuse of WebSockets: garbage, invalid frames, almost valid events, floods, and clients that never read, at each endpoint."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

from benchmarks.fuzz.attack import Attack, Fault, Target, connected, damaged, pour
from benchmarks.fuzz.http import changed, dumped

CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ENDPOINTS = (
    "/v1/realtime?model=tts-1", "/v1/realtime?intent=transcription", "/v1/audio/stream", "/v1/audio/stream?vad=false",
    "/v1/audio/speech/stream",
)  # fmt: skip
LISTEN_S = 0.3
"""Seconds for which the server's response is read after an attack."""
AUDIO = base64.b64encode(bytes(9600)).decode()
EVENTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "/v1/realtime": (
        {"type": "session.update", "session": {"type": "realtime", "instructions": "x", "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "server_vad", "threshold": 0.5}},
            "output": {"voice": "alloy", "speed": 1.0, "format": {"type": "audio/pcmu"}}}, "tools": [{"type": "function", "name": "f"}]}},
        {"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
            "transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}},
        {"type": "input_audio_buffer.append", "audio": AUDIO},
        {"type": "input_audio_buffer.append", "audio": AUDIO * 100},
        {"type": "input_audio_buffer.commit"}, {"type": "input_audio_buffer.clear"}, {"type": "output_audio_buffer.clear"},
        {"type": "conversation.item.create", "previous_item_id": "root", "item": {
            "id": "i", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "a b"}]}},
        {"type": "conversation.item.create", "item": {
            "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": AUDIO}]}},
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "{}"}},
        {"type": "conversation.item.retrieve", "item_id": "i"}, {"type": "conversation.item.delete", "item_id": "i"},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 10},
        {"type": "response.create", "response": {"output_modalities": ["audio"], "conversation": "none", "metadata": {"a": "b"},
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}], "max_output_tokens": 50}},
        {"type": "response.create"}, {"type": "response.cancel", "response_id": "r"},
    ),
    "/v1/audio/stream": ({"type": "stop"}, {"type": "finalize"}, {"type": "keepalive"}),
    "/v1/audio/speech/stream": (
        {"type": "config", "voice": "alloy", "model": "tts-1", "response_format": "pcm", "sample_rate": 16000, "encoding": "base64"},
        {"type": "text", "text": "a sentence. And another one."}, {"type": "flush"}, {"type": "cancel"}, {"type": "end"},
    ),
}  # fmt: skip


NO_EVENTS = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"[" * 60_000, b'{"a":' * 20_000, b"\x00", b"{}" * 3000,
    b'{"type":"\\ud800"}', b'{"type":1e999}',
)  # fmt: skip


def frame(code: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True, claim: int | None = None) -> bytes:
    """Return a WebSocket frame, valid or not; `claim` is the stated length of the payload."""
    length = len(payload) if claim is None else claim
    head = bytes([(0x80 if fin else 0) | reserved << 4 | code])
    mask = 0x80 if masked else 0
    if length < 126:
        head += bytes([mask | length])
    elif length < 1 << 16:
        head += bytes([mask | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", length)
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros leaves the payload unchanged


LONGEST_PATH = 8000
"""Length of a path in characters that the server must accept."""

FORBIDDEN = (
    frame(TEXT, b"{}", masked=False), frame(TEXT, b"{}", reserved=7), frame(3, b"x"), frame(15), frame(PING, b"x" * 126),
    frame(PING, b"x", fin=False), frame(CONTINUE, b"x"), frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), frame(CLOSE, b"x"),
    frame(CLOSE, struct.pack(">H", 0)), frame(CLOSE, struct.pack(">H", 9999) + b"\xff"), frame(TEXT, claim=1 << 62),
    frame(BINARY, claim=1 << 31), frame(TEXT, claim=(1 << 64) - 1), frame(CLOSE) * 5, frame(PONG, b"never asked") * 100,
    frame(CLOSE) + frame(TEXT, b"{}"),
)  # fmt: skip
"""Frames that are undefined in the protocol, or not allowed at that point."""


class TooLong(Exception):
    """The path is longer than the server has to accept."""


@asynccontextmanager
async def opened(target: Target, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a WebSocket. Raises Fault if the server does not accept it, TooLong if it returns 414 for a path longer than LONGEST_PATH."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET {path} HTTP/1.1\r\nHost: x.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += f"Sec-WebSocket-Key: {key}\r\n"
    if target.key:
        head += f"Authorization: Bearer {target.key}\r\n"
    async with connected(target) as (reader, writer):
        writer.write(f"{head}\r\n".encode())
        try:
            async with asyncio.timeout(10):
                answer = await reader.readuntil(b"\r\n\r\n")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as gone:
            raise Fault(f"{path}: no upgrade: {gone!r}") from None
        if len(path) > LONGEST_PATH and answer.startswith(b"HTTP/1.1 414 "):
            raise TooLong
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise Fault(f"{path}: {answer[:200]!r}")
        yield reader, writer


async def _outcome(reader: asyncio.StreamReader) -> str:
    received = 0
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LISTEN_S):
            while data := await reader.read(1 << 16):
                received += len(data)
            return "closed"
    return "answers" if received else "silent"


async def _send(target: Target, path: str, pieces: Iterable[bytes]) -> str:
    async with opened(target, path) as (reader, writer):
        sending = asyncio.create_task(pour(writer, pieces))
        try:
            return await _outcome(reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def _events(rng: Random, path: str) -> list[dict[str, Any]]:
    known = EVENTS[path.partition("?")[0]]
    events = [dict(rng.choice(known)) for _ in range(rng.randint(1, 25))]
    return [changed(rng, event) if rng.random() < 0.6 else event for event in events]


async def garbage(target: Target, rng: Random) -> str:
    """Send bytes that are not frames."""
    return await _send(target, rng.choice(ENDPOINTS), [rng.randbytes(rng.choice((1, 100, 70_000)))])


async def damaged_frames(target: Target, rng: Random) -> str:
    """Send frames in which some bytes are damaged."""
    path = rng.choice(ENDPOINTS)
    frames = b"".join(frame(TEXT, dumped(event)) for event in _events(rng, path))
    return await _send(target, path, [damaged(rng, frames)])


async def nearly_right(target: Target, rng: Random) -> str:
    """Send almost valid events of the endpoint, in random order."""
    path = rng.choice(ENDPOINTS)
    frames = [frame(TEXT, dumped(event)) for event in _events(rng, path)]
    if "audio/stream" in path:
        frames += [frame(BINARY, rng.randbytes(rng.choice((0, 1, 999, 32_000)))) for _ in range(5)]
        rng.shuffle(frames)
    return await _send(target, path, frames)


async def wrong_kind(target: Target, rng: Random) -> str:
    """Send binary messages instead of text, and text that is not UTF-8, not JSON, or JSON without an end."""
    payloads = [rng.choice(NO_EVENTS) for _ in range(8)]
    return await _send(target, rng.choice(ENDPOINTS), [frame(rng.choice((TEXT, BINARY)), payload) for payload in payloads])


async def fragments(target: Target, rng: Random) -> str:
    """Send a message in thousands of frames, with pings between them, or without an end."""
    piece, count = rng.choice(((b"", 60_000), (b" ", 30_000), (b'{"a":1}', 2000)))
    frames = [frame(TEXT, piece, fin=False), *[frame(CONTINUE, piece, fin=False)] * count]
    if rng.random() < 0.5:
        frames += [frame(PING, b"x"), frame(CONTINUE, piece)]
    return await _send(target, rng.choice(ENDPOINTS), frames)


async def forbidden(target: Target, rng: Random) -> str:
    """Send a frame that the protocol forbids."""
    return await _send(target, rng.choice(ENDPOINTS), [rng.choice(FORBIDDEN)])


async def pings(target: Target, rng: Random) -> str:
    """Send 16 MB of pings and read none of the responses: the server must not buffer them."""
    async with opened(target, rng.choice(ENDPOINTS)) as (reader, writer):
        await pour(writer, [frame(PING, b"x" * 125) * 1000] * 128)
        return await _outcome(reader)


async def never_reads(target: Target, rng: Random) -> str:
    """Request much output for 1.5 s, and read none of it."""
    path = rng.choice(ENDPOINTS)
    events = {
        "/v1/realtime": [{"type": "conversation.item.retrieve", "item_id": "none" * 100}, {"type": "input_audio_buffer.clear"}],
        "/v1/audio/stream": [{"type": "nothing"}, {"type": "finalize"}],
        "/v1/audio/speech/stream": [{"type": "text", "text": "a sentence. " * 500}, {"type": "flush"}],
    }[path.partition("?")[0]]
    async with opened(target, path) as (_, writer):
        frames = b"".join(frame(TEXT, dumped(event)) for event in events)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(1.5):
                for _ in range(20_000):
                    writer.write(frames)
                    await writer.drain()
    return "left"


async def strange_query(target: Target, rng: Random) -> str:
    """Open an endpoint with an invalid query."""
    values = ("", "%ff", "%00", "-1", "1e999", "nan", "a" * 3000, "%F0%9F%98%80", "[]", "0", "999999999999")
    names = ("model", "intent", "language", "sample_rate", "encoding", "endpointing", "vad", "interim_results", "prompt", "call_id", "%ff")
    path = rng.choice(ENDPOINTS).partition("?")[0]
    query = "&".join(f"{rng.choice(names)}={rng.choice(values)}" for _ in range(rng.randint(1, 5)))
    try:
        return await _send(target, f"{path}?{query}", [frame(TEXT, b"{}"), frame(BINARY, bytes(3200))])
    except TooLong:
        return "414"


ATTACKS: dict[str, Attack] = {
    "socket: garbage": garbage,
    "socket: damaged frames": damaged_frames,
    "socket: events nearly right": nearly_right,
    "socket: events nearly right, again": nearly_right,
    "socket: the wrong kind": wrong_kind,
    "socket: fragments": fragments,
    "socket: forbidden frames": forbidden,
    "socket: pings": pings,
    "socket: never reads": never_reads,
    "socket: strange query": strange_query,
}
