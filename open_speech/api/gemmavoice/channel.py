"""The messages of one WebSocket of GemmaVoice's API, or of a dialogue, in both directions, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from starlette.websockets import WebSocket

from open_speech import logs
from open_speech.api.gemmavoice.errors import event_of
from open_speech.concurrency.task_group import Tasks
from open_speech.errors import InvalidRequest, SpeechError, UploadTooLarge
from open_speech.http import json_screen
from open_speech.http.inbox import Inbox, Part
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import received_part, until_one_ends
from open_speech.http.ws_messages import POLICY, Close, Send

INLINE_CHARS = 1 << 16
"""Maximum characters of a message that is parsed on the event loop."""
_STRUCTURE = json_screen.Bounds(tokens=5000)


class Channel:
    """A WebSocket. One task receives messages, one sends them, and one processes them in order."""

    def __init__(
        self,
        socket: WebSocket,
        *,
        idle_s: float,
        longest: int,
        failure: Callable[[SpeechError], dict[str, Any]] = event_of,
        is_audio: Callable[[Mapping[str, Any]], bool] = lambda message: message.get("event") == "audio_chunk",
    ) -> None:
        """It is closed after `idle_s` seconds without a message in either direction.

        `longest` is the maximum number of characters of a text message, and `failure` builds the message that reports an error. Messages
        that `is_audio` can be removed from the queue.
        """
        self.outbox = SendQueue(lambda message: "" if is_audio(message) else None)
        self.tasks = Tasks()
        self.is_busy: Callable[[], bool] = lambda: False
        """Whether a response is pending, during which the client may be silent."""
        self._socket = socket
        self._idle_s = idle_s
        self._longest = longest
        self._failure = failure
        self._inbox = Inbox(socket)

    async def run(self, process: Callable[[], Coroutine[Any, Any, None]], *beside: Coroutine[Any, Any, None]) -> None:
        """Serve until one side closes the connection; all tasks that were started here, also `beside`, end with it."""
        for coroutine in beside:
            self.tasks.begin(coroutine)
        work = (self._inbox.fill(), self._process(process), self.outbox.write(self._socket))
        try:
            await until_one_ends(*map(self.tasks.begin, work))
        finally:
            await self.tasks.end()

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Yield the messages of the client, long binary ones in parts, until it is idle for too long."""
        while (part := await received_part(self._inbox, self.outbox, self._idle_s, lambda: self.is_busy(), self._longest)) is not None:
            yield part
            await self.outbox.calm()

    async def parsed(self, text: str) -> dict[str, Any]:
        """Parse a text message. Raises InvalidRequest, or UploadTooLarge for one that is too long."""
        if len(text) > self._longest:
            raise UploadTooLarge(f"The message is longer than the limit of {self._longest} characters.")
        try:
            body = await asyncio.to_thread(_loaded, text) if len(text) > INLINE_CHARS else _loaded(text)
        except (ValueError, RecursionError):
            raise InvalidRequest("The message is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidRequest("The message must be a JSON object.")
        return body

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message."""
        self.outbox.put(Send(dict(message)))

    def fail(self, error: SpeechError) -> None:
        """Report an error; the connection stays open."""
        logs.note_error(error.code or error.type)
        self.send(self._failure(error))

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after everything that was queued."""
        self.outbox.put(Close(code, reason))

    async def _process(self, process: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await process()
        self.fail(InvalidRequest("The connection was idle for too long."))
        self.close(POLICY)
        await asyncio.Event().wait()  # the writer ends the connection


def _loaded(text: str) -> Any:
    return json_screen.loads(text, _STRUCTURE)
