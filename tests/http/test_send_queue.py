from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.http.send_queue import CALM_BYTES, FRAMES, LEAST_BYTES, SendQueue
from open_speech.http.ws_messages import Close, Send, SendAudio
from tests.waiting import PATIENCE_S


class Client:
    """A client at the other end of a real Starlette socket: keeps what it hears, while it is `reading`."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.failure: Exception | None = None

    async def socket(self) -> WebSocket:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        socket = WebSocket({"type": "websocket", "headers": []}, receive, self._send)
        await socket.accept()
        self.heard.clear()
        return socket

    async def _send(self, message: Message) -> None:
        await self.reading.wait()
        if self.failure is not None:
            raise self.failure
        self.heard.append(message.get("code") or message.get("bytes") or json.loads(message.get("text") or "null"))


def sound_of(message: Mapping[str, Any]) -> str | None:
    return message.get("sound_of")


def sound(whose: str = "a") -> Send:
    return Send({"type": "sound", "sound_of": whose})


def run(test: Callable[[Client, SendQueue], Awaitable[None]], **how: float) -> None:
    async def both() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await test(Client(), SendQueue(sound_of, **how))

    asyncio.run(both())


def test_everything_is_sent_in_order_and_nothing_after_the_close() -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        for item in (Send({"type": "a"}), SendAudio(b"b"), Send({"type": "c"}), Close(1000, "done"), Send({"type": "never"}), Close()):
            outbox.put(item)
        await outbox.write(await client.socket())
        assert client.heard == [{"type": "a"}, b"b", {"type": "c"}, 1000]
        assert outbox.sent == 3

    run(test)


def test_all_sound_that_is_not_yet_sent_can_be_taken_back() -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        for item in (SendAudio(b"b"), Send({"type": "sentence"}), sound("a"), sound("b"), Close()):
            outbox.put(item)
        outbox.drop_sound()
        await outbox.write(await client.socket())
        assert client.heard == [{"type": "sentence"}, 1000]

    run(test)


def test_only_the_sound_of_who_stopped_is_taken_back() -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        for item in (sound("a"), sound("b"), Send({"type": "done"}), sound("a"), Close()):
            outbox.put(item)
        outbox.drop_sound("a")
        await outbox.write(await client.socket())
        assert client.heard == [{"type": "sound", "sound_of": "b"}, {"type": "done"}, 1000]

    run(test)


@pytest.mark.parametrize("piece", [SendAudio(b"x"), sound()])
def test_no_more_sound_is_made_than_a_client_takes(piece: Send | SendAudio) -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        for _ in range(FRAMES):
            await outbox.room()
            outbox.put(piece)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.room(), 0.02)
        outbox.drop_sound()
        await asyncio.wait_for(outbox.room(), PATIENCE_S)
        for _ in range(FRAMES):
            outbox.put(piece)
        writing = asyncio.create_task(outbox.write(await client.socket()))
        await asyncio.wait_for(outbox.room(), PATIENCE_S)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    run(test)


@pytest.mark.parametrize("count", [1, CALM_BYTES // LEAST_BYTES])
def test_nothing_is_read_from_a_client_and_nothing_made_for_it_while_too_much_waits_for_it(count: int) -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        for _ in range(count):
            outbox.put(Send({"type": "x" * (CALM_BYTES // count - 2) if count == 1 else "x"}))
        for wait in (outbox.calm, outbox.room):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.02)
        outbox.put(Close())
        await outbox.write(await client.socket())
        await outbox.calm()
        await outbox.room()

    run(test)


def test_a_client_that_stops_reading_is_given_up() -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        socket = await client.socket()
        client.reading.clear()
        outbox.put(SendAudio(b"x"))
        with pytest.raises(TimeoutError):
            await outbox.write(socket)

    run(test, stalled_s=0.05)


def uvicorns(message: str) -> RuntimeError:
    return RuntimeError(f"Unexpected ASGI message '{message}', after sending 'websocket.close' or response already completed.")


@pytest.mark.parametrize("failure", [OSError(), uvicorns("websocket.send")])
@pytest.mark.parametrize("queued", [Send({"type": "event"}), Close(1000)])
def test_a_client_that_left_ends_the_writing(failure: Exception, queued: Send | Close) -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        socket = await client.socket()
        client.failure = failure
        outbox.put(queued)
        with pytest.raises(WebSocketDisconnect):
            await outbox.write(socket)

    run(test)


def test_a_defect_is_not_taken_for_the_end_of_a_connection() -> None:
    async def test(client: Client, outbox: SendQueue) -> None:
        socket = await client.socket()
        client.failure = RuntimeError("something else")
        outbox.put(Send({"type": "event"}))
        with pytest.raises(RuntimeError, match="something else"):
            await outbox.write(socket)

    run(test)
