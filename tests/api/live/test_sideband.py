from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest
from starlette.websockets import WebSocket

from open_speech.api.live.sideband import MOST, Sidebands
from open_speech.api.realtime.effects import AudioFormat
from open_speech.errors import Overloaded
from open_speech.http.send_queue import CALM_BYTES
from open_speech.http.ws_messages import TRY_LATER, Close
from tests.waiting import eventually


class Wire:
    """The network of one connection: what the server sends, and at most one message of the client."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[dict[str, Any]] = []
        self.arriving: dict[str, Any] | None = None
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()

    @property
    def socket(self) -> WebSocket:
        socket = WebSocket({"type": "websocket"}, self.receive, self.send)
        socket.client_state = socket.application_state = socket.application_state.CONNECTED
        return socket

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]

    async def receive(self) -> dict[str, Any]:
        if (event := self.arriving) is not None:
            self.arriving = None
            return event
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)


def begun() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def test_there_is_a_limit_and_a_place_is_free_again() -> None:
    async def scene() -> None:
        sidebands = Sidebands(AudioFormat(), begun())
        attached = [sidebands.attach(Wire().socket) for _ in range(MOST)]
        with pytest.raises(Overloaded):
            sidebands.attach(Wire().socket)
        sidebands.remove(attached[0])
        assert sidebands.attach(Wire().socket).number > attached[-1].number

    asyncio.run(scene())


def test_one_that_does_not_read_is_closed_and_takes_a_bounded_memory() -> None:
    async def scene() -> None:
        wire = Wire(reads=False)
        sidebands = Sidebands(AudioFormat(), begun())
        sideband = sidebands.attach(wire.socket)
        for _ in range(CALM_BYTES // 100_000 + 10):
            sidebands.put({"type": "error", "message": "x" * 100_000})
        assert not sideband.outbox.is_calm
        wire.reads.set()
        await asyncio.wait_for(sideband.run(lambda message, number: None), 10)
        assert wire.sent[-1] == {"type": "websocket.close", "code": TRY_LATER, "reason": "the client does not read"}
        assert len(wire.events) <= CALM_BYTES // 100_000 + 1

    asyncio.run(scene())


@pytest.mark.parametrize(("form", "data"), [(AudioFormat(), bytes(4800)), (AudioFormat("audio/pcmu", 8000), b"\xff" * 800)])
def test_audio_is_reflected_at_24_khz(form: AudioFormat, data: bytes) -> None:
    async def scene() -> None:
        wire = Wire()
        sidebands = Sidebands(form, begun())
        sideband = sidebands.attach(wire.socket)
        for number in range(10):
            sidebands.reflect_input(data)
            sidebands.reflect_output(np.full(form.rate // 10, 0.25, np.float32), number * 100, number * 100 + 100)
        sidebands.close(Close())
        await asyncio.wait_for(sideband.run(lambda message, number: None), 10)
        heard = b"".join(base64.b64decode(event["audio"]) for event in wire.events if "audio" in event)
        played = [event for event in wire.events if "delta" in event]
        assert 40_000 < len(heard) <= 48_000
        assert 40_000 < sum(len(base64.b64decode(event["delta"])) for event in played) <= 48_000
        assert [(event["start_ms"], event["end_ms"]) for event in played][-1] == (900, 1000)

    asyncio.run(scene())


def test_nothing_is_read_before_the_session_has_begun() -> None:
    async def scene() -> None:
        wire, start = Wire(), asyncio.Event()
        wire.arriving = {"type": "websocket.receive", "text": '{"type": "session.close"}'}
        sidebands = Sidebands(AudioFormat(), start)
        received: list[str] = []
        running = asyncio.create_task(sidebands.attach(wire.socket).run(lambda message, _: received.append(message.body["type"])))
        for _ in range(20):
            await asyncio.sleep(0)
        assert wire.arriving is None and received == []
        start.set()
        await eventually(lambda: received == ["session.close"])
        running.cancel()

    asyncio.run(scene())
