"""A translation session as a state machine: audio, events and transcripts in, effects out. No I/O, no clock.

Speech is transcribed in utterances, each of which has a number. The text of an utterance grows while it is spoken. Every clause of it is
translated and spoken as soon as it is complete, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.api.realtime.client_messages import Message, client_event_id, decoded, read
from open_speech.api.realtime.session import SessionExpired, SessionIdle
from open_speech.api.translations import messages
from open_speech.api.translations.clauses import Clauses
from open_speech.api.translations.ordering import InOrder
from open_speech.api.translations.settings import Abilities, Config, body, check, updated
from open_speech.errors import SpeechError
from open_speech.http.ws_messages import NORMAL, POLICY, Close, Send
from open_speech.recognition.live.local_agreement import joined
from open_speech.recognition.live.turn_detection import Paused, Resumed, Started, Stopped, TurnEvent

TAIL_S = 0.3
"""Seconds of audio after the end of speech that the recognizer receives: the last phoneme of a word is faint."""

Channel = Literal["source", "english"]
"""A recognition of the speech: in its own language, or translated into English by the speech-to-text model."""


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Process audio: whole samples. The speech detected in it is reported with `turn_events`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Start to transcribe an utterance whose audio starts at `start_s`, with a model for each channel."""

    number: int
    start_s: float
    models: Mapping[Channel, str]


