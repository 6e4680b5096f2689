"""A live transcription as a state machine: audio, messages and transcripts in, effects out. No I/O, no clock.

Speech is transcribed in utterances, and each has a number. The next may begin while the text of the last is still pending, so the messages
of an utterance wait until those before it are done: text is sent in the order in which it was spoken.
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
"""The transcript of silence."""
TAIL_S = 0.3
"""Seconds of audio after the end of speech that the recognizer receives: the last phoneme of a word is faint."""
LOOKBACK_S = 1.0
"""Seconds before the newest audio in which the next utterance may begin: its speech is detected a moment late."""
PROGRESS_EVERY_S = 1.0
"""Seconds of silence after which a resumable session reports its progress again."""


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Process audio: whole samples. The speech detected in it is reported with `turn_events`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Start to transcribe an utterance whose audio starts at `start_s`; audio before that is no longer needed."""

    number: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Finish:
    """End the audio of an utterance at `end_s`, or at the last sample; Finished or Failed is reported exactly once."""

    number: int
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Process the audio that is still buffered; its speech is reported with `turn_events`, and then `drained` is called."""


Effect = Send | Close | AppendAudio | Begin | Finish | Drain


@dataclass(frozen=True, slots=True)
class Draft:
    """The interim text of an utterance, after its final parts; it ends at `end_s`."""

    number: int
    text: str
    end_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """The next final part of an utterance; `is_last`: the utterance ends with it."""

    number: int
    part: Transcript
    is_last: bool
    until_s: float = 0.0
    """The end of the part, in seconds of the utterance: later parts are from audio after it."""


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
    """The end of the text of its last final part."""
    end_s: float = 0.0
    """The end of its audio, once it has ended."""
    is_reported: bool = False
    """A message about the utterance was sent, so its end must be sent."""
    final_sent: bool = False
    """Its message with `speech_final` was sent or is in `waiting`."""
    is_done: bool = False
    waiting: list[dict[str, Any]] = field(default_factory=list)


class Session:
    """One connection. Each method handles one event and returns the effects to perform, in order."""

    def __init__(self, *, vad: bool, interim_results: bool, resumable: bool = False, diarize: bool = False) -> None:
        """Without `vad`, all audio up to the next `finalize` or `stop` of the client is one utterance.

        With `resumable`, messages contain the time up to which all text is final, and a `progress` message reports it in silence.
        With `diarize`, a final transcript has its speaker, and is sent in parts if the speaker changes.
        """
        self._diarize = diarize
        self._vad = vad
        self._resumable = resumable
        self._final_s = self._progress_s = 0.0
        """The end of the last utterance whose text is final, and the last time that was reported."""
        self._interim = interim_results
        self._odd = b""
        """The first byte of a sample whose second byte has not arrived yet."""
        self._number = 0
        self._open: int | None = None
        """The number of the utterance in progress."""
        self._discarding = False
        """Whether audio is discarded: without `vad`, an utterance failed, and all audio up to the next `finalize` belongs to it."""
        self._order: deque[_Utterance] = deque()
        """Utterances whose text is pending."""
        self._processed_s = 0.0
        self._stopping = self._drained = self._closed = False

    @property
    def is_finishing(self) -> bool:
        """Whether the client has sent `stop` and waits for the rest of the text."""
        return self._stopping

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed

    def append(self, data: bytes) -> list[Effect]:
        """Accept audio of any length, split anywhere."""
        if self._closed or self._stopping:
            return []
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        if not whole:
            return []
        begin = [] if self._vad or self._discarding or self._open is not None else self._begin(self._processed_s)
        return [*begin, AppendAudio(data[:whole])]

    def receive(self, command: Command) -> list[Effect]:
        """Handle a message of the client."""
        if self._closed or self._stopping:
            return []
        match command:
            case Command.STOP:
                self._stopping = True
                return [Drain()]
            case Command.FINALIZE:
                self._discarding = False
                return self._finish(None)
            case Command.KEEPALIVE:
                return []

    def invalid_message(self, error: SpeechError) -> list[Effect]:
        """Handle a message that could not be parsed; the session continues."""
        return [] if self._closed else [_error(error)]

    def turn_events(self, events: Sequence[TurnEvent], processed_s: float) -> list[Effect]:
        """Handle the turn events in the audio, of which `processed_s` seconds are processed so far."""
        self._processed_s = processed_s
        if self._closed or not self._vad:
            return []
        effects: list[Effect] = []
        for event in events:
            match event:
                case Started(at_s):
                    effects += [Send(messages.vad("speech_start", at_s)), *self._begin(at_s)]
                case Stopped(at_s):
                    effects += [Send(messages.vad("speech_end", at_s)), *self._finish(at_s + TAIL_S, at_s)]
                case Paused() | Resumed():
                    pass
        return [*effects, *self._progress()]

    def settled(self, seconds: float) -> list[Effect]:
        """Take how many seconds of the utterance in progress are done: a long silence within it is reported, too."""
        if self._closed or self._open is None or self._order[0].number != self._open:
            return []
        return self._report_progress(self._order[0].start_s + seconds)

    def utterance_failed(self) -> list[Effect]:
        """End the utterance in progress because it has failed; the error is reported when it is finished."""
        self._discarding = not self._vad
        return self._finish(None)

    def drained(self) -> list[Effect]:
        """End the session after `stop`: all audio has been processed."""
        self._drained = True
        return [*self._finish(None), *self._end()]

    def report(self, report: Report) -> list[Effect]:
        """Handle a report about an utterance."""
        utterance = next((one for one in self._order if one.number == report.number), None)
        if utterance is None or self._closed:
            return []
        match report:
            case Draft(_, text, end_s):
                if self._interim and utterance is self._order[0] and not utterance.final_sent:
                    utterance.is_reported = True
                    return [Send(messages.draft(text, max(utterance.start_s, utterance.done_s), end_s))]
                return []
            case Part(_, part, is_last, until_s):
                self._add_final(utterance, part, utterance.start_s + until_s, speech_final=is_last)
            case Finished():
                self._add_final(utterance, NOTHING, utterance.end_s, speech_final=True)
                utterance.is_done = True
            case Failed(_, error):
                self._add_final(utterance, NOTHING, utterance.end_s, speech_final=True)
                utterance.waiting.append(messages.failure(error))
                utterance.is_done = True
        return [*self._release(), *self._end()]

    def idle(self) -> list[Effect]:
        """End the session because it was idle for too long."""
        if self._closed:
            return []
        self._closed = True
        return [_error(InvalidRequest("The connection was idle for too long.")), Close(POLICY)]

    def _begin(self, start_s: float) -> list[Effect]:
        self._number += 1
        self._open = self._number
        self._order.append(_Utterance(self._number, start_s))
        return [Begin(self._number, start_s)]

    def _finish(self, end_s: float | None, speech_end_s: float | None = None) -> list[Effect]:
        number, self._open = self._open, None
        if number is None:
            return []
        self._order[-1].end_s = self._processed_s if speech_end_s is None else speech_end_s
        return [Finish(number, end_s)]

    def _progress(self) -> list[Effect]:
        """Report that silence is done, once in a while; while speech is pending, its final text reports the time."""
        return [] if self._order else self._report_progress(max(self._final_s, self._processed_s - LOOKBACK_S))

    def _report_progress(self, until_s: float) -> list[Effect]:
        if not self._resumable or until_s < self._progress_s + PROGRESS_EVERY_S:
            return []
        self._progress_s = until_s
        return [Send(messages.progress(until_s))]

    def _release(self) -> list[Effect]:
        """Return the waiting messages that are not behind an utterance whose text is pending."""
        effects: list[Effect] = []
        while self._order:
            first = self._order[0]
            effects += [Send(message) for message in first.waiting]
            first.waiting.clear()
            if not first.is_done:
                break
            self._final_s = self._order.popleft().end_s
        return effects

    def _end(self) -> list[Effect]:
        if not self._drained or self._order:
            return []
        self._closed = True
        return [Send(messages.session_end(self._processed_s)), Close()]

    def _add_final(self, utterance: _Utterance, part: Transcript, until_s: float, *, speech_final: bool) -> None:
        """Add the message of a final part; a part without text only ends an utterance about which a message was sent."""
        if utterance.final_sent or not (part.segments or (speech_final and utterance.is_reported)):
            return
        *parts, part = messages.by_speaker(part) if self._diarize else [part]
        for before in parts:
            self._add_message(utterance, before, utterance.start_s + before.segments[-1].end, speech_final=False)
        self._add_message(utterance, part, until_s, speech_final=speech_final)

    def _add_message(self, utterance: _Utterance, part: Transcript, until_s: float, *, speech_final: bool) -> None:
        message = messages.final(part, utterance.start_s, speech_final=speech_final)
        if not part.segments:
            message["start"] = message["end"] = round(max(utterance.start_s, utterance.done_s), messages.DECIMALS)
        if self._diarize:
            message |= messages.speaker(part)
        if self._resumable:
            message |= messages.final_until(utterance.end_s if speech_final else until_s)
        utterance.waiting.append(message)
        utterance.is_reported, utterance.final_sent, utterance.done_s = True, speech_final, message["end"]


def _error(error: SpeechError) -> Send:
    return Send(messages.failure(error))
