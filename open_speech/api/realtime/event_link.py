"""One connection over which a client exchanges the events of a Realtime session: a bounded buffer in, a bounded queue out."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from open_speech.api.realtime.client_messages import Message, parse_message
from open_speech.api.realtime.input_buffer import too_long
from open_speech.api.realtime.opening import FRAME_BYTES
from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.http.inbox import AHEAD_BYTES, Inbox
from open_speech.http.message_socket import MessageSocket
from open_speech.http.send_queue import SendQueue

INLINE_CHARS = 1 << 16
"""Messages with more characters are parsed off the event loop."""
AUDIO_EVENTS = ("response.output_audio.delta", "response.audio.delta")
"""Events that contain audio, in both versions of the protocol."""


class EventLink:
    """The events of one connection."""

    def __init__(self, socket: MessageSocket, *, ahead_bytes: int = AHEAD_BYTES) -> None:
        """The connection is open already. `ahead_bytes` are received ahead of the processing."""
        self.socket = socket
        self.inbox = Inbox(socket, ahead_bytes=ahead_bytes)
        self.outbox = SendQueue(_response_of)

    async def message(self) -> str | Message:
        """Receive a message; a long one is parsed off the event loop."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts: list[str] = []
        size = 0
        while True:
            part = await self.inbox.part()
            text = part.data if isinstance(part.data, str) else decoder.decode(part.data, part.is_last)
            size += len(text)
            if size <= FRAME_BYTES:
                texts.append(text)
            else:
                texts.clear()
            if part.is_last:
                break
        if size > FRAME_BYTES:
            return Message({}, too_long(FRAME_BYTES))
        return await in_turn(parse_message, *texts) if size > INLINE_CHARS else "".join(texts)


def _response_of(event: Mapping[str, Any]) -> str | None:
    return str(event["response_id"]) if event["type"] in AUDIO_EVENTS else None
