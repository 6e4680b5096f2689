"""The parts that all attacks share: a target server, raw requests, and checks of the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

DEADLINE_S = 20.0
"""Seconds within which the server has to respond or to close the connection."""
ANSWER_BYTES = 1 << 20
"""Maximum number of bytes of a response that are read."""
ALLOWED = {503, 507}
"""Documented 5xx responses: unavailable, and insufficient storage."""
WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**400, "", " ", "\x00", "\ud800", "\U0001f600" * 50, "a" * 70_000, "../../etc/passwd", "${jndi:ldap://x}",
    [], [[]] * 50, {}, {"": {}}, {"id": None}, [None], "0", "1e999", "NaN", "\u202e", "<speak>", "data:;base64,", "=" * 9,
)  # fmt: skip
"""Unusual values that validation may have missed."""


class Fault(AssertionError):
    """The server misbehaved."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running server: its HTTP port, its Wyoming port if it has one, and an API key if it requires one."""

    port: int
    wyoming_port: int | None = None
    key: str = ""
    host: str = "127.0.0.1"


Attack = Callable[[Target, Random], Awaitable[str]]
"""Attacks the server once, determined only by the random numbers; returns the outcome, or raises Fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; status 0 is a connection that was closed without a response."""

    status: int
    body: bytes

    def judged(self) -> str:
        """Return the status, or `closed`. Raises Fault for a status that a server must not return."""
        if self.status >= 500 and self.status not in ALLOWED:
            raise Fault(f"{self.status} {self.body[:300]!r}")
        return str(self.status or "closed")


@asynccontextmanager
async def connected(target: Target, port: int | None = None) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a TCP connection, which is aborted at the end of the block, even if data is in transit."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(target.host, port or target.port, limit=ANSWER_BYTES)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def pour(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    """Send pieces; the server may close the connection before the end, or stop reading."""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(DEADLINE_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()


async def rest(reader: asyncio.StreamReader, *, within_s: float = DEADLINE_S) -> bytes:
    """Read until the server closes the connection. Raises Fault if it does not within `within_s` seconds."""
    received = bytearray()
    with suppress(ConnectionError):
        try:
            async with asyncio.timeout(within_s):
                while len(received) < ANSWER_BYTES and (data := await reader.read(1 << 16)):
                    received += data
        except TimeoutError:
            raise Fault(f"{within_s:g} s without an end; so far {bytes(received[:200])!r}") from None
    return bytes(received)


async def exchange(target: Target, pieces: Iterable[bytes], *, within_s: float = DEADLINE_S) -> Answer:
    """Send bytes to the HTTP server and return its response. The request must contain `Connection: close`. Raises Fault without an end."""
    async with connected(target) as (reader, writer):
        sending = asyncio.create_task(pour(writer, pieces))
        try:
            received = await rest(reader, within_s=within_s)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    line, _, _ = received.partition(b"\r\n")
    head, _, body = received.partition(b"\r\n\r\n")
    status = line.split(b" ")[1:2]
    return Answer(int(status[0]) if status and status[0].isdigit() else 0, body or head)


def request(target: Target, method: str, path: str, headers: dict[str, str] | None = None, *, length: int | None = None) -> bytes:
    """Return the request line and headers of a request with `Connection: close`."""
    given = {"Host": f"{target.host}:{target.port}", "Connection": "close", **(headers or {})}
    if target.key:
        given.setdefault("Authorization", f"Bearer {target.key}")
    if length is not None:
        given["Content-Length"] = str(length)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def post(target: Target, path: str, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> Answer:
    """Send a whole request with a body."""
    head = request(target, "POST", path, {"Content-Type": content_type, **(headers or {})}, length=len(body))
    return await exchange(target, [head, body])


def damaged(rng: Random, data: bytes, *, strokes: int = 8) -> bytes:
    """Damage bytes at random positions: flip a bit, delete, duplicate, overwrite, write numbers that are too large."""
    result = bytearray(data)
    for _ in range(rng.randint(1, strokes)):
        at = rng.randrange(len(result) + 1)
        match rng.randrange(6):
            case 0 if at < len(result):
                result[at] ^= 1 << rng.randrange(8)
            case 1:
                result[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
            case 2:
                del result[at : at + rng.randint(1, 1 + len(result) // 4)]
            case 3:
                result[at:at] = result[at : at + rng.randint(1, 4096)]
            case 4:
                result[at : at + 16] = rng.randbytes(16)
            case _ if rng.random() < 0.3:
                del result[at:]
    return bytes(result)
