"""Live speech as a state machine: client messages and reports of the engine in, effects out. No I/O, no clock.

Text is spoken in utterances: one lasts from the first text to the next `flush` or `end`. Messages that arrive while a flushed utterance
is still being spoken wait. Every utterance has a number, so reports about a cancelled one can be ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from open_speech.api.live_speech import messages
from open_speech.api.live_speech.messages import Cancel, ClientMessage, Config, End, Flush, Text
from open_speech.errors import InvalidRequest, MissingField, NothingToSpeak, Overloaded, SpeechError, TextTooLong
from open_speech.http.ws_messages import POLICY, TRY_LATER, Close, Send, SendAudio
from open_speech.synthesis.stream import Cue

SESSION_CHARS = 1_000_000
"""Maximum characters of text in one session."""
WAITING_MESSAGES = 10_000
"""Maximum messages that wait for a flushed utterance to end."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Resolve the voice of a config; `prepared` or `refused` is called with the result."""

    config: Config


@dataclass(frozen=True, slots=True)
class Start:
    """Start to speak an utterance."""

    number: int
    config: Config


@dataclass(frozen=True, slots=True)
class Feed:
    """Add text to the utterance that was started last."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Complete the text of the current utterance."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the current utterance, and drop its audio that is not sent yet."""


Effect = Send | SendAudio | Prepare | Start | Feed | Finish | Stop | Close


@dataclass(frozen=True, slots=True)
class CueReached:
    """The audio after this report begins with a sentence or a mark."""

    number: int
    cue: Cue


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Encoded audio of an utterance."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """The audio of an utterance is complete; it is `seconds` long."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An utterance failed."""

    number: int
    error: SpeechError


@dataclass(frozen=True, slots=True)
class Warned:
    """A part of the text was skipped."""

    number: int
    message: str


Report = CueReached | AudioChunk | Finished | Failed | Warned


