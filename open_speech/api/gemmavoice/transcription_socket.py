"""The WebSocket /v1/speech-to-text/ws, also /ws/stt: a file is sent in chunks, and transcribed when the client commits it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from starlette.websockets import WebSocket

from open_speech.api.gemmavoice.channel import Channel
from open_speech.api.gemmavoice.transcripts import transcript_body, transcription_request
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, InvalidValue, MissingField, SpeechError, UploadTooLarge
from open_speech.http.base64_stream import decoded
from open_speech.http.inbox import Part

log = logging.getLogger("open_speech.gemmavoice")

MESSAGE_CHARS = 16 << 20
"""Maximum characters of a message: 12 MiB of audio in base64. Longer files are sent in binary messages."""
MEMORY_BYTES = 1 << 20
"""A longer file is stored on disk until it is transcribed."""
_FD = Path("/dev/fd")


class AudioBuffer:
    """A file that arrives in chunks, in memory or in an unnamed file."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        """Bytes so far."""
        self._max = max_bytes
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=MEMORY_BYTES)

    async def add(self, chunk: bytes) -> None:
        """Append a chunk. Raises UploadTooLarge if the file becomes too large; the chunk is then dropped."""
        if self.size + len(chunk) > self._max:
            raise UploadTooLarge(f"The audio is larger than the limit of {self._max} bytes: send `commit` or `clear`.")
        self.size += len(chunk)
        if self.size > MEMORY_BYTES:
            await asyncio.to_thread(self._file.write, chunk)
        else:
            self._file.write(chunk)

    def source(self) -> bytes | Path:
        """Return the file; a path is valid until `close`."""
        if self.size > MEMORY_BYTES and _FD.exists():
            self._file.flush()
            return _FD / str(self._file.fileno())
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class TranscriptionSocket:
    """One connection. Messages are processed in order: chunks that follow a commit wait until it is answered."""

    def __init__(self, socket: WebSocket, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._channel = Channel(socket, idle_s=settings.os_stream_idle_timeout_s, longest=MESSAGE_CHARS)
        self._buffer = self._new_buffer()
        self._chunk_bytes = 0
        """Bytes of the current binary message so far."""
        self._is_dropping = False
        """Whether the rest of the current binary message is dropped, because there is no room for it."""

    async def run(self) -> None:
        """Serve until one side closes the connection."""
        try:
            await self._channel.run(self._read)
        finally:
            self._buffer.close()

    async def _read(self) -> None:
        async with aclosing(self._channel.parts()) as parts:
            async for part in parts:
                try:
                    if isinstance(part.data, str):
                        await self._handle(await self._channel.parsed(part.data))
                    else:
                        await self._add(part, part.data)
                except SpeechError as error:
                    self._channel.fail(error)
                except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an error message may reach the client
                    log.exception("a transcription failed")
                    self._channel.fail(BackendFailed("The speech could not be transcribed."))

    async def _add(self, part: Part, data: bytes) -> None:
        try:
            if not self._is_dropping:
                await self._buffer.add(data)
                self._chunk_bytes += len(data)
        except UploadTooLarge:
            self._is_dropping = True
            raise
        finally:
            if part.is_last:
                if not self._is_dropping:
                    self._channel.send({"event": "received", "bytes": self._chunk_bytes})
                self._chunk_bytes, self._is_dropping = 0, False

    async def _handle(self, message: Mapping[str, Any]) -> None:
        encoded, event = message.get("audio_base64"), message.get("event")
        if encoded is not None and not isinstance(encoded, str):
            raise InvalidValue("`audio_base64` must be a string.", param="audio_base64")
        if encoded or event == "commit":
            await self._commit(encoded or "", message)
        elif event == "clear":
            self._buffer.close()
            self._buffer = self._new_buffer()
            self._channel.send({"event": "cleared"})
        elif event is None:
            raise MissingField("The message has no `event`.", param="event")
        else:
            raise InvalidValue("`event` must be one of commit, clear.", param="event")

    async def _commit(self, encoded: str, message: Mapping[str, Any]) -> None:
        """Transcribe the audio in the message, or else all chunks since the last commit."""
        options = await recognition_request(transcription_request(message), self._engine.pool, self._settings)
        buffer: AudioBuffer | None = None
        if not encoded:
            buffer, self._buffer = self._buffer, self._new_buffer()
        try:
            source = await asyncio.to_thread(_decoded, encoded) if buffer is None else buffer.source()
            if source == b"":
                self._channel.send({"event": "warning", "detail": "No audio to transcribe."})
                return
            transcript = await self._engine.recognition.transcribe(source, options)
        finally:
            if buffer is not None:
                buffer.close()
        data = await asyncio.to_thread(lambda: transcript_body(transcript).model_dump())
        self._channel.send({"event": "transcript", "data": data})

    def _new_buffer(self) -> AudioBuffer:
        return AudioBuffer(self._settings.os_max_upload_mb << 20)


def _decoded(encoded: str) -> bytes:
    try:
        return decoded(encoded)
    except ValueError:
        raise InvalidValue("`audio_base64` is not base64.", param="audio_base64") from None
