"""A live speech as a state machine: what the client says and what the engine did go in, effects come out. No I/O, no clock.

Text is spoken in utterances: one lasts from the first text to the next `flush` or `end`. What the client sends while a flushed utterance
is still being spoken waits its turn. Every utterance has a number, so what the engine tells of one that was cancelled is known as stale.
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
"""Characters that one session speaks at most."""
WAITING_MESSAGES = 10_000
"""Messages that may wait for a flushed utterance to end."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Find out whether it can be spoken like this; the answer is `prepared` or `refused`."""

    config: Config


@dataclass(frozen=True, slots=True)
class Start:
    """Begin to speak an utterance."""

    number: int
    config: Config


@dataclass(frozen=True, slots=True)
class Feed:
    """Hand text to the utterance that was started last."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Tell it that its text is complete."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop it, and drop its sound that is not yet sent."""


Effect = Send | SendAudio | Prepare | Start | Feed | Finish | Stop | Close


@dataclass(frozen=True, slots=True)
class Heading:
    """Something is heard from here on."""

    number: int
    cue: Cue


@dataclass(frozen=True, slots=True)
class Sound:
    """Encoded sound of an utterance."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """All of an utterance was made; it is `seconds` long."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An utterance ended before its time."""

    number: int
    error: SpeechError


@dataclass(frozen=True, slots=True)
class Warned:
    """Something of the text was left out."""

    number: int
    message: str


Report = Heading | Sound | Finished | Failed | Warned


class Session:
    """One connection. Each method takes what happened and gives what is to be done, in order."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._number = 0
        self._speaking = False
        self._complete = False
        """No more text comes to the utterance that is spoken."""
        self._preparing = False
        self._deaf = False
        """An utterance failed: what comes up to the next flush belongs to it."""
        self._ending = False
        self._closed = False
        self._waiting: deque[ClientMessage] = deque()
        self._chars = 0
        self._seconds = 0.0

    def receive(self, message: ClientMessage) -> list[Effect]:
        """Take a message of the client."""
        if self._closed:
            return []
        if isinstance(message, Text):
            self._chars += len(message.text)
            if self._chars > SESSION_CHARS:
                return self._fatal(TextTooLong(f"A session accepts at most {SESSION_CHARS} characters of text.", param="text"), POLICY)
        if isinstance(message, Cancel):
            return self._cancelled()
        if self._ending:
            return [_error(InvalidRequest("After `end`, only `cancel` is accepted.", param="type"))]
        if self._is_busy:
            if len(self._waiting) >= WAITING_MESSAGES:
                return self._fatal(Overloaded(f"More than {WAITING_MESSAGES} messages are waiting."), TRY_LATER)
            self._waiting.append(message)
            return []
        return self._take(message)

    def misread(self, error: SpeechError) -> list[Effect]:
        """Take a message that could not be read; the session goes on."""
        return [] if self._closed else [_error(error)]

    def prepared(self, config: Config, *, model: str, voice: str, sample_rate: int | None) -> list[Effect]:
        """Take a config that can be spoken."""
        self._config, self._deaf, self._preparing = config, False, False
        if self._closed:
            return []
        return [Send(messages.ready(config, model=model, voice=voice, sample_rate=sample_rate)), *self._go_on()]

    def refused(self, error: SpeechError) -> list[Effect]:
        """Take a config that cannot be spoken; the one before it stays."""
        self._preparing = False
        if self._closed:
            return []
        return [_error(error), *self._go_on()]

    @property
    def is_finishing(self) -> bool:
        """Whether sound may still come without a word of the client."""
        return self._complete

    def report(self, report: Report) -> list[Effect]:
        """Take what the engine did."""
        if report.number != self._number or not self._speaking or self._closed:
            return []
        match report:
            case Heading(_, cue):
                return [Send((messages.mark if cue.is_mark else messages.sentence)(cue.text, cue.at_s))]
            case Sound(_, data):
                assert self._config is not None
                return [Send(messages.audio(data)) if self._config.encoding == "base64" else SendAudio(data)]
            case Warned(_, message):
                return [Send({"type": "warning", "message": message})]
            case Finished(_, seconds):
                self._seconds += seconds
                return self._over()
            case Failed(_, error):
                # A language model may well end with an emoji: that is no failure.
                return self._over() if isinstance(error, NothingToSpeak) and self._complete else self._failed(error)

    def idle(self) -> list[Effect]:
        """Take that nothing has happened for too long."""
        return self._fatal(InvalidRequest("The connection was idle for too long."), POLICY)

    @property
    def _is_busy(self) -> bool:
        """Whether what the client says must wait."""
        return self._complete or self._preparing

    def _take(self, message: ClientMessage) -> list[Effect]:
        """Take a message whose turn it is."""
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
                return self._cancelled()

    def _text(self, text: str) -> list[Effect]:
        if self._config is None:
            return [_error(MissingField("Send `config` before the first text.", param="type"))]
        if self._deaf or not (text.strip() or self._speaking):
            return []
        if self._speaking:
            return [Feed(text)]
        self._number += 1
        self._speaking = True
        return [Start(self._number, self._config), Feed(text)]

    def _flush(self) -> list[Effect]:
        self._deaf = False
        if self._speaking:
            self._complete = True
            return [Finish()]
        return self._flushed()

    def _over(self) -> list[Effect]:
        self._speaking = self._complete = False
        return [*self._flushed(), *self._go_on()]

    def _flushed(self) -> list[Effect]:
        return self._done() if self._ending else [Send({"type": "flushed"})]

    def _done(self) -> list[Effect]:
        self._closed = True
        return [Send({"type": "done", "characters": self._chars, "seconds": round(self._seconds, 3)}), Close()]

    def _failed(self, error: SpeechError) -> list[Effect]:
        complete, self._deaf = self._complete, not self._complete
        self._speaking = self._complete = False
        return [_error(error), *(self._flushed() if complete else ()), *self._go_on()]

    def _cancelled(self) -> list[Effect]:
        stop: list[Effect] = [Stop()] if self._speaking else []
        self._speaking = self._complete = self._deaf = False
        ending = self._ending or any(isinstance(message, End) for message in self._waiting)
        self._waiting = deque(message for message in self._waiting if isinstance(message, Config))
        after = self._done() if ending else self._go_on()
        return [*stop, Send({"type": "cancelled"}), *after]

    def _go_on(self) -> list[Effect]:
        """Take what waited, until something must be waited for again."""
        effects: list[Effect] = []
        while self._waiting and not self._is_busy and not self._closed:
            effects += self._take(self._waiting.popleft())
        return effects

    def _fatal(self, error: SpeechError, code: int) -> list[Effect]:
        stop: Sequence[Effect] = [Stop()] if self._speaking else []
        self._closed, self._speaking = True, False
        self._waiting.clear()
        return [*stop, _error(error), Close(code)]


def _error(error: SpeechError) -> Send:
    return Send(messages.failure(error))
