"""Receivers of a turn: one collects a whole response, one sends the turn while it is in progress."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from open_speech.api.dialogue.answer_file import AnswerFile
from open_speech.audio import Audio
from open_speech.codecs.wav import with_true_sizes
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.transcript import Transcript

CHUNK_BYTES = 32_768
"""Maximum bytes of audio in one message."""


class Collected:
    """The audio of a whole answer. The rest is in the result of the turn."""

    def __init__(self, file: AnswerFile) -> None:
        self._file = file
        self._parts: list[bytes] = []

    async def heard(self, transcript: Transcript) -> None:
        """Ignore the transcript."""

    def generated(self, text: str) -> None:
        """Ignore the text."""

    async def text(self, text: str, at_s: float) -> None:
        """Ignore the text."""

    async def audio(self, audio: Audio) -> None:
        """Encode and store audio."""
        self._parts.append(await self._file.add(audio))

    def tool(self, call: ToolCallDelta) -> None:
        """Ignore a tool call."""

    async def whole(self) -> bytes:
        """End the file and return it; a WAV file has its true length in the header."""
        data = b"".join([*self._parts, await self._file.finish()])
        return with_true_sizes(data, len(data))


class Messages(Protocol):
    """The messages of one API."""

    def heard(self, transcript: Transcript) -> list[dict[str, Any]]:
        """Build the messages for a transcript."""
        ...

    def delta(self, text: str) -> dict[str, Any]:
        """Build the message for a part of the answer."""
        ...

    def text(self, text: str) -> dict[str, Any]:
        """Build the message for the whole text of the answer."""
        ...

    def audio(self, data: str) -> dict[str, Any]:
        """Build the message for audio in base64."""
        ...


class Sent:
    """Sends a turn as messages, no faster than the client reads them."""

    def __init__(
        self, messages: Messages, file: AnswerFile, *, put: Callable[[Mapping[str, Any]], None], room: Callable[[], Awaitable[None]]
    ) -> None:
        self._messages = messages
        self._file = file
        self._put = put
        self._room = room

    async def heard(self, transcript: Transcript) -> None:
        """Send the transcript."""
        for message in self._messages.heard(transcript):
            self._put(message)

    def generated(self, text: str) -> None:
        """Send the whole text."""
        self._put(self._messages.text(text))

    async def text(self, text: str, at_s: float) -> None:
        """Send a part of the text; its audio follows."""
        await self._room()
        self._put(self._messages.delta(text))

    async def audio(self, audio: Audio) -> None:
        """Send audio."""
        await self._send(await self._file.add(audio))

    def tool(self, call: ToolCallDelta) -> None:
        """Ignore a tool call."""

    async def finish(self) -> None:
        """Send the rest of the audio."""
        await self._send(await self._file.finish())

    async def _send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            await self._room()
            self._put(self._messages.audio(base64.b64encode(data[start : start + CHUNK_BYTES]).decode()))