class Session:
    """One connection. Each method handles one event and returns the effects to perform, in order."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._number = 0
        self._speaking = False
        self._complete = False
        """Whether the text of the current utterance is complete."""
        self._preparing = False
        self._discarding = False
        """Whether text is discarded: an utterance failed, and all text up to the next flush belongs to it."""
        self._ending = False
        self._closed = False
        self._waiting: deque[ClientMessage] = deque()
        self._chars = 0
        self._seconds = 0.0

    def receive(self, message: ClientMessage) -> list[Effect]:
        """Handle a message of the client."""
        if self._closed:
            return []
        if isinstance(message, Text):
            self._chars += len(message.text)
            if self._chars > SESSION_CHARS:
                return self._fatal(TextTooLong(f"A session accepts at most {SESSION_CHARS} characters of text.", param="text"), POLICY)
        if isinstance(message, Cancel):
            return self._cancel()
        if self._ending:
            return [_error(InvalidRequest("After `end`, only `cancel` is accepted.", param="type"))]
        if self._is_busy:
            if len(self._waiting) >= WAITING_MESSAGES:
                return self._fatal(Overloaded(f"More than {WAITING_MESSAGES} messages are waiting."), TRY_LATER)
            self._waiting.append(message)
            return []
        return self._handle(message)

    def invalid_message(self, error: SpeechError) -> list[Effect]:
        """Handle a message that could not be parsed; the session continues."""
        return [] if self._closed else [_error(error)]

    def prepared(self, config: Config, *, model: str, voice: str, sample_rate: int | None) -> list[Effect]:
        """Apply a config whose voice was resolved."""
        self._config, self._discarding, self._preparing = config, False, False
        if self._closed:
            return []
        return [Send(messages.ready(config, model=model, voice=voice, sample_rate=sample_rate)), *self._resume()]

    def refused(self, error: SpeechError) -> list[Effect]:
        """Reject a config whose voice could not be resolved; the previous config stays in effect."""
        self._preparing = False
        if self._closed:
            return []
        return [_error(error), *self._resume()]

    @property
    def is_finishing(self) -> bool:
        """Whether audio may still be sent without further messages of the client."""
        return self._complete

    def report(self, report: Report) -> list[Effect]:
        """Handle a report of the engine."""
        if report.number != self._number or not self._speaking or self._closed:
            return []
        match report:
            case CueReached(_, cue):
                return [Send((messages.mark if cue.is_mark else messages.sentence)(cue.text, cue.at_s))]
            case AudioChunk(_, data):
                assert self._config is not None
                return [Send(messages.audio(data)) if self._config.encoding == "base64" else SendAudio(data)]
            case Warned(_, message):
                return [Send({"type": "warning", "message": message})]
            case Finished(_, seconds):
                self._seconds += seconds
                return self._end_utterance()
            case Failed(_, error):
                # A language model may end its text with an emoji: that is not a failure.
                return self._end_utterance() if isinstance(error, NothingToSpeak) and self._complete else self._fail(error)

    def idle(self) -> list[Effect]:
        """End the session because it was idle for too long."""
        return self._fatal(InvalidRequest("The connection was idle for too long."), POLICY)

    @property
    def _is_busy(self) -> bool:
        """Whether messages of the client must wait."""
        return self._complete or self._preparing

    def _handle(self, message: ClientMessage) -> list[Effect]:
        """Handle the next message in order."""
        match message:
            case Config():
                if self._speaking:
                    return [_error(InvalidRequest("`config` is not accepted within a text: send `flush` first.", param="type"))]
                self._preparing = True
                return [Prepare(message)]
            case Text():
                return self._text(message.text)
            case Flush():
                return self._flush()
            case End():
                self._ending = True
                return self._flush()
            case Cancel():
                return self._cancel()

    def _text(self, text: str) -> list[Effect]:
        if self._config is None:
            return [_error(MissingField("Send `config` before the first text.", param="type"))]
        if self._discarding or not (text.strip() or self._speaking):
            return []
        if self._speaking:
            return [Feed(text)]
        self._number += 1
        self._speaking = True
        return [Start(self._number, self._config), Feed(text)]

    def _flush(self) -> list[Effect]:
        self._discarding = False
        if self._speaking:
            self._complete = True
            return [Finish()]
        return self._flushed()

    def _end_utterance(self) -> list[Effect]:
        self._speaking = self._complete = False
        return [*self._flushed(), *self._resume()]

    def _flushed(self) -> list[Effect]:
        return self._done() if self._ending else [Send({"type": "flushed"})]

    def _done(self) -> list[Effect]:
        self._closed = True
        return [Send({"type": "done", "characters": self._chars, "seconds": round(self._seconds, 3)}), Close()]

    def _fail(self, error: SpeechError) -> list[Effect]:
        complete, self._discarding = self._complete, not self._complete
        self._speaking = self._complete = False
        return [_error(error), *(self._flushed() if complete else ()), *self._resume()]

    def _cancel(self) -> list[Effect]:
        stop: list[Effect] = [Stop()] if self._speaking else []
        self._speaking = self._complete = self._discarding = False
        ending = self._ending or any(isinstance(message, End) for message in self._waiting)
        self._waiting = deque(message for message in self._waiting if isinstance(message, Config))
        after = self._done() if ending else self._resume()
        return [*stop, Send({"type": "cancelled"}), *after]

    def _resume(self) -> list[Effect]:
        """Handle the messages that waited, until one must wait again."""
        effects: list[Effect] = []
        while self._waiting and not self._is_busy and not self._closed:
            effects += self._handle(self._waiting.popleft())
        return effects

    def _fatal(self, error: SpeechError, code: int) -> list[Effect]:
        stop: Sequence[Effect] = [Stop()] if self._speaking else []
        self._closed, self._speaking = True, False
        self._waiting.clear()
        return [*stop, _error(error), Close(code)]


def _error(error: SpeechError) -> Send:
    return Send(messages.failure(error))
