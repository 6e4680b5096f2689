"""Abuse of Wyoming: lines that are not events, false lengths, events out of order, invalid audio, clients that never read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

from benchmarks.fuzz.attack import Attack, Fault, Target, connected, damaged, pour
from benchmarks.fuzz.http import changed

LISTEN_S = 0.3
PCM = {"rate": 16000, "width": 2, "channels": 1}
EVENTS: tuple[Mapping[str, Any], ...] = (
    {"type": "describe"}, {"type": "ping", "data": {"text": "x"}}, {"type": "transcribe", "data": {"language": "en", "name": "whisper-1"}},
    {"type": "audio-start", "data": PCM}, {"type": "audio-chunk", "data": PCM, "payload_length": 3200}, {"type": "audio-stop"},
    {"type": "synthesize", "data": {"text": "a b", "voice": {"name": "alloy"}}}, {"type": "detect"}, {"type": "no such thing"},
    {"type": "synthesize-start", "data": {"voice": {"language": "en"}}}, {"type": "synthesize-chunk", "data": {"text": "a sentence. "}},
    {"type": "synthesize-stop"},
)  # fmt: skip
NO_EVENTS = (
    b"\n" * 5000, b"{}\n", b"[]\n", b"null\n", b"[" * 100_000 + b"\n", b'{"type":' * 50_000 + b"\n", b"\xff\xfe\n", b"{" * 3_000_000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b'{"type":"describe"', b'{"type":1}\n', b'{"type":"x","data":[]}\n',
)  # fmt: skip
GREEDY: tuple[Mapping[str, Any], ...] = (
    {"type": "describe"}, {"type": "ping", "data": {"text": "x" * 5000}}, {"type": "synthesize", "data": {"text": "a b. " * 500}},
)  # fmt: skip
"""Events with responses larger than themselves."""


def line(event: Any) -> bytes:
    """Return an event as one line, followed by as many bytes as it states, 70 000 at most."""
    length = event.get("payload_length") if isinstance(event, dict) else None
    return json.dumps(event).encode() + b"\n" + bytes(min(length, 70_000) if isinstance(length, int) and length > 0 else 0)


async def _send(target: Target, pieces: Iterable[bytes], *, ended: bool = False) -> str:
    assert target.wyoming_port is not None
    async with connected(target, target.wyoming_port) as (reader, writer):
        await pour(writer, pieces)
        with suppress(ConnectionError, OSError):
            if ended:
                writer.write_eof()
        received = bytearray()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                while data := await reader.read(1 << 16):
                    received += data
        if b"could not be completed" in received:
            raise Fault(bytes(received[:300]).decode(errors="replace"))
    return "answers" if received else "silent"


async def nearly_right(target: Target, rng: Random) -> str:
    """Send almost valid events in random order."""
    events = [dict(rng.choice(EVENTS)) for _ in range(rng.randint(1, 25))]
    return await _send(target, [line(changed(rng, event) if rng.random() < 0.5 else event) for event in events], ended=rng.random() < 0.5)


async def damaged_lines(target: Target, rng: Random) -> str:
    """Send events in which some bytes are damaged."""
    data = b"".join(line(rng.choice(EVENTS)) for _ in range(10))
    return await _send(target, [damaged(rng, data)], ended=rng.random() < 0.5)


async def garbage(target: Target, rng: Random) -> str:
    """Send bytes that are not events."""
    return await _send(target, [rng.choice((rng.randbytes(5000), *NO_EVENTS))], ended=rng.random() < 0.5)


async def lying_lengths(target: Target, rng: Random) -> str:
    """Send events with impossible lengths."""
    length = rng.choice((-1, 1 << 62, 10**30, 1.5, "5", None, True, 1 << 31, 17 << 20))
    head = {"type": rng.choice(("audio-chunk", "describe", "transcribe")), rng.choice(("data_length", "payload_length")): length}
    return await _send(target, [json.dumps(head).encode() + b"\n" + bytes(1000)], ended=rng.random() < 0.5)


async def strange_audio(target: Target, rng: Random) -> str:
    """Send audio in an invalid format, or with a format that changes midway."""
    numbers = (0, -1, 1, 3, 2, 8, 1 << 31, 10**20, 48_000, 7)
    form = {"rate": rng.choice(numbers), "width": rng.choice(numbers), "channels": rng.choice(numbers)}
    other = {"rate": rng.choice((16000, *numbers)), "width": rng.choice((2, *numbers)), "channels": rng.choice((1, *numbers))}
    lengths = (0, 1, 3199, 3200)
    chunks = [{"type": "audio-chunk", "data": rng.choice((form, other, PCM)), "payload_length": rng.choice(lengths)} for _ in range(10)]
    start = {"type": "audio-start", "data": rng.choice((form, PCM))}
    events: list[dict[str, Any]] = [{"type": "transcribe", "data": {}}, start, *chunks, {"type": "audio-stop"}]
    return await _send(target, map(line, events))


async def never_reads(target: Target, rng: Random) -> str:
    """Request much output for 1.5 s, and read none of it."""
    assert target.wyoming_port is not None
    event = line(rng.choice(GREEDY))
    async with connected(target, target.wyoming_port) as (_, writer):
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(1.5):
                for _ in range(20_000):
                    writer.write(event)
                    await writer.drain()
    return "left"


ATTACKS: dict[str, Attack] = {
    "wyoming: events nearly right": nearly_right,
    "wyoming: damaged lines": damaged_lines,
    "wyoming: garbage": garbage,
    "wyoming: lengths": lying_lengths,
    "wyoming: sound": strange_audio,
    "wyoming: never reads": never_reads,
}
