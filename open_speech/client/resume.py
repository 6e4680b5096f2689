"""The audio of a live transcription that is not final yet, and the times of messages over several connections. Pure.

The server reports how much of its audio is final. Audio before that is dropped here. After a disconnect, the rest is sent to the next
connection, whose times count from the start of the rest: they are moved, so that the caller sees one stream.
"""

from __future__ import annotations

from open_speech.client.bodies import Event

WIDTH = 2
"""Bytes of one sample."""


class ResumableAudio:
    """Audio in the order of the stream: a part that was sent, and a part that waits."""

    def __init__(self, rate: int) -> None:
        """`rate` is in hertz."""
        self._rate = rate
        self._data = bytearray()
        self._first = 0
        """Position in the stream of the first byte of `_data`: everything before it is final."""
        self._sent = 0
        """Position up to which the audio was sent on this connection."""
        self._base = 0
        """Position at which this connection began."""

    @property
    def seconds(self) -> float:
        """Seconds of audio that are not final."""
        return len(self._data) / (self._rate * WIDTH)

    @property
    def base_s(self) -> float:
        """Seconds of the stream at which this connection began."""
        return self._base / (self._rate * WIDTH)

    @property
    def is_sent(self) -> bool:
        """Whether all audio so far was sent."""
        return self._sent == self._first + len(self._data)

    def append(self, data: bytes) -> None:
        """Add the next audio, split anywhere."""
        self._data += data

    def restart(self) -> None:
        """Begin a new connection: everything that is not final is sent again."""
        self._base = self._sent = self._first

    def take(self, size: int) -> bytes:
        """Return the next bytes to send, at most `size`; empty if everything was sent."""
        start = self._sent - self._first
        data = bytes(self._data[start : start + size])
        self._sent += len(data)
        return data

    def drop_sent(self) -> None:
        """Drop all audio that was sent: it will not be sent again."""
        self._drop(self._sent)

    def settle(self, until_s: float) -> None:
        """Drop audio that is final: that before `until_s` seconds of this connection."""
        self._drop(min(self._base + int(until_s * self._rate) * WIDTH, self._sent))

    def _drop(self, until: int) -> None:
        drop = until - self._first
        if drop > 0:
            del self._data[:drop]
            self._first += drop


class Continuity:
    """The messages of several connections -> the events of one stream."""

    def __init__(self, audio: ResumableAudio) -> None:
        self._audio = audio
        self._begun = False
        self._vad: tuple[str, float] = ("speech_end", 0.0)
        """The last event of speech detection that was passed on."""
        self._open = False
        """Whether the last final text did not end its utterance."""
        self._end_s = 0.0

    def accept(self, message: Event) -> list[Event]:
        """Take a message of the current connection; return the events for the caller."""
        until_s = message.get("final_until")
        events = self._events({name: value for name, value in message.items() if name != "final_until"})
        if isinstance(until_s, (int, float)):
            self._audio.settle(until_s)
        return events

    def _events(self, message: Event) -> list[Event]:
        base = self._audio.base_s
        match message.get("type"):
            case "session.begin":
                begun, self._begun = self._begun, True
                return [] if begun else [message]
            case "progress":
                return []
            case "transcript":
                return [self._transcript(message, base)]
            case "vad":
                return self._speech(str(message["state"]), message["at"] + base)
            case "session.end":
                return [*self._closed(), {**message, "duration": round(message["duration"] + base, 3)}]
        return [message]

    def _transcript(self, message: Event, base: float) -> Event:
        moved = {**message, "start": round(message["start"] + base, 3), "end": round(message["end"] + base, 3)}
        if message["is_final"]:
            self._open, self._end_s = not message["speech_final"], moved["end"]
        return moved

    def _speech(self, state: str, at_s: float) -> list[Event]:
        """Pass on a start or an end of speech, unless it is from audio that was sent twice."""
        if state == self._vad[0] or at_s < self._vad[1]:
            return []
        self._vad = (state, round(at_s, 3))
        return [{"type": "vad", "state": state, "at": self._vad[1]}]

    def _closed(self) -> list[Event]:
        """End the utterance whose last text arrived before a disconnect, if nothing followed it."""
        if not self._open:
            return []
        self._open = False
        return [
            {
                "type": "transcript", "is_final": True, "speech_final": True, "text": "", "start": self._end_s, "end": self._end_s,
                "confidence": None, "language": None,
            }
        ]  # fmt: skip
