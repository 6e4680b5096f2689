"""Where the audio of a Realtime session is: in its events with a WebSocket, on tracks with WebRTC (call_media.py).

Audio of the client that is in its events needs nothing here. That of a track is an InputTrack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from open_speech.api.realtime.client_messages import Message
from open_speech.api.realtime.effects import PauseOutput, Played, Respond, ResumeOutput

Event = dict[str, Any]


class InputTrack(Protocol):
    """Audio of the client that is not in events."""

    async def next(self) -> Message:
        """Wait for audio of the client; return it as the event that appends it. Raises WebSocketDisconnect after the end."""
        ...


class Media(Protocol):
    """The audio and the events that a client receives. The driver calls these methods with what the session and the client want."""

    on_event: Callable[[Event], None]
    """Called with events about the playback, to send them."""

    def respond(self, effect: Respond) -> None:
        """Note a response that starts."""
        ...

    def passes(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event of the session is sent to the client."""
        ...

    def hold(self, effect: PauseOutput | ResumeOutput) -> None:
        """Hold the playback of a response, or go on with it."""
        ...

    def clear(self, response_id: str | None = None) -> None:
        """Stop playing a response, or everything."""
        ...

    def report_cleared(self) -> None:
        """Send the events about what was cleared, after the effects of one call of the session."""
        ...

    def played(self) -> Sequence[Played]:
        """Return how much of each response was played; one that was played to its end is returned once."""
        ...

    async def room(self) -> None:
        """Wait until more audio may be queued for playback."""
        ...

    def checked(self, message: str | Message) -> str | Message:
        """Return a client's event, or the error for one that is not accepted."""
        ...


class EventMedia:
    """Audio in events. The client plays it, and nothing is known here of the playback."""

    def __init__(self) -> None:
        self.on_event: Callable[[Event], None] = lambda _: None
        """Never called."""

    def respond(self, effect: Respond) -> None:
        """Do nothing."""

    def passes(self, event: Mapping[str, Any]) -> bool:
        """Return true: every event is sent."""
        return True

    def hold(self, effect: PauseOutput | ResumeOutput) -> None:
        """Do nothing: the client plays the audio."""

    def clear(self, response_id: str | None = None) -> None:
        """Do nothing: audio that is not sent yet is in the queue of events."""

    def report_cleared(self) -> None:
        """Do nothing."""

    def played(self) -> Sequence[Played]:
        """Return nothing."""
        return ()

    async def room(self) -> None:
        """Return at once."""

    def checked(self, message: str | Message) -> str | Message:
        """Return the event."""
        return message