@dataclass(frozen=True, slots=True)
class Finish:
    """End the audio of an utterance at `end_s`, or at the last sample; Done is reported once for each channel."""

    number: int
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Process the audio that is still buffered; its speech is reported with `turn_events`, and then `drained` is called."""


@dataclass(frozen=True, slots=True)
class Translate:
    """Translate a clause and speak it, after those before it. Translated is reported exactly once."""

    text: str
    language: str
    """ISO 639-1 code of the target language."""
    at_s: float
    """How much of the audio had arrived when the clause was complete, in seconds."""
    is_translated: bool = False
    """Whether the text is the translation already, so that it is only spoken."""


Effect = Send | Close | AppendAudio | Begin | Finish | Drain | Translate
InputEffect = AppendAudio | Begin | Finish | Drain


@dataclass(frozen=True, slots=True)
class Delta:
    """The next text of an utterance in one channel; `at_s` seconds of the audio have arrived."""

    number: int
    channel: Channel
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """The text of an utterance in one channel is complete, or `error` ended it."""

    number: int
    channel: Channel
    at_s: float
    error: SpeechError | None = None


@dataclass(frozen=True, slots=True)
class OutputText:
    """The next text of the translation."""

    text: str
    at_s: float
    begins: bool = False
    """Whether the text is the first of its clause."""


@dataclass(frozen=True, slots=True)
class OutputAudio:
    """The next audio of the translation, at messages.RATE."""

    data: bytes
    at_s: float


@dataclass(frozen=True, slots=True)
class Translated:
    """A clause is translated and spoken, or `error` ended it."""

    error: SpeechError | None = None


Report = Delta | Done | OutputText | OutputAudio | Translated


@dataclass(slots=True)
class _Utterance:
    """The configuration of an utterance, which is that at its beginning."""

    language: str
    shows_source: bool
    channel: Channel
    """The channel whose text is translated or spoken."""
    clauses: Clauses = field(default_factory=Clauses)
    left: int = 1
    """Channels that are not done."""
    is_shown: bool = False
    """Whether a part of its transcript was sent."""


class Session:
    """One connection. Each method handles one event and returns the effects to perform, in order."""

    def __init__(
        self, *, id: str, model: str, abilities: Abilities, expires_at: float, configured: Mapping[str, Any] | None = None
    ) -> None:
        """`configured` is the session of the ephemeral key. Raises subclasses of InvalidRequest if the server cannot translate so."""
        self._id = id
        self._model = model
        self._abilities = abilities
        self._expires_at = int(expires_at)
        self._config = Config()
        if configured:
            self._config = updated(self._config, configured, abilities)
        else:
            check(self._config, abilities)
        self._number = 0
        self._open: int | None = None
        """The number of the utterance in progress."""
        self._utterances: dict[int, _Utterance] = {}
        self._order: dict[Channel, InOrder] = {"source": InOrder(), "english": InOrder()}
        self._clauses = 0
        """Clauses whose translation is pending."""
        self._last: dict[Literal["input", "output"], str] = {"input": "", "output": ""}
        """The last text of each transcript, after which a space may be needed."""
        self._closing = self._drained = self._closed = False

    @property
    def pending(self) -> int:
        """The number of clauses that are not yet translated and spoken."""
        return self._clauses

    @property
    def is_busy(self) -> bool:
        """Whether the client waits for a translation."""
        return bool(self._closing or self._clauses or self._utterances)

    def body(self) -> dict[str, Any]:
        """Return the session object."""
        return body(self._config, id=self._id, model=self._model, expires_at=self._expires_at)

    def begin(self) -> list[Effect]:
        """Start the session."""
        return [Send(messages.event("session.created", session=self.body()))]

    def receive(self, message: str | Message) -> list[Effect]:
        """Handle one message of the client; an invalid one is answered with an error and has no other effect."""
        if self._closed or self._closing:
            return []
        found: Mapping[str, Any] = {}
        try:
            if isinstance(message, Message):
                found = message.body
                if message.error is not None:
                    raise message.error
            else:
                found = read(message)
            return self._handle(messages.parse(found))
        except SpeechError as error:
            return [Send(messages.error(error, client_event_id(found)))]

    def turn_events(self, events: Iterable[TurnEvent]) -> list[Effect]:
        """Handle the turn events in the audio."""
        effects: list[Effect] = []
        for event in events if not self._closed else ():
            match event:
                case Started(at_s):
                    effects += self._begin(at_s)
                case Stopped(at_s):
                    effects += self._finish(at_s + TAIL_S)
                case Paused() | Resumed():
                    pass
        return effects

    def drained(self) -> list[Effect]:
        """End the session after `session.close`: all audio has been processed."""
        self._drained = True
        return [*self._finish(None), *self._end()]

    def report(self, report: Report) -> list[Effect]:
        """Handle a report of the driver."""
        if self._closed:
            return []
        match report:
            case Delta(number, channel, text, at_s):
                return self._texts(channel, self._order[channel].delta(number, text), at_s)
            case Done(number, channel, at_s, error):
                failed = [] if error is None else [Send(messages.error(error))]
                return [*failed, *self._texts(channel, self._order[channel].done(number), at_s), *self._end()]
            case OutputText(text, at_s, begins):
                return self._transcript("output", text, at_s, begins=begins)
            case OutputAudio(data, at_s):
                return [Send(messages.audio_delta(data, at_s))]
            case Translated(error):
                self._clauses -= 1
                failed = [] if error is None else [Send(messages.error(error))]
                return [*failed, *self._end()]

    def idle(self) -> list[Effect]:
        """End the session because it was idle for too long."""
        return self._stop(SessionIdle("The connection was idle for too long."), POLICY)

    def expire(self) -> list[Effect]:
        """End the session at its maximum duration."""
        return self._stop(SessionExpired("The session has reached its maximum duration."), NORMAL)

    def _handle(self, event: messages.ClientEvent) -> list[Effect]:
        match event:
            case messages.SessionUpdate():
                self._config = updated(self._config, event.session, self._abilities)
                return [Send(messages.event("session.updated", session=self.body()))]
            case messages.Append():
                data = decoded(event.audio, 2)
                return [AppendAudio(data)] if data else []
            case messages.CloseSession():
                self._closing = True
                return [Drain()]

    def _begin(self, start_s: float) -> list[Effect]:
        language, source = self._config.language, self._config.source_model
        models: dict[Channel, str] = {}
        if self._abilities.by_recognizer(language):
            models["english"] = self._abilities.stt_model
        if source or not models:
            models["source"] = source or self._abilities.stt_model
        self._number += 1
        self._open = self._number
        channel: Channel = "english" if "english" in models else "source"
        self._utterances[self._number] = _Utterance(language, source is not None, channel, left=len(models))
        for each in models:
            self._order[each].begin(self._number)
        return [Begin(self._number, start_s, models)]

    def _finish(self, end_s: float | None) -> list[Effect]:
        number, self._open = self._open, None
        return [] if number is None else [Finish(number, end_s)]

    def _texts(self, channel: Channel, texts: Iterable[tuple[int, str | None]], at_s: float) -> list[Effect]:
        """Send and translate the texts of utterances; None ends one."""
        effects: list[Effect] = []
        for number, text in texts:
            utterance = self._utterances[number]
            if text and channel == "source" and utterance.shows_source:
                effects += self._transcript("input", text, at_s, begins=not utterance.is_shown)
                utterance.is_shown = True
            if channel == utterance.channel:
                clauses = utterance.clauses.flush() if text is None else utterance.clauses.feed(text)
                effects += [self._translate(clause, utterance, at_s) for clause in clauses]
            if text is None:
                utterance.left -= 1
                if not utterance.left:
                    del self._utterances[number]
        return effects

    def _translate(self, clause: str, utterance: _Utterance, at_s: float) -> Translate:
        self._clauses += 1
        return Translate(clause, utterance.language, at_s, is_translated=utterance.channel == "english")

    def _transcript(self, direction: Literal["input", "output"], text: str, at_s: float, *, begins: bool) -> list[Effect]:
        """Send text; a space separates clauses and utterances in scripts that use spaces."""
        if begins:
            stripped = text.lstrip()
            text = joined(self._last[direction], stripped[:1]) + stripped[1:]
        if not text:
            return []
        self._last[direction] = text[-1]
        return [Send(messages.text_delta(direction, text, at_s))]

    def _end(self) -> list[Effect]:
        if not self._drained or self._utterances or self._clauses:
            return []
        self._closed = True
        return [Send(messages.event("session.closed")), Close()]

    def _stop(self, error: SpeechError, code: int) -> list[Effect]:
        if self._closed:
            return []
        self._closed = True
        return [Send(messages.error(error)), Close(code)]
