from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from open_speech.live_speech.outbox import FRAMES, MESSAGES, Outbox
from open_speech.live_speech.session import Close, Send, SendAudio


class Wire:
    """The server's end of a socket: keeps what is sent, while it is open."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()

    async def socket(self) -> WebSocket:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        socket = WebSocket({"type": "websocket", "headers": []}, receive, self._send)
        await socket.accept()
        self.sent.clear()
        return socket

    async def _send(self, message: Any) -> None:
        await self.open.wait()
        self.sent.append(message.get("code") or message.get("bytes") or json.loads(message.get("text") or "null"))


def run(test: Callable[[Wire, Outbox], Awaitable[None]], **how: float) -> None:
    async def both() -> None:
        await test(Wire(), Outbox(**how))

    asyncio.run(both())


def test_everything_is_sent_in_order_and_the_close_ends_it() -> None:
    async def test(wire: Wire, outbox: Outbox) -> None:
        for item in (Send({"type": "a"}), SendAudio(b"b"), Send({"type": "c"}), Close(1000), Send({"type": "never"})):
            outbox.put(item)
        await outbox.write(await wire.socket())
        assert wire.sent == [{"type": "a"}, b"b", {"type": "c"}, 1000]
        assert outbox.sent == 3

    run(test)


def test_sound_that_is_not_yet_sent_can_be_taken_back() -> None:
    async def test(wire: Wire, outbox: Outbox) -> None:
        for item in (SendAudio(b"b"), Send({"type": "sentence"}), Send({"type": "audio"}), Close(1000)):
            outbox.put(item)
        outbox.drop_sound()
        await outbox.write(await wire.socket())
        assert wire.sent == [{"type": "sentence"}, 1000]

    run(test)


def test_there_is_room_for_so_much_sound_and_again_when_it_is_sent_or_dropped() -> None:
    async def test(wire: Wire, outbox: Outbox) -> None:
        for _ in range(FRAMES):
            await outbox.room()
            outbox.put(SendAudio(b"x"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.room(), 0.02)
        outbox.drop_sound()
        await asyncio.wait_for(outbox.room(), 1)

    run(test)


def test_too_many_messages_that_wait_are_waited_for() -> None:
    async def test(wire: Wire, outbox: Outbox) -> None:
        for _ in range(MESSAGES):
            outbox.put(Send({"type": "flushed"}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.calm(), 0.02)
        outbox.put(Close())
        await outbox.write(await wire.socket())
        await asyncio.wait_for(outbox.calm(), 1)

    run(test)


def test_a_client_that_stops_reading_is_given_up() -> None:
    async def test(wire: Wire, outbox: Outbox) -> None:
        socket = await wire.socket()
        wire.open.clear()
        outbox.put(SendAudio(b"x"))
        with pytest.raises(TimeoutError):
            await outbox.write(socket)

    run(test, stalled_s=0.05)
