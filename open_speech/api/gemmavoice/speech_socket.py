"""The WebSocket /v1/text-to-speech/ws, also /ws/tts: each message is the body of a speech request."""

from __future__ import annotations

import asyncio
import base64
import logging
from contextlib import aclosing

from starlette.websockets import WebSocket

from open_speech.api.gemmavoice.channel import Channel
from open_speech.api.gemmavoice.speech_request import TextToSpeechRequest
from open_speech.api.gemmavoice.synthesis import Speech, events, speech_of, whole
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, InvalidRequest, SpeechError
from open_speech.http.errors import validated
from open_speech.http.json_bounds import REFERENCES_BYTES

log = logging.getLogger("open_speech.gemmavoice")

MESSAGE_CHARS = REFERENCES_BYTES + (2 << 20)
"""Maximum characters of a message: the references, and the text."""


class SpeechSocket:
    """One connection. A request waits until the one before it is answered."""

    def __init__(self, socket: WebSocket, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._channel = Channel(socket, idle_s=settings.os_stream_idle_timeout_s, longest=MESSAGE_CHARS)

    async def run(self) -> None:
        """Serve until one side closes the connection."""
        await self._channel.run(self._read)

    async def _read(self) -> None:
        async with aclosing(self._channel.parts()) as parts:
            async for part in parts:
                if isinstance(part.data, str):
                    await self._answer(part.data)
                elif part.is_last:
                    self._channel.fail(InvalidRequest("Binary messages are not accepted: send the request as JSON text."))

    async def _answer(self, message: str) -> None:
        try:
            body = validated(TextToSpeechRequest, await self._channel.parsed(message))
            speech = await speech_of(body, self._engine, self._settings)
            if body.stream is False:
                await self._send_whole(speech)
            else:
                await self._send_chunks(speech)
        except SpeechError as error:
            self._channel.fail(error)
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an error message may reach the client
            log.exception("a speech request failed")
            self._channel.fail(BackendFailed("The speech could not be completed."))

    async def _send_chunks(self, speech: Speech) -> None:
        """Send the audio while it is synthesized, no faster than the client reads."""
        is_first = True
        async with aclosing(events(speech.rendition.audio)) as messages:
            async for message in messages:
                if is_first:
                    if message["event"] == "done":
                        raise BackendFailed("The backend returned no audio.")
                    self._channel.send({"event": "metadata", "data": speech.metadata()})
                is_first = False
                await self._channel.outbox.room()
                self._channel.send(message)

    async def _send_whole(self, speech: Speech) -> None:
        data = await whole(speech.rendition.audio)
        encoded = (await asyncio.to_thread(base64.b64encode, data)).decode()
        self._channel.send({"event": "synthesis", "data": {"audio_base64": encoded, **speech.metadata()}})
