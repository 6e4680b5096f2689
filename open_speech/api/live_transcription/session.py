"""A live transcription as a state machine: sound, messages and what was heard go in, effects come out. No I/O, no clock.

Speech is heard in utterances, and each has a number. The next may begin while the text of the last is still awaited, so what is told of an
utterance waits until those before it are done: text comes in the order in which it was said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from open_speech.api.live_transcription import messages
from open_speech.api.live_transcription.messages import Command
from open_speech.errors import InvalidRequest, SpeechError
from open_speech.http.ws_messages import POLICY, Close, Send
from open_speech.recognition.live.turn_detection import Paused, Resumed, Started, Stopped, TurnEvent
from open_speech.transcript import Transcript, TranscriptInfo

NOTHING = Transcript(TranscriptInfo("", 0.0, 0.0))
"""The text of silence."""
TAIL_S = 0.3
"""Seconds of sound after the end of speech that a recogniser is given: the last sound of a word is faint."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Take sound in: whole samples. What happened in it is told by `turned`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to transcribe an utterance whose sound starts at `start_s`; sound before that is not needed any more."""

    number: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Its sound is complete up to `end_s`, or up to the last that came; Finished or Failed is reported, once."""

    number: int
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Bring out the sound that is held back on its way; what happened in it is told by `turned`, and then by `drained`."""


Effect = Send | Close | Listen | Begin | Finish | Drain


@dataclass(frozen=True, slots=True)
class Draft:
    """What is understood so far of an utterance, after the parts that are final; it ends at `end_s`."""

    number: int
    text: str
    end_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """The next part of an utterance is final; `is_last`: it ends with this."""

    number: int
    part: Transcript
    is_last: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """All parts of an utterance are final."""

    number: int


@dataclass(frozen=True, slots=True)
class Failed:
    """An utterance could not be transcribed."""

    number: int
    error: SpeechError


Report = Draft | Part | Finished | Failed


@dataclass
class _Utterance:
    number: int
    start_s: float
    done_s: float = 0.0
    """Up to where its parts are final."""
    begun: bool = False
    """Something was told of it, so its end must be told."""
    over: bool = False
    """Its end was told."""
    ended: bool = False
    waiting: list[dict[str, Any]] = field(default_factory=list)


class Session:
    """One connection. Each method takes what happened and gives what is to be done, in order."""

    def __init__(self, *, vad: bool, interim_results: bool) -> None:
        """Without `vad` all that comes is one utterance, until the client says otherwise."""
        self._vad = vad
        self._interim = interim_results
        self._odd = b""
        """Half a sample whose other half is still to come."""
        self._number = 0
        self._open: int | None = None
        """The utterance that is being said."""
        self._deaf = False
        """It failed, and without `vad` it lasts until the client says otherwise: what comes up to then belongs to it."""
        self._order: deque[_Utterance] = deque()
        """Utterances whose text is awaited."""
        self._heard_s = 0.0
        self._stopping = self._drained = self._closed = False

    @property
    def is_finishing(self) -> bool:
        """Whether the client has said its last and waits for us."""
        return self._stopping

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is done."""
        return self._closed

    def sound(self, data: bytes) -> list[Effect]:
        """Take sound of any length, cut anywhere."""
        if self._closed or self._stopping:
            return []
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        if not whole:
            return []
        begin = [] if self._vad or self._deaf or self._open is not None else self._begin(self._heard_s)
        return [*begin, Listen(data[:whole])]

    def receive(self, command: Command) -> list[Effect]:
        """Take a message."""
        if self._closed or self._stopping:
            return []
        match command:
            case Command.STOP:
                self._stopping = True
                return [Drain()]
            case Command.FINALIZE:
                self._deaf = False
                return self._finish(None)
            case Command.KEEPALIVE:
                return []

    def misread(self, error: SpeechError) -> list[Effect]:
        """Take a message that could not be read; the session goes on."""
        return [] if self._closed else [_error(error)]

    def turned(self, events: Sequence[TurnEvent], heard_s: float) -> list[Effect]:
        """Take what happened in the sound, of which there are `heard_s` seconds by now."""
        self._heard_s = heard_s
        if self._closed or not self._vad:
            return []
        effects: list[Effect] = []
        for event in events:
            match event:
                case Started(at_s):
                    effects += [Send(messages.vad("speech_start", at_s)), *self._begin(at_s)]
                case Stopped(at_s):
                    effects += [Send(messages.vad("speech_end", at_s)), *self._finish(at_s + TAIL_S)]
                case Paused() | Resumed():
                    pass
        return effects

    def broken(self) -> list[Effect]:
        """Take that the utterance that is being said has failed already; why is reported when it is finished."""
        self._deaf = not self._vad
        return self._finish(None)

    def drained(self) -> list[Effect]:
        """Take that all sound was looked at after the client has stopped."""
        self._drained = True
        return [*self._finish(None), *self._end()]

    def report(self, report: Report) -> list[Effect]:
        """Take what became of an utterance."""
        utterance = next((one for one in self._order if one.number == report.number), None)
        if utterance is None or self._closed:
            return []
        match report:
            case Draft(_, text, end_s):
                if self._interim and utterance is self._order[0] and not utterance.over:
                    utterance.begun = True
                    return [Send(messages.draft(text, max(utterance.start_s, utterance.done_s), end_s))]
                return []
            case Part(_, part, is_last):
                _tell(utterance, part, speech_final=is_last)
            case Finished():
                _tell(utterance, NOTHING, speech_final=True)
                utterance.ended = True
            case Failed(_, error):
                _tell(utterance, NOTHING, speech_final=True)
                utterance.waiting.append(messages.failure(error))
                utterance.ended = True
        return [*self._told(), *self._end()]

    def idle(self) -> list[Effect]:
        """Take that nothing has happened for too long."""
        if self._closed:
            return []
        self._closed = True
        return [_error(InvalidRequest("The connection was idle for too long.")), Close(POLICY)]

    def _begin(self, start_s: float) -> list[Effect]:
        self._number += 1
        self._open = self._number
        self._order.append(_Utterance(self._number, start_s))
        return [Begin(self._number, start_s)]

    def _finish(self, end_s: float | None) -> list[Effect]:
        number, self._open = self._open, None
        return [] if number is None else [Finish(number, end_s)]

    def _told(self) -> list[Effect]:
        """Send what waits and is not behind an utterance that is still awaited."""
        effects: list[Effect] = []
        while self._order:
            first = self._order[0]
            effects += [Send(message) for message in first.waiting]
            first.waiting.clear()
            if not first.ended:
                break
            self._order.popleft()
        return effects

    def _end(self) -> list[Effect]:
        if not self._drained or self._order:
            return []
        self._closed = True
        return [Send(messages.ended(self._heard_s)), Close()]


def _tell(utterance: _Utterance, part: Transcript, *, speech_final: bool) -> None:
    """Tell a part; where nothing was understood only the end of what was begun to be told."""
    if utterance.over or not (part.segments or (speech_final and utterance.begun)):
        return
    message = messages.final(part, utterance.start_s, speech_final=speech_final)
    if not part.segments:
        message["start"] = message["end"] = round(max(utterance.start_s, utterance.done_s), messages.KEPT_DIGITS)
    utterance.waiting.append(message)
    utterance.begun, utterance.over, utterance.done_s = True, speech_final, message["end"]


def _error(error: SpeechError) -> Send:
    return Send(messages.failure(error))
