"""Connections that are attached to a Live session: what they receive, and how many there may be."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Mapping
from typing import Any

from starlette.websockets import WebSocketDisconnect

from open_speech.api.live.effects import PRIMARY, Samples
from open_speech.api.live.events import FRAME_BYTES
from open_speech.api.live.messages import next_message
from open_speech.api.realtime.effects import AudioFormat
from open_speech.api.realtime.wire_audio import decoded
from open_speech.audio import Audio, StreamResampler, to_pcm16
from open_speech.errors import Overloaded
from open_speech.http.inbox import Inbox
from open_speech.http.message_socket import MessageSocket
from open_speech.http.send_queue import SendQueue
from open_speech.http.ws_messages import TRY_LATER, Close, Send

MOST = 8
"""Maximum connections that are attached to one session."""
REFLECTED_RATE = 24_000
"""Sample rate in Hertz of the audio that attached connections receive, as 16-bit PCM, whatever the format of the session is."""


class Sideband:
    """One attached connection."""

    def __init__(self, number: int, socket: MessageSocket, begun: asyncio.Event) -> None:
        """The WebSocket is accepted already. Nothing is read from it before `begun` is set."""
        self.number = number
        self._begun = begun
        self.outbox = SendQueue()
        self._socket = socket
        self._inbox = Inbox(socket)

    def put(self, message: Mapping[str, Any]) -> None:
        """Queue an event. A connection that does not read is closed: it must not slow the session down, nor fill its memory."""
        self.outbox.put(Send(dict(message)) if self.outbox.is_calm else Close(TRY_LATER, "the client does not read"))

    def close(self, close: Close) -> None:
        """Close the connection after everything that was queued before."""
        self.outbox.put(close)

    async def run(self, receive: Any) -> None:
        """Serve until one side closes the connection; `receive` takes the messages of the client."""
        writing = asyncio.create_task(self.outbox.write(self._socket))
        others = [asyncio.create_task(self._inbox.fill()), asyncio.create_task(self._read(receive))]
        try:
            done, _ = await asyncio.wait({writing, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is not None and not isinstance(failure, (WebSocketDisconnect, TimeoutError)):
                    raise failure
        finally:
            for task in (writing, *others):
                task.cancel()
            await asyncio.gather(writing, *others, return_exceptions=True)

    async def _read(self, receive: Any) -> None:
        await self._begun.wait()
        while True:
            await self.outbox.calm()
            receive(await next_message(self._inbox, FRAME_BYTES), self.number)


class Sidebands:
    """The attached connections of one session."""

    def __init__(self, format: AudioFormat, begun: asyncio.Event) -> None:
        """`begun` is set when the session has begun."""
        self._format = format
        self._begun = begun
        self._numbers = itertools.count(PRIMARY + 1)
        self._open: dict[int, Sideband] = {}
        self._input: StreamResampler | None = None
        self._output: StreamResampler | None = None

    def attach(self, socket: MessageSocket) -> Sideband:
        """Add a connection. Raises Overloaded if there are MOST."""
        if len(self._open) >= MOST:
            raise Overloaded(f"{MOST} connections are attached to this session.", retry_after_s=5)
        sideband = Sideband(next(self._numbers), socket, self._begun)
        self._open[sideband.number] = sideband
        return sideband

    def remove(self, sideband: Sideband) -> None:
        """Remove a connection that has ended."""
        self._open.pop(sideband.number, None)

    def put(self, message: Mapping[str, Any]) -> None:
        """Send an event to all of them."""
        for sideband in self._open.values():
            sideband.put(message)

    def put_to(self, number: int, message: Mapping[str, Any]) -> None:
        """Send an event to one of them, if it is still attached."""
        if number in self._open:
            self._open[number].put(message)

    def reflect_input(self, data: bytes) -> None:
        """Send input audio, which is in the format of the session."""
        if self._open:
            self._input = self._input or StreamResampler(self._format.rate, REFLECTED_RATE)
            audio = self._input.feed(decoded(data, self._format))
            if len(audio.samples):
                self.put({"type": "session.input_audio.append", "audio": _base64(audio)})

    def reflect_output(self, samples: Samples, start_ms: int, end_ms: int) -> None:
        """Send output audio."""
        if self._open:
            self._output = self._output or StreamResampler(self._format.rate, REFLECTED_RATE)
            audio = self._output.feed(Audio(samples, self._format.rate))
            self.put({"type": "session.output_audio.delta", "delta": _base64(audio), "start_ms": start_ms, "end_ms": end_ms})

    def close(self, close: Close) -> None:
        """Close all of them after everything that was queued before."""
        for sideband in self._open.values():
            sideband.close(close)


def _base64(audio: Audio) -> str:
    return base64.b64encode(to_pcm16(audio)).decode()
