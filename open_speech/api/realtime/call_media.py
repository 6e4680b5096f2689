"""The audio of a Realtime session over WebRTC: it is on the tracks, and not in events.

CallInput appends audio of the client to the input buffer. CallMedia plays audio of responses by the clock of this server, which therefore
knows what the client has heard. It is reported to the session, which truncates an interrupted response, and to the client by
`output_audio_buffer` events.
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from open_speech.api.realtime.client_messages import InvalidEvent, Message, parse_message
from open_speech.api.realtime.effects import AudioFormat, PauseOutput, Played, Respond, ResumeOutput
from open_speech.api.realtime.event_link import AUDIO_EVENTS
from open_speech.api.realtime.media import Event
from open_speech.api.realtime.settings import Config
from open_speech.api.realtime.wire_audio import decoded, encoded
from open_speech.audio import Audio, StreamResampler
from open_speech.webrtc.frames import FRAME_S
from open_speech.webrtc.playback import Playback

AUDIO_DONE = ("response.output_audio.done", "response.audio.done")
"""Events after the last audio of a response, in both versions of the protocol."""


class AudioPeer(Protocol):
    """The client's track."""

    async def audio(self) -> Audio:
        """Wait for the next audio of the client. Raises WebSocketDisconnect after the end."""
        ...


class CallInput:
    """The audio of the client, as the events that append it."""

    def __init__(self, peer: AudioPeer, config: Callable[[], Config]) -> None:
        """`config` returns the current configuration of the session."""
        self._peer = peer
        self._config = config
        self._resampler = StreamResampler(1, 1)
        self._rates = (0, 0)

    async def next(self) -> Message:
        """Wait for audio of the client; return it as the event that appends it, in the format of the session."""
        audio = await self._peer.audio()
        form = self._config().format
        if self._rates != (audio.rate, form.rate):
            self._rates, self._resampler = (audio.rate, form.rate), StreamResampler(audio.rate, form.rate)
        data = b"".join(part for part, _ in encoded(self._resampler.feed(audio), form))
        return Message({"type": "input_audio_buffer.append", "audio": data})


class CallMedia:
    """The audio that the client hears, and the events about it."""

    def __init__(self, playback: Playback) -> None:
        self.on_event: Callable[[Event], None] = _ignore
        """Called with the events about the playback, to send them."""
        self._playback = playback
        self._formats: dict[str, AudioFormat] = {}
        """The format of each response that was started."""
        self._completed: list[Played] = []
        """Responses that were played to their end, until they are reported."""
        self._cleared: list[str] = []
        """Responses that were cleared, until that is reported."""
        self._reported: set[str] = set()
        """Responses that were reported as cleared since the last call of `report_cleared`."""
        self._has_room = asyncio.Event()
        self._has_room.set()
        playback.on_started = lambda response_id: self._report("started", response_id)
        playback.on_stopped = self._stopped
        playback.on_room = self._has_room.set

    def respond(self, effect: Respond) -> None:
        """Note the format of a response that starts."""
        if effect.has_audio:
            self._formats[effect.response_id] = effect.format

    def passes(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event is sent to the client. Audio is played instead, and the request to clear it is performed first."""
        kind = event["type"]
        if kind == "output_audio_buffer.cleared":
            self.clear()
        self._send_cleared()
        if kind in AUDIO_EVENTS:
            self._play(event)
            return False
        if kind in AUDIO_DONE:
            self._playback.complete(event["response_id"])
        elif kind == "response.done":
            self._formats.pop(event["response"]["id"], None)
        elif kind == "output_audio_buffer.cleared":
            return not self._reported  # those about each response replace that of the session, unless nothing was played
        return True

    def hold(self, effect: PauseOutput | ResumeOutput) -> None:
        """Hold the playback of a response, or go on with it."""
        if self._playback.played_s(effect.response_id) is not None:
            self._playback.is_paused = isinstance(effect, PauseOutput)

    def clear(self, response_id: str | None = None) -> None:
        """Stop playing a response, or everything."""
        self._cleared += [dropped.source for dropped in self._playback.drop(response_id)]

    def report_cleared(self) -> None:
        """Send the events about what was cleared, after the effects of one call of the session."""
        self._send_cleared()
        self._reported.clear()

    def played(self) -> list[Played]:
        """Return how much of each response was played; one that was played to its end is returned once."""
        completed, self._completed = self._completed, []
        return [*completed, *(Played(source, int(seconds * 1000)) for source, seconds in self._playback.positions())]

    async def room(self) -> None:
        """Wait until more audio may be queued for playback."""
        if not self._playback.has_room:
            self._has_room.clear()
            await self._has_room.wait()

    def checked(self, message: str | Message) -> Message:
        """Return a client's event, or the error for one that is not accepted over WebRTC."""
        parsed = parse_message(message) if isinstance(message, str) else message
        if parsed.body.get("type") != "input_audio_buffer.append":
            return parsed
        return Message(parsed.body, InvalidEvent("Over WebRTC, audio is sent on the track and not in events.", param="type"))

    def _play(self, event: Mapping[str, Any]) -> None:
        response_id = event["response_id"]
        form = self._formats.get(response_id)
        if form is None:
            return  # it was stopped
        self._playback.put(response_id, decoded(base64.b64decode(event["delta"]), form))

    def _stopped(self, response_id: str, seconds: float) -> None:
        # The last frame was filled up with silence, which was played as well.
        self._completed.append(Played(response_id, math.ceil((seconds + FRAME_S) * 1000)))
        self._report("stopped", response_id)

    def _send_cleared(self) -> None:
        cleared, self._cleared = self._cleared, []
        self._reported.update(cleared)
        for response_id in cleared:
            self._report("cleared", response_id)

    def _report(self, what: str, response_id: str) -> None:
        self.on_event({"type": f"output_audio_buffer.{what}", "response_id": response_id})


def _ignore(_: Event) -> None:
    return None
