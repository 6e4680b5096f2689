"""Where the audio of a Live session is: in its events with a WebSocket, on tracks with WebRTC (call_media.py)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Protocol

from open_speech.api.live.effects import Samples
from open_speech.api.realtime.effects import AudioFormat
from open_speech.api.realtime.wire_audio import encoded
from open_speech.audio import Audio


class InputTrack(Protocol):
    """Audio of the client that is not in events."""

    async def next(self) -> bytes:
        """Wait for audio of the client, in the format of the session. Raises WebSocketDisconnect after the end."""
        ...


class OutputMedia(Protocol):
    """The audio that the client hears."""

    def play(self, samples: Samples) -> None:
        """Send the next 100 ms, at the rate of the session."""
        ...

    def hold(self, is_held: bool) -> None:
        """Hold back what was sent and is not heard yet, or go on with it."""
        ...

    def clear(self) -> None:
        """Drop what was sent and is not heard yet."""
        ...


class EventMedia:
    """Audio in events. The client plays it at once, and it cannot be taken back."""

    def __init__(self, format: AudioFormat, put: Callable[[dict[str, Any]], None]) -> None:
        """`put` sends an event to the client that started the session."""
        self._format = format
        self._put = put

    def play(self, samples: Samples) -> None:
        """Send an event."""
        for data, _ in encoded(Audio(samples, self._format.rate), self._format):
            self._put({"type": "session.output_audio.delta", "delta": base64.b64encode(data).decode()})

    def hold(self, is_held: bool) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Do nothing."""
