"""The WebSocket /v1/speech-to-text/stream: speech is transcribed while it is spoken, by the driver of our own live transcription.

The audio between two of the messages `config`, `stop` and `clear` is one take. Each take is a live transcription of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from starlette.websockets import WebSocket

from open_speech import logs
from open_speech.api.gemmavoice.channel import Channel
from open_speech.api.gemmavoice.errors import detail_of
from open_speech.api.live_transcription.connection import load
from open_speech.api.live_transcription.driver import Driver
from open_speech.api.live_transcription.messages import Command, Query
from open_speech.api.live_transcription.opening import Opened, opened
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import InvalidValue, MissingField, SpeechError
from open_speech.http.errors import validated
from open_speech.http.ws_messages import Close, Send
from open_speech.languages import requested_language

MESSAGE_CHARS = 1 << 16
"""Maximum characters of a text message; audio is sent in binary messages."""
_SHOWN = ("text", "start", "end", "language", "confidence")
"""Fields of a transcript that are sent as they are."""


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """Build a message. Clients find its kind in `type`, as in a conversation, or in `event`, as in the other WebSockets."""
    return {"type": kind, "event": kind, **fields}


class Take:
    """One live transcription, and its messages in the format of this API."""

    def __init__(self, channel: Channel, stream: Opened, rate: int) -> None:
        """Audio arrives at `rate` Hertz."""
        self.ended = asyncio.Event()
        """Set when all text was sent."""
        self._channel = channel
        self._is_answered = False
        """Whether a final text or an error was sent."""
        self.driver = Driver(stream.session, stream.recognizer, stream.input, self, rate=rate)

    def put(self, effect: Send | Close) -> None:
        """Send a message of our own live transcription in the format of this API."""
        if isinstance(effect, Close):
            return  # the connection is open for the next take
        message = effect.message
        match message["type"]:
            case "transcript" if message["text"]:
                self._is_answered = self._is_answered or message["is_final"]
                kind = "final" if message["is_final"] else "interim"
                self._channel.send(event(kind, **{name: message[name] for name in _SHOWN if message.get(name) is not None}))
            case "error":
                self._is_answered = True
                logs.note_error(message["error"]["code"] or message["error"]["type"])
                self._channel.send(event("error", detail=message["error"]["message"]))
            case "session.end":
                if not self._is_answered:
                    self._channel.send(event("final", text="", start=0.0, end=message["duration"]))
                self.ended.set()

    async def calm(self) -> None:
        """Wait until more may be sent."""
        await self._channel.outbox.calm()


class LiveSocket:
    """One connection."""

    def __init__(self, socket: WebSocket, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._channel = Channel(socket, idle_s=settings.os_stream_idle_timeout_s, longest=MESSAGE_CHARS, failure=_failure)
        self._query = Query()
        self._take: Take | None = None

    async def run(self) -> None:
        """Serve until one side closes the connection. Raises subclasses of SpeechError if the default model cannot be used."""
        recognizer = (await opened(self._query, self._engine, self._settings)).recognizer
        self._channel.send(event("ready", model=recognizer.model, **self._options()))
        try:
            await self._channel.run(self._read, load(self._engine.pool, recognizer.model))
        finally:
            await self._drop()

    async def _read(self) -> None:
        async with aclosing(self._channel.parts()) as parts:
            async for part in parts:
                try:
                    if isinstance(part.data, bytes):
                        await self._feed(part.data)
                    else:
                        await self._handle(await self._channel.parsed(part.data))
                except SpeechError as error:
                    self._channel.fail(error)

    async def _feed(self, data: bytes) -> None:
        if self._take is None:
            self._take = Take(self._channel, await opened(self._query, self._engine, self._settings), self._query.sample_rate)
        await self._take.driver.feed(data)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        match kind := message.get("type", message.get("event")):
            case "config":
                await self._configure(message)
            case "stop":
                if self._take is None:
                    self._channel.send(event("warning", detail="No audio to transcribe."))
                await self._finish()
            case "clear":
                await self._drop()
                self._channel.send(event("cleared"))
            case None:
                raise MissingField("The message has no `type`.", param="type")
            case _:
                raise InvalidValue(f"`type` must be one of config, stop, clear, not `{str(kind)[:64]}`.", param="type")

    async def _configure(self, message: Mapping[str, Any]) -> None:
        """Set the options of all audio that follows. Fields that are not sent keep their values."""
        sent = {name: value for name, value in message.items() if name in Query.model_fields and value not in (None, "")}
        query = validated(Query, {**self._query.model_dump(), **sent})
        query = query.model_copy(update={"language": requested_language(query.language, "language")})
        stream = await opened(query, self._engine, self._settings)  # raises for a model or a language that cannot be used
        await self._finish()
        self._query = query
        self._channel.send(event("configured", model=stream.recognizer.model, **self._options()))

    async def _finish(self) -> None:
        """Transcribe the rest of the take, and send its text."""
        if self._take is not None:
            await self._take.driver.receive(Command.STOP)
            await self._take.ended.wait()
            await self._drop()

    async def _drop(self) -> None:
        """Discard the take in progress."""
        take, self._take = self._take, None
        if take is not None:
            await take.driver.end()

    def _options(self) -> dict[str, Any]:
        query = self._query
        return {
            "language": query.language, "sample_rate": query.sample_rate, "encoding": query.encoding,
            "interim_results": query.interim_results,
        }  # fmt: skip


def _failure(error: SpeechError) -> dict[str, Any]:
    return event("error", detail=detail_of(error))
