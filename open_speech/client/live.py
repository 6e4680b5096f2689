"""Live transcription that survives a lost connection: audio in, events out, on an event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress
from typing import Unpack

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from open_speech.client.bodies import Event
from open_speech.client.endpoint import Endpoint
from open_speech.client.errors import APIError, ConnectionFailed, OpenSpeechError, ServerTooOld, from_event
from open_speech.client.options import LiveOptions
from open_speech.client.resume import Continuity, ResumableAudio
from open_speech.client.retry import Retry, is_temporary
from open_speech.client.sockets import POLICY, connected, message, translated

PATH = "/v1/audio/stream"
DEFAULT_RATE = 16_000
PART_BYTES = 64 << 10
"""Maximum bytes of one message of audio."""
KEPT_S = 120.0
"""Maximum seconds of audio that are not final. When there are more, no more is taken from the caller."""
QUIET_S = 15.0
"""Seconds without audio after which the server is asked to keep the connection open."""
EVENTS = 256
"""Maximum events that wait for the caller."""


async def stream_transcribe(
    endpoint: Endpoint, chunks: AsyncIterable[bytes], *, reconnect_s: float = 60.0, **options: Unpack[LiveOptions]
) -> AsyncGenerator[Event, None]:
    """Transcribe 16-bit mono PCM while it arrives; yield the events of `/v1/audio/stream`, in the times of the whole stream.

    A lost connection is opened again for up to `reconnect_s` seconds (0: not at all), and audio whose text is not final is sent again: no
    text is lost, and none is repeated. Drafts may be. Raises OpenSpeechError's children, and the errors of `chunks`.
    """
    stream = _Stream(endpoint, options, reconnect_s)
    work = asyncio.create_task(stream.run(chunks))
    try:
        while (event := await stream.events.get()) is not None:
            yield event
        if stream.failure is not None:
            raise stream.failure
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


class _Stream:
    def __init__(self, endpoint: Endpoint, options: LiveOptions, reconnect_s: float) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue(EVENTS)
        """What the caller receives; None at the end."""
        self.failure: Exception | None = None
        """The error that ended the stream."""
        self._endpoint = endpoint
        self._query = {**options, **({"resumable": True} if reconnect_s > 0 else {})}
        self._reconnect_s = reconnect_s
        self._audio = ResumableAudio(options.get("sample_rate", DEFAULT_RATE))
        self._continuity = Continuity(self._audio)
        self._complete = False
        """Whether the caller has no more audio."""
        self._changed = asyncio.Event()
        """Set when there is audio to send, or no more will follow."""
        self._room = asyncio.Event()
        self._failures = 0

    async def run(self, chunks: AsyncIterable[bytes]) -> None:
        """Transcribe all audio; put the events, and None at the end, into `events`, and an error into `failure`."""
        try:
            await self._run(chunks)
        except Exception as error:  # noqa: BLE001 - raised to the caller, after the events that were received before it
            self.failure = error
        await self.events.put(None)

    async def _run(self, chunks: AsyncIterable[bytes]) -> None:
        taking = asyncio.create_task(self._take(chunks))
        talking = asyncio.create_task(self._talk())
        try:
            await asyncio.wait({taking, talking}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
            await talking
        finally:
            for task in (taking, talking):
                task.cancel()
            await asyncio.gather(taking, talking, return_exceptions=True)

    async def _take(self, chunks: AsyncIterable[bytes]) -> None:
        async for chunk in chunks:
            while self._audio.seconds > KEPT_S:
                self._room.clear()
                await self._room.wait()
            self._audio.append(chunk)
            self._changed.set()
        self._complete = True
        self._changed.set()

    async def _talk(self) -> None:
        """Hold connections until the session has ended. Raises the last error when no new connection succeeds in time."""
        loop = asyncio.get_running_loop()
        lost_at = loop.time()
        while True:
            try:
                await self._connection()
                return
            except OpenSpeechError as error:
                lost_at = loop.time() if not self._failures else lost_at
                self._failures += 1
                delay = Retry().delay_s(self._failures, error.retry_after_s if isinstance(error, APIError) else None)
                if not _may_resume(error) or loop.time() + delay > lost_at + self._reconnect_s:
                    raise
            await asyncio.sleep(delay)

    async def _connection(self) -> None:
        """Serve one connection to the end of the session. Raises ConnectionFailed if it ends before."""
        socket = await connected(self._endpoint, PATH, self._query)
        async with aclosing(_Closing(socket)):
            with translated():
                begin = message(await socket.recv())
            self._check(begin)
            self._audio.restart()
            await self._pass_on(begin)
            sending = asyncio.create_task(self._send(socket))
            try:
                await self._receive(socket)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    def _check(self, begin: Event) -> None:
        if begin.get("type") == "error":
            raise from_event(begin)
        if self._reconnect_s > 0 and not begin.get("resumable"):
            raise ServerTooOld("The server cannot resume a live transcription: upgrade it, or set `reconnect_s=0`.")

    async def _receive(self, socket: ClientConnection) -> None:
        last_error: Event | None = None
        try:
            with translated():
                async for data in socket:
                    event = message(data)
                    await self._pass_on(event)
                    if event.get("type") == "session.end":
                        return
                    if event.get("type") == "error":
                        last_error = event
            raise ConnectionFailed("The server closed the connection before the end of the transcription.")
        except ConnectionFailed:
            if socket.close_code == POLICY and last_error is not None:
                raise from_event(last_error) from None
            raise

    async def _pass_on(self, received: Event) -> None:
        if "final_until" in received or received.get("type") == "session.end":
            self._failures = 0
        for event in self._continuity.accept(received):
            await self.events.put(event)
        self._room.set()

    async def _send(self, socket: ClientConnection) -> None:
        """Send audio as it arrives, and `stop` at the end. A lost connection is noticed by the receiving side."""
        with suppress(ConnectionClosed):
            while True:
                self._changed.clear()
                while part := self._audio.take(PART_BYTES):
                    await socket.send(part)
                    self._sent()
                if self._complete:
                    await socket.send(json.dumps({"type": "stop"}))
                    return
                try:
                    await asyncio.wait_for(self._changed.wait(), QUIET_S)
                except TimeoutError:
                    await socket.send(json.dumps({"type": "keepalive"}))

    def _sent(self) -> None:
        if self._reconnect_s <= 0:
            self._audio.drop_sent()
            self._room.set()


class _Closing:
    """Closes a connection at the end of a block."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def aclose(self) -> None:
        await self._socket.close()


def _may_resume(error: OpenSpeechError) -> bool:
    """Return whether a new connection may succeed. Errors in a message have no status: invalid requests are final, others pass."""
    if isinstance(error, APIError) and error.status is None:
        return not error.is_invalid_request
    return is_temporary(error)
