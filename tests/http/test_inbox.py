from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.http.inbox import AHEAD_BYTES, LEAST_BYTES, PARTS, Inbox, Part, accept
from tests.waiting import PATIENCE_S


class Client:
    """A client that has all its messages ready, and then leaves or stays."""

    def __init__(self, messages: Iterator[Message], *, extensions: dict[str, Any] | None = None) -> None:
        self._messages = messages
        self._connected = False
        self.taken = 0
        """Messages that the server has received."""
        self.answers: list[Message] = []
        self.socket = WebSocket({"type": "websocket", "headers": [], "extensions": extensions or {}}, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        message = next(self._messages, None)
        if message is None:
            await asyncio.Event().wait()
        self.taken += 1
        return message or {}

    async def _send(self, message: Message) -> None:
        self.answers.append(message)


def run(client: Client, work: Callable[[Inbox, asyncio.Task[None]], Coroutine[Any, Any, None]]) -> None:
    async def scene() -> None:
        await accept(client.socket)
        inbox = Inbox(client.socket)
        filling = asyncio.create_task(inbox.fill())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await work(inbox, filling)
        finally:
            filling.cancel()
            await asyncio.wait({filling})

    asyncio.run(scene())


def texts(*said: str) -> Iterator[Message]:
    return iter([{"type": "websocket.receive", "text": text} for text in said])


LEFT: Message = {"type": "websocket.disconnect", "code": 1001}


def test_messages_and_parts_come_out_in_order() -> None:
    said = iter([{"type": "websocket.receive", "text": "a", "more": True}, {"type": "websocket.receive", "bytes": b"b", "text": None}])

    async def work(inbox: Inbox, _: asyncio.Task[None]) -> None:
        assert [await inbox.part(), await inbox.part()] == [Part("a", is_last=False), Part(b"b")]

    run(Client(said), work)


def test_a_client_that_leaves_is_noticed_while_its_messages_still_wait() -> None:
    async def work(inbox: Inbox, filling: asyncio.Task[None]) -> None:
        with pytest.raises(WebSocketDisconnect) as left:
            await filling
        assert left.value.code == 1001
        assert (await inbox.part()).data == "a"

    run(Client(iter([*texts("a", "b", "c"), LEFT])), work)


@pytest.mark.parametrize(("size", "counts"), [(1, LEAST_BYTES), (1 << 20, 1 << 20), (AHEAD_BYTES, AHEAD_BYTES)])
def test_no_more_is_received_ahead_than_the_bound(size: int, counts: int) -> None:
    client = Client({"type": "websocket.receive", "bytes": bytes(size)} for _ in iter(int, 1))
    most = AHEAD_BYTES // counts

    async def work(inbox: Inbox, _: asyncio.Task[None]) -> None:
        for taken_out in range(3):
            while client.taken < most + taken_out:
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert client.taken == most + taken_out
            await inbox.part()

    run(client, work)


@pytest.mark.parametrize(("extensions", "asks"), [({PARTS: {}}, True), ({"websocket.http.response": {}}, False), ({}, False)])
def test_messages_in_parts_are_asked_for_where_the_server_has_them(extensions: dict[str, Any], asks: bool) -> None:
    client = Client(texts(), extensions=extensions)
    asyncio.run(accept(client.socket, "realtime"))
    [accepted] = client.answers
    assert (accepted["subprotocol"], accepted.get(PARTS, False)) == ("realtime", asks)
